//! `cargo xtask test`.

use anyhow::Result;

#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn main(_args: &Args) -> Result<()> {
    anyhow::bail!("`cargo xtask test` is not here yet")
}
