//! The last page of the demo: what happened, in figures, and what to type next.

use std::fmt::Write;
use std::time::Duration;

use nodeapp_load::Report;
use nodeapp_load::report::ModeReport;

use super::{APP, NAMESPACE};

/// What there is to tell.
pub(super) struct Page {
    pub(super) report: Report,
    pub(super) rollout: Duration,
    /// What kubectl shows at the end.
    pub(super) objects: String,
}

impl Page {
    /// Requests without a complete answer. The races with the close of an idle connection are in here: an
    /// orderly stop leaves none to a client that is as busy as this one.
    pub(super) fn lost(&self) -> u64 {
        self.report.failed() + self.report.idle_close_race()
    }

    /// The page, for a terminal of 80 columns.
    pub(super) fn text(&self, took: Duration, cluster: &str) -> String {
        let report = &self.report;
        let mut page = String::new();
        let rule = "─".repeat(78);
        let _ = writeln!(page, "\n{rule}");
        let _ = writeln!(
            page,
            " A rolling update under load: {} of {} requests failed\n{rule}\n",
            self.lost(),
            report.requests()
        );
        let _ = writeln!(
            page,
            " {:<22}{:>10}{:>10}{:>10}{:>12}{:>12}",
            "", "requests", "failed", "races", "p50", "p99"
        );
        row(&mut page, "keep-alive", &report.keep_alive);
        row(&mut page, "new connections", &report.new_connection);
        let answers: Vec<String> =
            report.tokens.iter().map(|(version, count)| format!("{count} by version {version}")).collect();
        let _ = writeln!(page, "\n answered   {}", answers.join(", "));
        let _ = writeln!(
            page,
            " rollout    {:.1} s from the change to the end of the last old pod",
            self.rollout.as_secs_f32()
        );
        let _ = writeln!(page, " silence    {} ms at most between two answers", report.longest_silence_ms);
        let _ = writeln!(page, " all of it  {:.0} s", took.as_secs_f32());
        for sample in &report.samples {
            let _ = writeln!(page, " failed     at {} ms, {}: {}", sample.at_ms, sample.mode, sample.what);
        }
        page.push('\n');
        for line in self.objects.lines() {
            let _ = writeln!(page, "{}", format!(" {line}").trim_end());
        }
        page.push('\n');
        page.push_str(&next(cluster));
        page
    }
}

fn row(page: &mut String, name: &str, mode: &ModeReport) {
    let _ = writeln!(
        page,
        " {name:<22}{:>10}{:>10}{:>10}{:>9.1} ms{:>9.1} ms",
        mode.requests, mode.failed, mode.idle_close_race, mode.latency.p50_ms, mode.latency.p99_ms
    );
}

fn next(cluster: &str) -> String {
    let name = if cluster == "dev" { String::new() } else { format!(" --name {cluster}") };
    let shell = format!("cargo xtask cluster shell{name}");
    let down = format!("cargo xtask cluster down{name}");
    format!(
        " What to type next:\n\n   \
         {shell:<42}# kubectl and helm for this cluster\n   \
         kubectl get nodeapps,pods -n {NAMESPACE}\n   \
         kubectl scale -n {NAMESPACE} nodeapp/{APP} --replicas=4\n   \
         kubectl edit -n {NAMESPACE} nodeapp/{APP}\n   \
         kubectl explain nodeapp.spec\n   \
         {down:<42}# and nothing of it is left\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_tells_what_was_lost_and_what_to_type() {
        let mut report = Report::default();
        report.keep_alive.requests = 1_000;
        report.keep_alive.ok = 998;
        report.keep_alive.failed = 1;
        report.keep_alive.idle_close_race = 1;
        report.new_connection.requests = 200;
        let page = Page { report, rollout: Duration::from_secs(9), objects: "NAME\nhello".into() };
        assert_eq!(page.lost(), 2);
        let text = page.text(Duration::from_secs(40), "dev");
        assert!(text.contains("2 of 1200 requests failed"), "{text}");
        assert!(text.contains("cargo xtask cluster down "), "{text}");
        assert!(page.text(Duration::ZERO, "other").contains("down --name other"));
    }
}
