//! Where a name in `require()` or `import` leads, as Node.js finds it.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::fence::{Fence, Refusal};

/// Modules that are part of Node.js. One that we do not have is still no missing package.
const BUILTINS: [&str; 42] = [
    "assert",
    "async_hooks",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "constants",
    "crypto",
    "dgram",
    "diagnostics_channel",
    "dns",
    "dns/promises",
    "domain",
    "events",
    "fs",
    "fs/promises",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path",
    "path/posix",
    "perf_hooks",
    "process",
    "punycode",
    "querystring",
    "readline",
    "repl",
    "stream",
    "string_decoder",
    "timers",
    "timers/promises",
    "tls",
    "tty",
    "url",
    "util",
    "v8",
    "worker_threads",
    "zlib",
];

/// Endings that Node.js tries.
const ENDINGS: [&str; 3] = ["js", "json", "cjs"];

/// What a name leads to: `node:NAME`, or the path of a file inside the fence.
///
/// # Errors
/// When there is no such module.
pub fn resolve(fence: &Fence, from: &Path, name: &str) -> Result<String, Refusal> {
    let bare = name.strip_prefix("node:").unwrap_or(name);
    if name.starts_with("node:") || BUILTINS.contains(&bare) {
        return Ok(format!("node:{bare}"));
    }
    let folder = from.parent().unwrap_or(fence.root());
    let local = name.strip_prefix("file://").unwrap_or(name);
    let found = if local.starts_with('/')
        || local.starts_with("./")
        || local.starts_with("../")
        || local == "."
        || local == ".."
    {
        let path = clean(&folder.join(local));
        match file_or_folder(fence, &path) {
            Some(found) => Some(found),
            // Says what lies outside, and what is no file of any ending.
            None if path.starts_with(fence.root()) => None,
            None => return Err(fence.inside(&path).err().unwrap_or_default()),
        }
    } else {
        package(fence, folder, name)
    };
    found.map(|path| path.display().to_string()).ok_or_else(|| missing(fence, from, name))
}

fn missing(fence: &Fence, from: &Path, name: &str) -> Refusal {
    let advice = if name.starts_with(['.', '/']) {
        "is the path right?".to_owned()
    } else {
        format!("install the packages first (npm ci), since {name} is looked up in node_modules")
    };
    format!("cannot find the module '{name}' that {} needs; {advice}", fence.short(from))
}

/// Whether a path has this ending.
pub fn has_ending(path: &str, ending: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == ending)
}

/// A path without `.` and `..`.
pub fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                cleaned.pop();
            }
            other => cleaned.push(other),
        }
    }
    cleaned
}

fn file(fence: &Fence, path: &Path) -> Option<PathBuf> {
    (fence.kind(path) == Some("file")).then(|| path.to_owned())
}

fn with_ending(fence: &Fence, path: &Path) -> Option<PathBuf> {
    let tried = ENDINGS.iter().map(|ending| {
        let mut name = path.as_os_str().to_owned();
        name.push(".");
        name.push(ending);
        PathBuf::from(name)
    });
    file(fence, path).or_else(|| tried.into_iter().find_map(|path| file(fence, &path)))
}

fn file_or_folder(fence: &Fence, path: &Path) -> Option<PathBuf> {
    with_ending(fence, path).or_else(|| {
        let main =
            manifest(fence, path).and_then(|manifest| Some(manifest.get("main")?.as_str()?.to_owned()));
        let main = main.and_then(|main| {
            let main = clean(&path.join(main));
            with_ending(fence, &main).or_else(|| with_ending(fence, &main.join("index")))
        });
        main.or_else(|| with_ending(fence, &path.join("index")))
    })
}

fn manifest(fence: &Fence, folder: &Path) -> Option<Value> {
    serde_json::from_str(&fence.read(&folder.join("package.json")).ok()?).ok()
}

/// A package of `node_modules` here or above, but not above the fence.
fn package(fence: &Fence, folder: &Path, name: &str) -> Option<PathBuf> {
    let words = if name.starts_with('@') { 2 } else { 1 };
    let end = name.match_indices('/').nth(words - 1).map_or(name.len(), |(at, _)| at);
    let (package, rest) = name.split_at(end);
    let folders = folder.ancestors().take_while(|folder| folder.starts_with(fence.root()));
    for folder in folders {
        let home = folder.join("node_modules").join(package);
        if fence.kind(&home) != Some("dir") {
            continue;
        }
        let exports = manifest(fence, &home).and_then(|manifest| manifest.get("exports").cloned());
        let exported = exports.and_then(|exports| exported(&exports, &format!(".{rest}")));
        let target = exported.map_or_else(|| home.join(rest.trim_start_matches('/')), |path| home.join(path));
        return file_or_folder(fence, &clean(&target));
    }
    None
}

/// The file that a package exports under a name.
fn exported(exports: &Value, name: &str) -> Option<String> {
    let target = match exports {
        Value::Object(map) if map.keys().any(|key| key.starts_with('.')) => map.get(name)?,
        other if name == "." => other,
        _ => return None,
    };
    condition(target)
}

fn condition(target: &Value) -> Option<String> {
    match target {
        Value::String(path) => Some(path.clone()),
        Value::Object(map) => {
            ["require", "node", "default", "import"].iter().find_map(|name| condition(map.get(*name)?))
        }
        Value::Array(all) => all.iter().find_map(condition),
        _ => None,
    }
}

/// Whether Node.js takes a file for an ES module.
pub fn is_module(fence: &Fence, path: &Path, source: &str) -> bool {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("mjs") => return true,
        Some("cjs") => return false,
        _ => {}
    }
    let folders = path.ancestors().skip(1).take_while(|folder| folder.starts_with(fence.root()));
    let nearest = folders.into_iter().find_map(|folder| manifest(fence, folder));
    match nearest.as_ref().and_then(|manifest| manifest.get("type")).and_then(Value::as_str) {
        Some("module") => true,
        Some(_) => false,
        // Node.js looks at the syntax where nothing says it.
        None => source.lines().any(|line| {
            line.starts_with("export default")
                || line.starts_with("export const")
                || line.starts_with("import ")
        }),
    }
}
