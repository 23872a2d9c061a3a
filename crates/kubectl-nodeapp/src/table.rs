//! Tables as wide as the terminal, plain text for a pipe.

use std::io::IsTerminal;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What the output can show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    /// Columns; none for a pipe or a file, which takes whatever there is.
    pub(crate) width: Option<usize>,
    pub(crate) colour: bool,
}

impl Screen {
    /// That of standard output. `NO_COLOR` and `TERM=dumb` mean no colour.
    pub(crate) fn of_output() -> Self {
        if !std::io::stdout().is_terminal() {
            return Self { width: None, colour: false };
        }
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let width = crossterm::terminal::size().map_or(80, |(columns, _)| usize::from(columns).max(20));
        Self { width: Some(width), colour: !plain }
    }

    /// Text in a colour, or as it is.
    pub(crate) fn paint(self, colour: Colour, text: &str) -> String {
        if self.colour { format!("\x1b[{}m{text}\x1b[0m", colour as u8) } else { text.to_owned() }
    }
}

/// ANSI's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Default = 39,
    Red = 31,
    Green = 32,
    Yellow = 33,
    Cyan = 36,
    Grey = 90,
}

/// One field of a table.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) colour: Colour,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), colour: Colour::Default }
    }
}

impl Cell {
    pub(crate) fn coloured(text: impl Into<String>, colour: Colour) -> Self {
        Self { text: text.into(), colour }
    }
}

/// A column: its title, and what of it goes first when there is no room (0: never).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) expendable: u8,
}

/// The rows below their titles, two spaces apart, as kubectl writes them. On a terminal that is too narrow the most
/// expendable columns are left out, then the last one is cut.
pub(crate) fn table(columns: &[Column], rows: &[Vec<Cell>], screen: Screen) -> String {
    let mut widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let widest = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.text.width()).max();
            column.title.width().max(widest.unwrap_or(0))
        })
        .collect();
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    if let Some(room) = screen.width {
        fit(columns, &mut widths, &mut shown, room);
    }
    let titles: Vec<Cell> = columns.iter().map(|column| Cell::coloured(column.title, Colour::Cyan)).collect();
    std::iter::once(&titles).chain(rows).map(|row| line(row, &shown, &widths, screen)).collect()
}

/// Leaves out columns, then narrows the last one, until all fits.
fn fit(columns: &[Column], widths: &mut [usize], shown: &mut Vec<usize>, room: usize) {
    let needed = |shown: &[usize], widths: &[usize]| {
        shown.iter().map(|at| widths[*at]).sum::<usize>() + 2 * shown.len().saturating_sub(1)
    };
    while needed(shown, widths) > room {
        let most = shown.iter().copied().filter(|at| columns[*at].expendable > 0);
        let Some(gone) = most.max_by_key(|at| columns[*at].expendable) else { break };
        shown.retain(|at| *at != gone);
    }
    let over = needed(shown, widths).saturating_sub(room);
    if let Some(last) = shown.last() {
        widths[*last] = widths[*last].saturating_sub(over).max(1);
    }
}

fn line(row: &[Cell], shown: &[usize], widths: &[usize], screen: Screen) -> String {
    let mut line = String::new();
    for (place, at) in shown.iter().enumerate() {
        let Some(cell) = row.get(*at) else { continue };
        let text = cut(&cell.text, widths[*at]);
        let pad = widths[*at] - text.width().min(widths[*at]);
        let painted = if cell.colour == Colour::Default { text } else { screen.paint(cell.colour, &text) };
        line.push_str(&painted);
        if place + 1 < shown.len() {
            line.extend(std::iter::repeat_n(' ', pad + 2));
        }
    }
    format!("{}\n", line.trim_end())
}

/// At most this wide; `…` where something is missing.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut used = 1;
    for letter in text.chars() {
        used += letter.width().unwrap_or(0);
        if used > width {
            break;
        }
        short.push(letter);
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column { title: "NAME", expendable: 0 },
        Column { title: "AGE", expendable: 1 },
        Column { title: "WHY", expendable: 0 },
    ];

    fn shown(width: Option<usize>) -> String {
        let rows = vec![
            vec!["shop".into(), "3m".into(), "the image cannot be pulled".into()],
            vec!["a-long-name".into(), "12d".into(), "".into()],
        ];
        table(&COLUMNS, &rows, Screen { width, colour: false })
    }

    #[test]
    fn a_pipe_gets_everything_and_no_blank_at_the_end() {
        let expected =
            "NAME         AGE  WHY\nshop         3m   the image cannot be pulled\na-long-name  12d\n";
        assert_eq!(shown(None), expected);
    }

    #[test]
    fn a_narrow_terminal_loses_what_matters_least_and_no_line_is_wider() {
        let narrow = shown(Some(30));
        assert!(!narrow.contains("AGE"), "{narrow}");
        assert!(narrow.contains("shop         the image cannot…"), "{narrow}");
        assert!(narrow.lines().all(|line| line.width() <= 30), "{narrow}");
    }

    #[test]
    fn colours_do_not_shift_columns() {
        let rows = vec![vec![Cell::coloured("x", Colour::Red), "y".into()]];
        let text = table(&COLUMNS[..2], &rows, Screen { width: None, colour: true });
        assert!(text.ends_with("\x1b[31mx\x1b[0m     y\n"), "{text:?}");
    }
}
