//! `cargo xtask lint`.

use anyhow::Result;

#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn main(_args: &Args) -> Result<()> {
    anyhow::bail!("`cargo xtask lint` is not here yet")
}
