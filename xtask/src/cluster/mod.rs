//! `cargo xtask cluster`: a real Kubernetes for development and tests.

use std::path::{Path, PathBuf};
use std::process::Command as Process;

use anyhow::{Result, bail};

use crate::cache;
use crate::image::Images;

/// Which cluster, and how it should look.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// Name of the local cluster
    #[arg(long, default_value = "dev")]
    pub(crate) name: String,
    /// Nodes of the local cluster; 0 is a control plane only
    #[arg(long, default_value_t = 1)]
    pub(crate) nodes: u8,
    /// Use the existing cluster of this kubeconfig context instead of a local one
    #[arg(long)]
    pub(crate) context: Option<String>,
}

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Start the cluster; does nothing when it runs
    Up(Options),
    /// Stop it and remove all of it
    Down(Options),
    /// Show its parts
    Status(Options),
    /// Open a shell that talks to it
    Shell(Options),
}

/// A cluster that answers.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) kubeconfig: PathBuf,
    /// None: the kubeconfig's current context.
    pub(crate) context: Option<String>,
}

impl Cluster {
    /// `kubectl` for this cluster.
    pub(crate) fn kubectl(&self) -> Result<Process> {
        self.tool("kubectl", "--context")
    }

    /// `helm` for this cluster.
    pub(crate) fn helm(&self) -> Result<Process> {
        self.tool("helm", "--kube-context")
    }

    /// Folder with `kubectl` and `helm`.
    pub(crate) fn bin(&self) -> Result<PathBuf> {
        cache::bin_dir()
    }

    /// Makes the images known to every node; those already there are left alone.
    pub(crate) fn load(&self, _images: &Images) -> Result<()> {
        bail!("not here yet")
    }

    fn tool(&self, program: &str, context_flag: &str) -> Result<Process> {
        let mut command = Process::new(self.bin()?.join(program));
        command.env("KUBECONFIG", &self.kubeconfig);
        if let Some(context) = &self.context {
            command.args([context_flag, context]);
        }
        Ok(command)
    }
}

/// Starts the cluster, or heals and returns it when it is there.
pub(crate) fn up(_options: &Options) -> Result<Cluster> {
    bail!("not here yet")
}

/// Removes the cluster and everything that belongs to it. Removing what is not there succeeds.
pub(crate) fn down(_options: &Options) -> Result<()> {
    bail!("not here yet")
}

pub(crate) fn main(command: &Command) -> Result<()> {
    match command {
        Command::Up(options) => {
            up(options).map(|cluster| println!("{}", Path::new(&cluster.kubeconfig).display()))
        }
        Command::Down(options) => down(options),
        Command::Status(_) | Command::Shell(_) => bail!("not here yet"),
    }
}
