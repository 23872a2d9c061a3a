//! What goes wrong around the operator: nothing is lost, everything comes back, and
//! how long that took is printed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::Request;
use nodeapp_testkit::{Namespace, Tier, story, story_alone};
use serde_json::{Value, json};

use crate::support::{
    KINDS, Operator, SOON, Tap, USER, admin, app, apply, client_of, condition, install, reported, settled,
};

/// The first wait after a refusal is 5 s, and each further one twice as long.
const BACK: Duration = Duration::from_mins(2);

fn recovered(what: &str, since: Instant) {
    println!("recovered from {what} within {:.1} s", since.elapsed().as_secs_f64());
}

#[test]
fn an_api_server_that_was_killed_and_started_finds_an_operator_that_goes_on() {
    story_alone(Tier::Apiserver, |namespace| async move {
        let Some(cluster) = namespace.cluster().breakable(Tier::Apiserver)? else { return Ok(()) };
        let operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        cluster.crash(&["kube-apiserver"]).await?;
        ensure!(namespace.get("NodeApp", "shop").await.is_err(), "it was not killed");
        cluster.heal().await?;
        let since = Instant::now();
        namespace.delete_object("Service", "shop").await?;
        namespace.apply(&app("shop", &json!({"instances": 3}))).await?;
        namespace.apply(&app("late", &json!({}))).await?;
        settled(&namespace, "late").await?;
        settled(&namespace, "shop").await?;
        namespace.get("Service", "shop").await?;
        recovered("a killed API server, etcd's data kept", since);
        ensure!(operator.health.missing().is_empty(), "{:?}", operator.health.missing());
        Ok(())
    });
}

#[test]
fn a_quota_that_is_used_up_is_told_and_what_it_held_back_comes_once_it_is_raised() {
    story(Tier::Apiserver, |namespace| async move {
        let quota = |services: &str| {
            let hard = json!({"services": services});
            json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}})
        };
        namespace.apply(&quota("0")).await?;
        in_force(&namespace, "0").await?;
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        let told = degraded(&namespace, "shop", "exceeded quota: q").await?;
        assert_eq!(condition(&told, "Valid")["status"], "True", "the spec is not to blame");
        namespace.apply(&quota("5")).await?;
        let since = Instant::now();
        carried_out(&namespace, "shop").await?;
        recovered("a used up quota", since);
        Ok(())
    });
}

async fn in_force(namespace: &Namespace, services: &str) -> Result<()> {
    namespace
        .eventually("the quota is in force", SOON, async || {
            let quota = namespace.get("ResourceQuota", "q").await?;
            ensure!(quota["status"]["hard"]["services"] == services, "{}", quota["status"]);
            Ok(())
        })
        .await
}

async fn degraded(namespace: &Namespace, name: &str, words: &str) -> Result<Value> {
    namespace
        .eventually(&format!("{name} is told to be degraded: {words}"), SOON, async || {
            let app = namespace.get("NodeApp", name).await?;
            let degraded = condition(&app, "Degraded");
            ensure!(degraded["status"] == "True", "{}", app["status"]);
            let message = degraded["message"].as_str().unwrap_or_default();
            ensure!(message.contains(words), "{message}");
            Ok(app)
        })
        .await
}

/// All children, and a status that has nothing to complain of.
async fn carried_out(namespace: &Namespace, name: &str) -> Result<()> {
    namespace
        .eventually(&format!("{name} is carried out"), BACK, async || {
            for kind in ["Service", "PodDisruptionBudget", "Deployment"] {
                namespace.get(kind, name).await?;
            }
            let app = namespace.get("NodeApp", name).await?;
            ensure!(condition(&app, "Degraded")["status"] == "False", "{}", app["status"]);
            Ok(())
        })
        .await
}

#[test]
fn a_limit_range_that_takes_no_pod_is_told_in_its_own_words_until_it_goes() {
    story(Tier::Apiserver, |namespace| async move {
        namespace
            .apply(&json!({
                "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"},
                "spec": {"limits": [{"type": "Container", "max": {"memory": "16Mi"}}]},
            }))
            .await?;
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({"maxMemoryRestart": "300M"}))).await?;
        degraded(&namespace, "shop", "maximum memory usage per Container is 16Mi").await?;
        namespace.delete_object("LimitRange", "small").await?;
        let since = Instant::now();
        namespace
            .eventually("the pods are made", BACK, async || {
                let pods = namespace.list("Pod").await?.len();
                ensure!(pods == 2, "{pods} pods");
                carried_out(&namespace, "shop").await
            })
            .await?;
        recovered("a LimitRange", since);
        Ok(())
    });
}

#[test]
fn children_whose_labels_or_owner_someone_takes_away_get_them_back() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        let nobodys = json!({"app.kubernetes.io/managed-by": null, "nodeapp.dev/app": null});
        let anothers = json!({"nodeapp.dev/app": "other"});
        for kind in KINDS {
            let all = namespace.list(kind).await?;
            let of_app = |object: &&Value| object["metadata"]["labels"]["nodeapp.dev/app"] == "shop";
            let before = all.iter().find(of_app).with_context(|| format!("no {kind}"))?["metadata"].clone();
            let name = before["name"].as_str().unwrap_or_default();
            for change in
                [json!({"labels": nobodys}), json!({"labels": anothers}), json!({"ownerReferences": null})]
            {
                let since = Instant::now();
                namespace.patch(kind, name, &json!({"metadata": change})).await?;
                namespace
                    .eventually(&format!("{kind} is as it was before {change}"), SOON, async || {
                        let after = namespace.get(kind, name).await?["metadata"].clone();
                        for part in ["uid", "labels", "ownerReferences"] {
                            ensure!(after[part] == before[part], "{part}: {}", after[part]);
                        }
                        Ok(())
                    })
                    .await?;
                recovered(&format!("{kind} with {change}"), since);
            }
        }
        Ok(())
    });
}

#[test]
fn a_namespace_deleted_under_the_operator_stops_no_other_and_may_come_again() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        let tap = Tap::default();
        let client = admin(&Tap::default()).await?;
        let doomed = format!("{}-doomed", &namespace.name()[..namespace.name().len().min(50)]);
        let namespaces = vec![namespace.name().to_owned(), doomed.clone()];
        let operator =
            Operator::start_as(client_of(USER, &tap).await?, namespaces, "registry.example/runner:1");
        let app_in = async |instances: i64| {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": doomed}});
            apply(&client, &format!("/api/v1/namespaces/{doomed}"), &object).await?;
            let path = format!("/apis/nodeapp.dev/v1alpha1/namespaces/{doomed}/nodeapps/shop");
            apply(&client, &path, &app("shop", &json!({"instances": instances}))).await
        };
        let deployment = async || -> Result<Value> {
            let path = format!("/apis/apps/v1/namespaces/{doomed}/deployments/shop");
            Ok(client.request(Request::get(path).body(Vec::new())?).await?)
        };
        for instances in [2, 3] {
            app_in(instances).await?;
            namespace
                .eventually("the app in the other namespace is carried out", SOON, async || {
                    let deployment = deployment().await?;
                    ensure!(deployment["spec"]["replicas"] == instances, "{}", deployment["spec"]);
                    Ok(())
                })
                .await?;
            let path = format!("/api/v1/namespaces/{doomed}");
            client.request::<Value>(Request::delete(&path).body(Vec::new())?).await?;
            namespace
                .eventually("the other namespace is gone", SOON, async || {
                    let found = client.request::<Value>(Request::get(&path).body(Vec::new())?).await;
                    ensure!(
                        matches!(&found, Err(kube::Error::Api(status)) if status.code == 404),
                        "still there: {found:?}"
                    );
                    Ok(())
                })
                .await?;
        }
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        ensure!(operator.health.missing().is_empty(), "{:?}", operator.health.missing());
        Ok(())
    });
}

#[test]
fn a_right_that_is_taken_away_is_told_and_what_it_held_back_comes_with_it() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        let client = admin(&Tap::default()).await?;
        let user = format!("{USER}-poor-{}", namespace.name());
        let rights = "/apis/rbac.authorization.k8s.io/v1";
        let path = format!("{rights}/namespaces/{}/rolebindings/poor", namespace.name());
        let role = format!("{rights}/namespaces/{}/roles/poor", namespace.name());
        let all: Value = serde_saphyr::from_str(&nodeapp_operator::generated::rbac_yaml())?;
        let with = |wanted: &dyn Fn(&Value) -> bool| {
            let rules: Vec<&Value> =
                all["rules"].as_array().into_iter().flatten().filter(|rule| wanted(rule)).collect();
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                "metadata": {"name": "poor"}, "rules": rules,
            })
        };
        // All but one, which others of its group do not have either.
        let budgets = |rule: &Value| rule["resources"][0] == "poddisruptionbudgets";
        apply(&client, &role, &with(&|_| true)).await?;
        let group = "rbac.authorization.k8s.io";
        let binding = json!({
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": "poor"},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "poor"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        });
        apply(&client, &path, &binding).await?;
        let poor = client_of(&user, &Tap::default()).await?;
        let _operator =
            Operator::start_as(poor, vec![namespace.name().to_owned()], "registry.example/runner:1");
        namespace.apply(&app("before", &json!({}))).await?;
        settled(&namespace, "before").await?;
        apply(&client, &role, &with(&|rule| !budgets(rule))).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        degraded(&namespace, "shop", "cannot create PodDisruptionBudget shop").await?;
        apply(&client, &role, &with(&|_| true)).await?;
        let since = Instant::now();
        carried_out(&namespace, "shop").await?;
        recovered("a missing right", since);
        reported(&namespace, "shop", "True").await.map(drop)
    });
}
