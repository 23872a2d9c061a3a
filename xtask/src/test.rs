//! `cargo xtask test`: every tier, one summary, one exit code.
//!
//! A step that fails stops nothing but what needs it, so that one run tells everything that is wrong.

mod counts;
mod targets;

use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::ValueEnum;

use self::counts::Counts;
use self::targets::Targets;
use crate::cluster::{self, Cluster, Provider};
use crate::{cache, deps, r#gen, image, lint, paths, sh};

/// Clusters of the tests, apart from the `dev` cluster that a person may be looking at.
const APISERVER_CLUSTER: &str = "apiserver";
const NODE_CLUSTER: &str = "test";

/// Most of an end-to-end test is waiting; more at once than this, and the waits are for each other.
const NODE_THREADS: &str = "--test-threads=4";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The whole matrices, such as every version of Node.js, instead of a sample
    #[arg(long)]
    all: bool,
    /// Only these tiers; all when not given
    #[arg(long = "tier", value_enum, value_delimiter = ',')]
    tiers: Vec<Tier>,
    /// Leave the clusters up
    #[arg(long)]
    keep: bool,
    /// Run the node tier in the existing cluster of this kubeconfig context
    #[arg(long)]
    context: Option<String>,
    /// Only tests whose name contains this
    filter: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tier {
    /// Format, clippy, cargo-deny, generated files, charts, workflows
    Checks,
    /// Tests without any cluster
    Pure,
    /// Tests against a control plane without nodes
    Apiserver,
    /// Tests with real pods
    Node,
}

struct Row {
    name: String,
    took: Duration,
    counts: Counts,
    /// What went wrong, if anything did.
    problem: Option<String>,
}

#[derive(Default)]
struct Summary {
    rows: Vec<Row>,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let mut summary = Summary::default();
    let wants = |tier| args.tiers.is_empty() || args.tiers.contains(&tier);
    if wants(Tier::Checks) && args.filter.is_none() {
        checks(&mut summary);
    }
    let targets = Targets::read()?;
    if wants(Tier::Pure) {
        summary.step("pure tests", || pure(args, &targets));
        if args.all {
            versions_of_node(args, &mut summary);
        }
    }
    if wants(Tier::Apiserver) {
        summary.step("apiserver tests", || apiserver(args, &targets));
    }
    if wants(Tier::Node) {
        summary.step("node tests", || node(args));
    }
    summary.print()
}

fn checks(summary: &mut Summary) {
    let mut check = |name, run: fn() -> Result<()>| summary.step(name, || run().map(|()| Counts::default()));
    check("format", lint::format);
    check("clippy", lint::clippy);
    check("cargo-deny", deny);
    check("generated files", r#gen::check);
    check("charts", lint::charts);
    check("workflows", lint::workflows);
}

/// Licences, banned crates and sources. Advisories need a database that no package registry has; they are
/// checked by `cargo deny check advisories` where the network allows it.
fn deny() -> Result<()> {
    // It looks at the crates of every platform, and a build has fetched those of this one alone.
    let mut fetch = Command::new(env!("CARGO"));
    sh::run("fetch crates", fetch.args(["fetch", "--locked"]).current_dir(paths::repo()))?;
    let mut command = Command::new(cache::cargo_deny()?);
    // Without --workspace it looks at the root package alone, and not at what the other programs link.
    command.args(["--workspace", "--locked", "--offline", "check", "bans", "licenses", "sources"]);
    sh::run("cargo-deny", command.current_dir(paths::repo()))
}

fn pure(args: &Args, targets: &Targets) -> Result<Counts> {
    // Without it its tests skip on a laptop, and say so; where CI is set they fail.
    if let Err(error) = deps::require(deps::TESTS) {
        sh::say(&format!("  {error:#}"));
    }
    let mut command = cargo_test();
    command.args(["--workspace", "--lib", "--bins"]);
    for name in targets.pure() {
        command.args(["--test", name]);
    }
    with_node(&mut command, args, image::DEFAULT_NODE)?;
    run_tests("pure tests", &mut command, args, &[])
}

/// The runner's tests with real apps, on every version of Node.js but the one that has had its turn.
fn versions_of_node(args: &Args, summary: &mut Summary) {
    for major in image::node_majors().into_iter().filter(|major| *major != image::DEFAULT_NODE) {
        let name = format!("runner, node {major}");
        summary.step(&name, || {
            let mut command = cargo_test();
            command.args(["--package", "nodeapp-runner", "--test", "*"]);
            with_node(&mut command, args, major)?;
            run_tests(&name, &mut command, args, &[])
        });
    }
}

/// Lets the tests of the runner use a version of Node.js. The default one gives way to the `node` in PATH where the
/// official program cannot be had or does not run.
fn with_node(command: &mut Command, args: &Args, major: u8) -> Result<()> {
    if args.all {
        command.env("NODEAPP_TEST_ALL", "1");
    }
    if std::env::var_os("NODEAPP_TEST_NODE").is_some() && major == image::DEFAULT_NODE {
        return Ok(());
    }
    match image::node_dir(major) {
        Ok(dir) => command.env("NODEAPP_TEST_NODE", dir),
        Err(error) if major == image::DEFAULT_NODE => {
            sh::say(&format!("  using the `node` in PATH: {error:#}"));
            command
        }
        Err(error) => return Err(error),
    };
    Ok(())
}

fn apiserver(args: &Args, targets: &Targets) -> Result<Counts> {
    let names = targets.apiserver();
    if names.is_empty() {
        bail!("no test target begins with `apiserver`");
    }
    let plugin = plugin()?;
    with_cluster(APISERVER_CLUSTER, 0, args.keep, None, |cluster| {
        let mut command = cargo_test();
        for name in names {
            command.args(["--test", name]);
        }
        environment(&mut command, args, "NODEAPP_APISERVER_KUBECONFIG", cluster)?;
        command.env("NODEAPP_PLUGIN", &plugin);
        let kstatus = cache::kstatus()?;
        if args.keep {
            sh::say(&format!("  export NODEAPP_KSTATUS={}", kstatus.display()));
        }
        command.env("NODEAPP_KSTATUS", kstatus);
        run_tests("apiserver tests", &mut command, args, &[])
    })
}

fn node(args: &Args) -> Result<Counts> {
    // As above: only one test wants it.
    if let Err(error) = deps::require(deps::TERMINAL) {
        sh::say(&format!("  {error:#}"));
    }
    // Before the cluster starts: both want all of the machine.
    let images = image::build_all(&image::Options { all: args.all, ..image::Options::default() })?;
    images.save()?;
    let plugin = plugin()?;
    with_cluster(NODE_CLUSTER, 1, args.keep, args.context.as_deref(), |cluster| {
        cluster.load(&images)?;
        let mut command = cargo_test();
        command.args(["--package", "nodeapp-operator", "--test", targets::NODE]);
        environment(&mut command, args, "NODEAPP_E2E_KUBECONFIG", cluster)?;
        if args.keep {
            sh::say(&format!("  export NODEAPP_PLUGIN={}", plugin.display()));
        }
        command.env("NODEAPP_PLUGIN", &plugin);
        run_tests("node tests", &mut command, args, &[NODE_THREADS])
    })
}

/// Builds the plugin, which the tests of the operator's package would not.
fn plugin() -> Result<PathBuf> {
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(paths::repo()).args(["build", "--package", "kubectl-nodeapp"]);
    sh::run("build kubectl-nodeapp", &mut build)?;
    Ok(paths::target().join("debug/kubectl-nodeapp"))
}

/// Runs `body` with a cluster, which goes afterwards if it came for this run.
fn with_cluster<T>(
    name: &str,
    nodes: u8,
    keep: bool,
    context: Option<&str>,
    body: impl FnOnce(&Cluster) -> Result<T>,
) -> Result<T> {
    // kind cannot do without nodes, so that a bare control plane is always ours.
    let provider = if nodes == 0 { Provider::Local } else { Provider::Auto };
    let options =
        cluster::Options { name: name.to_owned(), nodes, context: context.map(str::to_owned), provider };
    let was_there = context.is_some() || paths::cache()?.join("clusters").join(name).exists();
    let result = cluster::up(&options).and_then(|cluster| body(&cluster));
    if !was_there && !keep {
        cluster::down(&options)?;
    }
    result
}

/// Gives a test run its cluster, and says how to give it to the next one by hand.
fn environment(command: &mut Command, args: &Args, variable: &str, cluster: &Cluster) -> Result<()> {
    let variables = [
        (variable, cluster.kubeconfig.clone()),
        ("NODEAPP_IMAGES", paths::images_json()),
        ("NODEAPP_BIN", cluster.bin()?),
    ];
    for (name, value) in variables {
        if args.keep {
            sh::say(&format!("  export {name}={}", value.display()));
        }
        command.env(name, value);
    }
    if cluster.is_local() {
        // What breaks a cluster in a test is what mends it.
        command.env("NODEAPP_XTASK", std::env::current_exe()?);
    }
    if args.all {
        command.env("NODEAPP_TEST_ALL", "1");
    }
    Ok(())
}

/// Runs cargo's tests with their output in a log, and counts them from it.
fn run_tests(step: &str, command: &mut Command, args: &Args, harness: &[&str]) -> Result<Counts> {
    command.arg("--").args(harness).args(&args.filter);
    let log = sh::log_path(step)?;
    let result = sh::run(step, command);
    let output = std::fs::read_to_string(&log).unwrap_or_default();
    let counts = Counts::of(&output);
    match result {
        Ok(()) if counts.passed == 0 && args.filter.is_none() => bail!("{step}: no test ran"),
        Ok(()) => Ok(counts),
        Err(error) if counts.failed > 0 => {
            let names = counts::failed(&output).iter().map(|name| (*name).to_owned()).collect();
            Err(error.context(Failed { counts, names }))
        }
        Err(error) => Err(error),
    }
}

fn cargo_test() -> Command {
    let mut command = Command::new(env!("CARGO"));
    // Without --no-fail-fast cargo leaves out the test targets after the first that fails.
    command.args(["test", "--no-fail-fast"]).current_dir(paths::repo());
    command
}

/// Carries what a failed run has counted in its error.
#[derive(Debug)]
struct Failed {
    counts: Counts,
    names: Vec<String>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.counts, self.names.join(", "))
    }
}

impl Summary {
    fn step(&mut self, name: &str, run: impl FnOnce() -> Result<Counts>) {
        let start = Instant::now();
        let (counts, problem) = match run() {
            Ok(counts) => (counts, None),
            Err(error) => {
                sh::say(&format!("✗ {name}: {error:#}"));
                let counts =
                    error.downcast_ref::<Failed>().map_or_else(Counts::default, |failed| failed.counts);
                (counts, Some(first_line(&error)))
            }
        };
        self.rows.push(Row { name: name.to_owned(), took: start.elapsed(), counts, problem });
    }

    /// The table, and as the last line what a machine or a hurried person reads.
    fn print(&self) -> Result<()> {
        println!();
        for row in &self.rows {
            let mark = if row.problem.is_some() { "✗" } else { "✓" };
            let what = row.problem.clone().unwrap_or_else(|| row.counts.to_string());
            println!("{mark} {:<16} {:>7.1} s  {what}", row.name, row.took.as_secs_f32());
        }
        println!("Logs: {}", paths::output().join("log").display());
        let total = self.rows.iter().fold(Counts::default(), |sum, row| sum + row.counted());
        println!("{} passed, {} failed", total.passed, total.failed);
        if total.failed > 0 || self.rows.is_empty() {
            bail!("not everything passed");
        }
        Ok(())
    }
}

impl Row {
    /// A step that fails without a failed test, such as clippy, counts as one failure.
    fn counted(&self) -> Counts {
        match self.problem {
            Some(_) => Counts { failed: self.counts.failed.max(1), ..self.counts },
            None => self.counts,
        }
    }
}

fn first_line(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Failed>() {
        Some(failed) => failed.to_string(),
        None => error.to_string().lines().next().unwrap_or_default().chars().take(120).collect(),
    }
}
