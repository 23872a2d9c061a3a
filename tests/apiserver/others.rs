//! Objects of others that have the names of children.

use anyhow::ensure;
use nodeapp_testkit::{Tier, story};
use serde_json::{Value, json};

use crate::support::{Operator, SOON, Tap, app, condition, reported, settled};

fn foreign(kind: &str) -> Value {
    let selector = json!({"matchLabels": {"app": "legacy"}});
    let container = json!({
        "name": "legacy",
        "image": "registry.example/legacy:1",
    });
    let (version, spec) = match kind {
        "Deployment" => (
            "apps/v1",
            json!({
                "selector": selector,
                "replicas": 1,
                "template": {"metadata": {"labels": {"app": "legacy"}}, "spec": {"containers": [container]}},
            }),
        ),
        "PodDisruptionBudget" => ("policy/v1", json!({"selector": selector, "maxUnavailable": 1})),
        _ => ("v1", json!({"selector": {"app": "legacy"}, "ports": [{"port": 80, "protocol": "TCP"}]})),
    };
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": "shop"}, "spec": spec})
}

#[test]
fn an_object_of_someone_else_is_never_taken_over() {
    story(Tier::Apiserver, |namespace| async move {
        for kind in ["Deployment", "Service", "PodDisruptionBudget"] {
            namespace.apply(&foreign(kind)).await?;
        }
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        let app = reported(&namespace, "shop", "False").await?;
        assert_eq!(condition(&app, "Valid")["reason"], "NameTaken");
        assert_eq!(condition(&app, "Degraded")["status"], "True");
        let message = condition(&app, "Valid")["message"].as_str().unwrap_or_default();
        for kind in ["Deployment", "Service", "PodDisruptionBudget"] {
            let words = format!("{kind} shop exists and was not made by the operator; delete or rename it");
            assert!(message.contains(&words), "`{words}` is not in: {message}");
            let object = namespace.get(kind, "shop").await?;
            assert!(object["metadata"]["ownerReferences"].is_null(), "{object}");
            let managers = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
            assert!(managers.iter().all(|entry| entry["manager"] != "nodeapp-operator"), "{managers:?}");
        }
        Ok(())
    });
}

#[test]
fn what_the_api_server_does_not_take_is_told_in_its_own_words() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        // A name that neither the schema nor the operator looks into.
        let limits = json!({"limits": {"-/-": "1"}});
        namespace.apply(&app("shop", &json!({"resources": limits}))).await?;
        let app = reported(&namespace, "shop", "False").await?;
        let valid = condition(&app, "Valid");
        assert_eq!(valid["reason"], "ApplyRefused");
        let message = valid["message"].as_str().unwrap_or_default();
        assert!(message.starts_with("cannot create Deployment shop: "), "{message}");
        assert!(message.contains("spec.template.spec.containers[0].resources.limits"), "{message}");
        Ok(())
    });
}

#[test]
fn a_name_that_becomes_free_is_used() {
    story(Tier::Apiserver, |namespace| async move {
        namespace.apply(&foreign("Service")).await?;
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        reported(&namespace, "shop", "False").await?;
        namespace.delete_object("Service", "shop").await?;
        // Objects of others are not watched; a change of the app looks at once.
        namespace.apply(&app("shop", &json!({"instances": 3}))).await?;
        settled(&namespace, "shop").await.map(drop)
    });
}

#[test]
fn children_left_behind_by_an_orphaning_deletion_are_taken_in_again() {
    story(Tier::Apiserver, |namespace| async move {
        let operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        operator.kill().await;
        let before = namespace.get("Deployment", "shop").await?;
        let apps = namespace.api::<nodeapp_operator::crd::NodeApp>();
        let orphan = kube::api::DeleteParams::orphan();
        apps.delete("shop", &orphan).await?;
        namespace
            .eventually("the app is gone and the Deployment is an orphan", SOON, async || {
                ensure!(apps.get_opt("shop").await?.is_none(), "the app is there");
                let deployment = namespace.get("Deployment", "shop").await?;
                ensure!(deployment["metadata"]["ownerReferences"].is_null(), "{}", deployment["metadata"]);
                Ok(())
            })
            .await?;
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        let app = reported(&namespace, "shop", "True").await?;
        let after = namespace.get("Deployment", "shop").await?;
        assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
        assert_eq!(after["metadata"]["ownerReferences"][0]["uid"], app["metadata"]["uid"]);
        assert_eq!(after["spec"]["template"], before["spec"]["template"], "taking in must not roll");
        Ok(())
    });
}

#[test]
fn everything_goes_with_the_app() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        namespace.delete_object("NodeApp", "shop").await?;
        namespace
            .eventually("nothing is left", SOON, async || {
                for kind in crate::support::KINDS {
                    let left = namespace
                        .list(kind)
                        .await?
                        .into_iter()
                        .find(|object| object["metadata"]["labels"]["nodeapp.dev/app"] == "shop");
                    ensure!(left.is_none(), "{left:?}");
                }
                Ok(())
            })
            .await
    });
}

#[test]
fn names_that_an_app_does_not_need_may_belong_to_anyone() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let legacy = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "legacy"}});
        namespace.apply(&legacy).await?;
        let legacy = namespace.get("ConfigMap", "legacy").await?;
        for kind in ["Service", "PodDisruptionBudget"] {
            let mut object = foreign(kind);
            // Seen by the operator, and not the app's own.
            object["metadata"]["labels"] = json!({
                "app.kubernetes.io/managed-by": "nodeapp-operator",
                "nodeapp.dev/app": "shop",
            });
            object["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": "legacy",
                "uid": legacy["metadata"]["uid"],
                "controller": true,
            }]);
            namespace.apply(&object).await?;
        }
        namespace.apply(&app("shop", &json!({"port": null, "instances": 1}))).await?;
        reported(&namespace, "shop", "True").await?;
        for kind in ["Service", "PodDisruptionBudget"] {
            let object = namespace.get(kind, "shop").await?;
            assert_eq!(object["metadata"]["ownerReferences"][0]["kind"], "ConfigMap", "{kind}");
        }
        Ok(())
    });
}
