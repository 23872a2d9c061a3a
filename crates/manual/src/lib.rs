//! Reads the project's own manuals, so that what they say can be held against what is there.
//!
//! It knows as much of Markdown as the manuals use: headings with `#`, fenced blocks, code in backticks, links of
//! the form `[text](target)`. Nothing here knows of the product.

mod shell;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

/// Folders of the repository whose pages are for readers, beside the pages at its top.
const FOLDERS: [&str; 3] = ["docs", "examples", "charts"];

/// A page in Markdown.
#[derive(Clone, Debug)]
pub struct Page {
    /// Path in the repository, with `/`.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// A link of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The number of its line.
    pub line: usize,
    /// Where it leads, as it is written.
    pub target: String,
    /// Where the target stands in the text, in bytes.
    pub at: Range<usize>,
}

/// A fenced block of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The number of its first line.
    pub line: usize,
    /// The word after the fence, such as `yaml`; empty if there is none.
    pub language: String,
    /// The HTML comment in the line before the fence, which readers do not see.
    pub comment: Option<String>,
    /// What is in it, without the indentation of the fence.
    pub text: String,
}

/// A command line of one of the project's programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Page and line.
    pub place: String,
    /// The words after the name of the program.
    pub words: Vec<String>,
    /// Whether it is meant to be typed as it is. Code within a sentence often leaves out what it is not about.
    pub whole: bool,
}

/// All pages of the repository that are for readers, sorted by their paths.
///
/// # Errors
/// A folder or a page cannot be read.
pub fn pages(repository: &Path) -> io::Result<Vec<Page>> {
    let mut found = Vec::new();
    add_pages(repository, "", false, &mut found)?;
    for folder in FOLDERS {
        add_pages(&repository.join(folder), folder, true, &mut found)?;
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn add_pages(folder: &Path, path: &str, deep: bool, found: &mut Vec<Page>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if path.is_empty() { name } else { format!("{path}/{name}") };
        if entry.file_type()?.is_dir() {
            if deep {
                add_pages(&entry.path(), &path, true, found)?;
            }
        } else if entry.path().extension().is_some_and(|extension| extension == "md") {
            found.push(Page { text: fs::read_to_string(entry.path())?, path });
        }
    }
    Ok(())
}

/// All calls of a program, by any of its names, in these pages.
pub fn calls(pages: &[Page], names: &[&[&str]]) -> Vec<Call> {
    pages.iter().flat_map(|page| page.calls(names)).collect()
}

/// A line of a page, outside of fenced blocks.
struct Line<'a> {
    number: usize,
    /// Where it begins in the text, in bytes.
    at: usize,
    text: &'a str,
}

impl Page {
    /// A page that is read alone, by its path in the repository.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(repository: &Path, path: &str) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), text: fs::read_to_string(repository.join(path))? })
    }

    /// The links, except those within code.
    pub fn links(&self) -> Vec<Link> {
        let mut links = Vec::new();
        for line in self.prose() {
            let plain = without_code(line.text);
            let mut from = 0;
            while let Some(open) = plain[from..].find("](").map(|found| from + found + 2) {
                let Some(length) = plain[open..].find(')') else { break };
                let at = line.at + open..line.at + open + length;
                links.push(Link { line: line.number, target: self.text[at.clone()].to_owned(), at });
                from = open + length;
            }
        }
        links
    }

    /// The names by which headings can be linked to.
    pub fn anchors(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for heading in self.headings() {
            let slug = slug(heading);
            let again = (1..).map(|number| format!("{slug}-{number}"));
            let free = std::iter::once(slug.clone()).chain(again).find(|name| !found.contains(name));
            found.extend(free);
        }
        found
    }

    /// The texts of the headings.
    pub fn headings(&self) -> Vec<&str> {
        let titles = self
            .prose()
            .filter_map(|line| line.text.split_once(' '))
            .filter(|(marks, _)| (1..=6).contains(&marks.len()) && marks.bytes().all(|byte| byte == b'#'));
        titles.map(|(_, title)| title.trim()).collect()
    }

    /// The cells of each row of the tables below a heading with this text, up to the next heading; without heads.
    pub fn rows(&self, heading: &str) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        let mut inside = false;
        let mut head = None;
        for line in self.prose() {
            if line.text.starts_with('#') {
                inside = line.text.trim_start_matches('#').trim() == heading;
            }
            let is_row = line.text.starts_with('|');
            if inside && is_row && head.is_some() && !line.text.starts_with("|---") {
                rows.push(cells(line.text));
            }
            head = is_row.then_some(());
        }
        rows
    }

    /// The fenced blocks.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<(usize, Block)> = None;
        let mut before = "";
        for (number, line) in self.text.lines().enumerate() {
            let inner = line.trim_start();
            let fence = inner.starts_with("```");
            match &mut open {
                None if fence => {
                    let comment = before.trim().strip_prefix("<!--").and_then(|it| it.strip_suffix("-->"));
                    let block = Block {
                        line: number + 2,
                        language: inner[3..].trim().to_owned(),
                        comment: comment.map(|it| it.trim().to_owned()),
                        text: String::new(),
                    };
                    open = Some((line.len() - inner.len(), block));
                }
                Some(_) if fence => blocks.extend(open.take().map(|(_, block)| block)),
                Some((indent, block)) => {
                    block.text.push_str(line.get(*indent..).unwrap_or(inner));
                    block.text.push('\n');
                }
                None => {}
            }
            before = line;
        }
        blocks
    }

    /// Code within sentences, with the numbers of lines.
    pub fn spans(&self) -> Vec<(usize, &str)> {
        let mut spans = Vec::new();
        for line in self.prose() {
            let text = &self.text[line.at..];
            spans.extend(code(line.text).into_iter().map(|at| (line.number, &text[at])));
        }
        spans
    }

    /// The calls of a program, by any of its names.
    pub fn calls(&self, names: &[&[&str]]) -> Vec<Call> {
        let mut calls = Vec::new();
        let mut add = |line: usize, commands: Vec<Vec<String>>, whole: bool| {
            for words in commands {
                let called = names.iter().find(|name| words.iter().take(name.len()).eq(name.iter()));
                let Some(name) = called else { continue };
                let (place, words) = (format!("{}:{line}", self.path), words[name.len()..].to_vec());
                calls.push(Call { place, words, whole });
            }
        };
        for block in self.blocks() {
            add(block.line, block.commands(), true);
        }
        for (line, span) in self.spans() {
            add(line, shell::commands(span), false);
        }
        calls
    }

    fn prose(&self) -> impl Iterator<Item = Line<'_>> {
        let mut fenced = false;
        let mut at = 0;
        self.text.split_inclusive('\n').enumerate().filter_map(move |(number, whole)| {
            let line = Line { number: number + 1, at, text: whole.trim_end_matches('\n') };
            at += whole.len();
            let fence = line.text.trim_start().starts_with("```");
            let prose = !fence && !fenced;
            fenced ^= fence;
            prose.then_some(line)
        })
    }
}

impl Block {
    /// The command lines in it, as words. Of a session with prompts only what is typed.
    pub fn commands(&self) -> Vec<Vec<String>> {
        match self.language.as_str() {
            "console" | "sh" | "bash" => shell::commands(&shell::typed(&self.text)),
            // A job of CI.
            "yaml" => self.text.lines().flat_map(|line| shell::commands(run_of(line))).collect(),
            _ => Vec::new(),
        }
    }
}

fn run_of(line: &str) -> &str {
    let line = line.trim_start().trim_start_matches("- ");
    line.strip_prefix("run:").unwrap_or(line).trim_start()
}

fn cells(row: &str) -> Vec<String> {
    let inner = row.trim().trim_start_matches('|').trim_end_matches('|').replace("\\|", "\u{0}");
    inner.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
}

/// What code hosts and mdBook make of a heading.
fn slug(heading: &str) -> String {
    let text = heading.split("](").enumerate().map(|(part, text)| {
        // Of a link the text counts alone.
        if part == 0 { text } else { text.split_once(')').map_or("", |(_, rest)| rest) }
    });
    let letters = text.flat_map(str::chars).filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ if letter.is_alphanumeric() => letter.to_lowercase().next(),
        _ => None,
    });
    letters.collect()
}

/// Where the code of a line stands, without its backticks.
fn code(line: &str) -> Vec<Range<usize>> {
    let ticks: Vec<usize> = line.match_indices('`').map(|(at, _)| at).collect();
    ticks.chunks_exact(2).map(|pair| pair[0] + 1..pair[1]).collect()
}

/// The line with blanks in place of its code, so that everything stays where it is.
fn without_code(line: &str) -> String {
    let mut plain = line.to_owned();
    for at in code(line) {
        plain.replace_range(at.clone(), &" ".repeat(at.len()));
    }
    plain
}

#[cfg(test)]
mod tests;
