//! The cluster under test, as the environment names it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use anyhow::{Context, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::OnceCell;

use crate::Tools;

/// What a test needs of its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// A control plane: etcd, apiserver, controller-manager.
    Apiserver,
    /// Nodes that run pods, and the images of this repository.
    Node,
}

impl Tier {
    /// The variable that names the cluster's kubeconfig.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Apiserver => "NODEAPP_APISERVER_KUBECONFIG",
            Self::Node => "NODEAPP_E2E_KUBECONFIG",
        }
    }
}

/// A cluster that tests may use.
#[derive(Clone)]
pub struct Cluster {
    /// Client as the administrator of the kubeconfig.
    pub client: Client,
    /// kubectl and helm for this cluster.
    pub tools: Tools,
    images: Arc<serde_json::Value>,
}

/// Connections of a client live in the runtime that made them, so that all
/// tests of a process share one runtime as they share the client.
pub(crate) static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    built.unwrap_or_else(|error| panic!("no tokio runtime: {error}"))
});

impl Cluster {
    /// The cluster of this tier, or `None` when the environment names none:
    /// then the test is skipped and says why. Where `CI` is set it fails.
    pub async fn find(tier: Tier) -> Option<Self> {
        static APISERVER: OnceCell<Cluster> = OnceCell::const_new();
        static NODE: OnceCell<Cluster> = OnceCell::const_new();
        let cell = match tier {
            Tier::Apiserver => &APISERVER,
            Tier::Node => &NODE,
        };
        let Some(kubeconfig) = std::env::var_os(tier.variable()).filter(|value| !value.is_empty()) else {
            let reason =
                format!("{} is not set; `cargo xtask test` starts a cluster and sets it", tier.variable());
            assert!(std::env::var_os("CI").is_none(), "{reason}");
            skip(&reason);
            return None;
        };
        let connected = cell.get_or_try_init(|| Self::connect(tier, PathBuf::from(kubeconfig))).await;
        Some(connected.unwrap_or_else(|error| panic!("{}: {error:#}", tier.variable())).clone())
    }

    /// Reference of an image that `cargo xtask image` has built, by its key in
    /// `images.json`; a dot goes one level down, as in `users.root`.
    ///
    /// # Errors
    /// Names the key that is missing.
    pub fn image(&self, key: &str) -> Result<String> {
        let pointer = format!("/{}", key.replace('.', "/"));
        let found = self.images.pointer(&pointer).and_then(serde_json::Value::as_str);
        let reference = found.filter(|reference| !reference.is_empty());
        reference.map(str::to_owned).with_context(|| {
            format!(
                "no image `{key}`; NODEAPP_IMAGES must name the images.json that `cargo xtask image` writes"
            )
        })
    }

    /// All images below a key of `images.json`, such as `node`.
    ///
    /// # Errors
    /// There is none.
    pub fn images_below(&self, key: &str) -> Result<BTreeMap<String, String>> {
        let found = self.images.get(key).and_then(serde_json::Value::as_object);
        let found = found.filter(|images| !images.is_empty());
        let images = found.with_context(|| format!("no images `{key}`; see NODEAPP_IMAGES"))?;
        Ok(images
            .iter()
            .filter_map(|(name, image)| Some((name.clone(), image.as_str()?.to_owned())))
            .collect())
    }

    /// Path of the Helm values that install the operator's own images.
    ///
    /// # Errors
    /// The environment names no images.
    pub fn helm_values(&self) -> Result<String> {
        let images = std::env::var("NODEAPP_IMAGES").context("NODEAPP_IMAGES is not set")?;
        Ok(Path::new(&images).with_file_name("values.json").to_string_lossy().into_owned())
    }

    async fn connect(tier: Tier, kubeconfig: PathBuf) -> Result<Self> {
        let read = Kubeconfig::read_from(&kubeconfig)
            .with_context(|| format!("cannot read {}", kubeconfig.display()))?;
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config)?;
        client.apiserver_version().await.context("the apiserver does not answer")?;
        // A control plane runs no pods, so that its tests go without any image built.
        let images = match std::env::var_os("NODEAPP_IMAGES") {
            Some(path) if tier == Tier::Node => read_images(Path::new(&path))?,
            _ => serde_json::Value::Null,
        };
        let bin = std::env::var_os("NODEAPP_BIN").map(PathBuf::from);
        Ok(Self { client, tools: Tools::new(kubeconfig, bin), images: Arc::new(images) })
    }
}

fn read_images(path: &Path) -> Result<serde_json::Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    match serde_json::from_str(&text)? {
        value @ serde_json::Value::Object(_) => Ok(value),
        other => bail!("{}: want an object, found {other}", path.display()),
    }
}

/// Says on the real standard error, which the test harness does not capture,
/// that a test proves nothing in this run.
pub(crate) fn skip(reason: &str) {
    use std::io::Write;
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    let _ = writeln!(std::io::stderr(), "skipped {name}: {reason}");
}
