//! `cargo xtask bench ecosystem`: how long the plugin takes for what it does without a cluster.

mod tree;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use super::table::{Line, Subject, Topic, above};
use super::{proc, stat};
use crate::{paths, sh};

/// Apps in the file that is imported.
const APPS: usize = 50;

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Only these rows; the table goes to the terminal alone
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Row>,
    /// Fewer repetitions, to see that every row works; the table goes to the terminal alone
    #[arg(long)]
    quick: bool,
}

/// A thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Row {
    /// The audit of 5,000 files
    Audit,
    /// The import of a file with 50 apps
    Import,
    /// From the start of the program to its end
    Version,
}

/// The program, and how much is asked of it.
struct Bench {
    plugin: PathBuf,
    quick: bool,
}

impl Row {
    const ALL: [Self; 3] = [Self::Audit, Self::Import, Self::Version];

    fn topic(self) -> Topic {
        match self {
            Self::Audit => Topic {
                name: "audit",
                title: "`kubectl nodeapp audit` of 5,000 files",
                how: "JavaScript and TypeScript of npm packages, servers and what they need, at most 400 files of each; all of \
                      them in the page cache. One thread per processor, so that the time on the clock depends on what else \
                      the machine does, and the processor time does not.",
            },
            Self::Import => Topic {
                name: "import",
                title: "`kubectl nodeapp import` of a file with 50 apps",
                how: "An `ecosystem.config.js` that reckons with `os.cpus()`, `path`, `package.json` and the environment, with \
                      profiles and secrets; it is evaluated as on three machines. From the spawn to the end of the program, \
                      manifests and report written.",
            },
            Self::Version => Topic {
                name: "version",
                title: "Start-up",
                how: "`kubectl-nodeapp --version`, from the spawn to the end.",
            },
        }
    }

    fn run(self, bench: &Bench) -> Result<Vec<Line>> {
        match self {
            Self::Audit => audit(bench),
            Self::Import => import(bench),
            Self::Version => version(bench),
        }
    }
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let bench = Bench { plugin: plugin()?, quick: args.quick };
    let subject = Subject { command: "ecosystem", ours: "on the clock", beside: "processor time" };
    let size = if args.quick { super::Size::Quick } else { super::Size::Usual };
    super::run(subject, "Only the plugin runs.".to_owned(), &args.only, &Row::ALL, size, |row| {
        super::measure(row.topic(), |_| row.run(&bench))
    })
}

/// The plugin as it is released.
pub(super) fn plugin() -> Result<PathBuf> {
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(paths::repo()).args(["build", "--release", "--package", "kubectl-nodeapp"]);
    sh::run("build kubectl-nodeapp", &mut build)?;
    Ok(paths::target().join("release/kubectl-nodeapp"))
}

/// Times of several runs.
struct Times {
    clock: Vec<f64>,
    /// Of one run, on average.
    processor: f64,
    /// What the last run said.
    said: String,
}

impl Bench {
    /// Runs the plugin so often, after once to have everything in the page cache.
    fn times(&self, often: u32, folder: &Path, args: &[&str]) -> Result<Times> {
        let often = if self.quick { often.div_ceil(10) } else { often };
        let run = || sh::output(Command::new(&self.plugin).current_dir(folder).args(args));
        let mut said = run()?;
        let before = proc::cpu_of_children()?;
        let mut clock: Vec<Duration> = Vec::new();
        for _ in 0..often {
            let begun = Instant::now();
            said = run()?;
            clock.push(begun.elapsed());
        }
        let processor = proc::cpu_of_children()?.saturating_sub(before).as_secs_f64() / f64::from(often);
        Ok(Times { clock: stat::seconds(&clock), processor, said })
    }
}

impl Times {
    /// A line with a goal for the time on the clock, in seconds.
    fn line(&self, what: &str, goal: f64) -> Line {
        let middle = stat::median(&self.clock);
        let (low, high) = (stat::quantile(&self.clock, 0.1), stat::quantile(&self.clock, 0.9));
        Line::new(format!("{what}, {} times", self.clock.len()))
            .ours(format!("{} ({} to {})", stat::time(middle), stat::time(low), stat::time(high)))
            .beside(stat::time(self.processor))
            .goal(&format!("median ≤ {}", stat::time(goal)), above(middle, goal, stat::time))
    }
}

fn audit(bench: &Bench) -> Result<Vec<Line>> {
    let tree = tree::tree()?;
    let bytes = tree::size(&tree)?;
    let times = bench.times(20, &tree, &["audit", "--include-built", "--fail-on", "never"])?;
    let what = format!("{} files, {}", stat::count(tree::FILES as u64), stat::megabytes(stat::float(bytes)));
    Ok(vec![times.line(&what, 2.0)])
}

fn import(bench: &Bench) -> Result<Vec<Line>> {
    let folder = paths::output().join("bench/ecosystem");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    std::fs::write(folder.join("package.json"), "{\"version\": \"1.2.3\"}")?;
    std::fs::write(folder.join("ecosystem.config.js"), config(APPS))?;
    let args = ["import", "ecosystem.config.js", "--image", "registry.example/app:1", "--env", "production"];
    let times = bench.times(100, &folder, &args)?;
    let apps = times.said.matches("kind: NodeApp").count();
    ensure!(apps == APPS, "{apps} of {APPS} apps were imported");
    Ok(vec![times.line(&format!("{APPS} apps"), 0.1)])
}

fn version(bench: &Bench) -> Result<Vec<Line>> {
    let times = bench.times(200, paths::repo(), &["--version"])?;
    Ok(vec![times.line("`--version`", 0.02)])
}

/// A file as a team with many services has it.
fn config(apps: usize) -> String {
    let mut text = "const os = require('os');\nconst path = require('path');\n\
        const { version } = require('./package.json');\n\
        const common = { exec_mode: 'cluster', max_memory_restart: '512M', kill_timeout: 5000, wait_ready: true };\n\
        module.exports = { apps: [\n"
        .to_owned();
    for number in 0..apps {
        let _ = writeln!(
            text,
            "  {{ ...common, name: 'service-{number}', script: path.join('services', '{number}', 'server.js'), \
             instances: Math.max(1, os.cpus().length - {leave}), \
             env: {{ PORT: {port}, VERSION: version, REGION: process.env.REGION || 'eu', DB_PASSWORD: 'x{number}' }}, \
             env_production: {{ NODE_ENV: 'production', LOG_LEVEL: 'info' }}, \
             log_date_format: 'YYYY-MM-DD HH:mm:ss', out_file: '/var/log/{number}.log' }},",
            leave = number % 4,
            port = 3000 + number,
        );
    }
    text + "] };\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_on_the_page_is_the_one_that_only_takes() {
        for row in Row::ALL {
            assert_eq!(Row::from_str(row.topic().name, false), Ok(row));
        }
        assert_eq!(Row::ALL.as_slice(), Row::value_variants());
    }

    #[test]
    fn the_file_that_is_imported_has_the_apps_and_says_nothing_twice() {
        let text = config(3);
        assert_eq!(text.matches("name: 'service-").count(), 3, "{text}");
        assert!(text.contains("PORT: 3002") && text.ends_with("] };\n"), "{text}");
    }
}
