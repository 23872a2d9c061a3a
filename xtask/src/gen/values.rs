//! The table of values in the README of a chart, from the comments of its `values.yaml`.
//!
//! Included by `tests/generated.rs` of the operator as well, see [`super::render`].

use std::fmt::Write as _;

/// Between these two lines of the README the table stands.
const BEGIN: &str = "<!-- values: made of values.yaml by `cargo xtask gen`; do not edit -->";
const END: &str = "<!-- end of the values -->";

/// A value that can be set.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    /// Such as `runner.image.tag`.
    key: String,
    default: String,
    meaning: String,
}

/// The README with the table that the values give.
///
/// # Errors
/// When the README has no place for it, or a value has no comment.
pub(crate) fn readme(readme: &str, values: &str) -> Result<String, String> {
    let (before, rest) = readme.split_once(BEGIN).ok_or_else(|| format!("the README has no line {BEGIN}"))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| format!("the README has no line {END}"))?;
    let mut table = "| value | default | meaning |\n|---|---|---|\n".to_owned();
    for row in rows(values)? {
        let _ = writeln!(table, "| `{}` | `{}` | {} |", row.key, row.default, cell(&row.meaning));
    }
    Ok(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

/// Every leaf of the values, in their order. A comment belongs to the key below it, and to what is inside of that
/// where there is no other.
fn rows(values: &str) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    // Indentation, name and comment of the keys that the line is inside of.
    let mut above: Vec<(usize, String, String)> = Vec::new();
    for (number, line) in values.lines().enumerate() {
        let (text, indent) = (line.trim(), line.len() - line.trim_start().len());
        if text.is_empty() {
            // What stands by itself is about no key.
            comment.clear();
        } else if let Some(words) = text.strip_prefix('#') {
            comment.push(words.trim());
        } else {
            let (name, default) =
                text.split_once(':').ok_or_else(|| format!("line {}: write lists as [a, b]", number + 1))?;
            above.retain(|(outer, ..)| *outer < indent);
            let own = std::mem::take(&mut comment).join(" ");
            let inherited = above.last().map_or("", |(.., meaning)| meaning);
            let meaning = if own.is_empty() { inherited.to_owned() } else { own };
            let path = above.iter().map(|(_, name, _)| name.as_str()).chain([name]);
            let key = path.collect::<Vec<_>>().join(".");
            let default = default.trim();
            if default.is_empty() {
                above.push((indent, name.to_owned(), meaning));
            } else if meaning.is_empty() {
                return Err(format!("line {}: say in a comment what {key} is", number + 1));
            } else {
                rows.push(Row { key, default: default.to_owned(), meaning });
            }
        }
    }
    Ok(rows)
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_about_the_key_below_it_and_what_is_inside_of_that() {
        let values = "# The file.\n\n# An image.\nimage:\n  repository: a/b\n  # Its tag,\n  # or a digest.\n  tag: \"\"\n# Ports.\nports: [1, 2]\n";
        let row = |key: &str, default: &str, meaning: &str| Row {
            key: key.into(),
            default: default.into(),
            meaning: meaning.into(),
        };
        assert_eq!(
            rows(values).expect("commented"),
            [
                row("image.repository", "a/b", "An image."),
                row("image.tag", "\"\"", "Its tag, or a digest."),
                row("ports", "[1, 2]", "Ports."),
            ]
        );
    }

    #[test]
    fn a_value_without_a_comment_is_refused_by_its_name() {
        let error = rows("# A.\na: 1\n\nb:\n  c: 2\n").expect_err("b.c has none");
        assert!(error.contains("b.c") && error.contains("line 5"), "{error}");
    }

    #[test]
    fn what_stands_around_the_table_stays() {
        let old = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let new = readme(&old, "# Whether | or not.\na: true\n").expect("made");
        assert!(new.starts_with("before\n") && new.ends_with(&format!("{END}\nafter\n")), "{new}");
        assert!(new.contains("| `a` | `true` | Whether \\| or not. |") && !new.contains("old"), "{new}");
        assert_eq!(readme(&new, "# Whether | or not.\na: true\n").expect("made again"), new);
        assert!(readme("no place", "").is_err());
    }
}
