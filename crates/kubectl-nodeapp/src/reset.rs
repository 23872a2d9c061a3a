//! `reset`: restarts are counted anew.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use nodeapp_operator::controller::names::{RESTARTS_BEFORE_ANNOTATION, annotation};
use nodeapp_operator::crd::NodeApp;
use serde_json::{Value, json};

use crate::Outcome;
use crate::change::{MANAGER, Step};
use crate::cluster::{Attempt, Cluster, Scope, told, wait_for};
use crate::instances::{APP, is_alive};
use crate::select::Selector;

/// Count the restarts of apps anew, from 0.
///
/// Each pod keeps a note of how many it had (the annotation nodeapp.dev/restartsBeforeReset), which `ls`, `describe` and
/// status.restarts leave out from then on. Counters of metrics go on, as Prometheus wants it; the count of fast crashes
/// that makes an app errored begins anew by `restart`.
///
/// Exit code: 0 if all are counted anew; 1 if one is not, told with the reason.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Names, `all` or /regex/.
    #[arg(value_name = "NAME", required = true)]
    selectors: Vec<Selector>,
    #[command(flatten)]
    scope: Scope,
}

/// Until the status says it too.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &Args) -> Outcome {
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let apps = cluster.apps(&args.selectors).await?;
        cluster.carry_out(&apps, None, async |app| cluster.reset(app).await).await
    })
}

/// Restarts of a pod's process by the runner and of its container by the kubelet.
pub(crate) fn restarts_of(pod: &Pod, runner: &Value) -> i64 {
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let of_container: i64 =
        containers.filter(|it| it.name == APP).map(|it| i64::from(it.restart_count)).sum();
    of_container + runner["restarts"].as_i64().unwrap_or(0)
}

/// Those of them that are not counted any more.
pub(crate) fn restarts_before(pod: &Pod) -> i64 {
    let before = annotation(&pod.metadata, RESTARTS_BEFORE_ANNOTATION);
    before.and_then(|count| count.parse().ok()).filter(|count| *count > 0).unwrap_or(0)
}

impl Cluster {
    async fn reset(&self, app: &NodeApp) -> Result<Step, String> {
        let mut forgotten = 0;
        for pod in self.instances(app).await?.iter().filter(|pod| is_alive(pod)) {
            let all = restarts_of(pod, &self.runner(pod).await?);
            let new = all - restarts_before(pod);
            if new > 0 {
                self.note(pod, all).await?;
                forgotten += new;
            }
        }
        self.seen(app).await?;
        Ok(Step::Said(format!("restarts are counted anew; there were {forgotten}")))
    }

    async fn note(&self, pod: &Pod, count: i64) -> Result<(), String> {
        let namespace = pod.namespace().unwrap_or_default();
        let attempt = Attempt { verb: "patch", resource: "pods", namespace: Some(&namespace) };
        let api: kube::Api<Pod> = kube::Api::namespaced(self.client.clone(), &namespace);
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let annotations = json!({RESTARTS_BEFORE_ANNOTATION: count.to_string()});
        let patch = json!({"metadata": {"uid": pod.uid(), "annotations": annotations}});
        let patched = api.patch(&pod.name_any(), &params, &Patch::Merge(&patch)).await;
        patched.map(drop).map_err(|error| told(&attempt, &error))
    }

    /// Waits a little until the status says it too, so that `ls` does afterwards; the operator may be away.
    async fn seen(&self, app: &NodeApp) -> Result<(), String> {
        let (start, name) = (Instant::now(), [Selector::Name(app.name_any())]);
        let cluster = Self { namespace: app.metadata.namespace.clone(), ..self.clone() };
        while start.elapsed() < PATIENCE {
            let found = cluster.apps(&name).await?;
            let restarts =
                found.first().and_then(|app| app.status.as_ref()).map_or(0, |status| status.restarts);
            if restarts == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_of_process_and_container_are_added_up() {
        let containers = json!([{"name": "app", "restartCount": 2}, {"name": "redis", "restartCount": 9}]);
        let pod = json!({
            "metadata": {"annotations": {RESTARTS_BEFORE_ANNOTATION: "4"}},
            "status": {"containerStatuses": containers},
        });
        let pod: Pod = serde_json::from_value(pod).expect("a pod");
        assert_eq!((restarts_of(&pod, &json!({"restarts": 3})), restarts_before(&pod)), (5, 4));
        assert_eq!(restarts_before(&Pod::default()), 0);
    }
}
