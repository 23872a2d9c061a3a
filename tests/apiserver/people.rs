//! What people do beside the `NodeApp`: pause it, restart its Deployment, edit and
//! delete its children.

use std::time::Duration;

use anyhow::ensure;
use nodeapp_testkit::{Tier, story};
use serde_json::{Value, json};

use crate::support::{Operator, SOON, Tap, app, condition, reported, settled, told};

#[test]
fn a_reverted_edit_and_a_missing_child_are_told_with_who_and_what() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        namespace.patch("Deployment", "shop", &json!({"spec": {"replicas": 9}})).await?;
        let text = told(&namespace, "Reverted", "Deployment shop").await?;
        assert!(text.contains("changed by "), "{text}");
        namespace.delete_object("Service", "shop").await?;
        told(&namespace, "Recreated", "Service shop was missing").await?;
        Ok(())
    });
}

#[test]
fn changes_of_the_spec_are_not_told_as_reverted_edits() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        for instances in 1..5 {
            namespace.apply(&app("shop", &json!({"instances": instances}))).await?;
            settled(&namespace, "shop").await?;
        }
        let events = namespace.list("Event").await?;
        let blamed = |event: &&Value| ["Reverted", "Recreated"].iter().any(|word| event["reason"] == *word);
        let blamed: Vec<_> = events.iter().filter(blamed).map(|event| event["note"].clone()).collect();
        assert!(blamed.is_empty(), "{blamed:?}");
        Ok(())
    });
}

#[test]
fn a_paused_app_is_left_alone_until_it_is_resumed() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        let pause = json!({"metadata": {"annotations": {"nodeapp.dev/paused": "true"}}});
        namespace.patch("NodeApp", "shop", &pause).await?;
        namespace
            .eventually("the pause is reported", SOON, async || {
                let app = namespace.get("NodeApp", "shop").await?;
                let progressing = condition(&app, "Progressing").clone();
                ensure!(progressing["reason"] == "Paused", "{progressing}");
                Ok(())
            })
            .await?;
        told(&namespace, "Paused", "nodeapp.dev/paused").await?;

        namespace.apply(&app("shop", &json!({"args": ["new"]}))).await?;
        namespace.patch("Deployment", "shop", &json!({"spec": {"replicas": 3}})).await?;
        let left_alone = async || {
            let deployment = namespace.get("Deployment", "shop").await?;
            ensure!(deployment["spec"]["replicas"] == 3, "{}", deployment["spec"]["replicas"]);
            ensure!(namespace.list("ControllerRevision").await?.len() == 1, "a new template");
            let app = namespace.get("NodeApp", "shop").await?;
            let seen = &app["status"]["observedGeneration"];
            ensure!(*seen != app["metadata"]["generation"], "it claims to have seen the new spec");
            Ok(())
        };
        namespace.throughout("the app is left alone", Duration::from_secs(5), left_alone).await?;

        let resume = json!({"metadata": {"annotations": {"nodeapp.dev/paused": null}}});
        namespace.patch("NodeApp", "shop", &resume).await?;
        reported(&namespace, "shop", "True").await?;
        assert_eq!(namespace.get("Deployment", "shop").await?["spec"]["replicas"], 2);
        assert_eq!(namespace.list("ControllerRevision").await?.len(), 2);
        Ok(())
    });
}

#[test]
fn a_restart_of_the_deployment_by_kubectl_is_honoured() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        // What `kubectl rollout restart` writes.
        let annotation = "kubectl.kubernetes.io/restartedAt";
        let metadata = json!({"annotations": {annotation: "2026-11-23T11:00:00Z"}});
        let restart = json!({"spec": {"template": {"metadata": metadata}}});
        namespace.patch("Deployment", "shop", &restart).await?;
        let restarted = async || {
            let deployment = namespace.get("Deployment", "shop").await?;
            let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
            ensure!(annotations[annotation] == "2026-11-23T11:00:00Z", "{annotations}");
            Ok(())
        };
        namespace.throughout("the restart stays", Duration::from_secs(3), restarted).await?;
        // Nor does a change of the spec that is none of the template's business undo it.
        namespace.apply(&app("shop", &json!({"instances": 3}))).await?;
        reported(&namespace, "shop", "True").await?;
        restarted().await
    });
}
