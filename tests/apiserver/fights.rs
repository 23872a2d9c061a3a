//! What others put into children: into what is one value, and again and again.

use std::time::Duration;

use anyhow::ensure;
use nodeapp_testkit::{Tier, story};
use serde_json::json;

use crate::killed::at_rest;
use crate::support::{Operator, SOON, Tap, app, condition, reported, settled, told};

#[test]
fn what_someone_adds_to_a_whole_of_the_pods_goes() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let toleration = json!({"key": "gpu", "operator": "Exists", "effect": "NoExecute"});
        let pod = json!({"nodeSelector": {"disk": "fast"}, "tolerations": [toleration]});
        namespace.apply(&app("shop", &json!({ "pod": pod }))).await?;
        settled(&namespace, "shop").await?;
        let before = namespace.get("Deployment", "shop").await?["spec"]["template"]["spec"].clone();
        let mut longer = toleration;
        longer["tolerationSeconds"] = json!(5);
        let spread = {
            let mut all = before["topologySpreadConstraints"].clone();
            all[0]["labelSelector"]["matchLabels"]["track"] = json!("canary");
            all
        };
        for change in [
            json!({"nodeSelector": {"zone": "b"}}),
            json!({"tolerations": [longer]}),
            json!({"topologySpreadConstraints": spread}),
        ] {
            let whole = json!({"spec": {"template": {"spec": change}}});
            namespace.patch("Deployment", "shop", &whole).await?;
            namespace
                .eventually(&format!("the pods are as they were before {change}"), SOON, async || {
                    let now = namespace.get("Deployment", "shop").await?["spec"]["template"]["spec"].clone();
                    ensure!(now == before, "{now}");
                    Ok(())
                })
                .await?;
        }
        told(&namespace, "Reverted", "nodeapp-tests").await.map(drop)
    });
}

#[test]
fn who_puts_the_same_back_again_and_again_wins_for_a_while_and_is_named() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let _operator = Operator::start(&namespace, &tap).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        let seconds = async || {
            let deployment = namespace.get("Deployment", "shop").await?;
            Ok::<_, anyhow::Error>(deployment["spec"]["minReadySeconds"].clone())
        };
        let put = json!({"spec": {"minReadySeconds": 7}});
        for round in 1..=3 {
            namespace.patch("Deployment", "shop", &put).await?;
            let out = async || {
                ensure!(seconds().await?.is_null(), "it is there");
                Ok(())
            };
            namespace.eventually(&format!("it is taken out, {round}"), SOON, out).await?;
        }
        namespace.patch("Deployment", "shop", &put).await?;
        let named = async || {
            let app = namespace.get("NodeApp", "shop").await?;
            let degraded = condition(&app, "Degraded");
            ensure!(degraded["reason"] == "ForeignChanges", "{}", app["status"]);
            Ok(degraded["message"].to_string())
        };
        let message = namespace.eventually("the fight is told", SOON, named).await?;
        ensure!(
            message.contains("nodeapp-tests puts /spec/minReadySeconds into the Deployment shop"),
            "{message}"
        );
        at_rest(&namespace, &tap).await?;
        let writes = tap.writes();
        let still = async || {
            ensure!(seconds().await? == 7, "it was taken out again");
            ensure!(tap.writes() == writes, "{:?}", tap.bodies().last());
            Ok(())
        };
        namespace.throughout("it is left there, without a write", Duration::from_secs(3), still).await?;
        // What the spec asks for is carried out all the same.
        namespace.apply(&app("shop", &json!({"instances": 3}))).await?;
        reported(&namespace, "shop", "True").await?;
        ensure!(namespace.get("Deployment", "shop").await?["spec"]["replicas"] == 3, "not scaled");
        Ok(())
    });
}
