//! The numbers of instances, given to pods that the real controllers make.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::support::{Operator, SOON, Tap, app};

const GATE: &str = "nodeapp.dev/instance-index";

/// Number, or `-` while it waits for one, by name of the pod.
async fn numbers(namespace: &Namespace) -> Result<BTreeMap<String, String>> {
    let pods = namespace.list("Pod").await?;
    let number = |pod: &Value| {
        let meta = &pod["metadata"];
        let gated = pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty());
        let number = meta["labels"]["nodeapp.dev/instance"].as_str().unwrap_or("-");
        assert_eq!(gated, number == "-", "{meta}");
        (meta["name"].as_str().unwrap_or_default().to_owned(), number.to_owned())
    };
    Ok(pods.iter().map(number).collect())
}

/// Waits until the pods have these numbers.
async fn numbered(namespace: &Namespace, wanted: &[&str]) -> Result<BTreeMap<String, String>> {
    namespace
        .eventually(&format!("pods with the numbers {wanted:?}"), SOON, async || {
            let numbers = numbers(namespace).await?;
            let mut sorted: Vec<&str> = numbers.values().map(String::as_str).collect();
            sorted.sort_unstable();
            ensure!(sorted == wanted, "{numbers:?}");
            Ok(numbers)
        })
        .await
}

fn holder(numbers: &BTreeMap<String, String>, number: &str) -> String {
    let holder = numbers.iter().find(|(_, held)| *held == number);
    holder.map(|(name, _)| name.clone()).unwrap_or_default()
}

fn indexed(instances: u32) -> Value {
    app("shop", &json!({"instances": instances, "instanceIndex": true}))
}

#[test]
fn pods_are_numbered_from_0_and_scaling_down_removes_the_highest() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&indexed(4)).await?;
        let four = numbered(&namespace, &["0", "1", "2", "3"]).await?;
        for pod in namespace.list("Pod").await? {
            let number = pod["metadata"]["labels"]["nodeapp.dev/instance"].as_str().unwrap_or_default();
            let cost = &pod["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"];
            assert_eq!(*cost, json!(if number == "0" { "0".to_owned() } else { format!("-{number}") }));
        }
        namespace.apply(&indexed(2)).await?;
        let two = numbered(&namespace, &["0", "1"]).await?;
        assert_eq!(holder(&two, "0"), holder(&four, "0"));
        namespace.apply(&indexed(3)).await?;
        numbered(&namespace, &["0", "1", "2"]).await.map(drop)
    });
}

#[test]
fn a_scale_down_that_takes_0_since_it_is_not_ready_is_put_right() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&indexed(3)).await?;
        let three = numbered(&namespace, &["0", "1", "2"]).await?;
        // What a kubelet says of the others.
        for number in ["1", "2"] {
            let status = json!({"status": {
                "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
            }});
            let pods = namespace.api::<Pod>();
            pods.patch_status(&holder(&three, number), &PatchParams::default(), &Patch::Merge(status))
                .await?;
        }
        namespace
            .eventually("two are known to be ready", SOON, async || {
                let deployment = namespace.get("Deployment", "shop").await?;
                ensure!(deployment["status"]["readyReplicas"] == 2, "{}", deployment["status"]);
                Ok(())
            })
            .await?;
        namespace.apply(&indexed(2)).await?;
        namespace
            .eventually("0 and 1 are there, and 2 went in place of 0", SOON, async || {
                let numbers = numbers(&namespace).await?;
                let mut sorted: Vec<&str> = numbers.values().map(String::as_str).collect();
                sorted.sort_unstable();
                ensure!(sorted == ["0", "1"], "{numbers:?}");
                ensure!(holder(&numbers, "1") == holder(&three, "1"), "{numbers:?}");
                ensure!(holder(&numbers, "0") != holder(&three, "0"), "it was never removed: {numbers:?}");
                Ok(())
            })
            .await
    });
}

#[test]
fn old_and_new_pods_share_numbers_during_a_rollout() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&indexed(2)).await?;
        numbered(&namespace, &["0", "1"]).await?;
        // No pod ever gets ready here, so the old ones stay beside the first new one.
        namespace
            .apply(&app("shop", &json!({"instances": 2, "instanceIndex": true, "args": ["new"]})))
            .await?;
        numbered(&namespace, &["0", "0", "1"]).await.map(drop)
    });
}

#[test]
fn the_successor_of_a_pod_waits_until_that_is_gone() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&indexed(2)).await?;
        let before = numbered(&namespace, &["0", "1"]).await?;
        let first = holder(&before, "0");
        let hold = |finalizers: Value| json!({"metadata": {"finalizers": finalizers}});
        namespace.patch("Pod", &first, &hold(json!(["tests.nodeapp.dev/hold"]))).await?;
        namespace.delete_object("Pod", &first).await?;
        numbered(&namespace, &["-", "0", "1"]).await?;
        let waits = async || {
            let numbers = numbers(&namespace).await?;
            ensure!(numbers.values().filter(|number| *number == "-").count() == 1, "{numbers:?}");
            Ok(())
        };
        namespace.throughout("it waits", Duration::from_secs(3), waits).await?;
        namespace.patch("Pod", &first, &hold(json!(null))).await?;
        let after = numbered(&namespace, &["0", "1"]).await?;
        assert_ne!(holder(&after, "0"), first);
        assert_eq!(holder(&after, "1"), holder(&before, "1"));
        Ok(())
    });
}

#[test]
fn pods_wait_while_the_operator_is_away_and_keep_the_numbers_that_they_have() {
    story(Tier::Apiserver, |namespace| async move {
        let operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&indexed(3)).await?;
        let before = numbered(&namespace, &["0", "1", "2"]).await?;
        operator.kill().await;
        namespace.delete_object("Pod", &holder(&before, "1")).await?;
        let waiting = numbered(&namespace, &["-", "0", "2"]).await?;
        let pod = namespace.get("Pod", &holder(&waiting, "-")).await?;
        assert_eq!(pod["spec"]["schedulingGates"], json!([{"name": GATE}]));
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let after = numbered(&namespace, &["0", "1", "2"]).await?;
        for number in ["0", "2"] {
            assert_eq!(holder(&after, number), holder(&before, number), "{number}");
        }
        Ok(())
    });
}

#[test]
fn pods_of_an_earlier_template_are_numbered_whatever_the_spec_says_by_now() {
    story(Tier::Apiserver, |namespace| async move {
        let operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&indexed(2)).await?;
        let before = numbered(&namespace, &["0", "1"]).await?;
        operator.kill().await;
        namespace.delete_object("Pod", &holder(&before, "0")).await?;
        // A spec that cannot be carried out.
        let broken = json!({"env": [{"name": "PORT", "value": "1"}]});
        namespace.patch("NodeApp", "shop", &json!({"spec": broken})).await?;
        numbered(&namespace, &["-", "1"]).await?;
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        numbered(&namespace, &["0", "1"]).await.map(drop)
    });
}
