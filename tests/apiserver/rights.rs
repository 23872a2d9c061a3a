//! The operator's rights: enough, and none too many.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use nodeapp_operator::health::Health;
use nodeapp_operator::permissions::{CLUSTER, Permission, TABLE};
use nodeapp_operator::startup::{self, Needs};
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::json;

use crate::gateway;
use crate::support::{
    Call, Operator, SOON, Tap, USER, admin, app, apply, install, operator_client, reported, settled,
};

/// What everyone who is logged in may do, given by Kubernetes itself.
const GIVEN_TO_ALL: &[(&str, &str, &str)] = &[("authorization.k8s.io", "selfsubjectrulesreviews", "create")];

fn both() -> impl Iterator<Item = &'static Permission> {
    TABLE.iter().chain(CLUSTER)
}

fn in_table(call: &Call) -> bool {
    let given = |(group, resource, verb): &(&str, &str, &str)| {
        (*group, *resource, *verb) == (call.group.as_str(), call.resource.as_str(), call.verb.as_str())
    };
    GIVEN_TO_ALL.iter().any(given)
        || both().any(|row| {
            row.group == call.group
                && row.resource == call.resource
                && row.verbs.contains(&call.verb.as_str())
        })
}

/// The table has a verb for creating by server-side apply, which the authorizer
/// asks for besides `patch` although no call looks like a creation.
fn expected_calls() -> BTreeSet<Call> {
    let mut expected = BTreeSet::new();
    for row in both() {
        let applied = row.verbs.contains(&"patch") && row.resource != "events";
        for verb in row.verbs {
            let unproved = row.unproved.iter().any(|(unproved, _)| unproved == verb);
            let hidden = applied && *verb == "create";
            if !(unproved || hidden) {
                expected.insert(Call {
                    group: row.group.to_owned(),
                    resource: row.resource.to_owned(),
                    verb: (*verb).to_owned(),
                });
            }
        }
    }
    expected
}

/// What leads to an app, and what keeps others away, comes and goes. Returns what was asked for.
async fn reached_and_not(namespace: &Namespace) -> Result<serde_json::Value> {
    let around = json!({
        "service": {"headless": true},
        "ingress": {"hosts": [{"host": "a.example.com"}]},
        "httpRoute": {"parentRefs": [{"name": "edge"}]},
        "networkPolicy": {},
    });
    namespace.apply(&app("reached", &around)).await?;
    reported(namespace, "reached", "True").await?;
    let made = async || namespace.get("HTTPRoute", "reached").await;
    namespace.eventually("its route", SOON, made).await?;
    namespace.apply(&app("reached", &json!({}))).await?;
    reported(namespace, "reached", "True").await?;
    Ok(around)
}

async fn number_its_pods(namespace: &Namespace) -> Result<()> {
    namespace.apply(&app("shop", &json!({"instanceIndex": true}))).await?;
    reported(namespace, "shop", "True").await?;
    let numbered = async || {
        let pods = namespace.list("Pod").await?;
        let number = |pod: &serde_json::Value| !pod["metadata"]["labels"]["nodeapp.dev/instance"].is_null();
        ensure!(pods.iter().any(number), "no pod has a number");
        Ok(())
    };
    namespace.eventually("a pod has a number", SOON, numbered).await
}

/// A life in which everything happens that can.
async fn live_through_everything(namespace: &Namespace) -> Result<()> {
    namespace.apply(&app("shop", &json!({}))).await?;
    settled(namespace, "shop").await?;
    // An autoscaler comes and goes.
    let autoscaling = json!({"maxInstances": 3, "cpu": "70%"});
    namespace.apply(&app("shop", &json!({"instances": null, "autoscaling": autoscaling}))).await?;
    settled(namespace, "shop").await?;
    namespace.get("HorizontalPodAutoscaler", "shop").await?;
    namespace.apply(&app("shop", &json!({}))).await?;
    settled(namespace, "shop").await?;
    number_its_pods(namespace).await?;
    // One app fills the nodes.
    namespace.apply(&app("filler", &json!({"instances": null, "fillCluster": {"maxInstances": 2}}))).await?;
    reported(namespace, "filler", "True").await?;
    // Service and budget go.
    namespace.apply(&app("shop", &json!({"port": null, "instances": 1}))).await?;
    reported(namespace, "shop", "True").await?;
    // It becomes a job, and is none again.
    namespace
        .apply(&app(
            "shop",
            &json!({"port": null, "instances": 1, "autorestart": false, "cronRestart": "@daily"}),
        ))
        .await?;
    reported(namespace, "shop", "True").await?;
    namespace.apply(&app("shop", &json!({"port": null, "instances": 1}))).await?;
    reported(namespace, "shop", "True").await?;
    // More history than is kept.
    for round in 0..11 {
        namespace.apply(&app("shop", &json!({"args": [round.to_string()]}))).await?;
        reported(namespace, "shop", "True").await?;
    }
    // The same trouble twice is one Event that is counted up.
    for valid in ["False", "True", "False"] {
        let env = json!([{"name": "PORT", "value": if valid == "True" { "3000" } else { "1" }}]);
        namespace.apply(&app("shop", &json!({"env": env}))).await?;
        reported(namespace, "shop", valid).await?;
    }
    // What an app refers to is looked at.
    let from = json!({"envFrom": [{"configMapRef": {"name": "settings", "optional": true}}]});
    namespace.apply(&app("refers", &from)).await?;
    reported(namespace, "refers", "True").await?;
    // A job whose pod never starts makes room for the next one.
    let before = json!({"rollout": {"before": {"command": ["migrate"]}}});
    namespace.apply(&app("data", &before)).await?;
    reported(namespace, "data", "True").await?;
    namespace.apply(&app("data", &json!({"args": ["2"], "rollout": before["rollout"]}))).await?;
    reported(namespace, "data", "True").await?;
    // A Redis of its own comes, and goes with its data.
    let redis = json!({"mode": "Shared", "storage": {"retention": "Delete"}});
    namespace.apply(&app("keeps", &json!({"stopped": true, "redis": redis}))).await?;
    reported(namespace, "keeps", "True").await?;
    namespace.apply(&app("keeps", &json!({"stopped": true}))).await?;
    reported(namespace, "keeps", "True").await?;
    let mut all = reached_and_not(namespace).await?;
    // A name that is taken makes the operator look who has it.
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "other"}});
    namespace.apply(&account).await?;
    all["rollout"] = before["rollout"].clone();
    all["redis"] = redis;
    namespace.apply(&app("other", &all)).await?;
    reported(namespace, "other", "False").await.map(drop)
}

#[test]
fn every_call_is_in_the_table_and_every_row_is_used() {
    story(Tier::Apiserver, |namespace| async move {
        let _there = gateway::there().await?;
        let tap = Tap::default();
        let _operator = Operator::start(&namespace, &tap).await?;
        live_through_everything(&namespace).await?;
        let expected = expected_calls();
        namespace
            .eventually("every row of the table was used", SOON, async || {
                let calls: BTreeSet<Call> = tap.calls().into_iter().collect();
                let unused: Vec<_> = expected.difference(&calls).collect();
                ensure!(unused.is_empty(), "{unused:?}");
                Ok(())
            })
            .await?;
        let too_much: BTreeSet<_> = tap.calls().into_iter().filter(|call| !in_table(call)).collect();
        assert!(too_much.is_empty(), "not in the table: {too_much:?}");
        Ok(())
    });
}

#[test]
fn missing_rights_are_named_and_found_again() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        let health = Health::new(&[]);
        let client = operator_client(&Tap::default()).await?;
        startup::wait_until_ready(&client, Needs::default(), &health).await;
        assert!(health.missing().is_empty(), "{:?}", health.missing());

        // Someone without any, whom no run before this one gave a binding.
        let nobody = format!("{USER}-without-rights-{}", namespace.name());
        let mut config = client_config().await?;
        config.auth_info.impersonate = Some(nobody.clone());
        let poor = kube::Client::try_from(config)?;
        let looking = async {
            startup::wait_until_ready(&poor, Needs::default(), &health).await;
            Ok(())
        };
        let given = async {
            namespace
                .eventually("what is missing is named", SOON, async || {
                    let missing = health.missing();
                    let words = "the right to create, delete, get, list, patch, watch deployments.apps";
                    ensure!(missing.iter().any(|missing| missing == words), "{missing:?}");
                    Ok(())
                })
                .await?;
            bind(&nobody).await
        };
        let found = tokio::try_join!(looking, given);
        unbind(&nobody).await?;
        found?;
        assert!(health.missing().is_empty(), "{:?}", health.missing());
        Ok(())
    });
}

async fn client_config() -> Result<kube::Config> {
    let path = std::env::var(Tier::Apiserver.variable())?;
    let kubeconfig = kube::config::Kubeconfig::read_from(path)?;
    Ok(kube::Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default()).await?)
}

const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";

async fn bind(user: &str) -> Result<()> {
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "nodeapp-operator"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    let client = admin(&Tap::default()).await?;
    apply(&client, &format!("{BINDINGS}/{user}"), &binding).await.map(drop)
}

/// Takes the rights away again, if they were given.
async fn unbind(user: &str) -> Result<()> {
    let request = http::Request::delete(format!("{BINDINGS}/{user}")).body(Vec::new())?;
    match admin(&Tap::default()).await?.request::<serde_json::Value>(request).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        answer => Ok(answer.map(drop)?),
    }
}

#[test]
fn of_objects_that_others_have_too_only_those_of_the_operator_are_listed_and_watched() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let _operator = Operator::start(&namespace, &tap).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        let looks = tap.looks();
        for resource in [
            "controllerrevisions",
            "cronjobs",
            "deployments",
            "jobs",
            "persistentvolumeclaims",
            "poddisruptionbudgets",
            "pods",
            "serviceaccounts",
            "services",
            "statefulsets",
        ] {
            let of_it: Vec<_> = looks.iter().filter(|(known, _)| known == resource).collect();
            ensure!(!of_it.is_empty(), "{resource} are not watched");
            for (_, query) in of_it {
                let selector = "labelSelector=app.kubernetes.io%2Fmanaged-by";
                ensure!(query.contains(selector), "{resource}: {query}");
            }
        }
        Ok(())
    });
}
