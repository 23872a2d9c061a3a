//! What the kernel says of a process.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal};

/// Units of the times in `/proc/PID/stat`: the same on every architecture of Linux that counts.
const TICKS_PER_SECOND: f64 = 100.0;

/// Resident set in bytes.
pub(crate) fn rss(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/statm");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let pages: u64 =
        text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).context("statm has changed")?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// Proportional set in bytes: pages that several processes share count by their share.
pub(crate) fn pss(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("smaps_rollup has changed")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().context("smaps_rollup has changed")?;
    Ok(kib << 10)
}

/// CPU time so far, of all threads, in user and kernel mode.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    times(&format!("/proc/{pid}/stat"), 11)
}

/// The sum of two fields, counted from behind the name.
fn times(path: &str, skip: usize) -> Result<Duration> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    // The name of the program, in parentheses, may hold blanks.
    let (_, rest) = text.rsplit_once(") ").context("stat has changed")?;
    let fields: Vec<f64> =
        rest.split(' ').skip(skip).take(2).filter_map(|field| field.parse().ok()).collect();
    Ok(Duration::from_secs_f64(fields.iter().sum::<f64>() / TICKS_PER_SECOND))
}

/// CPU time of all children that have ended and were waited for.
pub(crate) fn cpu_of_children() -> Result<Duration> {
    times("/proc/self/stat", 13)
}

/// Whether the process is there; one that nobody has waited for counts as gone.
pub(crate) fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
}

/// Sends a signal to one process.
pub(crate) fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no process id")?;
    rustix::process::kill_process(pid, signal).with_context(|| format!("cannot signal {pid:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_time() {
        let me = std::process::id();
        let (rss, pss) = (rss(me).expect("rss"), pss(me).expect("pss"));
        assert!(rss > 100_000 && pss > 100_000 && pss <= rss, "{rss} {pss}");
        let before = cpu(me).expect("cpu");
        let busy = std::time::Instant::now();
        while cpu(me).expect("cpu") == before {
            assert!(busy.elapsed() < Duration::from_secs(30), "no time has passed");
        }
        assert!(is_alive(me));
    }
}
