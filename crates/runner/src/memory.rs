//! The memory line.

use std::time::Duration;

use nodeapp_contract::config::MemoryPolicy;

use crate::machine::Now;

/// The tree is measured this often.
pub(crate) const PERIOD: Duration = Duration::from_millis(250);

/// Whether the process tree has passed its line for long enough.
#[derive(Debug)]
pub(crate) struct MemoryWatch {
    policy: MemoryPolicy,
    next: Now,
    above_since: Option<Now>,
}

impl MemoryWatch {
    pub(crate) fn new(policy: MemoryPolicy) -> Self {
        Self { policy, next: Duration::ZERO, above_since: None }
    }

    /// When the tree has to be measured again.
    pub(crate) fn next(&self) -> Now {
        self.next
    }

    /// A new process has started.
    pub(crate) fn reset(&mut self, now: Now) {
        self.above_since = None;
        self.next = now.saturating_add(PERIOD);
    }

    /// Takes a measurement; says why the process has to go, if it has to. Past the
    /// middle between the line and `limit`, the kernel's own, there is no time to
    /// wait and see.
    pub(crate) fn measured(&mut self, now: Now, rss: u64, limit: Option<u64>) -> Option<String> {
        self.next = now.saturating_add(PERIOD);
        let line = self.policy.max_rss;
        if rss <= line {
            self.above_since = None;
            return None;
        }
        let since = *self.above_since.get_or_insert(now);
        let above = now.saturating_sub(since);
        let mib = |bytes: u64| bytes.div_ceil(1024 * 1024);
        let close = limit.filter(|limit| *limit > line && rss - line >= (limit - line) / 2);
        if above < self.policy.confirm.into() && close.is_none() {
            return None;
        }
        self.above_since = None;
        let figures = format!("its memory of {} MiB", mib(rss));
        let line = format!("maxMemoryRestart ({} MiB)", mib(line));
        Some(match close {
            Some(limit) => format!("{figures} is above {line} and close to the limit of {} MiB", mib(limit)),
            None => format!("{figures} has been above {line} for {} ms", above.as_millis()),
        })
    }

    /// Whether a heap snapshot is wanted before the restart.
    pub(crate) fn wants_snapshot(&self) -> bool {
        self.policy.heap_snapshot
    }
}

#[cfg(test)]
mod tests {
    use nodeapp_contract::config::Millis;

    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn watch() -> MemoryWatch {
        MemoryWatch::new(MemoryPolicy { max_rss: 100 * MIB, confirm: Millis(1_000), heap_snapshot: false })
    }

    #[test]
    fn only_what_stays_above_the_line_counts() {
        let mut watch = watch();
        assert_eq!(watch.measured(ms(0), 101 * MIB, None), None);
        assert_eq!(watch.measured(ms(750), 101 * MIB, None), None);
        assert_eq!(watch.measured(ms(900), 100 * MIB, None), None, "at the line is not above it");
        assert_eq!(watch.measured(ms(1_000), 150 * MIB, None), None);
        assert_eq!(watch.next(), ms(1_250));
        let why = watch.measured(ms(2_000), 150 * MIB, None).unwrap();
        assert_eq!(why, "its memory of 150 MiB has been above maxMemoryRestart (100 MiB) for 1000 ms");
    }

    #[test]
    fn a_new_process_starts_below_the_line() {
        let mut watch = watch();
        watch.measured(ms(0), 101 * MIB, None);
        watch.reset(ms(500));
        assert_eq!(watch.next(), ms(750), "and is left in peace while it starts");
        assert_eq!(watch.measured(ms(1_000), 101 * MIB, None), None);
    }

    #[test]
    fn close_to_the_kernels_limit_there_is_no_time_to_confirm() {
        let mut watch = watch();
        assert_eq!(watch.measured(ms(0), 119 * MIB, Some(140 * MIB)), None);
        let why = watch.measured(ms(250), 120 * MIB, Some(140 * MIB)).unwrap();
        assert_eq!(
            why,
            "its memory of 120 MiB is above maxMemoryRestart (100 MiB) and close to the limit of 140 MiB"
        );
        let why = watch.measured(ms(500), 150 * MIB, Some(140 * MIB)).unwrap();
        assert!(why.contains("150 MiB"), "the limit counts other things: {why}");
        assert_eq!(watch.measured(ms(750), 101 * MIB, Some(90 * MIB)), None, "a line above the limit");
    }
}
