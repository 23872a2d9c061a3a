//! ES modules: the same files, found the same way.

use std::fmt::Write as _;
use std::path::Path;
use std::rc::Rc;

use rquickjs::loader::{ImportAttributes, Loader, Resolver};
use rquickjs::module::Declared;
use rquickjs::{Ctx, Exception, IntoJs, Module, Result, Value};

use super::{Host, call, resolve};

/// Where modules find what `node.js` gives back.
pub(super) const GLOBAL: &str = "__nodeapp";

pub(super) struct Finder(pub(super) Rc<Host>);

impl Resolver for Finder {
    fn resolve<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        base: &str,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> Result<String> {
        resolve::resolve(&self.0.fence, Path::new(base), name)
            .map_err(|refusal| Exception::throw_message(ctx, &refusal))
    }
}

pub(super) struct Reader(pub(super) Rc<Host>);

impl Loader for Reader {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> Result<Module<'js, Declared>> {
        let fence = &self.0.fence;
        if !name.starts_with("node:") && !resolve::has_ending(name, "json") {
            let source =
                fence.read(Path::new(name)).map_err(|refusal| Exception::throw_message(ctx, &refusal))?;
            if resolve::is_module(fence, Path::new(name), &source) {
                let module = Module::declare(ctx.clone(), name, source)?;
                describe(&module, name)?;
                return Ok(module);
            }
        }
        Module::declare(ctx.clone(), name, facade(ctx, name)?)
    }
}

/// A module that exports what `require()` gives.
fn facade(ctx: &Ctx<'_>, name: &str) -> Result<String> {
    let value: Value<'_> = call(ctx, "module", name.into_js(ctx)?)?;
    let names: Vec<String> = call(ctx, "names", value)?;
    let quoted = serde_json::to_string(name).expect("a text is JSON");
    let mut source = format!("const it = {GLOBAL}.module({quoted});\nexport default it;\n");
    for (index, name) in names.iter().enumerate() {
        let _ = writeln!(source, "const _{index} = it.{name};\nexport {{ _{index} as {name} }};");
    }
    Ok(source)
}

/// What a module knows of itself.
pub(super) fn describe(module: &Module<'_, Declared>, path: &str) -> Result<()> {
    let meta = module.meta()?;
    meta.set("url", format!("file://{path}"))?;
    meta.set("filename", path)?;
    meta.set("dirname", Path::new(path).parent().map(|folder| folder.display().to_string()))
}
