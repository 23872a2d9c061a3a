//! One file: read, parsed, and turned into its model. Whatever is wrong with it becomes a note.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use oxc_allocator::Allocator;
use oxc_parser::{ParseOptions, Parser, ParserReturn};
use oxc_semantic::SemanticBuilder;
use oxc_span::SourceType;

use crate::finding::Note;
use crate::lines::Lines;
use crate::model::FileModel;
use crate::model::parsed::Parsed;
use crate::nesting;
use crate::suppress::Suppressions;

/// Code that people write is shorter by far; what is longer is generated, bundled, or data.
const LONGEST: u64 = 1 << 20;
/// Average length of lines from which on a text counts as minified.
const MINIFIED: usize = 400;

/// What is not parsed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Minified texts are parsed too.
    pub(crate) minified: bool,
}

/// Reads a file; nothing that is in it is an error.
pub(crate) fn read(path: &Path) -> FileModel {
    match text(path) {
        Ok(text) => parse(path, &text, Limits { minified: false }),
        Err(message) => noted(path, None, message),
    }
}

fn text(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > LONGEST {
        let megabytes = length >> 20;
        return Err(format!(
            "left out: {megabytes} MiB is more than the 1 MiB that people write; name it in .ignore if it is generated"
        ));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err("left out: UTF-16; Node.js reads UTF-8, save it as such".to_owned());
    }
    if bytes.contains(&0) {
        return Err("left out: a binary file (it has a byte 0)".to_owned());
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..at).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        format!("left out: not UTF-8 from line {line} on (byte {at}); save it as UTF-8")
    })
}

fn noted(path: &Path, line: Option<u32>, message: String) -> FileModel {
    let notes = vec![Note { file: path.to_owned(), line, message }];
    FileModel { path: path.to_owned(), notes, unread: true, ..FileModel::default() }
}

/// Parses a text.
pub(crate) fn parse(path: &Path, text: &str, limits: Limits) -> FileModel {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !limits.minified && is_minified(text) {
        return noted(path, None, "left out: minified".to_owned());
    }
    if let Some(why) = nesting::refused(text) {
        return noted(path, None, format!("left out: {why}"));
    }
    // A mistake in the parser must not end the audit of all the other files.
    let parsed = catch_unwind(AssertUnwindSafe(|| parse_text(path, text)));
    parsed.unwrap_or_else(|_| {
        noted(
            path,
            None,
            "left out: the parser failed on this file; please report it with the file".to_owned(),
        )
    })
}

fn is_minified(text: &str) -> bool {
    text.len() > 5_000 && text.len() / text.bytes().filter(|byte| *byte == b'\n').count().max(1) > MINIFIED
}

fn parse_text(path: &Path, text: &str) -> FileModel {
    let allocator = Allocator::default();
    let mut first: Option<ParserReturn> = None;
    for source_type in kinds(path) {
        let options = ParseOptions {
            preserve_parens: false,
            allow_return_outside_function: true,
            ..ParseOptions::default()
        };
        let parsed = Parser::new(&allocator, text, source_type).with_options(options).parse();
        if !parsed.diagnostics.has_errors() {
            return model(path, text, &parsed);
        }
        first.get_or_insert(parsed);
    }
    let lines = Lines::new(text);
    let broken = first.as_ref().and_then(|it| it.diagnostics.errors().next());
    let line = broken.and_then(|it| it.labels.first()).map(oxc_span::LabeledSpan::offset);
    let why = broken.map_or_else(|| "it has a mistake".to_owned(), |it| it.message.to_string());
    noted(path, line.map(|at| lines.line(at)), format!("left out, since it does not parse: {why}"))
}

/// What a file may be, in the order of tries: by its name, as a script, as TypeScript (for types of Flow too).
fn kinds(path: &Path) -> Vec<SourceType> {
    let by_name = SourceType::from_path(path).unwrap_or_else(|_| SourceType::unambiguous());
    if by_name.is_typescript() {
        return vec![by_name];
    }
    let jsx = |it: SourceType| it.with_jsx(true);
    vec![jsx(SourceType::unambiguous()), jsx(SourceType::cjs()), SourceType::tsx()]
}

fn model(path: &Path, text: &str, parsed: &ParserReturn) -> FileModel {
    let semantic = SemanticBuilder::new().with_build_nodes(true).build(&parsed.program).semantic;
    let lines = Lines::new(text);
    let view = Parsed::new(&semantic, &lines);
    let mut model = FileModel::build(path, &view);
    let (suppressions, notes) = Suppressions::read(path, &view);
    model.suppressions = suppressions;
    model.notes = notes;
    model
}
