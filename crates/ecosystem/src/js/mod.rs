//! Evaluates a configuration written in JavaScript, without Node.js.
//!
//! The engine has no access to anything by itself; what a file finds of Node.js
//! is in `node.js` and reads through the [`Fence`]: files below one folder. Time,
//! memory and depth of calls are limited.

pub mod fence;
mod module;
pub mod resolve;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rquickjs::context::EvalOptions;
use rquickjs::function::This;
use rquickjs::{CaughtError, Context, Ctx, Exception, Function, Module, Object, Promise, Runtime, Value};
use serde_json::json;

use fence::Fence;

/// How long a file may take.
pub const TIME_LIMIT: Duration = Duration::from_secs(2);
/// How much memory a file may take.
pub const MEMORY_LIMIT: usize = 256 << 20;
const STACK_LIMIT: usize = 512 << 10;

/// What a file finds of Node.js, and its name in stacks.
const NODE: &str = include_str!("node.js");
const NODE_NAME: &str = "nodeapp:node";

/// The machine that a file is told it runs on.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    /// What `os.cpus().length` is.
    pub cpus: u32,
    /// What `process.env` is.
    pub env: &'a BTreeMap<String, String>,
    /// What follows `--env` in `process.argv`.
    pub profile: Option<&'a str>,
    /// How long it may take.
    pub time_limit: Duration,
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluated {
    /// What the file exports.
    pub value: serde_json::Value,
    /// What it wrote to its console.
    pub console: Vec<String>,
    /// What it asked about the machine, such as `os.hostname()`.
    pub asked: BTreeSet<String>,
    /// Variables of the environment that it looked at.
    pub variables: BTreeSet<String>,
}

/// Why nothing came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// File and line, such as `ecosystem.config.js:3`, where known.
    pub place: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What the file wrote to its console before.
    pub console: Vec<String>,
}

/// What the functions of `node.js` share.
struct Host {
    fence: Fence,
    file: PathBuf,
    console: RefCell<Vec<String>>,
    /// Room that the console has left.
    room: Cell<usize>,
    asked: RefCell<BTreeSet<String>>,
    variables: RefCell<BTreeSet<String>>,
    late: Cell<bool>,
    time_limit: Duration,
}

/// What is kept of a console, in bytes, and of one line of it. It lies outside of the
/// engine's memory, and a loop that prints is no reason to fill ours.
const CONSOLE: usize = 64 << 10;
const CONSOLE_LINE: usize = 4 << 10;
/// The most questions about the machine that are noted, and the most bytes of one.
const QUESTIONS: usize = 100;
const QUESTION: usize = 300;
/// How much longer than its limit an evaluation is waited for: the engine looks at the
/// clock between the steps of a program, and some single steps never end.
const GRACE: Duration = Duration::from_secs(1);
/// Stack of the thread that evaluates: the engine's share, and our own calls around it.
const THREAD_STACK: usize = 4 << 20;

/// How a file is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A module, of whichever kind its ending and its package say.
    Module,
    /// One expression: PM2 reads `.json` so, hence with comments and without quotes around keys.
    Expression,
}

/// Evaluates a file.
///
/// # Errors
/// When the file throws, takes too long or too much, or exports nothing that can be written down.
pub fn evaluate(fence: &Fence, file: &Path, form: Form, machine: &Machine<'_>) -> Result<Evaluated, Trouble> {
    let (fence, file, limit) = (fence.clone(), file.to_owned(), machine.time_limit);
    let (cpus, env, profile) = (machine.cpus, machine.env.clone(), machine.profile.map(str::to_owned));
    let (send, receive) = std::sync::mpsc::channel();
    let work = move || {
        let machine = Machine { cpus, env: &env, profile: profile.as_deref(), time_limit: limit };
        // Nobody listens any more where it was too late.
        let _ = send.send(evaluate_here(&fence, &file, form, &machine));
    };
    let fail = |message: String| Trouble { place: None, message, console: Vec::new() };
    let thread =
        std::thread::Builder::new().name("evaluation".to_owned()).stack_size(THREAD_STACK).spawn(work);
    thread.map_err(|error| fail(format!("there is no thread for the JavaScript engine: {error}")))?;
    // A thread cannot be ended: one that hangs goes with the process, and has but the engine's memory.
    receive.recv_timeout(limit + GRACE).unwrap_or_else(|_| Err(fail(too_late(limit))))
}

fn too_late(limit: Duration) -> String {
    format!(
        "takes longer than {} s; a configuration should not wait or loop (--use-node runs it in your Node.js, without \
         limits)",
        limit.as_secs_f32()
    )
}

fn evaluate_here(
    fence: &Fence,
    file: &Path,
    form: Form,
    machine: &Machine<'_>,
) -> Result<Evaluated, Trouble> {
    let fail = |message: String| Trouble { place: None, message, console: Vec::new() };
    let file = fence.inside(file).map_err(fail)?;
    let source = fence.read(&file).map_err(fail)?;
    let host = Rc::new(Host {
        fence: fence.clone(),
        file: file.clone(),
        console: RefCell::default(),
        room: Cell::new(CONSOLE),
        asked: RefCell::default(),
        variables: RefCell::default(),
        late: Cell::new(false),
        time_limit: machine.time_limit,
    });
    let no_engine = |error: rquickjs::Error| fail(format!("the JavaScript engine does not start: {error}"));
    let runtime = Runtime::new().map_err(no_engine)?;
    runtime.set_memory_limit(MEMORY_LIMIT);
    runtime.set_max_stack_size(STACK_LIMIT);
    let (deadline, shared) = (Instant::now() + machine.time_limit, host.clone());
    runtime.set_interrupt_handler(Some(Box::new(move || {
        let late = Instant::now() > deadline;
        shared.late.set(shared.late.get() || late);
        late
    })));
    runtime.set_loader(module::Finder(host.clone()), module::Reader(host.clone()));
    let context = Context::full(&runtime).map_err(no_engine)?;
    let text = context.with(|ctx| {
        run(&ctx, &host, machine, form, source)
            .map_err(|error| host.trouble(CaughtError::from_error(&ctx, error)))
    })?;
    let value = serde_json::from_str(&text).map_err(|error| fail(format!("the exported value: {error}")))?;
    Ok(Evaluated {
        value,
        console: host.console.take(),
        asked: host.asked.take(),
        variables: host.variables.take(),
    })
}

/// The exported value as JSON.
fn run(
    ctx: &Ctx<'_>,
    host: &Rc<Host>,
    machine: &Machine<'_>,
    form: Form,
    source: String,
) -> rquickjs::Result<String> {
    let node = node(ctx, host, machine)?;
    let path = host.file.display().to_string();
    let value: Value<'_> = match form {
        Form::Expression => compiled(ctx, &host.fence.short(&host.file), &format!("({source}\n)"))?,
        Form::Module if resolve::is_module(&host.fence, &host.file, &source) => {
            let module = Module::declare(ctx.clone(), path.clone(), source)?;
            module::describe(&module, &path)?;
            let (module, promise) = module.eval()?;
            settle(ctx, &node, &promise)?;
            let exports = module.namespace()?;
            let default: Value<'_> = exports.get("default")?;
            if default.is_undefined() { exports.into_value() } else { default }
        }
        Form::Module => node.get::<_, Function<'_>>("load")?.call((path,))?,
    };
    let what = if value.is_function() {
        Some("a function, which PM2 does not call")
    } else if value.is_promise() {
        Some("a promise, which PM2 does not wait for")
    } else if value.is_object() {
        None
    } else {
        Some("nothing with apps in it; it should end with `module.exports = { apps: […] }`")
    };
    if let Some(what) = what {
        return Err(Exception::throw_message(ctx, &format!("the file exports {what}")));
    }
    let text: Option<String> = node.get::<_, Function<'_>>("serialise")?.call((value,))?;
    text.ok_or_else(|| Exception::throw_message(ctx, "what the file exports cannot be written down"))
}

/// Waits for a module that awaits something.
fn settle<'js>(ctx: &Ctx<'js>, node: &Object<'js>, promise: &Promise<'js>) -> rquickjs::Result<()> {
    let tick: Function<'_> = node.get("tick")?;
    loop {
        if let Some(result) = promise.result::<Value<'_>>() {
            return result.map(drop);
        }
        if !ctx.execute_pending_job() && !tick.call::<_, bool>(())? {
            return Err(Exception::throw_message(ctx, "the file awaits something that never comes"));
        }
    }
}

/// The value of a script under a name that stacks show.
fn compiled<'js, V: rquickjs::FromJs<'js>>(ctx: &Ctx<'js>, name: &str, source: &str) -> rquickjs::Result<V> {
    let mut options = EvalOptions::default();
    options.strict = false;
    options.filename = Some(name.to_owned());
    ctx.eval_with_options(source, options)
}

/// What `node.js` gives back.
fn node<'js>(ctx: &Ctx<'js>, host: &Rc<Host>, machine: &Machine<'_>) -> rquickjs::Result<Object<'js>> {
    let make: Function<'_> = compiled(ctx, NODE_NAME, NODE)?;
    let folder = host.file.parent().unwrap_or(host.fence.root());
    let facts = json!({
        "cpus": machine.cpus,
        "env": machine.env,
        "profile": machine.profile,
        "cwd": folder,
        "file": host.file,
    });
    let facts = ctx.json_parse(facts.to_string())?;
    let node: Object<'_> = make.call((functions(ctx, host)?, facts))?;
    ctx.globals().set(module::GLOBAL, node.clone())?;
    Ok(node)
}

/// The functions that `node.js` reads with.
fn functions<'js>(ctx: &Ctx<'js>, host: &Rc<Host>) -> rquickjs::Result<Object<'js>> {
    let functions = Object::new(ctx.clone())?;
    let thrown = |ctx: &Ctx<'_>, refusal: fence::Refusal| Exception::throw_message(ctx, &refusal);
    let it = host.clone();
    functions.set(
        "read",
        Function::new(ctx.clone(), move |ctx: Ctx<'_>, path: String| {
            it.fence.read(Path::new(&path)).map_err(|refusal| thrown(&ctx, refusal))
        })?,
    )?;
    let it = host.clone();
    functions.set(
        "list",
        Function::new(ctx.clone(), move |ctx: Ctx<'_>, path: String| {
            it.fence.list(Path::new(&path)).map_err(|refusal| thrown(&ctx, refusal))
        })?,
    )?;
    let it = host.clone();
    functions.set(
        "realpath",
        Function::new(ctx.clone(), move |ctx: Ctx<'_>, path: String| {
            let found = it.fence.inside(Path::new(&path)).map_err(|refusal| thrown(&ctx, refusal));
            found.map(|path| path.display().to_string())
        })?,
    )?;
    let it = host.clone();
    functions.set(
        "resolve",
        Function::new(ctx.clone(), move |ctx: Ctx<'_>, from: String, name: String| {
            resolve::resolve(&it.fence, Path::new(&from), &name).map_err(|refusal| thrown(&ctx, refusal))
        })?,
    )?;
    let it = host.clone();
    let compile = lending(move |ctx, path| common(&ctx, &it, &path));
    functions.set("compile", Function::new(ctx.clone(), compile)?)?;
    let it = host.clone();
    functions.set("stat", Function::new(ctx.clone(), move |path: String| it.stat(&path))?)?;
    let it = host.clone();
    functions.set("log", Function::new(ctx.clone(), move |line: String| it.log(line))?)?;
    let it = host.clone();
    functions.set("touch", Function::new(ctx.clone(), move |what: String| note(&it.asked, what))?)?;
    let it = host.clone();
    functions.set("variable", Function::new(ctx.clone(), move |name: String| note(&it.variables, name))?)?;
    Ok(functions)
}

/// Tells the compiler that what a closure returns lives as long as its context.
fn lending<F>(closure: F) -> F
where
    F: for<'js> Fn(Ctx<'js>, String) -> rquickjs::Result<Function<'js>>,
{
    closure
}

/// A `CommonJS` file as the function that Node.js makes of it, on the same lines.
fn common<'js>(ctx: &Ctx<'js>, host: &Host, path: &str) -> rquickjs::Result<Function<'js>> {
    let file = Path::new(path);
    if resolve::has_ending(path, "mjs") {
        let text =
            format!("{} is an ES module, which require() cannot load; import it", host.fence.short(file));
        return Err(Exception::throw_message(ctx, &text));
    }
    let source = host.fence.read(file).map_err(|refusal| Exception::throw_message(ctx, &refusal))?;
    let source = source.trim_start_matches('\u{feff}');
    // A line that says which program runs the file is a comment in Node.js.
    let hash = if source.starts_with("#!") { "//" } else { "" };
    let wrapped =
        format!("(function (exports, require, module, __filename, __dirname) {{{hash}{source}\n}})");
    compiled(ctx, &host.fence.short(file), &wrapped)
}

/// Notes a question that a file has asked.
fn note(questions: &RefCell<BTreeSet<String>>, mut question: String) {
    let mut questions = questions.borrow_mut();
    shorten(&mut question, QUESTION);
    if questions.len() < QUESTIONS {
        questions.insert(question);
    }
}

/// Cuts a text after so many bytes, and gives back the memory of the rest.
fn shorten(text: &mut String, most: usize) {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
        text.shrink_to_fit();
    }
}

impl Host {
    fn stat(&self, path: &str) -> Option<&'static str> {
        let path = Path::new(path);
        if !path.starts_with(self.fence.root()) {
            note(&self.asked, format!("whether {} exists", path.display()));
        }
        self.fence.kind(path)
    }

    fn log(&self, mut line: String) {
        shorten(&mut line, CONSOLE_LINE);
        // Empty lines take room, too.
        if let Some(room) = self.room.get().checked_sub(line.len() + 16) {
            self.room.set(room);
            self.console.borrow_mut().push(line);
        }
    }

    /// What went wrong, for a reader who knows the file and not the engine.
    fn trouble(&self, caught: CaughtError<'_>) -> Trouble {
        let (message, stack) = match caught {
            CaughtError::Exception(exception) => {
                let name: Option<String> = exception.as_object().get("name").unwrap_or_default();
                let name = name.filter(|name| name != "Error").map_or(String::new(), |name| name + ": ");
                let message = format!("{name}{}", exception.message().unwrap_or_default());
                (message, exception.stack().unwrap_or_default())
            }
            CaughtError::Value(value) => {
                let text = value.as_string().and_then(|text| text.to_string().ok());
                (
                    text.map_or("the file throws something".to_owned(), |text| {
                        format!("the file throws: {text}")
                    }),
                    String::new(),
                )
            }
            CaughtError::Error(error) => (error.to_string(), String::new()),
        };
        let message = if self.late.get() {
            too_late(self.time_limit)
        } else if message.contains("out of memory") {
            format!("takes more than {} MB of memory", MEMORY_LIMIT >> 20)
        } else {
            message
        };
        Trouble { place: self.place(&stack), message, console: self.console.take() }
    }

    /// The innermost place of a stack that is in a file of the user.
    fn place(&self, stack: &str) -> Option<String> {
        stack.lines().find_map(|line| {
            let line = line.trim().trim_start_matches("at ").trim_end_matches(')');
            let place = line.rsplit_once('(').map_or(line, |(_, place)| place);
            if place.starts_with(NODE_NAME) || place == "native" {
                return None;
            }
            let (place, _column) = place.rsplit_once(':')?;
            let (file, number) = place.rsplit_once(':')?;
            number.parse::<u32>().ok().map(|number| format!("{}:{number}", self.fence.short(Path::new(file))))
        })
    }
}

/// Calls a function of `node.js`.
fn call<'js, T: rquickjs::FromJs<'js>>(
    ctx: &Ctx<'js>,
    name: &str,
    argument: Value<'js>,
) -> rquickjs::Result<T> {
    let node: Object<'_> = ctx.globals().get(module::GLOBAL)?;
    node.get::<_, Function<'_>>(name)?.call((This(node.clone()), argument))
}

#[cfg(test)]
mod tests;
