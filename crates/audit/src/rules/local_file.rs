//! Files written on the disk of one instance.

use oxc_ast::ast::{Argument, Expression};
use oxc_semantic::NodeId;
use oxc_span::GetSpan;

use super::{Collector, Rule, When};
use crate::finding::Severity;
use crate::model::parsed::{Constant, Origin, Parsed, property};

pub(crate) static RULE: Rule = Rule {
    id: "local-file",
    severity: Severity::Warning,
    title: "File written on the disk of one instance",
    why: "each pod has a disk of its own: the other instances do not see the file, and it is gone with the pod",
    instead: "put uploads and documents into object storage (S3) or the database, write logs to standard output, and \
              use os.tmpdir() for what one request alone needs; a volume that is shared (ReadWriteMany) is the last resort",
};

const WRITES: [&str; 18] = [
    "appendFile",
    "appendFileSync",
    "copy",
    "copyFile",
    "copyFileSync",
    "cp",
    "createWriteStream",
    "outputFile",
    "outputFileSync",
    "outputJson",
    "outputJsonSync",
    "write",
    "writeFile",
    "writeFileSync",
    "writeJSON",
    "writeJson",
    "writeJsonSync",
    "writeJSONSync",
];
const FILES: [&str; 6] = ["fs", "fs/promises", "fs-extra", "graceful-fs", "write-file-atomic", "jsonfile"];

/// Package, name in it, and what it keeps in a file.
const KEEPERS: [(&str, &str, &str); 13] = [
    ("sqlite3", "Database", "a SQLite database"),
    ("better-sqlite3", "", "a SQLite database"),
    ("sqlite", "open", "a SQLite database"),
    ("node:sqlite", "DatabaseSync", "a SQLite database"),
    ("lowdb/node", "JSONFile", "a lowdb database"),
    ("lowdb/adapters/FileSync", "", "a lowdb database"),
    ("nedb", "", "a NeDB database"),
    ("@seald-io/nedb", "", "a NeDB database"),
    ("level", "Level", "a LevelDB database"),
    ("winston", "transports.File", "a log file"),
    ("winston-daily-rotate-file", "", "log files"),
    ("pino", "destination", "a log file"),
    ("node-persist", "init", "a store of node-persist"),
];

pub(crate) fn look(it: &mut Collector) {
    let parsed = it.parsed;
    for (node, callee, arguments) in parsed.makers() {
        let Some(origin) = parsed.origin(callee) else { continue };
        let span = parsed.semantic.nodes().kind(node).span();
        let first = arguments.first().and_then(Argument::as_expression);
        if let Some((_, _, what)) = KEEPERS.iter().find(|(module, path, _)| is(&origin, module, path)) {
            let file = first.filter(|_| origin.module != "winston-daily-rotate-file");
            if !file.is_some_and(|file| is_elsewhere(parsed, file)) {
                it.add(&RULE, span, format!("{what} on the instance's own disk"), When::Always);
            }
        } else if origin.module == "multer" {
            multer(it, node, &origin, first);
        } else if FILES.contains(&origin.module.as_str()) && WRITES.contains(&origin.last()) {
            let to = if matches!(origin.last(), "copy" | "copyFile" | "copyFileSync" | "cp") {
                arguments.get(1)
            } else {
                arguments.first()
            };
            let to = to.and_then(Argument::as_expression);
            if origin.last() == "write" || to.is_some_and(|to| is_elsewhere(parsed, to)) {
                continue;
            }
            let when = match parsed.owner(node) {
                Some(function) => When::Reached(function),
                None => When::InServer,
            };
            it.add(&RULE, span, format!("{} writes to the instance's own disk", origin.last()), when);
        }
    }
}

fn is(origin: &Origin, module: &str, path: &str) -> bool {
    origin.is(module.strip_prefix("node:").unwrap_or(module), path)
}

/// multer({ dest: 'uploads/' }), multer.diskStorage({ destination: … }).
fn multer<'a>(
    it: &mut Collector<'_, 'a, '_>,
    node: NodeId,
    origin: &Origin,
    options: Option<&'a Expression<'a>>,
) {
    let key = match origin.last() {
        "" => "dest",
        "diskStorage" => "destination",
        _ => return,
    };
    let Some(object) = options.and_then(|options| it.parsed.object(options)) else { return };
    // Without a destination, diskStorage takes the folder for temporary files.
    let Some(folder) = property(object, key) else { return };
    if !is_elsewhere(it.parsed, folder) {
        let span = it.parsed.semantic.nodes().kind(node).span();
        it.add(&RULE, span, "multer stores uploads on the instance's own disk", When::Always);
    }
}

/// Temporary folders, devices, memory, and what only the caller knows to be one of them.
fn is_elsewhere<'a>(parsed: &Parsed<'a, '_>, file: &'a Expression<'a>) -> bool {
    let fits = |text: &str| {
        ["/tmp", "/var/tmp", "/dev/", "/proc/", ":memory:"].iter().any(|it| text.starts_with(it))
    };
    match parsed.constant(file) {
        Some(Constant::Text(text)) => return text.is_empty() || fits(&text),
        // A file descriptor: 1 is standard output.
        Some(Constant::Number(_)) => return true,
        None => {}
    }
    let value = parsed.value(file, 6).unwrap_or(file);
    let text = parsed.text(value.span()).to_lowercase();
    is_temporary(&text)
        || is_temporary(&parsed.text(file.span()).to_lowercase())
        || text.contains(":memory:")
        || fits(text.trim_start_matches(['\'', '"', '`']))
}

fn is_temporary(text: &str) -> bool {
    text.contains("tmp") || text.match_indices("temp").any(|(at, _)| !text[at..].starts_with("templ"))
}
