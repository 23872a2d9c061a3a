//! `cargo xtask release`: what the release workflow needs beside programs and images. Each part runs by hand too.

mod chart;
mod krew;
mod sbom;
mod version;

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{r#gen, paths, sh};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Everything that names a version names this one
    Check {
        /// Such as 0.1.0
        #[arg(long)]
        version: String,
    },
    /// Write what each program is made of to target/nodeapp/sbom, as `CycloneDX`
    Sbom,
    /// Print krew's manifest of the plugin with the hashes of its archives
    Krew {
        /// Such as 0.1.0
        #[arg(long)]
        version: String,
        /// OWNER/NAME on GitHub
        #[arg(long)]
        repository: String,
        /// Folder with kubectl-nodeapp-OS-ARCH.tar.gz
        #[arg(long)]
        archives: PathBuf,
    },
    /// Write the images of a release into the chart and the manifests of this working tree
    Chart(chart::Images),
}

pub(crate) fn main(command: &Command) -> Result<()> {
    match command {
        Command::Check { version } => version::check(version),
        Command::Sbom => sbom::write(),
        Command::Krew { version, repository, archives } => {
            print!("{}", krew::manifest(&read(krew::FILE)?, version, repository, archives)?);
            Ok(())
        }
        Command::Chart(images) => {
            for file in [chart::VALUES, chart::CHART] {
                let text = chart::with_images(&read(file)?, images)?;
                std::fs::write(paths::repo().join(file), text)
                    .with_context(|| format!("cannot write {file}"))?;
                sh::say(&format!("  {file}"));
            }
            r#gen::write()
        }
    }
}

/// A file of the repository.
fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(paths::repo().join(path)).with_context(|| format!("cannot read {path}"))
}
