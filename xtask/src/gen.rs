//! `cargo xtask gen`.

use anyhow::Result;

#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn main(_args: &Args) -> Result<()> {
    anyhow::bail!("`cargo xtask gen` is not here yet")
}
