//! `cargo xtask deps`.

use anyhow::Result;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only say what is missing
    #[arg(long)]
    check: bool,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    anyhow::bail!("deps (check: {})", args.check)
}
