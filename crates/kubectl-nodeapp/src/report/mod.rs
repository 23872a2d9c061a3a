//! `report`: what is needed to look into a bug elsewhere, in one zip, without secrets.

mod collect;
mod redact;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
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
        save(&path, &pages).map_err(|error| failed(&error))?;
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

/// The whole zip or none, for nobody else on this machine to read.
fn save(path: &Path, pages: &BTreeMap<String, String>) -> zip::result::ZipResult<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let mut zip = ZipWriter::new(file.as_file_mut());
    for (name, text) in pages {
        zip.start_file(format!("report/{name}"), SimpleFileOptions::default())?;
        zip.write_all(text.as_bytes())?;
    }
    zip.finish()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_a_report_also_one_that_is_written_over() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("report.zip");
        std::fs::write(&path, "an old one").expect("a file");
        save(&path, &BTreeMap::from([("a".to_owned(), "b".to_owned())])).expect("a zip");
        let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(save(&dir.path().join("no/report.zip"), &BTreeMap::new()).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 1, "something half is left");
    }
}
