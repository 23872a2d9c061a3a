//! Numbered instances, as PM2's `NODE_APP_INSTANCE`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use nodeapp_testkit::{Namespace, OPERATOR_NAMESPACE, OPERATOR_RELEASE};
use serde_json::{Value, json};

use crate::app::{App, PORT, SOON};
use crate::{e2e, e2e_alone};

fn label<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.metadata.labels.as_ref()?.get(name).map(String::as_str)
}

/// Fails where two pods of a revision have the same number.
async fn no_number_is_there_twice(namespace: &Namespace) -> Result<()> {
    let mut holders: BTreeMap<(String, String), String> = BTreeMap::new();
    for pod in namespace.pods("shop").await? {
        // Its process has ended, though the pod is still there.
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        if matches!(phase, Some("Succeeded" | "Failed")) {
            continue;
        }
        let Some(number) = label(&pod, "nodeapp.dev/instance") else { continue };
        let hash = label(&pod, "pod-template-hash").unwrap_or_default();
        let name = pod.metadata.name.clone().unwrap_or_default();
        if let Some(other) = holders.insert((hash.to_owned(), number.to_owned()), name.clone()) {
            // Not to be waited for.
            panic!("{other} and {name} both have {number}");
        }
    }
    Ok(())
}

/// What the ready pods themselves say, by number.
async fn served(namespace: &Namespace, wanted: &[&str], version: &str) -> Result<BTreeMap<String, String>> {
    namespace
        .eventually(&format!("{version} with the numbers {wanted:?}"), SOON, async || {
            no_number_is_there_twice(namespace).await?;
            let mut numbers = BTreeMap::new();
            for name in namespace.ready_pods("shop").await? {
                let answer: Value = serde_json::from_str(&namespace.pod_get(&name, PORT, "/").await?)?;
                ensure!(answer["version"] == version, "{answer}");
                let number = answer["instance"].as_str().context("no number")?.to_owned();
                ensure!(numbers.insert(number, name).is_none(), "twice: {answer}");
            }
            let found: Vec<&str> = numbers.keys().map(String::as_str).collect();
            ensure!(found == wanted, "{numbers:?}");
            ensure!(namespace.pods("shop").await?.len() == wanted.len(), "others are on their way");
            Ok(numbers)
        })
        .await
}

#[test]
fn instances_have_numbers_of_their_own_over_a_rolling_update_a_scale_down_and_a_deleted_pod() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?
            .with(&json!({"instances": 4, "instanceIndex": true, "rollout": {"maxSurge": 2}}));
        shop.apply(&namespace).await?;
        served(&namespace, &["0", "1", "2", "3"], "v1").await?;
        let shop = shop.env(&[("VERSION", "v2")]);
        shop.apply(&namespace).await?;
        let four = served(&namespace, &["0", "1", "2", "3"], "v2").await?;
        let shop = shop.with(&json!({"instances": 2}));
        shop.apply(&namespace).await?;
        let two = served(&namespace, &["0", "1"], "v2").await?;
        ensure!(four.iter().take(2).eq(two.iter()), "{four:?} became {two:?}");
        namespace.delete_object("Pod", &two["0"]).await?;
        let after = served(&namespace, &["0", "1"], "v2").await?;
        ensure!(after["0"] != two["0"] && after["1"] == two["1"], "{two:?} became {after:?}");
        Ok(())
    });
}

#[test]
fn a_numbered_pod_waits_for_the_operator_and_starts_when_it_returns() {
    e2e_alone(|namespace| async move {
        let shop =
            App::serving(&namespace, "shop", "web.js")?.with(&json!({"instances": 2, "instanceIndex": true}));
        shop.apply(&namespace).await?;
        let before = served(&namespace, &["0", "1"], "v1").await?;
        scale_operator(&namespace, 0).await?;
        let without = async {
            namespace.delete_object("Pod", &before["0"]).await?;
            namespace.eventually("its successor waits", SOON, async || waits(&namespace).await).await?;
            // The other one runs on.
            namespace.pod_get(&before["1"], PORT, "/").await.map(drop)
        };
        let verdict = without.await;
        // From here on nothing may be left half done for the other tests.
        scale_operator(&namespace, 1).await?;
        verdict?;
        let after = served(&namespace, &["0", "1"], "v1").await?;
        ensure!(after["1"] == before["1"], "{before:?} became {after:?}");
        Ok(())
    });
}

/// Whether one pod is left, and one waits for its number.
async fn waits(namespace: &Namespace) -> Result<()> {
    let pods = namespace.pods("shop").await?;
    let states: Vec<_> = pods
        .iter()
        .map(|pod| {
            let gates = pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_ref()).map_or(0, Vec::len);
            (label(pod, "nodeapp.dev/instance"), gates)
        })
        .collect();
    ensure!(states.len() == 2 && states.contains(&(Some("1"), 0)), "{states:?}");
    ensure!(states.contains(&(None, 1)), "{states:?}");
    Ok(())
}

/// Takes the operator away, or brings it back, and waits until that is so.
async fn scale_operator(namespace: &Namespace, replicas: u32) -> Result<()> {
    let tools = &namespace.cluster().tools;
    let deployment = format!("deployment/{OPERATOR_RELEASE}");
    let count = format!("--replicas={replicas}");
    tools.kubectl(&["scale", "-n", OPERATOR_NAMESPACE, &deployment, &count]).await?;
    if replicas > 0 {
        let status = ["rollout", "status", "-n", OPERATOR_NAMESPACE, &deployment, "--timeout=2m"];
        return tools.kubectl(&status).await.map(drop);
    }
    let selector = format!("app.kubernetes.io/instance={OPERATOR_RELEASE}");
    let wait = ["wait", "-n", OPERATOR_NAMESPACE, "--for=delete", "pod", "-l", &selector, "--timeout=2m"];
    tools.kubectl(&wait).await.map(drop)
}
