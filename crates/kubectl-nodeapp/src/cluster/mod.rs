//! The way to a cluster: which one, as whom, in which namespace, and plain words for what it refuses.

mod told;

use std::future::Future;
use std::path::PathBuf;

use kube::api::{ApiResource, DynamicObject};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config, Resource};
use nodeapp_operator::crd::NodeApp;

pub(crate) use told::{Attempt, told};

use crate::Outcome;

/// Flags of every verb that asks a cluster, named as kubectl names them.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct Scope {
    /// Namespace; if none, that of the context.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// The NodeApps of all namespaces.
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,
    /// Context of the kubeconfig; if none, its current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Kubeconfig; if none, $KUBECONFIG, ~/.kube/config or the account of the pod that this runs in.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// User to act as.
    #[arg(long = "as", value_name = "USER")]
    acting_as: Option<String>,
    /// Group to act as; may be given again.
    #[arg(long = "as-group", value_name = "GROUP", requires = "acting_as")]
    groups: Vec<String>,
}

/// A cluster that answers to somebody.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// None: all namespaces.
    pub(crate) namespace: Option<String>,
}

impl Scope {
    /// That of a line with no flag but, perhaps, its namespace.
    pub(crate) fn in_namespace(namespace: Option<String>) -> Self {
        Self { namespace, ..Self::default() }
    }

    /// # Errors
    /// When there is no kubeconfig, or it lacks the context, the user or the cluster.
    pub(crate) async fn connect(&self) -> Result<Cluster, String> {
        let mut config = self.config().await?;
        config.auth_info.impersonate.clone_from(&self.acting_as);
        if !self.groups.is_empty() {
            config.auth_info.impersonate_groups = Some(self.groups.clone());
        }
        // kubectl waits without an end too; what follows a log or a watch must not be cut.
        config.read_timeout = None;
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client =
            Client::try_from(config).map_err(|error| format!("the kubeconfig does not fit: {error}"))?;
        Ok(Cluster { client, namespace: (!self.all_namespaces).then_some(namespace) })
    }

    /// These flags as they are to be repeated in a command that is proposed, such as ` -n web --context live`; those
    /// that say who somebody is come last.
    pub(crate) fn repeated(&self, namespace: &str) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        let mut flags = format!(" -n {namespace}");
        let file = self.kubeconfig.as_ref().map(|file| file.display().to_string());
        let given = [
            ("--context", self.context.as_ref()),
            ("--kubeconfig", file.as_ref()),
            ("--as", self.acting_as.as_ref()),
        ];
        for (flag, value) in given {
            if let Some(value) = value {
                flags = format!("{flags} {flag} {}", quoted(value));
            }
        }
        self.groups.iter().fold(flags, |flags, group| format!("{flags} --as-group {}", quoted(group)))
    }

    async fn config(&self) -> Result<Config, String> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let from = |error: &dyn std::fmt::Display| {
            format!("no cluster to ask: {error}; give --kubeconfig, --context or $KUBECONFIG")
        };
        let named = std::env::var_os("KUBECONFIG").filter(|files| !files.is_empty());
        let read = self.kubeconfig.as_ref().map_or_else(Kubeconfig::read, Kubeconfig::read_from);
        let kubeconfig = match read {
            Ok(kubeconfig) => kubeconfig,
            // One that was meant and cannot be read must not lead to another cluster.
            Err(error)
                if self.kubeconfig.is_none()
                    && named.is_none()
                    && self.context.is_none()
                    && is_missing(&error) =>
            {
                return Config::incluster()
                    .map_err(|_| from(&"there is no kubeconfig, and this is no pod with an account"));
            }
            Err(error) => {
                let file = self.kubeconfig.as_ref().map(|file| file.as_os_str().to_owned()).or(named);
                let file =
                    file.map_or_else(|| "~/.kube/config".into(), |file| file.to_string_lossy().into_owned());
                return Err(from(&format!("{file}: {error}")));
            }
        };
        Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| from(&error))
    }
}

/// Whether there is no such file, rather than one that cannot be read.
fn is_missing(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(error, _) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

impl Cluster {
    /// `NodeApps` of the namespace, or of all of them with -A, with whatever fields they have.
    pub(crate) fn nodeapps(&self) -> Api<DynamicObject> {
        let kind = ApiResource::erase::<NodeApp>(&());
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind),
            None => Api::all_with(self.client.clone(), &kind),
        }
    }

    /// `NodeApps` in the namespace of this one.
    pub(crate) fn nodeapps_beside(&self, app: &NodeApp) -> Api<DynamicObject> {
        let namespace = app.metadata.namespace.as_deref().unwrap_or("default");
        Api::namespaced_with(self.client.clone(), namespace, &ApiResource::erase::<NodeApp>(&()))
    }

    /// Objects of the namespace, or of all of them with -A.
    pub(crate) fn scoped<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// Objects beside this app.
    pub(crate) fn beside<K>(&self, app: &NodeApp) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), app.metadata.namespace.as_deref().unwrap_or("default"))
    }
}

/// Waits for a verb that asks a cluster.
pub(crate) fn wait_for(verb: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?
        .block_on(verb)
}
