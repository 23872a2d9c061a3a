//! `heap-snapshot` and `cpu-profile`: what the app's process says of itself, as a file for the developer tools of Chrome.

mod fetch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use nodeapp_contract::paths::PROFILE_DIR;
use serde::Deserialize;

use crate::Outcome;
use crate::cluster::{Scope, wait_for};
use crate::files;
use crate::instances::{APP, BROKE};
use crate::one::One;
use fetch::Fetch;

/// Write a heap snapshot of one instance to a file here.
///
/// The app answers nothing while it is written, which takes some seconds per GiB of heap, and it needs memory for it:
/// the runner refuses where the limit leaves none. The file holds what the app has in memory, credentials too.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl nodeapp heap-snapshot web\n  kubectl nodeapp heap-snapshot web --instance x2x1p -f before.heapsnapshot"
)]
pub(crate) struct HeapArgs {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    file: File,
    #[command(flatten)]
    scope: Scope,
}

/// Write a processor profile of one instance to a file here.
///
/// The app serves on meanwhile, a little slower.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  kubectl nodeapp cpu-profile web --seconds 30")]
pub(crate) struct ProfileArgs {
    #[command(flatten)]
    one: One,
    /// How long to look.
    #[arg(long, short, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=300))]
    seconds: u64,
    #[command(flatten)]
    file: File,
    #[command(flatten)]
    scope: Scope,
}

/// Where the file goes.
#[derive(clap::Args)]
struct File {
    /// The file; in the current folder and named after the instance and the time if none.
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Write over a file that is there.
    #[arg(long)]
    force: bool,
}

/// What the runner answers.
#[derive(Deserialize)]
struct Made {
    path: String,
    bytes: u64,
}

/// One of the two.
struct Kind {
    words: Vec<String>,
    extension: &'static str,
    /// Where it opens.
    opens: &'static str,
}

pub(crate) fn heap_snapshot(args: &HeapArgs) -> Outcome {
    let kind = Kind {
        words: vec!["heap-snapshot".to_owned()],
        extension: "heapsnapshot",
        opens: "in Chrome DevTools: Memory, Load profile",
    };
    wait_for(dump(&args.scope, &args.one, &args.file, &kind))
}

pub(crate) fn cpu_profile(args: &ProfileArgs) -> Outcome {
    let kind = Kind {
        words: vec!["cpu-profile".to_owned(), args.seconds.to_string()],
        extension: "cpuprofile",
        opens: "in Chrome DevTools: Performance, Load profile; or in VS Code",
    };
    wait_for(dump(&args.scope, &args.one, &args.file, &kind))
}

async fn dump(scope: &Scope, one: &One, file: &File, kind: &Kind) -> Outcome {
    let cluster = scope.connect().await?;
    let (_, pod) = cluster.one(one).await?;
    let name = pod.name_any();
    let path = file.path(&name, kind.extension)?;
    eprintln!("{}: {} …", name, kind.words.join(" "));
    let words: Vec<&str> = kind.words.iter().map(String::as_str).collect();
    let answer = cluster.ctl(&pod, &words).await.map_err(|why| left_behind(why, &pod))?;
    let made: Made = serde_json::from_str(&answer)
        .map_err(|_| format!("{name}: the runner says {}; this plugin expects a path", answer.trim()))?;
    let fetch = Fetch { cluster: &cluster, pod: &pod, path: &made.path, bytes: made.bytes };
    fetch.to(&path).await?;
    if let Err(why) = fetch.remove().await {
        eprintln!("{made} stays in the pod: {why}", made = made.path);
    }
    files::print(&format!("{}\n", path.display()));
    eprintln!("{} bytes; it opens {}", made.bytes, kind.opens);
    Ok(ExitCode::SUCCESS)
}

/// Says where to look if the runner may have made a file that nobody heard of.
fn left_behind(why: String, pod: &Pod) -> String {
    if !why.contains(BROKE) {
        return why;
    }
    let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
    format!(
        "{why}; if a file was made, it stays in {PROFILE_DIR} of the pod, with all it holds, until the pod goes: \
         kubectl exec -n {namespace} {name} -c {APP} -- ls -l {PROFILE_DIR}"
    )
}

impl File {
    /// Where it goes; known before the app is disturbed.
    fn path(&self, pod: &str, extension: &str) -> Result<PathBuf, String> {
        let path = match &self.file {
            Some(path) => path.clone(),
            None => named(pod, extension, Timestamp::now()),
        };
        if path.exists() && !self.force {
            return Err(format!("{} is there already; --force writes over it", path.display()));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        match folder.filter(|folder| !folder.is_dir()) {
            Some(missing) => Err(format!("there is no folder {}", missing.display())),
            None => Ok(path),
        }
    }
}

fn named(pod: &str, extension: &str, now: Timestamp) -> PathBuf {
    Path::new(&format!("{pod}-{}.{extension}", now.strftime("%Y%m%dT%H%M%SZ"))).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_that_nobody_heard_of_is_told_and_a_refusal_is_left_as_it_is() {
        let pod: Pod =
            serde_json::from_value(serde_json::json!({"metadata": {"name": "web-1", "namespace": "shop"}}))
                .expect("a pod");
        let told = left_behind(format!("web-1: {BROKE}: reset"), &pod);
        assert!(told.contains("kubectl exec -n shop web-1 -c app -- ls -l /tmp/nodeapp-profiles"), "{told}");
        assert_eq!(left_behind("web-1: no room".to_owned(), &pod), "web-1: no room");
    }

    #[test]
    fn a_file_is_named_after_the_instance_and_the_time_and_replaces_none() {
        let now = "2026-11-23T22:15:03Z".parse().expect("a time");
        assert_eq!(named("web-1-x", "cpuprofile", now), Path::new("web-1-x-20261123T221503Z.cpuprofile"));
        let dir = tempfile::tempdir().expect("a folder");
        let there = dir.path().join("a");
        std::fs::write(&there, "").expect("a file");
        let of = |path: PathBuf, force| File { file: Some(path), force }.path("p", "e");
        assert!(of(there.clone(), false).is_err_and(|error| error.contains("--force")));
        assert_eq!(of(there.clone(), true), Ok(there));
        assert!(of(dir.path().join("no/b"), false).is_err_and(|error| error.contains("no folder")));
    }
}
