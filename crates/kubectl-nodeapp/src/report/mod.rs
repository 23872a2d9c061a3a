//! `report`: what is needed to look into a bug elsewhere, in one zip, without secrets.

mod collect;
mod redact;

use std::collections::BTreeMap;
use std::io::{Seek, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::cluster::{Scope, wait_for};
use crate::select::Selector;
use crate::{Outcome, files};
use collect::Collection;

/// Gather what a bug report needs into a zip: apps, their children, pods, Events, what the runners say, last log
/// lines, the operator's log and version.
///
/// Secrets are never read. Values of plain variables are left out too, and what looks like a credential is masked
/// everywhere; log lines are the app's own words, so look through them before you send them on. What could not be
/// read, for want of a right or otherwise, is listed in the zip and is no failure.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl nodeapp report web\n  kubectl nodeapp report all -A -f report.zip"
)]
pub(crate) struct Args {
    /// Names, `all` or /regex/; all apps of the namespace if none.
    #[arg(value_name = "APP")]
    apps: Vec<Selector>,
    /// The zip; in the current folder and named after the time if none.
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Write over a file that is there.
    #[arg(long)]
    force: bool,
    /// Values of plain variables too; those that look like credentials are masked all the same.
    #[arg(long)]
    include_env: bool,
    /// Last log lines of each container.
    #[arg(long, value_name = "N", default_value_t = 500)]
    lines: i64,
    #[command(flatten)]
    scope: Scope,
}

pub(crate) fn run(args: &Args) -> Outcome {
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let all = [Selector::All];
        let selectors = if args.apps.is_empty() { &all[..] } else { &args.apps };
        let apps = cluster.apps(selectors).await?;
        let now = Timestamp::now();
        let path = args.file.clone().unwrap_or_else(|| named(now));
        if path.exists() && !args.force {
            return Err(format!("{} is there already; --force writes over it", path.display()));
        }
        let collection = Collection::of(&cluster, &apps, args.lines).await;
        let pages = collection.pages(args.include_env);
        let failed = |error: &dyn std::fmt::Display| format!("cannot write {}: {error}", path.display());
        let file = std::fs::File::create(&path).map_err(|error| failed(&error))?;
        write(file, &pages).map_err(|error| failed(&error))?;
        let list: Vec<String> =
            pages.iter().map(|(name, text)| format!("{:>9}  {name}", text.len())).collect();
        files::print(&format!("{}\n{}\n", path.display(), list.join("\n")));
        eprintln!("Log lines are the app's own words: look through them before you send them on.");
        Ok(ExitCode::SUCCESS)
    })
}

fn named(now: Timestamp) -> PathBuf {
    PathBuf::from(format!("nodeapp-report-{}.zip", now.strftime("%Y%m%dT%H%M%SZ")))
}

fn write(file: impl Write + Seek, pages: &BTreeMap<String, String>) -> zip::result::ZipResult<()> {
    let mut zip = ZipWriter::new(file);
    for (name, text) in pages {
        zip.start_file(format!("report/{name}"), SimpleFileOptions::default())?;
        zip.write_all(text.as_bytes())?;
    }
    zip.finish().map(drop)
}
