//! `cargo xtask deps`: the programs that come from the system, and which package has them.

use std::process::Command;

use anyhow::{Result, bail};

use crate::sh;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only say what is missing
    #[arg(long)]
    check: bool,
}

/// A file that must be there, and the Debian package that brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// A program on PATH, or an absolute path.
    file: &'static str,
    package: &'static str,
}

const fn need(file: &'static str, package: &'static str) -> Need {
    Need { file, package }
}

/// What a local cluster is made of beside the components built here.
pub(crate) const CLUSTER: &[Need] = &[
    need("containerd", "containerd"),
    need("ctr", "containerd"),
    need("runc", "runc"),
    need("/usr/lib/cni/ptp", "containernetworking-plugins"),
    need("nft", "nftables"),
    need("iptables", "iptables"),
    need("conntrack", "conntrack"),
    need("ip", "iproute2"),
    need("mount", "mount"),
    need("nsenter", "util-linux"),
    need("setsid", "util-linux"),
    need("unshare", "util-linux"),
];

/// What the images are made of.
pub(crate) const IMAGES: &[Need] = &[
    need("busybox", "busybox"),
    need("redis-server", "redis-server"),
    need("ldd", "libc-bin"),
    need("tar", "tar"),
    need("npm", "npm"),
];

/// What tests without a cluster talk to.
pub(crate) const TESTS: &[Need] = &[need("redis-server", "redis-server")];

/// What tests in pods are driven with.
pub(crate) const TERMINAL: &[Need] = &[need("tmux", "tmux")];

/// What the forwarder is measured with.
pub(crate) const BENCH_REDIS: &[Need] =
    &[need("redis-server", "redis-server"), need("redis-benchmark", "redis-tools")];

/// What the components are built with. Debian's own Go is too old, so there is no package to install.
const BUILD: &[(&str, &str)] =
    &[("go", "Go 1.24 or newer, from https://go.dev/dl"), ("cargo", "Rust, from https://rustup.rs")];

/// Sees to it that the files are there: installs their packages when this is root on a Debian system, and says
/// otherwise which packages to install.
pub(crate) fn require(needs: &[Need]) -> Result<()> {
    for (program, source) in BUILD {
        if sh::which(program).is_none() {
            bail!("{program} is missing: install {source}");
        }
    }
    let packages = missing(needs);
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !rustix::process::geteuid().is_root() || sh::which("apt-get").is_none() {
        bail!("missing: {list}. On Debian and Ubuntu: `sudo apt-get install --no-install-recommends {list}`");
    }
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive");
    install.args(["install", "--yes", "--no-install-recommends"]).args(&packages);
    let step = format!("install {list}");
    if sh::run(&step, &mut install).is_err() {
        // A machine made from an image has no package lists yet, or old ones.
        sh::run("refresh the package lists", Command::new("apt-get").args(["update", "--quiet"]))?;
        sh::run(&step, &mut install)?;
    }
    match missing(needs) {
        still if still.is_empty() => Ok(()),
        still => bail!("{} installed, and still missing what should be in them", still.join(" ")),
    }
}

/// The packages whose files are not there, each once.
fn missing(needs: &[Need]) -> Vec<&'static str> {
    missing_by(needs, |file| {
        if file.starts_with('/') { std::path::Path::new(file).exists() } else { sh::which(file).is_some() }
    })
}

fn missing_by(needs: &[Need], present: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let mut packages: Vec<&str> =
        needs.iter().filter(|need| !present(need.file)).map(|need| need.package).collect();
    packages.dedup();
    packages
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let all: Vec<Need> = CLUSTER.iter().chain(IMAGES).copied().collect();
    if args.check {
        let missing = missing(&all);
        if !missing.is_empty() {
            bail!("missing packages: {}", missing.join(" "));
        }
    }
    require(&all)?;
    sh::say("✓ everything is there");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_with_two_missing_files_is_named_once() {
        assert_eq!(missing_by(CLUSTER, |file| file != "containerd" && file != "ctr"), ["containerd"]);
    }

    #[test]
    fn complete_machine_misses_nothing() {
        assert!(missing_by(CLUSTER, |_| true).is_empty());
    }
}
