//! `cargo xtask image`: the images, built without Docker.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{cluster, paths};

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) cluster: cluster::Options,
    #[command(flatten)]
    pub(crate) options: Options,
    /// Build only, load nothing
    #[arg(long)]
    pub(crate) no_load: bool,
}

/// What to build beside the operator, the runner and the load probe.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// Major versions of Node.js to make base images of
    #[arg(long = "node", value_name = "MAJOR", default_values_t = [22], value_delimiter = ',')]
    pub(crate) node: Vec<u8>,
    /// Every supported major version of Node.js
    #[arg(long)]
    pub(crate) all: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { node: vec![22], all: false }
    }
}

/// References of the built images, as written to `target/nodeapp/images.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Images {
    pub(crate) operator: String,
    pub(crate) runner: String,
    pub(crate) load: String,
    pub(crate) hello: String,
    /// The default Node image with `tests/e2e/apps` at `/app`.
    pub(crate) apps: String,
    pub(crate) redis: String,
    /// Major version to reference; the image's user is root, `node` (1000) exists.
    pub(crate) node: BTreeMap<String, String>,
    /// `root`, `node`, `numeric`: the `apps` image with `USER` unset, `node` and `1000:1000`.
    pub(crate) users: BTreeMap<String, String>,
}

impl Images {
    /// Writes `target/nodeapp/images.json`.
    pub(crate) fn save(&self) -> Result<()> {
        let path = paths::images_json();
        std::fs::create_dir_all(paths::output())?;
        std::fs::write(&path, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Builds all images and writes `images.json`. What is unchanged is not built again.
pub(crate) fn build_all(_options: &Options) -> Result<Images> {
    bail!("not here yet")
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let images = build_all(&args.options)?;
    images.save()?;
    if !args.no_load {
        cluster::up(&args.cluster)?.load(&images)?;
    }
    println!("{}", paths::images_json().display());
    Ok(())
}
