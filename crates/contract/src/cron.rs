//! Schedules in cron's form, for log rotation and restarts.

use crate::zone::{Civil, Zone};

/// Clocks are never set back by more than this.
const OVERLAP: i64 = 3 * 3_600;
const DAY: i64 = 86_400;
/// 29 February may be eight years away, and on a given weekday 40.
const HORIZON_YEARS: i64 = 41;
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A cron expression: `minute hour day-of-month month day-of-week`, with a
/// field for the second before it if there are six.
///
/// A field is `*`, or a list of numbers, ranges `a-b` and steps `*/n`, `a-b/n`,
/// `a/n`; months and weekdays also by their English names; Sunday is 0 or 7; `L`
/// is the last day of the month. Where both days are restricted, one of them is
/// enough. `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly` stand for
/// expressions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: u64,
    last_day: bool,
    months: u64,
    weekdays: u64,
    /// Both days are restricted: one of them is enough.
    either_day: bool,
    /// It names hours: such a schedule is kept when clocks change.
    fixed: bool,
}

impl Cron {
    /// Reads an expression. The error says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expression = match text.trim() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            other => other,
        };
        let all: Vec<&str> = expression.split_ascii_whitespace().collect();
        let (second, fields) = match all.as_slice() {
            [second, fields @ ..] if fields.len() == 5 => (*second, fields),
            fields if fields.len() == 5 => ("0", fields),
            _ => return Err(format!("{text:?} has {} fields; a cron expression has 5 or 6", all.len())),
        };
        let [minute, hour, day, month, weekday] = fields else { return Err(String::new()) };
        let about = |field: &str| format!("{field:?} in the cron expression {text:?}");
        let (days, last_day) = days(day).ok_or_else(|| about(day))?;
        let weekdays = set(weekday, 0, 7, &WEEKDAYS, 0).ok_or_else(|| about(weekday))?;
        let any = |field: &str| matches!(field, "*" | "?");
        let cron = Self {
            seconds: set(second, 0, 59, &[], 0).ok_or_else(|| about(second))?,
            minutes: set(minute, 0, 59, &[], 0).ok_or_else(|| about(minute))?,
            hours: set(hour, 0, 23, &[], 0).ok_or_else(|| about(hour))?,
            days,
            last_day,
            months: set(month, 1, 12, &MONTHS, 1).ok_or_else(|| about(month))?,
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            either_day: !any(day) && !any(weekday),
            fixed: !hour.starts_with('*'),
        };
        // Such as 30 February.
        if cron.next_civil(0).is_none() {
            return Err(format!("the cron expression {text:?} names a day that never comes"));
        }
        Ok(cron)
    }

    /// The next time after `after`, both in seconds since the epoch, by the clocks
    /// of `zone`; nothing if there is none for decades.
    ///
    /// When clocks are set forward, a schedule with fixed hours that falls into the
    /// hour that is left out is due at once after it. When they are set back, it is
    /// due once. A schedule for every hour or part of it goes by the time that passes.
    pub fn next(&self, after: i64, zone: &Zone) -> Option<i64> {
        let mut from = self.behind_overlap(after + 1, zone);
        let limit = after + HORIZON_YEARS * 366 * DAY;
        while from < limit {
            let offset = zone.offset(from);
            let due = self.next_civil(from + offset)? - offset;
            let Some(change) = change(from, due, zone) else { return Some(due) };
            let new = zone.offset(change);
            if self.fixed && new > offset {
                let left_out = self.next_civil(change + offset)? < change + new;
                if left_out {
                    return Some(change);
                }
            }
            from = if self.fixed && new < offset { change + offset - new } else { change };
        }
        None
    }

    /// The same in the five fields that Kubernetes' `CronJob` takes, which knows
    /// neither Sunday as 7 nor the last day of a month.
    ///
    /// # Errors
    /// Which part it does not know.
    pub fn for_kubernetes(&self) -> Result<String, &'static str> {
        if self.last_day {
            return Err("L, the last day of the month");
        }
        if self.seconds != 1 {
            return Err("seconds");
        }
        // Where either day is enough, a star would make it the other one alone.
        let star = !self.either_day;
        Ok([
            field(self.minutes, 0, 59, true),
            field(self.hours, 0, 23, true),
            field(self.days, 1, 31, star),
            field(self.months, 1, 12, true),
            field(self.weekdays, 0, 6, star),
        ]
        .join(" "))
    }

    /// Behind the hours that clocks show for the second time, if it is about them.
    fn behind_overlap(&self, from: i64, zone: &Zone) -> i64 {
        let (before, now) = (zone.offset(from - OVERLAP), zone.offset(from));
        if !self.fixed || before <= now {
            return from;
        }
        change(from - OVERLAP, from, zone).map_or(from, |at| from.max(at + before - now))
    }

    /// The first match at or after `local`, as the clock shows it.
    fn next_civil(&self, local: i64) -> Option<i64> {
        let mut at = Civil::at(local);
        let last_year = at.year + HORIZON_YEARS;
        while at.year <= last_year {
            if !has(self.months, at.month) {
                let december = at.month == 12;
                at = Civil {
                    year: at.year + i64::from(december),
                    month: at.month % 12 + 1,
                    day: 1,
                    hour: 0,
                    minute: 0,
                    second: 0,
                };
            } else if !self.matches_day(&at) {
                at = Civil::at(at.seconds() - at.seconds().rem_euclid(DAY) + DAY);
            } else if !has(self.hours, at.hour) {
                at = Civil::at(at.seconds() - at.seconds().rem_euclid(3_600) + 3_600);
            } else if !has(self.minutes, at.minute) {
                at = Civil::at(at.seconds() - at.seconds().rem_euclid(60) + 60);
            } else if !has(self.seconds, at.second) {
                at = Civil::at(at.seconds() + 1);
            } else {
                return Some(at.seconds());
            }
        }
        None
    }

    fn matches_day(&self, at: &Civil) -> bool {
        let day = has(self.days, at.day) || self.last_day && at.day == at.days_in_month();
        let weekday = has(self.weekdays, at.weekday());
        if self.either_day { day || weekday } else { day && weekday }
    }
}

/// The first second at which `zone`'s offset is another one than at `from`, up
/// to `until`.
fn change(from: i64, until: i64, zone: &Zone) -> Option<i64> {
    let offset = zone.offset(from);
    let mut same = from;
    while same < until {
        let next = (same + DAY).min(until);
        if zone.offset(next) != offset {
            let (mut low, mut high) = (same, next);
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                if zone.offset(middle) == offset { low = middle } else { high = middle }
            }
            return Some(high);
        }
        same = next;
    }
    None
}

fn has(set: u64, number: u32) -> bool {
    set >> number & 1 == 1
}

/// A set of numbers as a field, with ranges where they are in a row.
fn field(set: u64, min: u32, max: u32, star: bool) -> String {
    let mut parts: Vec<String> = vec![];
    let mut number = min;
    while number <= max {
        let end = (number..=max).take_while(|at| has(set, *at)).last();
        if star && number == min && end == Some(max) {
            return "*".to_owned();
        }
        match end {
            Some(end) if end > number + 1 => parts.push(format!("{number}-{end}")),
            Some(end) => parts.extend((number..=end).map(|at| at.to_string())),
            None => {}
        }
        number = end.unwrap_or(number) + 1;
    }
    parts.join(",")
}

/// Days of the month, and whether the last one is among them.
fn days(field: &str) -> Option<(u64, bool)> {
    let numbers: Vec<&str> = field.split(',').filter(|part| !part.eq_ignore_ascii_case("l")).collect();
    let last = numbers.len() < field.split(',').count();
    let days = if numbers.is_empty() { 0 } else { set(&numbers.join(","), 1, 31, &[], 0)? };
    Some((days, last))
}

/// The numbers of a field as bits; `names` count from `first`.
fn set(field: &str, min: u32, max: u32, names: &[&str], first: u32) -> Option<u64> {
    let number = |text: &str| {
        let by_name = names.iter().zip(first..).find(|(name, _)| name.eq_ignore_ascii_case(text));
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = by_name.map(|(_, at)| at).or_else(|| is_number.then(|| text.parse().ok())?)?;
        (min..=max).contains(&value).then_some(value)
    };
    let mut bits = 0;
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u32>().ok().filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if matches!(range, "*" | "?") => (min, max),
            Some((from, to)) => (number(from)?, number(to)?),
            None => (number(range)?, if step.is_some() { max } else { number(range)? }),
        };
        if from > to {
            return None;
        }
        for value in (from..=to).step_by(step.unwrap_or(1) as usize) {
            bits |= 1_u64 << value;
        }
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

    fn epoch(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_second()
    }

    /// The next times after `from` as text, in UTC.
    fn times(expression: &str, from: &str, zone: &str, count: usize) -> Vec<String> {
        let (cron, zone) = (Cron::parse(expression).unwrap(), Zone::parse(zone).unwrap());
        let next = |at: &i64| cron.next(*at, &zone);
        let all = std::iter::successors(next(&epoch(from)), next);
        all.take(count).map(|at| jiff::Timestamp::from_second(at).unwrap().to_string()).collect()
    }

    #[test]
    fn schedules_are_kept_in_their_zone() {
        let from = "2026-11-23T08:01:32Z";
        for (expression, expected) in [
            ("0 0 * * *", ["2026-11-23T23:00:00Z", "2026-11-24T23:00:00Z"]),
            ("@daily", ["2026-11-23T23:00:00Z", "2026-11-24T23:00:00Z"]),
            ("*/30 * * * *", ["2026-11-23T08:30:00Z", "2026-11-23T09:00:00Z"]),
            ("*/15 * * * * *", ["2026-11-23T08:01:45Z", "2026-11-23T08:02:00Z"]),
            ("0 12 29 feb ?", ["2028-02-29T11:00:00Z", "2032-02-29T11:00:00Z"]),
            ("0 12 L * *", ["2026-11-30T11:00:00Z", "2026-12-31T11:00:00Z"]),
            ("5,10 9 * * MON-FRI", ["2026-11-23T08:05:00Z", "2026-11-23T08:10:00Z"]),
            ("0 9 * * 7", ["2026-11-29T08:00:00Z", "2026-12-06T08:00:00Z"]),
            // Either of both days.
            ("0 9 25 * 0", ["2026-11-25T08:00:00Z", "2026-11-29T08:00:00Z"]),
            ("50/5 9 * * *", ["2026-11-23T08:50:00Z", "2026-11-23T08:55:00Z"]),
        ] {
            assert_eq!(times(expression, from, BERLIN, 2), expected, "{expression}");
        }
    }

    #[test]
    fn a_fixed_hour_comes_once_a_day_also_when_clocks_change() {
        // At 2:00 clocks go to 3:00: 2:30 does not exist, 3:00 comes instead.
        let spring = times("30 2 * * *", "2026-03-27T12:00:00Z", BERLIN, 3);
        assert_eq!(spring, ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
        // At 3:00 clocks go back to 2:00: 2:30 comes twice.
        let autumn = times("30 2 * * *", "2026-10-24T12:00:00Z", BERLIN, 3);
        assert_eq!(autumn, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"]);
        // Also for who starts in the hour that comes again.
        let late = times("30 2 * * *", "2026-10-25T01:10:00Z", BERLIN, 1);
        assert_eq!(late, ["2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn what_comes_every_hour_goes_by_the_time_that_passes() {
        let spring = times("30 * * * *", "2026-03-29T00:00:00Z", BERLIN, 3);
        assert_eq!(spring, ["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z"]);
        let autumn = times("30 * * * *", "2026-10-25T00:00:00Z", BERLIN, 3);
        assert_eq!(autumn, ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"]);
    }

    #[test]
    fn what_is_no_schedule_says_why() {
        for (text, part) in [
            ("", "has 0 fields"),
            ("* * * *", "5 or 6"),
            ("60 * * * *", "\"60\""),
            ("* 24 * * *", "\"24\""),
            ("* * 0 * *", "\"0\""),
            ("* * * 13 *", "\"13\""),
            ("* * * * 8", "\"8\""),
            ("*/0 * * * *", "\"*/0\""),
            ("5-1 * * * *", "\"5-1\""),
            ("+5 * * * *", "\"+5\""),
            ("1,, * * * *", "\"1,,\""),
            ("* * * foo *", "\"foo\""),
            ("0 0 30 2 *", "never comes"),
        ] {
            let problem = Cron::parse(text).unwrap_err();
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }

    #[test]
    fn kubernetes_is_told_the_same() {
        for (written, told) in [
            ("0 3 * * *", "0 3 * * *"),
            ("@weekly", "0 0 * * 0"),
            ("*/20 9-17 ? jan-mar mon-fri", "0,20,40 9-17 * 1-3 1-5"),
            ("5,6 0 * * 5-7", "5,6 0 * * 0,5,6"),
            ("0 0 13 * FRI", "0 0 13 * 5"),
            ("0 0 1-31 * 1", "0 0 1-31 * 1"),
        ] {
            assert_eq!(Cron::parse(written).unwrap().for_kubernetes().as_deref(), Ok(told), "{written}");
        }
        assert!(Cron::parse("0 0 L * *").unwrap().for_kubernetes().unwrap_err().contains("last day"));
        assert!(Cron::parse("5 0 0 * * *").unwrap().for_kubernetes().is_err());
    }

    fn written(min: u32, max: u32) -> impl Strategy<Value = String> {
        let number = min..=max;
        prop_oneof![
            3 => Just("*".to_owned()),
            2 => number.clone().prop_map(|n| n.to_string()),
            1 => (number.clone(), number.clone()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
            1 => (1..=max).prop_map(|n| format!("*/{n}")),
            1 => (number.clone(), number).prop_map(|(a, b)| format!("{a},{b}")),
        ]
    }

    proptest! {
        /// Against trying minute by minute, in a zone whose clocks never change.
        #[test]
        fn the_next_time_is_the_first_that_matches(
            minute in written(0, 59), hour in written(0, 23), day in written(1, 28), month in written(1, 12),
            weekday in written(0, 7), after in 0_i64..4_000_000_000,
        ) {
            let expression = format!("{minute} {hour} {day} {month} {weekday}");
            let cron = Cron::parse(&expression).unwrap();
            let zone = Zone::parse("<+0530>-5:30").unwrap();
            let (either, restricted) = (cron.either_day, (day != "*", weekday != "*"));
            prop_assert_eq!(either, restricted.0 && restricted.1);
            let in_field = |field: &str, value: u32, min, max| has(set(field, min, max, &[], 0).unwrap(), value);
            let matches = |at: i64| {
                let civil = Civil::at(at + 19_800);
                let of_week = civil.weekday();
                let on_day = in_field(&day, civil.day, 1, 31);
                let on_weekday = in_field(&weekday, of_week, 0, 7) || of_week == 0 && in_field(&weekday, 7, 0, 7);
                in_field(&minute, civil.minute, 0, 59) && in_field(&hour, civil.hour, 0, 23)
                    && in_field(&month, civil.month, 1, 12)
                    && if either { on_day || on_weekday } else { on_day && on_weekday }
            };
            let next = cron.next(after, &zone).unwrap();
            prop_assert!(next > after && next % 60 == 0 && matches(next), "{} {}", expression, next);
            let first = after - after.rem_euclid(60) + 60;
            let before = (first..next).step_by(60).take(5_000).find(|at| matches(*at));
            prop_assert_eq!(before, None, "{}", expression);
        }

        #[test]
        fn what_kubernetes_is_told_means_the_same(
            minute in written(0, 59), hour in written(0, 23), day in written(1, 31), month in written(1, 12),
            weekday in written(0, 7),
        ) {
            let Ok(cron) = Cron::parse(&format!("{minute} {hour} {day} {month} {weekday}")) else { return Ok(()) };
            let again = Cron::parse(&cron.for_kubernetes().unwrap()).unwrap();
            prop_assert_eq!(Cron { fixed: cron.fixed, ..again }, cron);
        }

        #[test]
        fn no_text_brings_it_down(text in "[-0-9*/,?LAa-z @]{0,24}", after in -9_000_000_000_i64..9_000_000_000) {
            if let Ok(cron) = Cron::parse(&text) {
                let next = cron.next(after, &Zone::parse(BERLIN).unwrap());
                prop_assert!(next.is_none_or(|next| next > after));
            }
        }
    }
}
