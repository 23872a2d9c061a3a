//! `version`: of the plugin, and of what the cluster has.

use std::process::ExitCode;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};

use crate::cluster::{Attempt, Cluster, Scope, told, wait_for};
use crate::{Outcome, files};

/// Show the versions of the plugin, the operator, the API of NodeApps and Kubernetes.
///
/// Exit code: 0; 1 if no cluster answers. Without --client it asks one; what it may not see it says so.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The plugin alone; asks no cluster.
    #[arg(long)]
    client: bool,
    #[command(flatten)]
    scope: Scope,
}

pub(crate) fn run(args: &Args) -> Outcome {
    files::say(&format!("kubectl-nodeapp {}", env!("CARGO_PKG_VERSION")));
    if args.client {
        return Ok(ExitCode::SUCCESS);
    }
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let attempt = Attempt { verb: "get", resource: "the version", namespace: None };
        let server = cluster.client.apiserver_version().await.map_err(|error| told(&attempt, &error))?;
        let (operator, api) = futures::join!(cluster.operator_version(), cluster.api_version());
        files::say(&format!("nodeapp-operator {}", operator.unwrap_or_else(|error| error)));
        files::say(&format!("nodeapps.nodeapp.dev {}", api.unwrap_or_else(|error| error)));
        files::say(&format!("kubernetes {}", server.git_version));
        Ok(ExitCode::SUCCESS)
    })
}

impl Cluster {
    async fn operator_version(&self) -> Result<String, String> {
        let attempt = Attempt { verb: "list", resource: "deployments.apps", namespace: None };
        let api: Api<Deployment> = Api::all(self.client.clone());
        let params = ListParams::default().labels("app.kubernetes.io/name=nodeapp-operator");
        let found =
            api.list(&params).await.map_err(|error| format!("unknown: {}", told(&attempt, &error)))?;
        let version = |deployment: &Deployment| {
            let containers = &deployment.spec.as_ref()?.template.spec.as_ref()?.containers;
            let image = containers.first()?.image.as_deref()?;
            let ready = deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
            let (version, place) = (crate::words::version(image), deployment.namespace().unwrap_or_default());
            Some(format!("{version} in namespace {place}, {ready} ready"))
        };
        let all: Vec<String> = found.iter().filter_map(version).collect();
        if all.is_empty() { Ok("not found in this cluster".to_owned()) } else { Ok(all.join("; ")) }
    }

    async fn api_version(&self) -> Result<String, String> {
        let attempt = Attempt { verb: "get", resource: "customresourcedefinitions", namespace: None };
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let found = api.get_opt("nodeapps.nodeapp.dev").await;
        let found = found.map_err(|error| format!("unknown: {}", told(&attempt, &error)))?;
        let Some(found) = found else { return Ok("not installed; see docs/install.md".to_owned()) };
        let served = found.spec.versions.iter().filter(|version| version.served);
        Ok(served.map(|version| version.name.clone()).collect::<Vec<_>>().join(", "))
    }
}
