//! `cargo xtask image`: the images, built without Docker.

pub(crate) mod oci;

mod base;
mod layer;
mod project;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

pub(crate) use self::base::{DEFAULT_NODE, node_dir, node_majors};
use self::oci::Store;
pub(crate) use self::project::{bench as bench_image, bench_programs, program};
use crate::sh::Step;
use crate::{cluster, deps, paths};

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) cluster: cluster::Options,
    #[command(flatten)]
    pub(crate) options: Options,
    /// Build only, load nothing
    #[arg(long)]
    pub(crate) no_load: bool,
    /// Load what was built last, build nothing
    #[arg(long, conflicts_with = "no_load")]
    pub(crate) no_build: bool,
}

/// What to build beside the operator, the runner, the forwarder and the load probe.
#[derive(clap::Args, Clone, Debug)]
#[group(id = "build")]
pub(crate) struct Options {
    /// Major versions of Node.js to make base images of
    #[arg(long = "node", value_name = "MAJOR", default_values_t = [base::DEFAULT_NODE], value_delimiter = ',')]
    pub(crate) node: Vec<u8>,
    /// Every supported major version of Node.js
    #[arg(long)]
    pub(crate) all: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { node: vec![base::DEFAULT_NODE], all: false }
    }
}

/// References of the built images, as written to `target/nodeapp/images.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Images {
    pub(crate) operator: String,
    pub(crate) runner: String,
    pub(crate) forwarder: String,
    pub(crate) load: String,
    pub(crate) hello: String,
    /// The default Node image with `tests/e2e/apps` at `/app`.
    pub(crate) apps: String,
    pub(crate) redis: String,
    /// The default Node image with `tests/e2e/redis-apps` and its packages from npm at `/app`.
    pub(crate) redis_apps: String,
    /// Major version to reference; the image's user is root, `node` (1000) exists.
    pub(crate) node: BTreeMap<String, String>,
    /// `root`, `node`, `numeric`: the image `apps` with `USER` unset, `node` and `1000:1000`.
    pub(crate) users: BTreeMap<String, String>,
}

impl Images {
    /// Writes `target/nodeapp/images.json`, and `values.json` with which Helm installs these very images.
    pub(crate) fn save(&self) -> Result<()> {
        let values = serde_json::json!({
            "image": values(&self.operator),
            "runner": {"image": values(&self.runner)},
            "forwarder": {"image": values(&self.forwarder)},
            "redis": {"image": values(&self.redis)},
        });
        let path = paths::images_json();
        std::fs::create_dir_all(paths::output())?;
        std::fs::write(paths::helm_values(), serde_json::to_vec_pretty(&values)?)?;
        std::fs::write(&path, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// The images of the last build.
    fn read() -> Result<Self> {
        let path = paths::images_json();
        let bytes = std::fs::read(&path)
            .with_context(|| format!("cannot read {}; `cargo xtask image` writes it", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))
    }

    /// Every image once.
    pub(crate) fn references(&self) -> Vec<&str> {
        let mut all = vec![&*self.operator, &*self.runner, &*self.forwarder, &*self.load];
        all.extend([&*self.hello, &*self.apps, &*self.redis, &*self.redis_apps]);
        all.extend(self.node.values().chain(self.users.values()).map(String::as_str));
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// The images a cluster needs before any other.
#[derive(Clone, Debug)]
pub(crate) struct SystemImages {
    pub(crate) pause: String,
    pub(crate) coredns: String,
    pub(crate) metrics_server: String,
    pub(crate) local_volumes: String,
}

impl SystemImages {
    /// All of them.
    pub(crate) fn all(&self) -> [&str; 4] {
        [&self.pause, &self.coredns, &self.metrics_server, &self.local_volumes]
    }
}

/// The default Node image alone.
pub(crate) fn node_image() -> Result<String> {
    base::node(&Store::open()?, base::DEFAULT_NODE)
}

/// Builds the images of the cluster itself.
pub(crate) fn system() -> Result<SystemImages> {
    let store = Store::open()?;
    base::system(&store)
}

/// An image as the chart wants it.
fn values(reference: &str) -> serde_json::Value {
    // A port of a registry has a colon too, but never after the last slash.
    let (repository, tag) = reference.rsplit_once(':').unwrap_or((reference, "latest"));
    serde_json::json!({"repository": repository, "tag": tag})
}

/// Builds all images and writes `images.json`. What is unchanged is not built again.
pub(crate) fn build_all(options: &Options) -> Result<Images> {
    deps::require(deps::IMAGES)?;
    let binaries = project::binaries()?;
    let step = Step::start("build the images");
    let store = Store::open()?;
    let mut images = Images { redis: base::redis(&store)?, ..Images::default() };
    let mut majors = if options.all { base::node_majors() } else { options.node.clone() };
    // The example and the variants by user stand on it.
    majors.push(base::DEFAULT_NODE);
    for major in majors {
        images.node.insert(major.to_string(), base::node(&store, major)?);
    }
    (images.apps, images.users) = project::apps(&store)?;
    images.hello = project::hello(&store)?;
    images.redis_apps = project::redis_apps(&store)?;
    [images.operator, images.runner, images.forwarder, images.load] = project::images(&store, &binaries)?;
    store.prune()?;
    images.save()?;
    step.done();
    Ok(images)
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let images = if args.no_build { Images::read()? } else { build_all(&args.options)? };
    if !args.no_load {
        cluster::up(&args.cluster)?.load(&images)?;
    }
    println!("{}", paths::images_json().display());
    Ok(())
}
