//! `cargo xtask demo`.

use anyhow::Result;

#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn main(_args: &Args) -> Result<()> {
    anyhow::bail!("`cargo xtask demo` is not here yet")
}
