//! The notations of times, sizes and quantities, and their one parser.
//!
//! Fields that PM2 has take PM2's notation (`5000` or `5s`, `512M`), every
//! other time needs its unit. A value is kept as it was written and parsed when
//! the app is validated, so that a bad one is reported and not an error of the
//! watch.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A number or a text, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IntOrText {
    /// A whole number.
    Int(i64),
    /// A text, usually a number with a unit.
    Text(String),
}

impl std::fmt::Display for IntOrText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// The form a value should have had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WrongForm(&'static str);

const TIME_FORM: &str =
    "must be whole milliseconds such as 8000, or a whole number with the unit ms, s, m or h such as 8s";
const DELAY_FORM: &str = "must be a whole number with its unit ms, s, m or h, such as 5s or 500ms; \
                          without the unit it could mean seconds or milliseconds";
const SIZE_FORM: &str = "must be whole bytes, or a whole number with the binary unit K, M or G such as 512M";
const QUANTITY_FORM: &str = "must be a Kubernetes quantity such as 500m, 2 or 256Mi";

/// Defines a newtype over [`IntOrText`] with its schema.
macro_rules! notation {
    ($(#[$doc:meta])* $name:ident, $schema:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub IntOrText);

        impl From<i64> for $name {
            fn from(number: i64) -> Self {
                Self(IntOrText::Int(number))
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(IntOrText::Text(text.to_owned()))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

fn int_or_text_with_rule(rule: &str, message: &str) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "x-kubernetes-validations": [{"rule": rule, "message": message}],
    })
}

notation!(
    /// A time in PM2's notation: whole milliseconds, or a number with a unit.
    Time,
    int_or_text_with_rule(
        "type(self) == int ? self >= 0 : self.matches('^[0-9]{1,10}(ms|s|m|h)?$')",
        TIME_FORM,
    )
);
notation!(
    /// A time that needs its unit.
    Delay,
    int_or_text_with_rule(
        "type(self) == string && self.matches('^[0-9]{1,10}(ms|s|m|h)$')",
        DELAY_FORM,
    )
);
notation!(
    /// A size in PM2's notation: whole bytes, or a number with a binary unit.
    Size,
    int_or_text_with_rule(
        "type(self) == int ? self > 0 : self.matches('^[1-9][0-9]{0,14}[KMG]?$')",
        SIZE_FORM,
    )
);
notation!(
    /// A Kubernetes quantity.
    Quantity,
    json_schema!({
        "x-kubernetes-int-or-string": true,
        // A rule would pass the cost budget in a map; a pattern costs nothing.
        "pattern": "^[0-9]+(\\.[0-9]+)?([numkMGTPE]|[KMGTPE]i)?$",
    })
);

mod share;

pub use share::{IntOrPercent, Percent, PercentOrSize, Share};

/// The longest time any field takes: a day.
const LONGEST: Duration = Duration::from_hours(24);
const TOO_LONG: &str = "must be at most 24h";

fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn duration(number: u64, unit: &str, form: &'static str) -> Result<Duration, WrongForm> {
    let millis_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(WrongForm(form)),
    };
    number
        .checked_mul(millis_per_unit)
        .map(Duration::from_millis)
        .filter(|duration| *duration <= LONGEST)
        .ok_or(WrongForm(TOO_LONG))
}

impl Time {
    /// The time it stands for.
    ///
    /// # Errors
    /// When it is not in PM2's notation, or longer than a day.
    pub fn parse(&self) -> Result<Duration, WrongForm> {
        match &self.0 {
            IntOrText::Int(number) => {
                duration(u64::try_from(*number).map_err(|_| WrongForm(TIME_FORM))?, "ms", TIME_FORM)
            }
            IntOrText::Text(text) => {
                let (number, unit) = split(text);
                let number = number.parse().map_err(|_| WrongForm(TIME_FORM))?;
                duration(number, if unit.is_empty() { "ms" } else { unit }, TIME_FORM)
            }
        }
    }
}

impl Delay {
    /// The time it stands for.
    ///
    /// # Errors
    /// When the unit is missing or unknown, or it is longer than a day.
    pub fn parse(&self) -> Result<Duration, WrongForm> {
        let IntOrText::Text(text) = &self.0 else { return Err(WrongForm(DELAY_FORM)) };
        let (number, unit) = split(text);
        duration(number.parse().map_err(|_| WrongForm(DELAY_FORM))?, unit, DELAY_FORM)
    }
}

impl Size {
    /// The number of bytes it stands for; never 0.
    ///
    /// # Errors
    /// When it is not in PM2's notation, zero, or beyond 2^63.
    pub fn parse(&self) -> Result<u64, WrongForm> {
        let wrong = WrongForm(SIZE_FORM);
        let (number, shift) = match &self.0 {
            IntOrText::Int(number) => (u64::try_from(*number).map_err(|_| wrong)?, 0),
            IntOrText::Text(text) => {
                let (number, unit) = split(text);
                let shift = match unit {
                    "" => 0,
                    "K" => 10,
                    "M" => 20,
                    "G" => 30,
                    _ => return Err(wrong),
                };
                (number.parse::<u64>().map_err(|_| wrong)?, shift)
            }
        };
        number
            .checked_mul(1 << shift)
            .filter(|bytes| *bytes > 0 && i64::try_from(*bytes).is_ok())
            .ok_or(wrong)
    }
}

/// The units of quantities as powers: (suffix, base, exponent of the base).
const UNITS: [(&str, u32, i32); 16] = [
    ("Ki", 1024, 1),
    ("Mi", 1024, 2),
    ("Gi", 1024, 3),
    ("Ti", 1024, 4),
    ("Pi", 1024, 5),
    ("Ei", 1024, 6),
    ("n", 1000, -3),
    ("u", 1000, -2),
    ("m", 1000, -1),
    ("k", 1000, 1),
    ("M", 1000, 2),
    ("G", 1000, 3),
    ("T", 1000, 4),
    ("P", 1000, 5),
    ("E", 1000, 6),
    ("", 1000, 0),
];

/// Billionths in one: quantities are compared as whole numbers of these.
const NANO: i128 = 1_000_000_000;

impl Quantity {
    /// Its value in billionths, exact, so that `0.5` equals `500m`.
    ///
    /// # Errors
    /// When it is not a quantity, or out of range.
    pub fn nanos(&self) -> Result<i128, WrongForm> {
        match &self.0 {
            IntOrText::Int(number) => Ok(i128::from(*number) * NANO),
            IntOrText::Text(text) => quantity_nanos(text).ok_or(WrongForm(QUANTITY_FORM)),
        }
        .and_then(|nanos| if nanos >= 0 { Ok(nanos) } else { Err(WrongForm(QUANTITY_FORM)) })
    }

    /// Its value in whole units, rounded up: bytes for memory.
    ///
    /// # Errors
    /// When it is not a quantity, or out of range.
    pub fn whole(&self) -> Result<u64, WrongForm> {
        let nanos = self.nanos()?;
        u64::try_from((nanos + NANO - 1) / NANO).map_err(|_| WrongForm(QUANTITY_FORM))
    }
}

/// The value of a quantity in billionths, if the text is one.
pub fn quantity_nanos(text: &str) -> Option<i128> {
    let (suffix, base, exponent) = *UNITS.iter().find(|(suffix, ..)| text.ends_with(suffix))?;
    let number = &text[..text.len() - suffix.len()];
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let fraction: i128 = format!("{fraction:0<9}").parse().ok()?;
    let nanos = whole.parse::<i128>().ok()?.checked_mul(NANO)?.checked_add(fraction)?;
    let factor = i128::from(base).checked_pow(exponent.unsigned_abs())?;
    if exponent < 0 { Some(nanos / factor) } else { nanos.checked_mul(factor) }
}

/// A number of bytes as a quantity in its canonical form.
pub fn bytes_as_quantity(bytes: u64) -> String {
    let unit = UNITS[..4].iter().rev().find(|(_, base, exponent)| {
        bytes != 0 && bytes.is_multiple_of(u64::from(*base).pow(exponent.unsigned_abs()))
    });
    match unit {
        Some((suffix, base, exponent)) => {
            format!("{}{suffix}", bytes / u64::from(*base).pow(exponent.unsigned_abs()))
        }
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pm2_times_are_milliseconds_unless_they_say_otherwise() {
        for (written, millis) in
            [(Time::from(8000), 8_000), (0.into(), 0), ("8000".into(), 8_000), ("8s".into(), 8_000)]
        {
            assert_eq!(written.parse(), Ok(Duration::from_millis(millis)), "{written}");
        }
        assert_eq!(Time::from("2m").parse(), Ok(Duration::from_mins(2)));
    }

    #[test]
    fn our_own_times_need_their_unit() {
        assert_eq!(Delay::from("500ms").parse(), Ok(Duration::from_millis(500)));
        for written in [Delay::from(5), "5".into(), "5 s".into(), "5d".into(), "".into(), "s".into()] {
            assert_eq!(written.parse(), Err(WrongForm(DELAY_FORM)), "{written}");
        }
    }

    #[test]
    fn wrong_times_say_the_right_form() {
        for written in [Time::from(-1), "-1".into(), "1.5s".into(), "8 s".into(), "8S".into()] {
            assert_eq!(written.parse(), Err(WrongForm(TIME_FORM)), "{written}");
        }
        assert_eq!(Time::from("25h").parse(), Err(WrongForm(TOO_LONG)));
        assert_eq!(Time::from(i64::MAX).parse(), Err(WrongForm(TOO_LONG)));
    }

    #[test]
    fn pm2_sizes_are_binary() {
        assert_eq!(Size::from("512M").parse(), Ok(512 << 20));
        assert_eq!(Size::from("1G").parse(), Ok(1 << 30));
        assert_eq!(Size::from("3K").parse(), Ok(3 << 10));
        assert_eq!(Size::from(1_000_000).parse(), Ok(1_000_000));
        assert_eq!(Size::from("1000000").parse(), Ok(1_000_000));
        for written in [Size::from(0), "0M".into(), "512Mi".into(), "512m".into(), "M".into(), (-1).into()] {
            assert_eq!(written.parse(), Err(WrongForm(SIZE_FORM)), "{written}");
        }
        assert!(Size::from("999999999999999G").parse().is_err());
    }

    #[test]
    fn quantities_compare_by_value() {
        let nanos = |text: &str| Quantity::from(text).nanos();
        assert_eq!(nanos("0.5"), nanos("500m"));
        assert_eq!(nanos("1Gi"), nanos("1024Mi"));
        assert_eq!(Quantity::from(2).nanos(), nanos("2"));
        assert_eq!(nanos("1.5Gi"), nanos("1536Mi"));
        assert_eq!(Quantity::from("100n").whole(), Ok(1));
        for written in ["", "Mi", "1.", ".5", "-1", "1 Gi", "1e3", "abc", "1.0000000001"] {
            assert!(nanos(written).is_err(), "{written}");
        }
        assert!(Quantity::from(-1).nanos().is_err());
    }

    #[test]
    fn bytes_are_written_in_the_largest_unit_that_fits() {
        assert_eq!(bytes_as_quantity(512 << 20), "512Mi");
        assert_eq!(bytes_as_quantity(1_000_001), "1000001");
        assert_eq!(bytes_as_quantity(0), "0");
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in ".{0,24}", number: i64) {
            for value in [IntOrText::Text(text), IntOrText::Int(number)] {
                let _ = Time(value.clone()).parse();
                let _ = Delay(value.clone()).parse();
                let _ = Size(value.clone()).parse();
                let _ = Percent(value.clone()).parse();
                let _ = PercentOrSize(value.clone()).parse();
                let _ = Quantity(value).nanos();
            }
        }

        #[test]
        fn bytes_survive_the_way_through_a_quantity(bytes in 0..=u64::from(u32::MAX) * 4096) {
            prop_assert_eq!(Quantity::from(bytes_as_quantity(bytes).as_str()).whole(), Ok(bytes));
        }
    }
}
