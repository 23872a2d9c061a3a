//! `cargo xtask cluster`: a real Kubernetes for development and tests.
//!
//! Three providers under the same commands: a local cluster of this machine's own processes, kind where Docker is,
//! and any cluster by the context of a kubeconfig, in which nothing but the images is missing.

mod addons;
mod cgroup;
mod components;
mod config;
mod containers;
mod kind;
mod layout;
mod local;
mod metrics_server;
mod namespaces;
mod pki;
mod privilege;
mod process;
mod ready;
mod status;
mod volumes;

use std::path::{Path, PathBuf};
use std::process::Command as Process;

use anyhow::{Context, Result, bail};

use crate::image::Images;
use crate::{cache, sh};
use layout::Layout;

/// Which cluster, and how it should look.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub(crate) struct Options {
    /// Name of the cluster
    #[arg(long, default_value = "dev")]
    pub(crate) name: String,
    /// Nodes of a local cluster, at most 8; 0 is a control plane only
    #[arg(long, default_value_t = 1)]
    pub(crate) nodes: u8,
    /// Use the existing cluster of this kubeconfig context instead of one of our own
    #[arg(long)]
    pub(crate) context: Option<String>,
    /// What the cluster is made of
    #[arg(long, value_enum, default_value_t, env = "NODEAPP_CLUSTER_PROVIDER")]
    pub(crate) provider: Provider,
}

/// Who runs the cluster.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Provider {
    /// A local cluster of that name if there is one, else kind if Docker answers, else a local cluster
    #[default]
    Auto,
    /// Processes of this machine in namespaces of their own; needs root on Linux
    Local,
    /// Kubernetes in Docker, as kind-config.yaml says
    Kind,
}

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Start the cluster, or repair it; does nothing when it runs
    Up(Options),
    /// Stop it and remove all of it
    Down(Options),
    /// Show its parts, their versions and logs; fails when one is dead
    Status(Options),
    /// Open $SHELL with KUBECONFIG, kubectl and helm
    Shell(Options),
    /// Load built images into a local cluster; `cargo xtask image` does it for all
    #[command(hide = true)]
    Load(Load),
    /// End components of a local cluster as a power cut would; `up` starts them again
    #[command(hide = true)]
    Crash(Crash),
}

#[derive(clap::Args)]
pub(crate) struct Load {
    #[arg(long, default_value = "dev")]
    name: String,
    references: Vec<String>,
}

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Crash {
    #[arg(long, default_value = "dev")]
    name: String,
    /// A whole node by its number, from 1 on: kubelet, containerd and every pod
    #[arg(long)]
    node: Option<u8>,
    /// Such as kube-apiserver, as `cluster status` calls them
    components: Vec<String>,
}

/// A cluster that answers.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    /// Holds one cluster, or several when `context` says which.
    pub(crate) kubeconfig: PathBuf,
    /// None: the kubeconfig's current context.
    pub(crate) context: Option<String>,
    backend: Backend,
}

#[derive(Clone, Debug)]
enum Backend {
    Local(Layout),
    Kind,
    Existing,
}

impl Cluster {
    /// Whether its parts are processes of this machine.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.backend, Backend::Local(_))
    }

    /// `kubectl` for this cluster.
    pub(crate) fn kubectl(&self) -> Result<Process> {
        self.tool("kubectl", "--context")
    }

    /// `helm` for this cluster.
    pub(crate) fn helm(&self) -> Result<Process> {
        self.tool("helm", "--kube-context")
    }

    /// Folder with `kubectl` and `helm`.
    #[expect(
        clippy::unused_self,
        reason = "which tools fit is a matter of the cluster, though all agree today"
    )]
    pub(crate) fn bin(&self) -> Result<PathBuf> {
        cache::bin_dir()
    }

    /// Makes the images known to every node; those already there under the same digest are left alone.
    pub(crate) fn load(&self, images: &Images) -> Result<()> {
        self.load_references(&images.references())
    }

    /// The same for some images.
    pub(crate) fn load_references(&self, references: &[&str]) -> Result<()> {
        match &self.backend {
            Backend::Local(layout) => local::load(layout, references),
            Backend::Kind => kind::load(&self.name, references),
            Backend::Existing => {
                sh::say(
                    "• this cluster is not ours, so its nodes must pull the images: push them to a registry it can \
                     reach, for instance with `skopeo copy oci:$HOME/.cache/nodeapp-operator/oci:NAME \
                     docker://REGISTRY/NAME`, for each NAME in target/nodeapp/images.json",
                );
                Ok(())
            }
        }
    }

    fn tool(&self, program: &str, context_flag: &str) -> Result<Process> {
        let mut command = Process::new(self.bin()?.join(program));
        if let Some(context) = &self.context {
            // Somebody else's: as that person's own kubectl would.
            command.env("KUBECONFIG", &self.kubeconfig).args([context_flag, context]);
        } else {
            talk_to(&mut command, &self.kubeconfig);
        }
        Ok(command)
    }
}

/// Points `kubectl` and `helm` to one of our own clusters: past a configured HTTP proxy, and with a cache of what
/// the API server offers that ends with the cluster, since the next one has the same address.
pub(crate) fn talk_to(command: &mut Process, kubeconfig: &Path) {
    command.env("KUBECONFIG", kubeconfig).env("KUBECACHEDIR", cache_of(kubeconfig));
    for name in ["NO_PROXY", "no_proxy"] {
        let value = match std::env::var(name) {
            Ok(value) if !value.is_empty() => format!("{value},198.18.0.0/15"),
            _ => "198.18.0.0/15,127.0.0.1,localhost".to_owned(),
        };
        command.env(name, value);
    }
}

/// Where `kubectl` and `helm` keep what they found out about a cluster.
pub(crate) fn cache_of(kubeconfig: &Path) -> PathBuf {
    kubeconfig.with_extension("cache")
}

/// Starts the cluster, or heals and returns it when it is there.
pub(crate) fn up(options: &Options) -> Result<Cluster> {
    if let Some(context) = &options.context {
        return existing(&options.name, context);
    }
    if uses_kind(options)? {
        kind::up(&options.name)?;
    } else {
        local::up(&options.name, options.nodes)?;
    }
    running(options)
}

/// Removes the cluster and everything that belongs to it. Removing what is not there succeeds.
pub(crate) fn down(options: &Options) -> Result<()> {
    if options.context.is_some() {
        bail!("`--context` names a cluster that is not ours; it stays as it is");
    }
    if uses_kind(options)? { kind::down(&options.name) } else { local::down(&options.name) }
}

/// The cluster of these options, without starting or checking it.
fn running(options: &Options) -> Result<Cluster> {
    let name = options.name.clone();
    if let Some(context) = &options.context {
        return existing(&name, context);
    }
    if uses_kind(options)? {
        let kubeconfig = kind::kubeconfig(&name)?;
        return Ok(Cluster { name, kubeconfig, context: None, backend: Backend::Kind });
    }
    let layout = local::find(&name)?.with_context(|| {
        format!("there is no cluster {name}; `cargo xtask cluster up --name {name}` starts it")
    })?;
    Ok(Cluster { name, kubeconfig: layout.kubeconfig(), context: None, backend: Backend::Local(layout) })
}

fn uses_kind(options: &Options) -> Result<bool> {
    Ok(match options.provider {
        Provider::Local => false,
        Provider::Kind => true,
        Provider::Auto => local::find(&options.name)?.is_none() && kind::usable(),
    })
}

fn existing(name: &str, context: &str) -> Result<Cluster> {
    let kubeconfig = match std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".kube/config"),
    };
    let cluster =
        Cluster { name: name.into(), kubeconfig, context: Some(context.into()), backend: Backend::Existing };
    sh::output(cluster.kubectl()?.args(["get", "--raw", "/readyz"]))
        .with_context(|| format!("the cluster of the context {context} does not answer"))?;
    sh::say(&format!("• using the cluster of the context {context} as it is"));
    Ok(cluster)
}

fn load_images(load: &Load) -> Result<()> {
    let layout = local::find(&load.name)?.with_context(|| format!("there is no cluster {}", load.name))?;
    local::load(&layout, &load.references.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Ends components of a local cluster at once, and a node with all its pods.
pub(crate) fn crash(name: &str, components: &[&str], node: Option<u8>) -> Result<()> {
    let layout = local::find(name)?.with_context(|| format!("there is no local cluster {name}"))?;
    local::crash(&layout, components, node)
}

fn show_status(options: &Options) -> Result<()> {
    let cluster = running(options)?;
    let Backend::Local(layout) = &cluster.backend else {
        println!("kubeconfig  {}", cluster.kubeconfig.display());
        return sh::run_shown(cluster.kubectl()?.args(["get", "nodes", "-o", "wide"]));
    };
    let (page, healthy) = status::page(layout);
    print!("{page}");
    if !healthy {
        bail!("the cluster {} is not whole", cluster.name);
    }
    println!();
    sh::run_shown(cluster.kubectl()?.args(["get", "nodes,pods", "--all-namespaces", "-o", "wide"]))
}

fn open_shell(options: &Options) -> Result<()> {
    let cluster = running(options)?;
    let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let mut path = vec![cluster.bin()?];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let mut command = Process::new(shell);
    talk_to(&mut command, &cluster.kubeconfig);
    command.env("PATH", std::env::join_paths(path)?);
    sh::say(&format!("• kubectl and helm talk to the cluster {}; `exit` leaves", cluster.name));
    // How the person's last command ended is no result of ours.
    command.status().context("cannot start $SHELL")?;
    Ok(())
}

pub(crate) fn main(command: &Command) -> Result<()> {
    match command {
        Command::Up(options) => {
            let cluster = up(options)?;
            println!("export KUBECONFIG={}", cluster.kubeconfig.display());
            Ok(())
        }
        Command::Down(options) => down(options),
        Command::Status(options) => show_status(options),
        Command::Shell(options) => open_shell(options),
        Command::Load(load) => load_images(load),
        Command::Crash(Crash { name, node, components }) => {
            crash(name, &components.iter().map(String::as_str).collect::<Vec<_>>(), *node)
        }
    }
}
