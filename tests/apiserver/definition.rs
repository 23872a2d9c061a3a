//! The `CustomResourceDefinition` as the API server sees it.

use std::time::Duration;

use anyhow::{Result, ensure};
use http::Request;
use nodeapp_operator::generated;
use nodeapp_operator::health::Health;
use nodeapp_operator::startup::{self, Needs};
use nodeapp_testkit::{Tier, story, story_alone};
use serde_json::{Value, json};

use crate::support::{Operator, SOON, Tap, admin, app, apply, install, operator_client, reported};

#[test]
fn the_definition_is_taken_without_a_warning() {
    story(Tier::Apiserver, |_| async {
        install().await?;
        let tap = Tap::default();
        let client = admin(&tap).await?;
        let definition: Value = serde_saphyr::from_str(&generated::crd_yaml())?;
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/nodeapps.nodeapp.dev";
        let applied = apply(&client, path, &definition).await?;
        assert_eq!(tap.warnings(), Vec::<String>::new());
        let conditions = applied["status"]["conditions"].as_array().cloned().unwrap_or_default();
        for type_ in ["NonStructuralSchema", "KubernetesAPIApprovalPolicyConformant"] {
            assert!(conditions.iter().all(|condition| condition["type"] != type_), "{conditions:?}");
        }
        Ok(())
    });
}

#[test]
fn kubectl_scale_reaches_the_deployment_and_a_selector_is_there_for_autoscalers() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        reported(&namespace, "shop", "True").await?;
        let client = admin(&Tap::default()).await?;
        let path = format!("/apis/nodeapp.dev/v1alpha1/namespaces/{}/nodeapps/shop/scale", namespace.name());
        let scale: Value = client.request(Request::get(&path).body(Vec::new())?).await?;
        assert_eq!(scale["spec"]["replicas"], 2);
        assert_eq!(scale["status"]["selector"], "nodeapp.dev/app=shop");
        let request = Request::patch(&path)
            .header("content-type", "application/merge-patch+json")
            .body(br#"{"spec":{"replicas":5}}"#.to_vec())?;
        client.request::<Value>(request).await?;
        let before = namespace.get("Deployment", "shop").await?["spec"]["template"].clone();
        namespace
            .eventually("the Deployment has 5 replicas", SOON, async || {
                let deployment = namespace.get("Deployment", "shop").await?;
                anyhow::ensure!(deployment["spec"]["replicas"] == 5, "{}", deployment["spec"]);
                assert_eq!(deployment["spec"]["template"], before, "scaling must not roll");
                Ok(())
            })
            .await
    });
}

#[test]
fn an_operator_that_is_newer_than_its_definition_waits_and_names_what_is_missing() {
    story_alone(Tier::Apiserver, |_| async {
        install().await?;
        let client = admin(&Tap::default()).await?;
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/nodeapps.nodeapp.dev";
        let definition: Value = serde_saphyr::from_str(&generated::crd_yaml())?;
        let mut older = definition.clone();
        let schema = &mut older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        schema["spec"]["properties"]["rollout"]["properties"]
            .as_object_mut()
            .expect("fields")
            .remove("paused");
        apply(&client, path, &older).await?;
        let health = Health::new(&[]);
        let operator = operator_client(&Tap::default()).await?;
        let told = async || {
            let missing = health.missing();
            let words =
                "spec.rollout.paused in the CustomResourceDefinition nodeapps.nodeapp.dev, which is older";
            ensure!(missing.iter().any(|missing| missing.starts_with(words)), "{missing:?}");
            Ok(())
        };
        // It is shown a moment after it was taken.
        let looks = async {
            loop {
                let looked = startup::wait_until_ready(&operator, Needs::default(), &health);
                if tokio::time::timeout(Duration::from_secs(1), looked).await.is_err() {
                    break told().await;
                }
            }
        };
        let seen = tokio::time::timeout(SOON, looks).await;
        apply(&client, path, &definition).await?;
        seen??;
        let looked = startup::wait_until_ready(&operator, Needs::default(), &health);
        tokio::time::timeout(SOON, looked).await?;
        ensure!(health.missing().is_empty(), "{:?}", health.missing());
        Ok(())
    });
}

#[test]
fn a_short_name_and_the_category_all_lead_to_node_apps() -> Result<()> {
    let definition: Value = serde_saphyr::from_str(&generated::crd_yaml())?;
    let names = &definition["spec"]["names"];
    assert_eq!(names["shortNames"], json!(["na"]));
    assert_eq!(names["categories"], json!(["all"]));
    Ok(())
}
