//! The operator as a process that is looked at from outside.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::fleet::RUNNER;

/// Reconciles have ended when none has been counted for so long.
const STILL: Duration = Duration::from_millis(1_500);
const LOOK: Duration = Duration::from_millis(100);

/// An operator that runs.
pub(crate) struct Operator {
    child: Child,
    address: SocketAddr,
}

impl Operator {
    /// Starts one for the cluster of KUBECONFIG; its lines go to a file.
    pub(crate) fn start(program: &Path) -> Result<Self> {
        // Free again in a moment; nobody else asks for ports here.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = std::env::temp_dir().join(format!("nodeapp-bench-{}.log", std::process::id()));
        let log = std::fs::File::options().create(true).append(true).open(&log)?;
        let child = Command::new(program)
            .args(["run", "--runner-image", RUNNER, "--listen", &address.to_string()])
            // As the chart has it.
            .env("MALLOC_ARENA_MAX", "1")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stderr(log.try_clone()?)
            .stdout(log)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { child, address })
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// The sum of a metric over those of its labels that hold `part`.
    pub(crate) fn metric(&self, name: &str, part: &str) -> Result<u64> {
        Ok(sum(&self.get("/metrics")?, name, part))
    }

    /// Waits until it says that it lacks nothing.
    pub(crate) async fn ready(&mut self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !self.get("/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            self.lives()?;
            ensure!(Instant::now() < deadline, "it is not ready: {:?}", self.get("/readyz"));
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until it has looked at so many apps and has nothing more to do.
    pub(crate) async fn settled(&mut self, apps: usize) -> Result<()> {
        let apps = u64::try_from(apps)?;
        let (mut last, mut since) = (0, Instant::now());
        loop {
            self.lives()?;
            if let Ok(metrics) = self.get("/metrics") {
                let done = sum(&metrics, "controller_runtime_reconcile_total", "");
                let working = sum(&metrics, "controller_runtime_active_workers", "");
                if done != last || working > 0 {
                    (last, since) = (done, Instant::now());
                } else if done >= apps && since.elapsed() > STILL {
                    return Ok(());
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn lives(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the operator has ended: {status}");
        }
        Ok(())
    }

    /// CPU seconds so far, of all threads.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, rest) = stat.rsplit_once(") ").context("stat has changed")?;
        let fields = rest.split(' ').skip(11).take(2).map(str::parse::<f64>);
        // Linux counts in hundredths of a second for all programs.
        Ok(fields.sum::<Result<f64, _>>()? / 100.0)
    }

    /// Resident memory now and at its highest, in bytes.
    pub(crate) fn memory(&self) -> Result<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let value = |name: &str| -> Result<u64> {
            let line =
                status.lines().find_map(|line| line.strip_prefix(name)).context("status has changed")?;
            Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
        };
        Ok((value("VmRSS:")?, value("VmHWM:")?))
    }

    /// Tells it to end; waits until it has.
    pub(crate) fn terminate(&mut self) -> Result<()> {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        ensure!(told.success(), "cannot signal the operator");
        let status = self.child.wait()?;
        ensure!(status.success(), "the operator ended with {status}");
        Ok(())
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sum(metrics: &str, name: &str, part: &str) -> u64 {
    let of_it = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        (labels.is_empty() || labels.starts_with('{')).then_some(())?;
        labels.contains(part).then(|| value.parse::<u64>().unwrap_or_default())
    });
    of_it.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_not_over_its_namesakes() {
        let text = "a_total{x=\"1\"} 2\na_total{x=\"2\"} 3\na_total_more 7\n# TYPE a_total counter\nb 4\n";
        assert_eq!(
            (sum(text, "a_total", ""), sum(text, "a_total", "x=\"2\""), sum(text, "b", "")),
            (5, 3, 4)
        );
    }
}
