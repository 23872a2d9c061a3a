//! What an app refers to changes.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use nodeapp_operator::permissions::{self, SECRETS};
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::support::{Operator, SOON, Tap, app, settled, versions};

fn config(kind: &str, value: &str) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "settings"}});
    let field = if kind == "Secret" { "stringData" } else { "data" };
    object[field] = json!({"LEVEL": value});
    object
}

fn refers_to(reference: &str) -> Value {
    app("shop", &json!({"envFrom": [{ reference: {"name": "settings"} }]}))
}

/// The mark of the last change in the pod template, and the generation, which every
/// other change of the Deployment counts up.
async fn mark(namespace: &Namespace) -> Result<(Value, Value)> {
    let deployment = namespace.get("Deployment", "shop").await?;
    let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
    Ok((annotations["nodeapp.dev/config-hash"].clone(), deployment["metadata"]["generation"].clone()))
}

/// Waits for another mark than this.
async fn another(namespace: &Namespace, before: &Value) -> Result<Value> {
    namespace
        .eventually("another mark in the template", SOON, async || {
            let (now, _) = mark(namespace).await?;
            ensure!(now != *before && !now.is_null(), "{now}");
            Ok(now)
        })
        .await
}

/// Waits until the rollout stands still, as it does without nodes: one new pod beside
/// two that are not ready either, and the status knows.
async fn stands(namespace: &Namespace) -> Result<BTreeMap<String, String>> {
    namespace
        .eventually("the rollout stands still and is told", SOON, async || {
            let deployment = namespace.get("Deployment", "shop").await?;
            let (meta, status) = (&deployment["metadata"], &deployment["status"]);
            ensure!(status["observedGeneration"] == meta["generation"], "{status}");
            ensure!(status["replicas"] == 3 && status["updatedReplicas"] == 1, "{status}");
            let told = namespace.get("NodeApp", "shop").await?["status"].clone();
            ensure!(told["replicas"] == 3 && told["updatedReplicas"] == 1, "{told}");
            Ok(())
        })
        .await?;
    versions(namespace, "shop").await
}

#[test]
fn a_changed_config_map_is_one_rollout_and_an_operator_restart_is_none() {
    story(Tier::Apiserver, |namespace| async move {
        let operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&config("ConfigMap", "info")).await?;
        namespace.apply(&refers_to("configMapRef")).await?;
        settled(&namespace, "shop").await?;
        let (none, born) = mark(&namespace).await?;
        ensure!(none.is_null() && born == 1, "{none} {born}");

        namespace.apply(&config("ConfigMap", "debug")).await?;
        let first = another(&namespace, &none).await?;
        let rests = stands(&namespace).await?;
        operator.kill().await;
        let tap = Tap::default();
        let operator = Operator::start_with(&namespace, &tap, "registry.example/nodeapp-runner:2").await?;
        namespace
            .throughout("a new operator changes nothing", Duration::from_secs(4), async || {
                ensure!(versions(&namespace, "shop").await? == rests, "{:?}", tap.calls());
                Ok(())
            })
            .await?;
        // What happens while it is away is seen when it returns.
        operator.kill().await;
        namespace.apply(&config("ConfigMap", "trace")).await?;
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let second = another(&namespace, &first).await?;
        stands(&namespace).await?;
        namespace.delete_object("ConfigMap", "settings").await?;
        namespace
            .throughout("a deleted one restarts nothing", Duration::from_secs(4), async || {
                let (now, generation) = mark(&namespace).await?;
                ensure!(now == second && generation == 3, "{now} {generation}");
                Ok(())
            })
            .await
    });
}

#[test]
fn a_changed_secret_counts_only_where_the_operator_may_look_and_it_reads_no_value() {
    story(Tier::Apiserver, |namespace| async move {
        namespace.apply(&config("Secret", "one")).await?;
        let tap = Tap::default();
        let operator = Operator::start(&namespace, &tap).await?;
        namespace.apply(&refers_to("secretRef")).await?;
        settled(&namespace, "shop").await?;
        namespace.apply(&config("Secret", "two")).await?;
        namespace
            .throughout("nothing without the right", Duration::from_secs(3), async || {
                ensure!(mark(&namespace).await?.0.is_null(), "a restart");
                ensure!(tap.calls().iter().all(|call| call.resource != "secrets"), "{:?}", tap.calls());
                Ok(())
            })
            .await?;
        operator.kill().await;

        let tap = Tap::default();
        let _operator = Operator::start_with_secrets(&namespace, &tap).await?;
        namespace
            .eventually("the Secret is known", SOON, async || {
                let annotations =
                    namespace.get("Deployment", "shop").await?["metadata"]["annotations"].clone();
                ensure!(annotations["nodeapp.dev/config"].is_string(), "{annotations}");
                Ok(())
            })
            .await?;
        ensure!(mark(&namespace).await?.0.is_null(), "the first look is no change");
        namespace.apply(&config("Secret", "three")).await?;
        another(&namespace, &Value::Null).await?;
        let calls = tap.calls().into_iter().filter(|call| call.resource == "secrets");
        let allowed = |verb: &str| SECRETS[0].verbs.contains(&verb);
        for call in calls {
            ensure!(allowed(&call.verb), "{call:?}");
        }
        let may_read = |verbs: &[&str]| verbs.iter().any(|verb| *verb != "create");
        let secrets = |row: &&permissions::Permission| row.resource == "secrets";
        ensure!(
            !permissions::TABLE.iter().filter(secrets).any(|row| may_read(row.verbs)),
            "everyone may read"
        );
        Ok(())
    });
}
