//! Dates in Day.js' tokens, as PM2 formats them.

use std::io::Write;

use nodeapp_contract::Zone;
use nodeapp_contract::zone::Civil;

/// The date of a JSON line where no format is given, always in UTC.
const ISO: &str = "YYYY-MM-DDTHH:mm:ss.SSS[Z]";
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A part of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// Letter and how often it stands there.
    Token(u8, usize),
}

/// A format that has been read.
#[derive(Clone, Debug)]
pub(super) struct DateFormat {
    parts: Vec<Part>,
    zone: Zone,
}

impl DateFormat {
    /// Reads a format; what is no token stands for itself.
    pub(super) fn new(format: &str, zone: Zone) -> Self {
        let mut parts: Vec<Part> = vec![];
        let mut text = String::new();
        let mut rest = format;
        while let Some(first) = rest.chars().next() {
            if let Some((quoted, behind)) = quoted(rest) {
                text.push_str(quoted);
                rest = behind;
            } else if let Some(length) = token(rest.as_bytes()) {
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                parts.push(Part::Token(rest.as_bytes()[0], length));
                rest = &rest[length..];
            } else {
                text.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Self { parts, zone }
    }

    /// `2026-11-23T08:01:32.007Z`.
    pub(super) fn iso() -> Self {
        Self::new(ISO, Zone::UTC)
    }

    /// The same for names of files.
    pub(super) fn for_names(format: &str, zone: Zone) -> Self {
        let mut date = Self::new(format, zone);
        for part in &mut date.parts {
            if let Part::Text(text) = part {
                *text = text.replace(['/', '\0'], "-");
            }
        }
        date
    }

    /// Whether it shows fractions of a second.
    fn is_fine(&self) -> bool {
        self.parts.contains(&Part::Token(b'S', 3))
    }

    /// Appends the date of a time in milliseconds since the epoch.
    pub(super) fn write(&self, millis: u64, out: &mut Vec<u8>) {
        let epoch = i64::try_from(millis / 1_000).unwrap_or(0);
        let offset = self.zone.offset(epoch);
        let civil = Civil::at(epoch + offset);
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Token(letter, length) => {
                    let value = value(*letter, *length, &civil, millis, offset);
                    out.extend_from_slice(value.as_bytes());
                }
            }
        }
    }

    /// The same as text.
    pub(super) fn text(&self, millis: u64) -> String {
        let mut out = vec![];
        self.write(millis, &mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    /// Whether a text can be a date of this format.
    pub(super) fn fits(&self, text: &str) -> bool {
        fits(&self.parts, text)
    }
}

/// `[text]` at the beginning: the text and what follows.
fn quoted(rest: &str) -> Option<(&str, &str)> {
    rest.strip_prefix('[')?.split_once(']').filter(|(text, _)| !text.is_empty())
}

/// Length of the token at the beginning.
fn token(rest: &[u8]) -> Option<usize> {
    let letter = rest[0];
    let most = match letter {
        b'Y' | b'M' | b'd' => 4,
        b'S' => 3,
        b'D' | b'H' | b'h' | b'm' | b's' | b'Z' => 2,
        b'A' | b'a' => 1,
        _ => return None,
    };
    let length = rest.iter().take(most).take_while(|byte| **byte == letter).count();
    match (letter, length) {
        (b'S', 1 | 2) | (b'Y', 1) => None,
        (b'Y', 3) => Some(2),
        _ => Some(length),
    }
}

fn value(letter: u8, length: usize, civil: &Civil, millis: u64, offset: i64) -> String {
    let name = |all: &[&'static str], at: u32| all.get(at as usize).copied().unwrap_or_default();
    let start = |text: &str, length: usize| text[..length].to_owned();
    let number = |number: u32| format!("{number:0length$}");
    let month = || name(&MONTHS, civil.month.saturating_sub(1));
    let weekday = || name(&WEEKDAYS, civil.weekday());
    match (letter, length) {
        (b'Y', 4) => format!("{:04}", civil.year),
        (b'Y', _) => format!("{:02}", civil.year.rem_euclid(100)),
        (b'M', 4) => month().to_owned(),
        (b'M', 3) => start(month(), 3),
        (b'M', _) => number(civil.month),
        (b'D', _) => number(civil.day),
        (b'd', 4) => weekday().to_owned(),
        (b'd', 1) => civil.weekday().to_string(),
        (b'd', _) => start(weekday(), length),
        (b'H', _) => number(civil.hour),
        (b'h', _) => number((civil.hour + 11) % 12 + 1),
        (b'm', _) => number(civil.minute),
        (b's', _) => number(civil.second),
        (b'S', _) => format!("{:03}", millis % 1_000),
        (b'A', _) => if civil.hour < 12 { "AM" } else { "PM" }.to_owned(),
        (b'a', _) => if civil.hour < 12 { "am" } else { "pm" }.to_owned(),
        _ => {
            let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs() / 60);
            let colon = if length == 1 { ":" } else { "" };
            format!("{sign}{:02}{colon}{:02}", minutes / 60, minutes % 60)
        }
    }
}

fn fits(parts: &[Part], text: &str) -> bool {
    let Some((first, parts)) = parts.split_first() else { return text.is_empty() };
    let goes_on = |length: usize| fits(parts, &text[length..]);
    match first {
        Part::Text(expected) => text.starts_with(expected.as_str()) && goes_on(expected.len()),
        Part::Token(letter, length) => lengths(*letter, *length, text).into_iter().any(goes_on),
    }
}

/// How many bytes of `text` a token can stand for.
fn lengths(letter: u8, length: usize, text: &str) -> Vec<usize> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let numbers = |lengths: &[usize], allowed: std::ops::RangeInclusive<u32>| {
        let fits = |length: &usize| {
            *length <= digits && text[..*length].parse().is_ok_and(|number| allowed.contains(&number))
        };
        lengths.iter().copied().filter(fits).collect()
    };
    let one_of = |names: &[&str], length: usize| {
        let cut = names.iter().map(|name| &name[..length.min(name.len())]);
        cut.filter(|name| text.starts_with(name)).map(str::len).collect()
    };
    let widths: &[usize] = if length == 1 { &[2, 1] } else { &[2] };
    match (letter, length) {
        (b'Y', 4) => numbers(&[4], 0..=9_999),
        (b'Y', _) => numbers(&[2], 0..=99),
        (b'M', 3) => one_of(&MONTHS, 3),
        (b'M', 4) => one_of(&MONTHS, 9),
        (b'D', _) => numbers(widths, 1..=31),
        (b'd', 1) => numbers(&[1], 0..=6),
        (b'd', 4) => one_of(&WEEKDAYS, 9),
        (b'd', _) => one_of(&WEEKDAYS, length),
        (b'H', _) => numbers(widths, 0..=23),
        (b'M' | b'h', _) => numbers(widths, 1..=12),
        (b'm' | b's', _) => numbers(widths, 0..=59),
        (b'S', _) => numbers(&[3], 0..=999),
        (b'A', _) => one_of(&["AM", "PM"], 2),
        (b'a', _) => one_of(&["am", "pm"], 2),
        _ => offset_length(length == 1, text.as_bytes()).into_iter().collect(),
    }
}

/// Length of `+01:00` or `+0100` at the beginning.
fn offset_length(colon: bool, text: &[u8]) -> Option<usize> {
    let form: &[u8] = if colon { b"+00:00" } else { b"+0000" };
    let is_like = |(byte, like): (&u8, &u8)| match like {
        b'+' => matches!(byte, b'+' | b'-'),
        b'0' => byte.is_ascii_digit(),
        _ => byte == like,
    };
    (text.len() >= form.len() && text.iter().zip(form).all(is_like)).then_some(form.len())
}

/// A format that remembers its last date: thousands of lines have the same.
#[derive(Debug)]
pub(super) struct Stamp {
    format: DateFormat,
    fine: bool,
    of: Option<u64>,
}

impl Stamp {
    pub(super) fn new(format: DateFormat) -> Self {
        Self { fine: format.is_fine(), format, of: None }
    }

    /// Whether the date is another one than last time.
    pub(super) fn turns(&mut self, millis: u64) -> bool {
        let now = if self.fine { millis } else { millis / 1_000 };
        self.of.replace(now) != Some(now)
    }

    /// Appends it.
    pub(super) fn write(&self, millis: u64, out: &mut Vec<u8>) {
        self.format.write(millis, out);
    }

    /// Appends it as a JSON string.
    pub(super) fn write_json(&self, millis: u64, out: &mut Vec<u8>) {
        let text = self.format.text(millis);
        let _ = out.write_all(serde_json::Value::String(text).to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

    fn format(text: &str) -> DateFormat {
        DateFormat::new(text, Zone::parse(BERLIN).unwrap())
    }

    /// Made with Day.js 1.11 under `TZ=Europe/Berlin`.
    #[test]
    fn dates_are_those_of_dayjs() {
        for (millis, tokens, expected) in [
            (1_795_420_892_007, "YYYY-MM-DD HH:mm:ss", "2026-11-23 09:01:32"),
            (1_795_420_892_007, "YY M D d dd ddd dddd", "26 11 23 1 Mo Mon Monday"),
            (1_795_420_892_007, "MMM MMMM", "Nov November"),
            (1_795_420_892_007, "H HH h hh A a", "9 09 9 09 AM am"),
            (1_795_420_892_007, "m mm s ss SSS", "1 01 32 32 007"),
            (1_795_420_892_007, "Z ZZ", "+01:00 +0100"),
            (1_795_420_892_007, "[at] YYYY [[x] Do X x Q", "at 2026 [x 23o X x Q"),
            (1_795_420_892_007, "DDD-hhh-SSSS", "2323-099-007S"),
            (1_795_420_892_007, "YYYY-MM-DDTHH:mm:ss.SSS[Z]", "2026-11-23T09:01:32.007Z"),
            (1_795_420_892_007, "[]YYYY", "[]2026"),
            (951_782_399_999, "YYYY-MM-DD HH:mm:ss", "2000-02-29 00:59:59"),
            (951_782_399_999, "YY M D d dd ddd dddd", "00 2 29 2 Tu Tue Tuesday"),
            (951_782_399_999, "H HH h hh A a", "0 00 12 12 AM am"),
            (1_774_745_999_999, "YYYY-MM-DD HH:mm:ss", "2026-03-29 01:59:59"),
            (1_774_746_000_000, "YYYY-MM-DD HH:mm:ss Z", "2026-03-29 03:00:00 +02:00"),
            (1_792_890_000_000, "H HH h hh A a ZZ", "2 02 2 02 AM am +0100"),
            (0, "YY M D d dd ddd dddd", "70 1 1 4 Th Thu Thursday"),
        ] {
            assert_eq!(format(tokens).text(millis), expected, "{tokens}");
        }
        let new_york = DateFormat::new("h:mm A Z", Zone::parse("EST5EDT,M3.2.0,M11.1.0").unwrap());
        assert_eq!(new_york.text(1_795_460_492_007), "2:01 PM -05:00");
        assert_eq!(DateFormat::iso().text(1_795_420_892_007), "2026-11-23T08:01:32.007Z");
    }

    #[test]
    fn a_date_is_formatted_once_per_second_unless_it_shows_less() {
        let mut coarse = Stamp::new(format("HH:mm:ss"));
        assert_eq!([1_000, 1_999, 2_000].map(|at| coarse.turns(at)), [true, false, true]);
        let mut fine = Stamp::new(format("ss.SSS"));
        assert_eq!([1_000, 1_000, 1_001].map(|at| fine.turns(at)), [true, false, true]);
    }

    #[test]
    fn only_a_date_of_the_format_fits() {
        let default = format("YYYY-MM-DD_HH-mm-ss");
        assert!(default.fits("2026-11-23_08-01-32"));
        for foreign in
            ["2026-11-23", "2026-13-23_08-01-32", "2026-11-23_08-01-32x", "", "2026-11-23_08-01-3é"]
        {
            assert!(!default.fits(foreign), "{foreign}");
        }
        assert!(DateFormat::for_names("YYYY/MM", Zone::UTC).fits("2026-11"));
    }

    proptest! {
        #[test]
        fn what_a_format_writes_fits_it(
            tokens in "([-_.:T]|\\[[a-zä]{1,3}\\]|Y{2,4}|M{1,4}|D{1,2}|d{1,4}|H{1,2}|h{1,2}|m{1,2}|s{1,2}|SSS|A|a|ZZ?){0,8}",
            millis in 0_u64..8_000_000_000_000,
        ) {
            let format = format(&tokens);
            let text = format.text(millis);
            prop_assert!(format.fits(&text), "{} {}", tokens, text);
        }

        #[test]
        fn no_text_brings_it_down(tokens in ".{0,20}", text in ".{0,20}", millis in any::<u64>()) {
            let format = format(&tokens);
            let _ = (format.text(millis), format.fits(&text));
        }
    }
}
