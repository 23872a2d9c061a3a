//! `cargo xtask lint`: everything that is judged without running the product.

mod charts;
mod schemas;
mod templates;
mod workflows;

use std::process::Command;

use anyhow::Result;

use crate::{r#gen, paths, sh};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only charts, manifests and examples
    #[arg(long)]
    charts: bool,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    if args.charts {
        return charts();
    }
    format()?;
    clippy()?;
    r#gen::check()?;
    charts()?;
    workflows()
}

/// `cargo fmt` finds nothing to do.
pub(crate) fn format() -> Result<()> {
    sh::run("format", cargo().args(["fmt", "--all", "--check"]))
}

/// Clippy has nothing to say, in any crate or test.
pub(crate) fn clippy() -> Result<()> {
    sh::run("clippy", cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

/// The charts pass Helm's lint, render with every set of values, refuse values that are none, and all that they
/// render, the manifests and the examples fit the schemas of Kubernetes and of the CRD.
pub(crate) fn charts() -> Result<()> {
    charts::check()
}

/// The workflows of GitHub Actions are well-formed and pin what they use.
pub(crate) fn workflows() -> Result<()> {
    workflows::check()
}

fn cargo() -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(paths::repo());
    command
}
