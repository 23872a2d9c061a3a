//! The operator comes, dies and goes; the apps run on.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nodeapp_testkit::{Cluster, OPERATOR_NAMESPACE, OPERATOR_RELEASE};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::app::{App, PORT, pod_uids, settled};
use crate::{e2e, e2e_alone};

/// Installs the operator by Helm, once per run.
pub(crate) async fn installed(cluster: &Cluster) -> Result<()> {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    INSTALLED.get_or_try_init(|| install(cluster)).await.copied()
}

async fn install(cluster: &Cluster) -> Result<()> {
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": OPERATOR_NAMESPACE,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        },
    });
    let file = std::env::temp_dir().join(format!("nodeapp-system-{}.json", std::process::id()));
    std::fs::write(&file, namespace.to_string())?;
    let file_name = file.to_string_lossy().into_owned();
    cluster.tools.kubectl(&["apply", "-f", &file_name]).await?;
    std::fs::remove_file(&file)?;
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/nodeapp-operator");
    let (chart, values) = (chart.to_string_lossy().into_owned(), cluster.helm_values()?);
    let mut args = vec!["upgrade", "--install", OPERATOR_RELEASE, &chart, "--namespace", OPERATOR_NAMESPACE];
    args.extend(["--values", &values, "--set", "logLevel=info\\,nodeapp_operator=debug"]);
    args.extend(["--wait", "--timeout", "2m"]);
    cluster.tools.helm(&args).await.map(drop)
}

/// Ends the operator's pod without a grace, as kill -9 would.
async fn kill(cluster: &Cluster) -> Result<()> {
    let args = ["delete", "pod", "-n", OPERATOR_NAMESPACE, "--all", "--force", "--grace-period=0"];
    cluster.tools.kubectl(&args).await.map(drop)
}

#[test]
fn a_killed_operator_finishes_the_rollout_when_it_returns() {
    e2e_alone(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&json!({"instances": 2}));
        // Killed at the very beginning, when hardly a child exists yet.
        shop.apply(&namespace).await?;
        kill(namespace.cluster()).await?;
        shop.ready(&namespace, 2).await?;
        for version in ["v2", "v3"] {
            shop.clone().env(&[("VERSION", version)]).apply(&namespace).await?;
            kill(namespace.cluster()).await?;
            let pods = shop.ready(&namespace, 2).await?;
            for pod in pods {
                let answer = namespace.pod_get(&pod, PORT, "/").await?;
                ensure!(answer.contains(version), "after the kill of {version}: {answer}");
            }
        }
        Ok(())
    });
}

#[test]
fn helm_uninstall_leaves_apps_running_and_a_new_install_restarts_none() {
    e2e_alone(|namespace| async move {
        let cluster = namespace.cluster();
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&json!({"instances": 2}));
        shop.apply(&namespace).await?;
        let names = shop.ready(&namespace, 2).await?;
        let before = pod_uids(&namespace, "shop").await?;
        cluster.tools.helm(&["uninstall", OPERATOR_RELEASE, "-n", OPERATOR_NAMESPACE, "--wait"]).await?;
        // From here on nothing may be left half done for the other tests.
        let without = async {
            namespace.get("NodeApp", "shop").await.context("the NodeApp must stay")?;
            let steady = async || {
                ensure!(pod_uids(&namespace, "shop").await? == before, "other pods than before");
                for name in &names {
                    namespace.pod_get(name, PORT, "/").await?;
                }
                Ok(())
            };
            namespace.throughout("the pods answer without operator", Duration::from_secs(5), steady).await
        };
        let verdict = without.await;
        install(cluster).await?;
        verdict?;
        // A change that needs no new pods shows that the new operator is at work.
        shop.clone().with(&json!({"instances": 3})).apply(&namespace).await?;
        shop.ready(&namespace, 3).await?;
        let after = pod_uids(&namespace, "shop").await?;
        ensure!(before.iter().all(|uid| after.contains(uid)), "{before:?} became {after:?}");
        let restarts = namespace.container_restarts("shop").await?;
        ensure!(restarts.values().all(|count| *count == 0), "{restarts:?}");
        Ok(())
    });
}

#[test]
fn the_operator_tells_its_health_and_counts_its_work() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?;
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 1).await?;
        settled(&namespace, "shop", 1).await?;
        let tools = &namespace.cluster().tools;
        let base = format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/services/{OPERATOR_RELEASE}:8080/proxy");
        for path in ["/livez", "/readyz"] {
            tools.kubectl(&["get", "--raw", &format!("{base}{path}")]).await?;
        }
        let metrics = tools.kubectl(&["get", "--raw", &format!("{base}/metrics")]).await?;
        let reconciles: f64 = metrics
            .lines()
            .filter(|line| line.starts_with("controller_runtime_reconcile_total{"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        ensure!(reconciles >= 1.0, "no reconcile is counted:\n{metrics}");
        Ok(())
    });
}
