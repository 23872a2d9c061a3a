use std::fs;

use serde_json::{Value, json};

use super::*;

/// Evaluates the first of some files.
fn run_with(files: &[(&str, &str)], cpus: u32, env: &[(&str, &str)]) -> Result<Evaluated, Trouble> {
    run_within(PATIENCE, files, cpus, env)
}

/// What a file never takes that is not meant to take too long, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn run_within(
    time_limit: Duration,
    files: &[(&str, &str)],
    cpus: u32,
    env: &[(&str, &str)],
) -> Result<Evaluated, Trouble> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let fence = Fence::around(folder.path()).unwrap();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let machine = Machine { cpus, env: &env, profile: None, time_limit };
    let form = if resolve::has_ending(files[0].0, "json") { Form::Expression } else { Form::Module };
    evaluate(&fence, &folder.path().join(files[0].0), form, &machine)
}

fn run(files: &[(&str, &str)]) -> Result<Evaluated, Trouble> {
    run_with(files, 4, &[])
}

fn value(source: &str) -> Value {
    run(&[("ecosystem.config.js", source)]).unwrap().value
}

fn trouble(source: &str) -> (Option<String>, String) {
    let trouble = run(&[("ecosystem.config.js", source)]).unwrap_err();
    (trouble.place, trouble.message)
}

#[test]
fn a_module_exports_what_node_would_see() {
    assert_eq!(
        value("module.exports = {apps: [{name: 'a', watch: false}]}"),
        json!({"apps": [{"name": "a", "watch": false}]})
    );
    assert_eq!(value("exports.apps = [1]"), json!({"apps": [1]}));
    assert_eq!(
        value("#!/usr/bin/env node\nmodule.exports = [{a: Infinity, b: undefined, c: NaN}]"),
        json!([{"a": f64::MAX, "c": null}])
    );
    let twice = "Object.defineProperty(exports, '__esModule', {value: true}); exports.default = {apps: []}";
    assert_eq!(value(twice), json!({"apps": []}));
}

#[test]
fn os_path_process_and_dirname_are_as_in_node() {
    let source = "
        const os = require('os'), path = require('node:path');
        module.exports = {
            cpus: os.cpus().length, parallel: os.availableParallelism(),
            here: path.relative(process.cwd(), path.join(__dirname, 'a', '..', 'b.js')),
            base: path.basename(__filename, '.js'), ext: path.extname('/x/y.tar.gz'),
            parsed: path.parse('/home/u/file.txt'), up: path.resolve('/a/b', '../c'),
            env: process.env.TIER || 'none', has: 'NO' in process.env,
        }";
    let got = run_with(&[("ecosystem.config.js", source)], 7, &[("TIER", "gold")]).unwrap();
    let expected = json!({
        "cpus": 7, "parallel": 7, "here": "b.js", "base": "ecosystem.config", "ext": ".gz",
        "parsed": {"root": "/", "dir": "/home/u", "base": "file.txt", "ext": ".txt", "name": "file"},
        "up": "/a/c", "env": "gold", "has": false,
    });
    assert_eq!(got.value, expected);
    assert_eq!(got.variables.iter().collect::<Vec<_>>(), ["NO", "TIER"]);
    assert!(got.asked.is_empty(), "{:?}", got.asked);
}

#[test]
fn modules_are_found_as_node_finds_them() {
    let got = run(&[
        (
            "ecosystem.config.js",
            "module.exports = {...require('./base'), v: require('./package.json').version, \
            lib: require('@acme/pm2').x, deep: require('lib/util').y, dir: require('./conf').z, again: require('./base') === require('./base.js')}",
        ),
        ("base.js", "exports.name = 'base'; exports.loop = require('./loop.cjs').seen"),
        ("loop.cjs", "exports.seen = Object.keys(require('./base.js')).length"),
        ("package.json", "{\"version\": \"1.2.3\"}"),
        ("conf/index.js", "exports.z = 3"),
        (
            "node_modules/@acme/pm2/package.json",
            "{\"exports\": {\".\": {\"import\": \"./m.mjs\", \"require\": \"./c.cjs\"}}}",
        ),
        ("node_modules/@acme/pm2/c.cjs", "exports.x = 1"),
        ("node_modules/lib/util.js", "exports.y = 2"),
    ]);
    let expected =
        json!({"name": "base", "loop": 1, "v": "1.2.3", "lib": 1, "deep": 2, "dir": 3, "again": true});
    assert_eq!(got.unwrap().value, expected);
}

#[test]
fn es_modules_export_by_default_or_by_name() {
    let module = "
        import os, { cpus } from 'node:os';
        import path from 'path';
        import { fileURLToPath } from 'url';
        import { createRequire } from 'node:module';
        import { port } from './shared.js';
        import pkg from './package.json' with { type: 'json' };
        import legacy, { named } from './legacy.cjs';
        const here = path.dirname(fileURLToPath(import.meta.url));
        const require = createRequire(import.meta.url);
        const slow = await new Promise((done) => setTimeout(() => done('waited'), 5000));
        export default { n: cpus().length + os.cpus().length, port, name: pkg.name, named, same: legacy.named === named,
            here: here === import.meta.dirname, slow, again: require('./package.json').name,
            file: new URL('./app/main.js', import.meta.url).pathname.endsWith('/app/main.js') };";
    let got = run(&[
        ("ecosystem.config.mjs", module),
        ("shared.js", "export const port = 3000;"),
        ("legacy.cjs", "exports.named = 'cjs';"),
        ("package.json", "{\"name\": \"shop\", \"type\": \"module\"}"),
    ]);
    let expected = json!({"n": 8, "port": 3000, "name": "shop", "named": "cjs", "same": true, "here": true,
        "slow": "waited", "again": "shop", "file": true});
    assert_eq!(got.unwrap().value, expected);
    assert_eq!(value("export const apps = [1];"), json!({"apps": [1]}), "Node.js looks at the syntax");
}

#[test]
fn json_may_have_comments_and_bare_keys() {
    let got = run(&[("process.json", "// ours\n{ apps: [{ 'name': \"a\", /* x */ }], }")]);
    assert_eq!(got.unwrap().value, json!({"apps": [{"name": "a"}]}));
    let broken = run(&[("process.json", "{\n  \"apps\": [\n    {\"name\" \"a\"}\n  ]\n}")]).unwrap_err();
    assert_eq!(broken.place.as_deref(), Some("process.json:3"), "{broken:?}");
}

#[test]
fn broken_javascript_says_file_and_line() {
    let (place, message) = trouble("module.exports = {\n  apps: [\n    { name: 'a' script: 'b' }\n  ]\n}");
    assert_eq!(place.as_deref(), Some("ecosystem.config.js:3"), "{message}");
    assert!(message.starts_with("SyntaxError"), "{message}");
    let (place, message) = trouble("\n\nmodule.exports = { apps: [{ port: config.port }] }");
    assert_eq!(
        (place.as_deref(), message.as_str()),
        (Some("ecosystem.config.js:3"), "ReferenceError: config is not defined")
    );
    let thrown =
        run(&[("ecosystem.config.js", "require('./lib/x')"), ("lib/x.js", "\nthrow new Error('no')")])
            .unwrap_err();
    assert_eq!((thrown.place.as_deref(), thrown.message.as_str()), (Some("lib/x.js:2"), "no"));
    assert_eq!(trouble("throw 'plain'").1, "the file throws: plain");
    let module = run(&[("ecosystem.config.mjs", "export default {\n  a: 1\n  b: 2\n}")]).unwrap_err();
    assert_eq!(module.place.as_deref(), Some("ecosystem.config.mjs:3"), "{module:?}");
}

#[test]
fn a_missing_module_is_named_with_what_to_do() {
    let (place, message) = trouble("const a = 1;\nrequire('dotenv').config();");
    assert_eq!(place.as_deref(), Some("ecosystem.config.js:2"));
    assert!(message.contains("'dotenv'") && message.contains("npm ci"), "{message}");
    let module =
        run(&[("ecosystem.config.mjs", "import x from './nowhere.js'; export default x")]).unwrap_err();
    assert!(module.message.contains("'./nowhere.js'"), "{module:?}");
}

#[test]
fn what_calls_out_or_writes_is_refused_by_name() {
    for (source, name) in [
        ("require('http').get('http://example.com')", "http.get"),
        ("require('child_process').execSync('git rev-parse HEAD')", "child_process.execSync"),
        ("require('fs').writeFileSync('x', 'y')", "fs.writeFileSync"),
        ("fetch('http://example.com')", "fetch"),
        ("new (require('net').Socket)()", "net.Socket"),
    ] {
        let (_, message) = trouble(&format!("{source}; module.exports = {{apps: []}}"));
        assert!(message.contains(&format!("{name} is not available")), "{message}");
    }
    assert_eq!(
        value("require('crypto'); const { execSync } = require('child_process'); module.exports = []"),
        json!([])
    );
}

#[test]
fn nothing_outside_the_folder_is_read_whatever_the_path() {
    for source in [
        "require('fs').readFileSync('/etc/passwd', 'utf8')",
        "require('fs').readFileSync('../../../../../../etc/passwd', 'utf8')",
        "require('fs').readdirSync('/')",
        "require('../outside')",
        "require('/etc/passwd')",
    ] {
        let (_, message) = trouble(source);
        assert!(message.contains("lies outside"), "{source}: {message}");
    }
    assert_eq!(value("module.exports = {a: require('fs').existsSync('/etc/passwd')}"), json!({"a": false}));
}

#[test]
fn links_are_followed_before_it_is_asked_where_they_lead() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("app");
    fs::create_dir(&inner).unwrap();
    fs::write(folder.path().join("secret.txt"), "s3cr3t").unwrap();
    std::os::unix::fs::symlink("../secret.txt", inner.join("innocent.txt")).unwrap();
    std::os::unix::fs::symlink("loop.js", inner.join("loop.js")).unwrap();
    fs::write(inner.join("a.config.js"), "require('fs').readFileSync(__dirname + '/innocent.txt')").unwrap();
    fs::write(inner.join("b.config.js"), "require('fs').readFileSync('loop.js')").unwrap();
    let fence = Fence::around(&inner).unwrap();
    let env = BTreeMap::new();
    let machine = Machine { cpus: 1, env: &env, profile: None, time_limit: PATIENCE };
    let trouble = |name| evaluate(&fence, &inner.join(name), Form::Module, &machine).unwrap_err().message;
    assert!(trouble("a.config.js").contains("lies outside"));
    assert!(trouble("b.config.js").contains("circle"), "{}", trouble("b.config.js"));
}

#[test]
fn a_file_that_never_ends_or_takes_all_memory_is_stopped() {
    for endless in [
        "for (;;) {}",
        "try { for (;;) {} } catch {} finally { for (;;) {} }",
        "/(a+)+$/.test('a'.repeat(40) + 'b')",
    ] {
        let limit = Duration::from_millis(500);
        let trouble = run_within(limit, &[("ecosystem.config.js", endless)], 4, &[]).unwrap_err();
        assert!(trouble.message.contains("takes longer than 0.5 s"), "{endless}: {}", trouble.message);
    }
    assert!(
        trouble("const all = []; for (;;) all.push('x'.repeat(1e6) + all.length)")
            .1
            .contains("takes more than 256 MB")
    );
    let (_, message) = trouble("function f() { return f() + 1 } f()");
    assert!(message.contains("call stack"), "{message}");
    let module = run(&[("e.mjs", "await new Promise(() => {}); export default []")]).unwrap_err();
    assert!(module.message.contains("never comes"), "{module:?}");
}

#[test]
fn what_is_kept_outside_of_the_engine_has_limits_of_its_own() {
    let loops = "const s = 'x'.repeat(1e5); const fs = require('fs');
        for (let i = 0; i < 300; i++) { console.log(s); fs.existsSync('/x' + s + i); fs.existsSync('/y' + i); process.env['V' + i]; }
        for (let i = 0; i < 1e4; i++) console.log('');
        module.exports = []";
    let got = run(&[("ecosystem.config.js", loops)]).unwrap();
    let bytes: usize = got.console.iter().map(String::len).sum();
    assert!(bytes <= CONSOLE && got.console.len() <= CONSOLE / 16, "{bytes} in {}", got.console.len());
    assert!(got.console.iter().all(|line| line.len() <= CONSOLE_LINE + 4), "{}", got.console[0].len());
    for kept in [&got.asked, &got.variables] {
        assert!(kept.len() == QUESTIONS && kept.iter().all(|it| it.len() <= QUESTION + 4), "{}", kept.len());
    }
}

#[test]
fn what_is_no_list_of_apps_is_said() {
    for (source, said) in [
        ("module.exports = () => ({apps: []})", "a function"),
        ("module.exports = (async () => ({apps: []}))()", "a promise"),
        ("module.exports = 7", "nothing with apps"),
        ("const a = {}; a.a = a; module.exports = a", "circular"),
        ("process.exit(1)", "process.exit(1)"),
    ] {
        assert!(trouble(source).1.contains(said), "{source}: {}", trouble(source).1);
    }
}

#[test]
fn what_is_printed_and_asked_is_kept_apart_from_the_value() {
    let source = "console.log('n=%d', 1, {a: [true]}); process.stdout.write('raw\\n');
        module.exports = {h: require('os').hostname(), all: {...process.env}}";
    let got = run_with(&[("ecosystem.config.js", source)], 1, &[("A", "1")]).unwrap();
    assert_eq!(got.console, ["n=1 { a: [ true ] }", "raw"]);
    assert_eq!(got.asked.iter().collect::<Vec<_>>(), ["os.hostname()", "process.env as a whole"]);
    assert_eq!(got.value, json!({"h": "localhost", "all": {"A": "1"}}));
}
