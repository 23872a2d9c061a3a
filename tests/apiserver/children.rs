//! The children: made, repaired, brought back, left alone, taken away.

use std::time::Duration;

use anyhow::ensure;
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::killed::at_rest;
use crate::support::{KINDS, Operator, SOON, Tap, app, create, reported, settled, told, versions};

#[test]
fn an_app_gets_its_children_under_the_operators_own_rights() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        let app = reported(&namespace, "shop", "True").await?;
        for kind in KINDS {
            let object = match kind {
                "ControllerRevision" => namespace.list(kind).await?.remove(0),
                _ => namespace.get(kind, "shop").await?,
            };
            let owner = &object["metadata"]["ownerReferences"][0];
            assert_eq!(owner["uid"], app["metadata"]["uid"], "{kind}");
            assert_eq!(owner["controller"], true, "{kind}");
        }
        assert_eq!(app["status"]["url"], json!(format!("http://shop.{}.svc:3000", namespace.name())));
        Ok(())
    });
}

#[test]
fn a_settled_app_costs_no_write_not_even_at_a_start_of_the_operator() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let operator = Operator::start(&namespace, &tap).await?;
        // Whatever the API server rewrites or completes is in here.
        let change = json!({
            "env": [
                {"name": "EMPTY", "value": ""},
                {"name": "BARE"},
                {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
                {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": true}}},
            ],
            "envFrom": [{"configMapRef": {"name": "c"}, "prefix": "X_"}],
            "resources": {"requests": {"cpu": "0.25", "memory": "0.5Gi"}, "limits": {"memory": 2_000_000_000}},
            "logRotate": {"maxSize": 1000},
            "writablePaths": ["/app/cache"],
        });
        namespace.apply(&app("shop", &change)).await?;
        let before = settled(&namespace, "shop").await?;
        let writes = tap.writes();
        let still = async |operator: &str, tap: &Tap, writes: usize| {
            namespace
                .throughout(
                    &format!("nothing is written by the {operator}"),
                    Duration::from_secs(5),
                    async || {
                        let now = versions(&namespace, "shop").await?;
                        ensure!(now == before, "was {before:?}\n is {now:?}");
                        ensure!(tap.writes() == writes, "{:?}", tap.calls());
                        Ok(())
                    },
                )
                .await
        };
        still("operator that made it", &tap, writes).await?;
        operator.kill().await;
        // A new version, as far as an app can tell.
        let tap = Tap::default();
        let operator = Operator::start_with(&namespace, &tap, "registry.example/nodeapp-runner:2").await?;
        listed(&namespace, &operator).await?;
        still("new operator", &tap, 0).await
    });
}

async fn listed(namespace: &Namespace, operator: &Operator) -> anyhow::Result<()> {
    namespace
        .eventually("the operator has listed everything", SOON, async || {
            ensure!(operator.health.missing().is_empty(), "{:?}", operator.health.missing());
            Ok(())
        })
        .await
}

#[test]
fn a_deleted_child_comes_back() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        for kind in KINDS {
            let object = namespace
                .list(kind)
                .await?
                .into_iter()
                .find(|object| object["metadata"]["labels"]["nodeapp.dev/app"] == "shop");
            let object = object.unwrap_or_else(|| panic!("no {kind}"));
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            namespace.delete_object(kind, &name).await?;
            namespace
                .eventually(&format!("the {kind} is back"), SOON, async || {
                    let back = namespace.get(kind, &name).await?;
                    ensure!(back["metadata"]["uid"] != object["metadata"]["uid"], "not deleted yet");
                    Ok(())
                })
                .await?;
        }
        Ok(())
    });
}

#[test]
fn what_someone_changes_in_a_child_is_put_right() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        let other_image = json!([{"name": "app", "image": "registry.example/evil:1"}]);
        let changes = [
            ("Deployment", json!({"spec": {"replicas": 9}})),
            ("Deployment", json!({"spec": {"template": {"spec": {"containers": other_image}}}})),
            ("Service", json!({"spec": {"selector": {"nodeapp.dev/app": "other"}}})),
            // One more label, and nothing is selected any more.
            ("Service", json!({"spec": {"selector": {"track": "canary"}}})),
            ("PodDisruptionBudget", json!({"spec": {"selector": {"matchLabels": {"track": "canary"}}}})),
            ("PodDisruptionBudget", json!({"spec": {"maxUnavailable": "100%"}})),
            // What was not there before, and no apply takes away. `kubectl rollout pause` is the first.
            ("Deployment", json!({"spec": {"paused": true}})),
            ("Deployment", json!({"spec": {"minReadySeconds": 30}})),
            ("Deployment", json!({"spec": {"template": {"spec": {"nodeSelector": {"disk": "ssd"}}}}})),
            ("Deployment", json!({"spec": {"template": {"spec": {"dnsPolicy": "Default"}}}})),
            ("Deployment", json!({"spec": {"template": {"metadata": {"labels": {"track": "canary"}}}}})),
            ("Service", json!({"spec": {"sessionAffinity": "ClientIP"}})),
            ("ServiceAccount", json!({"automountServiceAccountToken": true})),
            (
                "Service",
                json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null, "nodeapp.dev/app": null}}}),
            ),
        ];
        for (kind, change) in changes {
            let before = namespace.get(kind, "shop").await?;
            namespace.patch(kind, "shop", &change).await?;
            namespace
                .eventually(&format!("{kind} is as it was before {change}"), SOON, async || {
                    let after = namespace.get(kind, "shop").await?;
                    for part in ["spec", "automountServiceAccountToken"] {
                        ensure!(after[part] == before[part], "{}", after[part]);
                    }
                    ensure!(
                        after["metadata"]["labels"] == before["metadata"]["labels"],
                        "{}",
                        after["metadata"]
                    );
                    Ok(())
                })
                .await?;
        }
        Ok(())
    });
}

#[test]
fn what_someone_adds_to_the_pods_goes_at_once_and_annotations_and_restarts_stay() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let _operator = Operator::start(&namespace, &tap).await?;
        namespace.apply(&app("shop", &json!({"env": [{"name": "A", "value": "1"}]}))).await?;
        settled(&namespace, "shop").await?;
        let before = namespace.get("Deployment", "shop").await?["spec"]["template"].clone();
        // `kubectl set env`, a sidecar, and a restart in one.
        let mut edited = before.clone();
        let containers = edited["spec"]["containers"].as_array_mut().expect("containers");
        containers[0]["env"]
            .as_array_mut()
            .expect("variables")
            .insert(0, json!({"name": "FOO", "value": "1"}));
        containers.insert(0, json!({"name": "sidecar", "image": "registry.example/sidecar:1"}));
        edited["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] =
            json!("2026-11-23T11:00:00Z");
        let labels = json!({"labels": {"team": "shop"}, "annotations": {"example.com/owner": "shop"}});
        let change = json!({"metadata": labels, "spec": {"template": edited}});
        namespace.patch("Deployment", "shop", &change).await?;
        namespace
            .eventually("the pods are as they were, but for the annotation", SOON, async || {
                let mut now = namespace.get("Deployment", "shop").await?["spec"]["template"].clone();
                let annotations = now["metadata"]["annotations"].as_object_mut().expect("annotations");
                let restart = annotations.remove("kubectl.kubernetes.io/restartedAt");
                ensure!(restart == Some(json!("2026-11-23T11:00:00Z")), "{restart:?}");
                ensure!(now == before, "{now}");
                Ok(())
            })
            .await?;
        told(&namespace, "Reverted", "the Deployment shop").await?;
        at_rest(&namespace, &tap).await?;
        let rests = versions(&namespace, "shop").await?;
        let writes = tap.writes();
        let still = async || {
            ensure!(versions(&namespace, "shop").await? == rests, "it is written again and again");
            ensure!(tap.writes() == writes, "{:?}", tap.bodies().last());
            Ok(())
        };
        namespace.throughout("nothing more is written", Duration::from_secs(4), still).await?;
        let metadata = namespace.get("Deployment", "shop").await?["metadata"].clone();
        ensure!(metadata["labels"]["team"] == "shop", "{metadata}");
        ensure!(metadata["annotations"]["example.com/owner"] == "shop", "{metadata}");
        Ok(())
    });
}

#[test]
fn what_is_no_longer_wanted_goes() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({"env": [{"name": "A"}, {"name": "B"}]}))).await?;
        settled(&namespace, "shop").await?;
        // Nothing but a field less: no other value tells of the difference.
        namespace.apply(&app("shop", &json!({"env": [{"name": "A"}]}))).await?;
        namespace
            .eventually("the variable is gone", SOON, async || {
                let deployment = namespace.get("Deployment", "shop").await?;
                let env = deployment["spec"]["template"]["spec"]["containers"][0]["env"].clone();
                ensure!(env.as_array().is_some_and(|env| env.iter().all(|v| v["name"] != "B")), "{env}");
                Ok(())
            })
            .await?;
        namespace.apply(&app("shop", &json!({"port": null, "instances": 1}))).await?;
        namespace
            .eventually("Service and budget are gone", SOON, async || {
                ensure!(namespace.list("Service").await?.is_empty(), "a Service");
                ensure!(namespace.list("PodDisruptionBudget").await?.is_empty(), "a budget");
                let app = namespace.get("NodeApp", "shop").await?;
                ensure!(app["status"]["url"].is_null(), "{}", app["status"]);
                Ok(())
            })
            .await
    });
}

#[test]
fn another_runner_image_rolls_nothing_until_the_spec_changes() {
    story(Tier::Apiserver, |namespace| async move {
        let image =
            |deployment: &Value| deployment["spec"]["template"]["spec"]["initContainers"][0]["image"].clone();
        let operator = Operator::start_with(&namespace, &Tap::default(), "registry.example/runner:1").await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        operator.kill().await;
        let _operator =
            Operator::start_with(&namespace, &Tap::default(), "registry.example/runner:2").await?;
        namespace.apply(&app("shop", &json!({"instances": 3}))).await?;
        settled(&namespace, "shop").await?;
        let scaled = namespace.get("Deployment", "shop").await?;
        assert_eq!(image(&scaled), "registry.example/runner:1");
        assert_eq!(namespace.list("ControllerRevision").await?.len(), 1);
        namespace.apply(&app("shop", &json!({"instances": 3, "args": ["new"]}))).await?;
        reported(&namespace, "shop", "True").await?;
        assert_eq!(image(&namespace.get("Deployment", "shop").await?), "registry.example/runner:2");
        // Back to what ran before, to the letter.
        namespace.apply(&app("shop", &json!({"instances": 3}))).await?;
        let app = reported(&namespace, "shop", "True").await?;
        let back = namespace.get("Deployment", "shop").await?;
        assert_eq!(back["spec"]["template"], scaled["spec"]["template"]);
        assert_eq!(app["status"]["runnerImage"], "registry.example/runner:1");
        Ok(())
    });
}

#[test]
fn history_has_an_end() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        for round in 0..13 {
            namespace.apply(&app("shop", &json!({"args": [round.to_string()]}))).await?;
            reported(&namespace, "shop", "True").await?;
        }
        namespace
            .eventually("ten revisions are left, the newest ones", SOON, async || {
                let mut numbers: Vec<_> = namespace
                    .list("ControllerRevision")
                    .await?
                    .iter()
                    .filter_map(|revision| revision["revision"].as_i64())
                    .collect();
                numbers.sort_unstable();
                ensure!(numbers == (4..=13).collect::<Vec<_>>(), "{numbers:?}");
                Ok(())
            })
            .await
    });
}

#[test]
fn variables_that_someone_puts_in_another_order_are_put_in_theirs() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let variables = json!([{"name": "HOST", "value": "db"}, {"name": "URL", "value": "http://$(HOST)"}]);
        namespace.apply(&app("shop", &json!({"env": variables}))).await?;
        settled(&namespace, "shop").await?;
        let containers = |deployment: &Value| deployment["spec"]["template"]["spec"]["containers"].clone();
        let before = containers(&namespace.get("Deployment", "shop").await?);
        let mut swapped = before.clone();
        swapped[0]["env"].as_array_mut().expect("variables").swap(0, 1);
        let change = json!({"spec": {"template": {"spec": {"containers": swapped}}}});
        namespace.patch("Deployment", "shop", &change).await?;
        namespace
            .eventually("URL comes after HOST again", SOON, async || {
                let after = containers(&namespace.get("Deployment", "shop").await?);
                ensure!(after == before, "{}", after[0]["env"]);
                Ok(())
            })
            .await
    });
}

#[test]
fn characters_that_yaml_reads_otherwise_reach_the_app_as_they_were_written() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let _operator = Operator::start(&namespace, &tap).await?;
        // A control, ends of lines, a mark of byte order, and what is no character.
        let odd = "a\u{7f}b\u{85}c\u{2028}d\u{feff}e\u{ffff}f";
        let change = json!({"args": [odd], "env": [{"name": "ODD", "value": odd}]});
        create(&namespace, &app("shop", &change)).await?;
        let before = settled(&namespace, "shop").await?;
        let template = namespace.get("Deployment", "shop").await?["spec"]["template"].clone();
        let env = template["spec"]["containers"][0]["env"].as_array().cloned().unwrap_or_default();
        assert!(env.iter().any(|variable| variable["value"] == odd), "{env:?}");
        let still = async || {
            let now = versions(&namespace, "shop").await?;
            ensure!(now == before, "was {before:?}\n is {now:?}");
            Ok(())
        };
        namespace.throughout("nothing is written again", Duration::from_secs(3), still).await
    });
}

#[test]
fn a_stopped_app_keeps_everything_but_its_pods() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        let all = async || {
            let mut ids = Vec::new();
            for kind in KINDS {
                let objects = namespace.list(kind).await?;
                let ours = objects.iter().find(|it| it["metadata"]["labels"]["nodeapp.dev/app"] == "shop");
                ids.push((kind, ours.map(|it| it["metadata"]["uid"].clone())));
            }
            Ok::<_, anyhow::Error>(ids)
        };
        let ids = all().await?;
        for (change, wanted) in [(json!({"stopped": true}), 0), (json!({}), 2)] {
            namespace.apply(&app("shop", &change)).await?;
            settled(&namespace, "shop").await?;
            let deployment = namespace.get("Deployment", "shop").await?;
            assert_eq!(deployment["spec"]["replicas"], wanted);
            assert_eq!(all().await?, ids);
        }
        Ok(())
    });
}
