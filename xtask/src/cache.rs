//! Programs built once into `~/.cache/nodeapp-operator/bin/<name>-<version>` from their Go modules.
//!
//! A file there is complete or absent: builds happen beside it and are renamed into place. The names carry the
//! version, and for what is built from this repository a hash of its source, so nothing is ever stale.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{hash, lock, paths, sh};

/// Kubernetes of the local cluster. 1.34 is the newest whose kubelet accepts cgroup v1.
pub(crate) const KUBERNETES: &str = "v1.34.4";
/// Of its database; the version that `k8s.io/kubernetes` was built with.
pub(crate) const ETCD: &str = "v3.6.4";
const HELM: &str = "v3.22.0";
const KUBECONFORM: &str = "v0.8.0";
/// Version of the cluster's DNS server.
pub(crate) const COREDNS: &str = "v1.14.7";
/// Of what tells autoscalers how much containers use.
const METRICS_SERVER: &str = "v0.9.0";
const KIND: &str = "v0.33.0";
const CARGO_DENY: &str = "0.20.2";
const MDBOOK: &str = "0.5.4";
const CARGO_SBOM: &str = "0.10.0";
const ACTIONLINT: &str = "v1.7.12";

/// The Kubernetes components and kubectl: one program, chosen by its first argument.
pub(crate) fn kube() -> Result<PathBuf> {
    let version = KUBERNETES.trim_start_matches('v');
    let mut parts = version.split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let package = "k8s.io/component-base/version";
    let ldflags = format!(
        "-s -w -X {package}.gitVersion={KUBERNETES} -X {package}.gitMajor={major} -X {package}.gitMinor={minor} \
         -X {package}.gitTreeState=clean"
    );
    from_source(
        "kube",
        version,
        (CLUSTER, &["main.go", "go.mod", "go.sum"]),
        ".",
        &ldflags,
        "about 5 minutes the first time",
    )
}

/// The cluster's database.
pub(crate) fn etcd() -> Result<PathBuf> {
    let files = ["etcd/main.go", "go.mod", "go.sum"];
    from_source(
        "etcd",
        ETCD.trim_start_matches('v'),
        (CLUSTER, &files),
        "./etcd",
        "-s -w",
        "about a minute the first time",
    )
}

/// The process that holds the namespaces of a pod; static.
pub(crate) fn pause() -> Result<PathBuf> {
    from_source("pause", "1", (CLUSTER, &["pause/main.go"]), "./pause", "-s -w", "a few seconds")
}

/// The Helm program.
pub(crate) fn helm() -> Result<PathBuf> {
    let flags = format!("-s -w -X helm.sh/helm/v3/internal/version.version={HELM}");
    from_module("helm", "helm.sh/helm/v3/cmd/helm", HELM, &flags, "about a minute the first time")
}

/// The kubeconform program, which checks manifests against Kubernetes' schemas.
pub(crate) fn kubeconform() -> Result<PathBuf> {
    let module = "github.com/yannh/kubeconform/cmd/kubeconform";
    from_module("kubeconform", module, KUBECONFORM, "-s -w", "a few seconds")
}

/// The actionlint program, which checks workflows of GitHub Actions.
pub(crate) fn actionlint() -> Result<PathBuf> {
    let module = "github.com/rhysd/actionlint/cmd/actionlint";
    from_module("actionlint", module, ACTIONLINT, "-s -w", "a few seconds")
}

/// The cluster's DNS server; static.
pub(crate) fn coredns() -> Result<PathBuf> {
    from_module("coredns", "github.com/coredns/coredns", COREDNS, "-s -w", "about 2 minutes the first time")
}

/// The cluster's metrics-server; static.
pub(crate) fn metrics_server() -> Result<PathBuf> {
    let flags = format!("-s -w -X k8s.io/component-base/version.gitVersion={METRICS_SERVER}");
    let package = "sigs.k8s.io/metrics-server/cmd/metrics-server";
    from_module("metrics-server", package, METRICS_SERVER, &flags, "about 3 minutes the first time")
}

/// What makes the cluster's volumes; static.
pub(crate) fn local_volumes() -> Result<PathBuf> {
    let files = ["main.go", "go.mod", "go.sum"];
    let module = "hack/local-volumes";
    from_source("local-volumes", "1", (module, &files), ".", "-s -w", "about a minute the first time")
}

/// What tools that wait by kstatus, such as Flux, make of an object.
pub(crate) fn kstatus() -> Result<PathBuf> {
    let files = ["main.go", "go.mod", "go.sum"];
    from_source("kstatus", "1", ("hack/kstatus", &files), ".", "-s -w", "about a minute the first time")
}

/// The kind program, for machines with Docker.
pub(crate) fn kind() -> Result<PathBuf> {
    from_module("kind", "sigs.k8s.io/kind", KIND, "-s -w", "a few seconds")
}

/// The cargo-deny program, which judges the dependency tree.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    from_crate("cargo-deny", CARGO_DENY, &[], "about 5 minutes the first time")
}

/// The mdbook program, which makes the site of the manuals. Without its server.
pub(crate) fn mdbook() -> Result<PathBuf> {
    let features = ["--no-default-features", "--features", "search"];
    from_crate("mdbook", MDBOOK, &features, "about 3 minutes the first time")
}

/// The cargo-sbom program, which lists what a program is made of.
pub(crate) fn cargo_sbom() -> Result<PathBuf> {
    from_crate("cargo-sbom", CARGO_SBOM, &[], "about 2 minutes the first time")
}

/// The folder all the programs lie in.
pub(crate) fn programs() -> Result<PathBuf> {
    Ok(paths::cache()?.join("bin"))
}

/// A folder with `kubectl` and `helm` under their plain names, to be put in front of PATH.
pub(crate) fn bin_dir() -> Result<PathBuf> {
    let programs = [("kubectl", kube()?), ("helm", helm()?)];
    let key = hash::short(programs.iter().map(|(_, path)| path.as_os_str().as_encoded_bytes()));
    let dir = paths::cache()?.join("bin").join(format!("tools-{key}"));
    if dir.is_dir() {
        return Ok(dir);
    }
    let _lock = lock_builds()?;
    let fresh = scratch("tools")?;
    for (name, target) in &programs {
        symlink(target, fresh.join(name)).with_context(|| format!("cannot link {name}"))?;
    }
    if !dir.is_dir() {
        std::fs::rename(&fresh, &dir)?;
    }
    Ok(dir)
}

/// The Go module of the cluster's components.
const CLUSTER: &str = "hack/local-cluster";

/// Builds a package of one of our Go modules, keyed by the content of these files of it.
fn from_source(
    name: &str,
    version: &str,
    (module, files): (&str, &[&str]),
    package: &str,
    ldflags: &str,
    long: &str,
) -> Result<PathBuf> {
    let module = paths::repo().join(module);
    let contents = files
        .iter()
        .map(|file| {
            std::fs::read(module.join(file))
                .with_context(|| format!("cannot read {file} in {}", module.display()))
        })
        .collect::<Result<Vec<_>>>()?;
    let key = format!("{name}-{version}-{}", hash::short(contents.iter().map(Vec::as_slice)));
    build(&key, long, |out| {
        let mut command = go("build", ldflags);
        command.current_dir(&module).arg("-o").arg(out.join(name)).arg(package);
        (command, out.join(name))
    })
}

/// Builds a program of a published module at a version, with that module's own go.mod and go.sum.
fn from_module(name: &str, package: &str, version: &str, ldflags: &str, long: &str) -> Result<PathBuf> {
    build(&format!("{name}-{}", version.trim_start_matches('v')), long, |out| {
        let mut command = go("install", ldflags);
        // Outside of any module, whose requirements would otherwise count.
        command.current_dir("/").env("GOBIN", out).env("GOFLAGS", "").arg(format!("{package}@{version}"));
        (command, out.join(name))
    })
}

/// Builds a program of a published crate at a version, with that crate's own lock file.
fn from_crate(name: &str, version: &str, features: &[&str], long: &str) -> Result<PathBuf> {
    build(&format!("{name}-{version}"), long, |out| {
        let mut command = Command::new(env!("CARGO"));
        command
            .current_dir("/")
            .args(["install", "--locked", "--root"])
            .arg(out)
            .args(features)
            .arg(format!("{name}@{version}"));
        (command, out.join("bin").join(name))
    })
}

fn go(verb: &str, ldflags: &str) -> Command {
    let mut command = Command::new("go");
    // Static, because some of them become the only file of an image; no paths of this machine inside.
    command.env("CGO_ENABLED", "0").arg(verb).args(["-trimpath", "-buildvcs=false", "-ldflags", ldflags]);
    command
}

fn build(key: &str, long: &str, command: impl FnOnce(&Path) -> (Command, PathBuf)) -> Result<PathBuf> {
    let finished = programs()?.join(key);
    if finished.is_file() {
        return Ok(finished);
    }
    let _lock = lock_builds()?;
    if finished.is_file() {
        return Ok(finished);
    }
    let out = scratch(key)?;
    let (mut command, built) = command(&out);
    sh::run(&format!("build {key} ({long})"), &mut command)?;
    std::fs::rename(&built, &finished)
        .with_context(|| format!("the build of {key} left no {}", built.display()))?;
    std::fs::remove_dir_all(&out)?;
    Ok(finished)
}

fn lock_builds() -> Result<lock::Lock> {
    lock::take(&programs()?.join(".lock"), "the component cache")
}

/// An empty folder beside the finished programs, so that renaming stays on one file system. A build that was
/// killed leaves one behind; the next build under the same name empties it.
fn scratch(name: &str) -> Result<PathBuf> {
    let dir = programs()?.join(format!(".build-{name}"));
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_go_module() {
        let module =
            std::fs::read_to_string(paths::repo().join("hack/local-cluster/go.mod")).expect("go.mod");
        for line in [format!("k8s.io/kubernetes {KUBERNETES}"), format!("go.etcd.io/etcd/server/v3 {ETCD}")] {
            assert!(module.lines().any(|other| other.trim() == line), "{line}");
        }
    }
}
