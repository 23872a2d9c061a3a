//! Time zones as POSIX `TZ` strings, and the calendar. No database is needed.

/// A point of a calendar and a clock, of whatever zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year.
    pub year: i64,
    /// Month, 1 to 12.
    pub month: u32,
    /// Day of the month, from 1.
    pub day: u32,
    /// Hour, 0 to 23.
    pub hour: u32,
    /// Minute.
    pub minute: u32,
    /// Second.
    pub second: u32,
}

/// Days of the era's shift: from 0000-03-01 to 1970-01-01.
const EPOCH_SHIFT: i64 = 719_468;
const DAY: i64 = 86_400;

impl Civil {
    /// What calendar and clock show so many seconds after 1970-01-01 00:00 of the
    /// same zone.
    pub fn at(seconds: i64) -> Self {
        let (days, rest) = (seconds.div_euclid(DAY), small(seconds.rem_euclid(DAY)));
        // Days since 0000-03-01, so that the leap day is the last of its year.
        let day = days + EPOCH_SHIFT;
        let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = small(of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100));
        let from_march = (5 * of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Self {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month,
            day: of_year - (153 * from_march + 2) / 5 + 1,
            hour: rest / 3_600,
            minute: rest / 60 % 60,
            second: rest % 60,
        }
    }

    /// Seconds since 1970-01-01 00:00 of the same zone.
    pub fn seconds(&self) -> i64 {
        let clock = self.hour * 3_600 + self.minute * 60 + self.second;
        days(self.year, self.month, self.day) * DAY + i64::from(clock)
    }

    /// Day of the week, 0 for Sunday.
    pub fn weekday(&self) -> u32 {
        small((days(self.year, self.month, self.day) + 4).rem_euclid(7))
    }

    /// Days of its month.
    pub fn days_in_month(&self) -> u32 {
        month_length(self.year, self.month)
    }
}

/// A number that is small by its making.
fn small(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// Days since 1970-01-01.
fn days(year: i64, month: u32, day: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let from_march = i64::from((month + 9) % 12);
    let of_year = (153 * from_march + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_SHIFT
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_length(year: i64, month: u32) -> u32 {
    match month {
        2 => 28 + u32::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A time zone such as `CET-1CEST,M3.5.0,M10.5.0/3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Seconds east of UTC.
    standard: i64,
    summer: Option<Summer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Summer {
    offset: i64,
    start: Change,
    end: Change,
}

/// A change of the clocks in each year.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    on: On,
    /// Seconds after midnight, of the time that ends; may be on another day.
    time: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum On {
    /// Day 1 to 365; 29 February does not count.
    Julian(i64),
    /// Day 0 to 365.
    Day(i64),
    /// The `week`th `weekday` of the month, the last for 5.
    Weekday { month: u32, week: u32, weekday: u32 },
}

impl Change {
    /// Seconds since the epoch by the clock that ends.
    fn in_year(&self, year: i64) -> i64 {
        let january = days(year, 1, 1);
        let day = match self.on {
            On::Julian(day) => january + day - 1 + i64::from(is_leap(year) && day >= 60),
            On::Day(day) => january + day,
            On::Weekday { month, week, weekday } => {
                let first = days(year, month, 1);
                let first_weekday = small((first + 4).rem_euclid(7));
                let day = (weekday + 7 - first_weekday) % 7 + 7 * (week - 1);
                let over = day >= month_length(year, month);
                first + i64::from(if over { day - 7 } else { day })
            }
        };
        day * DAY + self.time
    }
}

impl Zone {
    /// Universal time.
    pub const UTC: Self = Self { standard: 0, summer: None };

    /// Reads a POSIX `TZ` string; names of zones are not known here. The error
    /// says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = Rest(text);
        rest.zone().filter(|_| rest.0.is_empty()).ok_or_else(|| {
            format!("{text:?} is no time zone such as \"CET-1CEST,M3.5.0,M10.5.0/3\" or \"UTC0\"")
        })
    }

    /// Seconds east of UTC at a time given in seconds since the epoch.
    pub fn offset(&self, epoch: i64) -> i64 {
        let Some(summer) = &self.summer else { return self.standard };
        let year = Civil::at(epoch + self.standard).year;
        let start = summer.start.in_year(year) - self.standard;
        let end = summer.end.in_year(year) - summer.offset;
        let is_summer =
            if start < end { (start..end).contains(&epoch) } else { !(end..start).contains(&epoch) };
        if is_summer { summer.offset } else { self.standard }
    }
}

/// What is left to be read.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn zone(&mut self) -> Option<Zone> {
        self.name()?;
        let standard = -self.time(24)?;
        if self.0.is_empty() {
            return Some(Zone { standard, summer: None });
        }
        self.name()?;
        let offset = if self.0.starts_with(',') { standard + 3_600 } else { -self.time(24)? };
        let (start, end) = (self.change()?, self.change()?);
        Some(Zone { standard, summer: Some(Summer { offset, start, end }) })
    }

    fn take(&mut self, text: &str) -> bool {
        self.0.strip_prefix(text).map(|rest| self.0 = rest).is_some()
    }

    fn name(&mut self) -> Option<()> {
        let quoted = self.take("<");
        let is_part = |byte: u8| {
            byte.is_ascii_alphabetic() || quoted && (byte.is_ascii_digit() || matches!(byte, b'+' | b'-'))
        };
        let end = self.0.bytes().position(|byte| !is_part(byte)).unwrap_or(self.0.len());
        self.0 = &self.0[end..];
        (end >= 3 && (!quoted || self.take(">"))).then_some(())
    }

    fn number(&mut self, allowed: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let end = self.0.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(self.0.len());
        let number = self.0[..end].parse().ok()?;
        self.0 = &self.0[end..];
        allowed.contains(&number).then_some(number)
    }

    fn part(&mut self, allowed: std::ops::RangeInclusive<i64>) -> Option<u32> {
        self.number(allowed).map(small)
    }

    /// `[+-]hh[:mm[:ss]]` in seconds.
    fn time(&mut self, max_hours: i64) -> Option<i64> {
        let minus = self.take("-");
        if !minus {
            self.take("+");
        }
        let mut seconds = self.number(0..=max_hours)? * 3_600;
        if self.take(":") {
            seconds += self.number(0..=59)? * 60;
            if self.take(":") {
                seconds += self.number(0..=59)?;
            }
        }
        Some(if minus { -seconds } else { seconds })
    }

    /// `,date[/time]`.
    fn change(&mut self) -> Option<Change> {
        if !self.take(",") {
            return None;
        }
        let on = if self.take("M") {
            let month = self.part(1..=12)?;
            let week = self.take(".").then(|| self.part(1..=5))??;
            let weekday = self.take(".").then(|| self.part(0..=6))??;
            On::Weekday { month, week, weekday }
        } else if self.take("J") {
            On::Julian(self.number(1..=365)?)
        } else {
            On::Day(self.number(0..=365)?)
        };
        let time = if self.take("/") { self.time(167)? } else { 2 * 3_600 };
        Some(Change { on, time })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_zone_that_is_none_says_so() {
        for text in ["", "C", "CET", "Europe/Berlin", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1x", "CET-25"] {
            let problem = Zone::parse(text).unwrap_err();
            assert!(problem.contains("CET-1CEST,M3.5.0,M10.5.0/3"), "{problem}");
        }
        for text in ["CET-1CEST,M13.5.0,M10.5.0", "CET-1CEST,M3.0.0,M10.5.0", "<+01-1", "UTC0,"] {
            assert!(Zone::parse(text).is_err(), "{text}");
        }
        assert_eq!(Zone::parse("UTC0"), Ok(Zone::UTC));
    }

    /// Europe, North America, the south, half hours, negative and far times, days
    /// by number, summer time all year.
    const ZONES: [&str; 11] = [
        "UTC0",
        "CET-1CEST,M3.5.0,M10.5.0/3",
        "EST5EDT,M3.2.0,M11.1.0",
        "AEST-10AEDT,M10.1.0,M4.1.0/3",
        "<+0530>-5:30",
        "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
        "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
        "IST-2IDT,M3.4.4/26,M10.5.0",
        "AAA3BBB,J60/0,J300/0",
        "AAA3BBB,59/0,299/0",
        "IST-1GMT0,M10.5.0,M3.5.0/1",
    ];

    proptest! {
        #[test]
        fn calendar_and_zones_agree_with_a_library(
            epoch in -2_000_000_000_i64..8_000_000_000, at in 0..ZONES.len(),
        ) {
            let text = ZONES[at];
            let known = jiff::tz::TimeZone::posix(text).unwrap();
            let instant = jiff::Timestamp::from_second(epoch).unwrap();
            let offset = Zone::parse(text).unwrap().offset(epoch);
            prop_assert_eq!(offset, i64::from(known.to_offset(instant).seconds()), "{}", text);
            let civil = Civil::at(epoch + offset);
            let expected = instant.to_zoned(known);
            prop_assert_eq!(civil.seconds(), epoch + offset);
            prop_assert_eq!(civil.weekday(), u32::from(expected.weekday().to_sunday_zero_offset().unsigned_abs()));
            prop_assert_eq!(civil.days_in_month(), u32::from(expected.days_in_month().unsigned_abs()));
            prop_assert_eq!(
                format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", civil.year, civil.month, civil.day,
                    civil.hour, civil.minute, civil.second),
                expected.strftime("%Y-%m-%dT%H:%M:%S").to_string()
            );
        }
    }

    #[test]
    fn clocks_change_in_the_right_second() {
        let berlin = Zone::parse("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(berlin.offset(1_774_745_999), 3_600);
        assert_eq!(berlin.offset(1_774_746_000), 7_200);
        assert_eq!(berlin.offset(1_792_889_999), 7_200);
        assert_eq!(berlin.offset(1_792_890_000), 3_600);
        let always = Zone::parse("EST5EDT,0/0,J365/25").unwrap();
        assert_eq!([0, 15_000_000, 31_535_999].map(|at| always.offset(at)), [-14_400; 3]);
    }
}
