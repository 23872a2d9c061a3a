//! What the load tells, added up by what was done to the app meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::table::{Cell, Colour, Column, Screen, table};

/// Growth from one step of the histogram to the next; `load.js` has the same.
const STEP: f64 = 1.05;
/// An idle connection that closes under a request: HTTP/1.1 cannot tell whether that was processed, and clients repeat
/// it. No failure of the app.
const RACE: &str = "idleCloseRace";

/// A line of the load: what ended since the line before.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Delta {
    pub(super) line: u64,
    pub(super) ok: u64,
    pub(super) refused_by_app: u64,
    pub(super) failed: BTreeMap<String, u64>,
    times: BTreeMap<i32, u64>,
    longest: f64,
    pub(super) checks: u64,
    pub(super) wrong: u64,
    pub(super) said: Option<String>,
}

/// The sum of some of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) ok: u64,
    /// Of these, answered with 4xx.
    pub(super) refused_by_app: u64,
    pub(super) failed: BTreeMap<String, u64>,
    times: BTreeMap<i32, u64>,
    /// Milliseconds.
    pub(super) longest: f64,
    pub(super) checks: u64,
    pub(super) wrong: u64,
    pub(super) said: Option<String>,
    pub(super) took: Duration,
}

impl Tally {
    pub(super) fn add(&mut self, delta: &Delta) {
        self.ok += delta.ok;
        self.refused_by_app += delta.refused_by_app;
        count(&mut self.failed, &delta.failed);
        count(&mut self.times, &delta.times);
        self.longest = self.longest.max(delta.longest);
        self.checks += delta.checks;
        self.wrong += delta.wrong;
        self.said = self.said.take().or_else(|| delta.said.clone());
    }

    fn merge(&mut self, other: &Self) {
        self.add(&Delta {
            line: 0,
            ok: other.ok,
            refused_by_app: other.refused_by_app,
            failed: other.failed.clone(),
            times: other.times.clone(),
            longest: other.longest,
            checks: other.checks,
            wrong: other.wrong,
            said: other.said.clone(),
        });
        self.took += other.took;
    }

    /// Requests that failed by somebody's fault.
    pub(super) fn failures(&self) -> u64 {
        self.failed.iter().filter(|(kind, _)| *kind != RACE).map(|(_, count)| count).sum()
    }

    pub(super) fn requests(&self) -> u64 {
        self.ok + self.failed.values().sum::<u64>()
    }

    /// Milliseconds within which this share of the answers came; none without answers.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let all: u64 = self.times.values().sum();
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let wanted = ((all as f64 * share).ceil() as u64).max(1);
        let mut sum = 0;
        for (step, count) in &self.times {
            sum += count;
            if sum >= wanted {
                return Some(STEP.powi(*step).min(self.longest));
            }
        }
        None
    }
}

fn count<K: Ord + Clone>(sums: &mut BTreeMap<K, u64>, more: &BTreeMap<K, u64>) {
    for (key, value) in more {
        *sums.entry(key.clone()).or_default() += value;
    }
}

/// A rehearsal: what was done, and what came of the requests meanwhile.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    pub(super) phases: Vec<(&'static str, Tally)>,
    /// The state was checked.
    pub(super) with_check: bool,
    /// Why it ended before all was done.
    pub(super) broke: Option<String>,
}

impl Report {
    pub(super) fn total(&self) -> Tally {
        let mut total = Tally::default();
        for (_, tally) in &self.phases {
            total.merge(tally);
        }
        total
    }

    /// Whether the state stayed right, if that was checked.
    pub(super) fn state(&self) -> Option<bool> {
        let total = self.total();
        self.with_check.then_some(total.wrong == 0 && total.checks > 1)
    }

    pub(super) fn is_well(&self) -> bool {
        self.broke.is_none() && self.total().failures() == 0 && self.state() != Some(false)
    }

    pub(super) fn json(&self) -> Value {
        let phases = self.phases.iter().map(|(name, tally)| {
            let mut value = in_json(tally);
            value["name"] = json!(name);
            value
        });
        let total = self.total();
        let mut value = json!({
            "version": 1,
            "ok": self.is_well(),
            "phases": phases.collect::<Vec<_>>(),
            "total": in_json(&total),
        });
        if let Some(broke) = &self.broke {
            value["broke"] = json!(broke);
        }
        if self.with_check {
            value["state"] = json!({
                "right": self.state(), "checks": total.checks, "wrong": total.wrong, "said": total.said,
            });
        }
        value
    }

    pub(super) fn text(&self, screen: Screen) -> String {
        const COLUMNS: [Column; 7] = [
            Column { title: "PHASE", expendable: 0 },
            Column { title: "REQUESTS", expendable: 0 },
            Column { title: "FAILED", expendable: 0 },
            Column { title: "P50", expendable: 3 },
            Column { title: "P99", expendable: 1 },
            Column { title: "LONGEST", expendable: 2 },
            Column { title: "TOOK", expendable: 4 },
        ];
        let total = self.total();
        let all = self.phases.iter().map(|(name, tally)| (*name, tally)).chain([("all", &total)]);
        let rows: Vec<Vec<Cell>> = all.map(|(name, tally)| row(name, tally)).collect();
        let failed =
            self.phases.iter().flat_map(|(name, tally)| tally.failed.iter().map(move |it| (name, it)));
        let mut notes: Vec<String> = failed
            .map(|(name, (kind, count))| format!("{name}: {count} {kind}: {}\n", meaning(kind)))
            .collect();
        if total.refused_by_app > 0 {
            notes.push(format!("{} answers were 4xx; --path names a better one\n", total.refused_by_app));
        }
        if self.with_check {
            let said = total.said.as_ref().map(|said| format!(", first: {said}")).unwrap_or_default();
            let how = if self.state() == Some(true) { "stayed right" } else { "did NOT stay right" };
            notes.push(format!("state {how}: {} checks, {} wrong{said}\n", total.checks, total.wrong));
        }
        table(&COLUMNS, &rows, screen) + &notes.concat()
    }
}

fn row(name: &str, tally: &Tally) -> Vec<Cell> {
    let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}ms"));
    let failures = tally.failures();
    let colour = if failures > 0 { Colour::Red } else { Colour::Default };
    vec![
        name.into(),
        tally.requests().to_string().into(),
        Cell::coloured(failures.to_string(), colour),
        ms(tally.quantile(0.5)).into(),
        ms(tally.quantile(0.99)).into(),
        ms((tally.ok > 0).then_some(tally.longest)).into(),
        format!("{:.0}s", tally.took.as_secs_f64()).into(),
    ]
}

fn in_json(tally: &Tally) -> Value {
    json!({
        "requests": tally.requests(),
        "failed": tally.failures(),
        "kinds": tally.failed,
        "p50": tally.quantile(0.5),
        "p99": tally.quantile(0.99),
        "longest": tally.longest,
        "seconds": tally.took.as_secs_f64(),
    })
}

/// What a kind of failure says.
fn meaning(kind: &str) -> &'static str {
    match kind {
        RACE => "an idle connection was closed just then; no failure, clients repeat such a request",
        "refused" => "nobody listened where the Service led",
        "reset" => "the connection was cut before an answer",
        "cut" => "the answer broke off",
        "timeout" => "no answer in time",
        "5xx" => "the app answered with an error",
        "dns" => "the Service's name was not known",
        "notSent" => "too many were open already; lower --rate",
        _ => "an error of the connection",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(value: &Value) -> Delta {
        serde_json::from_value(value.clone()).expect("a line of the load")
    }

    fn report() -> Report {
        let mut before = Tally::default();
        before.add(&delta(&json!({"line": 1, "ok": 99, "times": {"0": 50, "40": 49}, "longest": 7.5})));
        let mut reload = Tally::default();
        reload.add(&delta(&json!({"line": 2, "ok": 1, "times": {"60": 1}, "longest": 18.0,
            "failed": {"refused": 2, "idleCloseRace": 1}, "checks": 5, "wrong": 0})));
        Report { phases: vec![("before", before), ("reload", reload)], with_check: false, broke: None }
    }

    #[test]
    fn failures_are_told_by_phase_and_kind_and_a_race_is_none() {
        let report = report();
        assert!(!report.is_well());
        let total = report.total();
        assert_eq!((total.requests(), total.failures()), (103, 2));
        let text = report.text(Screen { width: None, colour: false });
        assert!(text.contains("reload  4         2"), "{text}");
        assert!(text.contains("reload: 2 refused: nobody listened"), "{text}");
        assert!(text.contains("reload: 1 idleCloseRace: an idle connection"), "{text}");
        let mut well = report;
        well.phases[1].1.failed.remove("refused");
        assert!(well.is_well());
    }

    #[test]
    fn a_rehearsal_that_broke_off_is_no_success_and_tells_what_it_has() {
        let mut report = report();
        report.phases[1].1.failed.clear();
        assert!(report.is_well());
        report.broke = Some("the reload did not end".to_owned());
        assert!(!report.is_well());
        assert_eq!(report.json()["broke"], "the reload did not end");
        assert_eq!(report.json()["total"]["requests"], 100);
    }

    #[test]
    fn quantiles_come_out_of_the_steps_and_never_beyond_the_longest() {
        let total = report().total();
        assert!((total.quantile(0.5).expect("a median") - 1.0).abs() < 0.01);
        assert!((total.quantile(0.99).expect("a p99") - STEP.powi(40)).abs() < 0.01);
        assert!((total.quantile(1.0).expect("the last") - 18.0).abs() < 0.01);
        assert_eq!(Tally::default().quantile(0.5), None);
    }

    #[test]
    fn state_is_right_only_where_it_was_really_checked() {
        let mut report = report();
        report.phases[1].1.failed.clear();
        assert_eq!(report.state(), None);
        report.with_check = true;
        assert_eq!(report.state(), Some(true));
        report.phases[1].1.checks = 0;
        assert_eq!((report.state(), report.is_well()), (Some(false), false), "the check was never answered");
        report.phases[1].1.add(&delta(&json!({"checks": 9, "wrong": 1, "said": "3 after 7"})));
        let text = report.text(Screen { width: None, colour: false });
        assert!(text.contains("state did NOT stay right: 9 checks, 1 wrong, first: 3 after 7"), "{text}");
    }
}
