//! The logs of many pods that all write at once.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Bench, fill};
use crate::bench::operator::plane::Plane;
use crate::bench::proc;
use crate::bench::rig::wait_for;
use crate::bench::stat::{count, time};
use crate::bench::table::{Line, Topic};
use crate::cluster::Cluster;
use crate::image;
use crate::sh::{self, Step};

pub(super) const TOPIC: Topic = Topic {
    name: "logs",
    title: "Logs of 20 pods that write 50,000 lines a second together",
    how: "One node, 20 pods of one app, each a Node.js process that writes 2,500 numbered lines of 100 bytes a second for 10 s, \
all from the same moment on. `kubectl nodeapp logs APP --lines all` beside `kubectl logs -f --prefix --max-log-requests=20`, one \
after the other with pods of their own; followed until the last line of each pod has come. A line is lost if its number is \
missing at the end, and doubled if it comes twice; late is from the moment that the pods' clock says that they end to the last \
line. Writers, kubelet, containerd and API server share the processors with the one that reads.",
};

const PODS: usize = 20;
const NAMESPACE: &str = "fleet";
/// Until pods that were just made run, with this much room.
const BEGIN_IN: Duration = Duration::from_secs(40);
/// How long a reader may be late.
const PATIENCE: Duration = Duration::from_mins(2);

/// Writes the lines: START (ms since 1970), SECONDS, RATE (lines a second).
const WRITER: &str = "const {START, SECONDS, RATE} = process.env; const all = SECONDS * RATE; let sent = 0; \
const pad = ' '.padEnd(80, 'x'); const go = () => { const due = Math.min(all, Math.floor((Date.now() - START) / 1000 * RATE)); \
let text = ''; while (sent < due) { sent += 1; text += `line ${sent}${pad}\\n`; } \
if (text) process.stdout.write(text); if (sent < all) setTimeout(go, 20); else { console.log('line end'); setInterval(() => {}, 1e6); } }; \
setTimeout(go, Math.max(0, START - Date.now()));";

/// How much each pod writes.
#[derive(Clone, Copy)]
struct Burst {
    seconds: u64,
    rate: u64,
}

pub(super) fn run(bench: &Bench, step: &Step) -> Result<Vec<Line>> {
    let burst = bench.times(Burst { seconds: 10, rate: 2_500 }, Burst { seconds: 2, rate: 100 });
    let image = image::node_image()?;
    let plane = Plane::whole(1)?;
    let cluster = &plane.cluster;
    cluster.load_references(&[&image])?;
    fill(&cluster.kubeconfig, 2, 0)?;
    let mut follow = bench.plugin(&cluster.kubeconfig);
    follow.args(["logs", "app-00000", "-n", NAMESPACE, "--lines", "all"]);
    let ours = followed(cluster, "app-00000", &image, burst, follow)?;
    step.note(&format!("ours: {}", ours.told()));
    let mut follow = cluster.kubectl()?;
    follow.args(["logs", "-n", NAMESPACE, "-l", "nodeapp.dev/app=app-00001", "-f", "--prefix", "--tail=-1"]);
    follow.arg(format!("--max-log-requests={PODS}"));
    let beside = followed(cluster, "app-00001", &image, burst, follow)?;
    step.note(&format!("kubectl: {}", beside.told()));
    let name = count(burst.seconds * burst.rate * PODS as u64);
    let what = format!("{name} lines in {} s", burst.seconds);
    let lost = (ours.lost > 0).then(|| count(ours.lost));
    let figures = |it: &Followed| [it.told(), time(it.late), format!("{} of CPU time", time(it.cpu))];
    let ([told, late, cpu], [their_told, their_late, their_cpu]) = (figures(&ours), figures(&beside));
    Ok(vec![
        Line::new(&what).ours(told).beside(their_told).goal("none lost", lost),
        Line::new("late").ours(late).beside(their_late),
        Line::new("work of the reader").ours(cpu).beside(their_cpu),
    ])
}

/// What came of a burst.
struct Followed {
    came: u64,
    lost: u64,
    doubled: u64,
    /// Seconds.
    late: f64,
    cpu: f64,
}

impl Followed {
    fn told(&self) -> String {
        format!("{} came, {} lost, {} doubled", count(self.came), count(self.lost), count(self.doubled))
    }
}

/// Makes the pods, and reads what they write by this command.
fn followed(
    cluster: &Cluster,
    app: &str,
    image: &str,
    burst: Burst,
    mut reader: Command,
) -> Result<Followed> {
    let start = SystemTime::now() + BEGIN_IN;
    let begin = start.duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
    for number in 0..PODS {
        create(cluster, &pod(app, number, image, begin, burst))?;
    }
    let running = || -> Option<()> {
        let mut command = cluster.kubectl().ok()?;
        let phase = "jsonpath={.items[*].status.phase}";
        command.args(["get", "pods", "-n", NAMESPACE, "-l", &format!("nodeapp.dev/app={app}"), "-o", phase]);
        let phases = sh::output(&mut command).ok()?;
        (phases.split(' ').filter(|phase| *phase == "Running").count() == PODS).then_some(())
    };
    wait_for("20 pods that run", PATIENCE, running)?;
    ensure!(SystemTime::now() < start, "the pods were not there in time; the machine is too busy");
    let mut child = reader.stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null()).spawn()?;
    let output = child.stdout.take().context("no output")?;
    let (tell, told) = std::sync::mpsc::channel();
    let counts = std::thread::spawn(move || {
        let mut tally = Tally::default();
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if tally.take(&String::from_utf8_lossy(&line)) == PODS {
                let _ = tell.send(SystemTime::now());
                break;
            }
        }
        tally
    });
    let end = start + Duration::from_secs(burst.seconds);
    let wait = end.duration_since(SystemTime::now()).unwrap_or_default() + PATIENCE;
    let last = told.recv_timeout(wait);
    let cpu = proc::cpu(child.id())?.as_secs_f64();
    child.kill()?;
    child.wait()?;
    let tally = counts.join().ok().context("the reader has ended badly")?;
    let all = burst.seconds * burst.rate * PODS as u64;
    let late = last.ok().map_or(PATIENCE, |last| last.duration_since(end).unwrap_or_default());
    delete(cluster, app)?;
    Ok(tally.against(all, late.as_secs_f64(), cpu))
}

/// What was read so far, by pod.
#[derive(Default)]
struct Tally {
    /// The numbers that came, in a set of bits, since 25,000 for each pod are many.
    pods: BTreeMap<String, Vec<bool>>,
    ended: usize,
    doubled: u64,
}

impl Tally {
    /// A line with what stands before it to say whose it is; how many pods have ended.
    fn take(&mut self, line: &str) -> usize {
        if let Some((pod, text)) = line.split_once("line ") {
            match text.split(' ').next().map(str::parse::<usize>) {
                Some(Ok(number)) => {
                    let seen = self.pods.entry(pod.to_owned()).or_default();
                    if seen.len() <= number {
                        seen.resize(number + 1, false);
                    }
                    self.doubled += u64::from(std::mem::replace(&mut seen[number], true));
                }
                _ => self.ended += 1,
            }
        }
        self.ended
    }

    fn against(&self, all: u64, late: f64, cpu: f64) -> Followed {
        let came: usize = self.pods.values().map(|seen| seen.iter().filter(|seen| **seen).count()).sum();
        let came = came as u64;
        Followed { came, lost: all.saturating_sub(came), doubled: self.doubled, late, cpu }
    }
}

fn pod(app: &str, number: usize, image: &str, start: u128, burst: Burst) -> Value {
    let env = |name: &str, value: String| json!({"name": name, "value": value});
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("{app}-{number}"),
            "namespace": NAMESPACE,
            "labels": {
                "nodeapp.dev/app": app,
                "app.kubernetes.io/component": "app",
                "app.kubernetes.io/instance": app,
                "app.kubernetes.io/managed-by": "nodeapp-operator",
                "app.kubernetes.io/name": app,
                "app.kubernetes.io/part-of": app,
            },
        },
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "app",
                "image": image,
                "command": ["node", "-e", WRITER],
                "env": [
                    env("START", start.to_string()),
                    env("SECONDS", burst.seconds.to_string()),
                    env("RATE", burst.rate.to_string()),
                ],
            }],
        },
    })
}

fn create(cluster: &Cluster, object: &Value) -> Result<()> {
    let mut command = cluster.kubectl()?;
    let mut child = command
        .args(["create", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start kubectl")?;
    child.stdin.take().context("kubectl takes no input")?.write_all(object.to_string().as_bytes())?;
    ensure!(child.wait()?.success(), "a pod cannot be made");
    Ok(())
}

fn delete(cluster: &Cluster, app: &str) -> Result<()> {
    let mut command = cluster.kubectl()?;
    command.args([
        "delete",
        "pods",
        "-n",
        NAMESPACE,
        "-l",
        &format!("nodeapp.dev/app={app}"),
        "--wait=false",
    ]);
    sh::output(&mut command).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_missing_or_come_twice_are_counted() {
        let mut tally = Tally::default();
        for line in
            ["0|app  | line 1 xx", "0|app  | line 2 xx", "0|app  | line 2 xx", "1|app  | line 1 xx", "noise"]
        {
            assert_eq!(tally.take(line), 0);
        }
        assert_eq!(tally.take("0|app  | line end"), 1);
        let followed = tally.against(4, 0.0, 0.0);
        assert_eq!((followed.came, followed.lost, followed.doubled), (3, 1, 1));
    }
}
