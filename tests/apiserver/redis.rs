//! The children of a Redis that all instances share: made, repaired, kept, taken away.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::killed::at_rest;
use crate::support::{
    Operator, SOON, Tap, app, condition, create, install, reported, settled, told, versions,
};

pub(crate) const REDIS: &str = "shop-redis";
pub(crate) const SECRET: &str = "shop-redis-auth";

/// An app that shares a Redis, stopped, so that there are no pods to wait for.
pub(crate) fn sharing(change: &Value) -> Value {
    let mut redis = json!({"mode": "Shared"});
    for (field, value) in change.as_object().into_iter().flatten() {
        redis[field] = value.clone();
    }
    app("shop", &json!({"stopped": true, "redis": redis}))
}

/// The versions of the app, of its children and of those of its Redis.
async fn all_versions(namespace: &Namespace) -> Result<Vec<String>> {
    let mut all: Vec<String> = versions(namespace, "shop")
        .await?
        .into_iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    for (kind, name) in
        [("StatefulSet", REDIS), ("PersistentVolumeClaim", REDIS), ("Service", REDIS), ("Secret", SECRET)]
    {
        all.push(format!("{kind} {}", namespace.get(kind, name).await?["metadata"]["resourceVersion"]));
    }
    Ok(all)
}

/// What a kubelet would bring about.
pub(crate) async fn answers(namespace: &Namespace) -> Result<()> {
    let ready = json!({"type": "Ready", "status": "True"});
    let ready = Patch::Merge(json!({"status": {"phase": "Running", "conditions": [ready]}}));
    namespace
        .eventually("Redis is told to be ready", SOON, async || {
            let pod = format!("{REDIS}-0");
            namespace.api::<Pod>().patch_status(&pod, &PatchParams::default(), &ready).await?;
            let app = namespace.get("NodeApp", "shop").await?;
            ensure!(app["status"]["redis"]["ready"] == true, "{}", app["status"]["redis"]);
            Ok(())
        })
        .await
}

#[test]
fn a_shared_redis_comes_with_volume_password_and_address_and_the_password_is_nowhere_else() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let _operator = Operator::start(&namespace, &tap).await?;
        namespace.apply(&sharing(&json!({"storage": {"size": "2Gi", "storageClassName": "fast"}}))).await?;
        reported(&namespace, "shop", "True").await?;
        let claim = namespace.get("PersistentVolumeClaim", REDIS).await?;
        ensure!(claim["spec"]["resources"]["requests"]["storage"] == "2Gi", "{}", claim["spec"]);
        ensure!(claim["spec"]["storageClassName"] == "fast", "{}", claim["spec"]);
        ensure!(claim["metadata"]["ownerReferences"].is_null(), "it is to outlive the app: {claim}");
        let set = namespace.get("StatefulSet", REDIS).await?;
        ensure!(
            set["spec"]["replicas"] == 1 && set["metadata"]["ownerReferences"][0]["kind"] == "NodeApp",
            "{set}"
        );
        let command = set["spec"]["template"]["spec"]["containers"][0]["command"].to_string();
        ensure!(command.contains(r#""--appendonly","yes","--appendfsync","everysec""#), "{command}");
        let service = namespace.get("Service", REDIS).await?;
        ensure!(service["spec"]["selector"] == json!({"nodeapp.dev/redis": "shop"}), "{service}");

        // As the administrator, who may.
        let secret = namespace.get("Secret", SECRET).await?;
        let password = secret["data"]["password"].as_str().context("no password")?;
        ensure!(
            secret["metadata"]["ownerReferences"][0]["uid"] == claim["metadata"]["uid"],
            "{}",
            secret["metadata"]
        );
        let decoded = String::from_utf8(data_encoding(password)?)?;
        ensure!(decoded.len() == 64, "{} letters", decoded.len());
        for kind in ["NodeApp", "StatefulSet", "Deployment", "ControllerRevision", "Event"] {
            for object in namespace.list(kind).await? {
                let text = object.to_string();
                ensure!(!text.contains(&decoded) && !text.contains(password), "a {kind} has the password");
            }
        }
        let reads =
            tap.calls().into_iter().filter(|call| call.resource == "secrets" && call.verb != "create");
        ensure!(reads.count() == 0, "the operator looks at Secrets");
        Ok(())
    });
}

/// Base 64, as in a Secret.
fn data_encoding(text: &str) -> Result<Vec<u8>> {
    let bytes: k8s_openapi::ByteString = serde_json::from_value(json!(text))?;
    Ok(bytes.0)
}

#[test]
fn the_password_survives_the_operator_and_the_statefulset_and_a_settled_redis_costs_no_write() {
    story(Tier::Apiserver, |namespace| async move {
        let operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&sharing(&json!({}))).await?;
        settled(&namespace, "shop").await?;
        let first = namespace.get("Secret", SECRET).await?["data"].clone();
        let before = namespace.get("StatefulSet", REDIS).await?;
        namespace.delete_object("StatefulSet", REDIS).await?;
        namespace
            .eventually("another StatefulSet", SOON, async || {
                let now = namespace.get("StatefulSet", REDIS).await?;
                ensure!(now["metadata"]["uid"] != before["metadata"]["uid"], "the same");
                Ok(())
            })
            .await?;
        ensure!(namespace.get("Secret", SECRET).await?["data"] == first, "another password");
        operator.kill().await;
        let tap = Tap::default();
        let _operator = Operator::start(&namespace, &tap).await?;
        namespace
            .eventually("the new operator has looked at it", SOON, async || {
                ensure!(tap.calls().iter().any(|call| call.resource == "secrets"), "{:?}", tap.calls());
                Ok(())
            })
            .await?;
        ensure!(namespace.get("Secret", SECRET).await?["data"] == first, "another password");
        answers(&namespace).await?;
        let rest = async || {
            let now = all_versions(&namespace).await?;
            ensure!(
                condition(&namespace.get("NodeApp", "shop").await?, "Ready")["status"] == "True",
                "not ready"
            );
            Ok(now)
        };
        let before = namespace.eventually("it rests", SOON, rest).await?;
        let writes = tap.writes();
        namespace
            .throughout("nothing is written", Duration::from_secs(3), async || {
                ensure!(all_versions(&namespace).await? == before, "was {before:?}");
                ensure!(tap.writes() == writes, "{:?}", tap.calls());
                Ok(())
            })
            .await
    });
}

#[test]
fn what_someone_changes_in_a_shared_redis_is_put_right_and_what_is_deleted_comes_back() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&sharing(&json!({}))).await?;
        settled(&namespace, "shop").await?;
        let other = json!([{"name": "redis", "image": "registry.example/evil:1"}]);
        for (kind, change) in [
            ("StatefulSet", json!({"spec": {"replicas": 3}})),
            ("StatefulSet", json!({"spec": {"template": {"spec": {"containers": other}}}})),
            ("Service", json!({"spec": {"selector": {"nodeapp.dev/redis": "other"}}})),
            (
                "PersistentVolumeClaim",
                json!({"metadata": {"labels": {"app.kubernetes.io/component": "other"}}}),
            ),
        ] {
            let before = namespace.get(kind, REDIS).await?;
            namespace.patch(kind, REDIS, &change).await?;
            namespace
                .eventually(&format!("{kind} is as it was before {change}"), SOON, async || {
                    let after = namespace.get(kind, REDIS).await?;
                    ensure!(after["spec"] == before["spec"], "{}", after["spec"]);
                    ensure!(
                        after["metadata"]["labels"] == before["metadata"]["labels"],
                        "{}",
                        after["metadata"]
                    );
                    Ok(())
                })
                .await?;
        }
        told(&namespace, "Reverted", "StatefulSet shop-redis").await?;
        for kind in ["StatefulSet", "Service"] {
            let before = namespace.get(kind, REDIS).await?;
            namespace.delete_object(kind, REDIS).await?;
            namespace
                .eventually(&format!("another {kind}"), SOON, async || {
                    let now = namespace.get(kind, REDIS).await?;
                    ensure!(now["metadata"]["uid"] != before["metadata"]["uid"], "the same");
                    Ok(())
                })
                .await?;
        }
        told(&namespace, "Recreated", "StatefulSet shop-redis").await.map(drop)
    });
}

#[test]
fn the_pod_of_a_shared_redis_has_the_place_of_the_apps_and_costs_no_write_at_rest() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let _operator = Operator::start(&namespace, &tap).await?;
        let mut shop = sharing(&json!({}));
        shop["spec"]["pod"] = json!({
            "tolerations": [{"key": "team", "value": ""}, {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}],
            "nodeSelector": {"disk": "fast"},
            "priorityClassName": "system-cluster-critical",
            "imagePullSecrets": [{"name": "registry"}],
        });
        namespace.apply(&shop).await?;
        settled(&namespace, "shop").await?;
        let name = format!("{REDIS}-0");
        let pod = async || namespace.get("Pod", &name).await;
        let pod = namespace.eventually("the pod of Redis", SOON, pod).await?;
        let spec = &pod["spec"];
        ensure!(spec["nodeSelector"] == json!({"disk": "fast"}), "{spec}");
        ensure!(spec["priorityClassName"] == "system-cluster-critical", "{spec}");
        ensure!(spec["imagePullSecrets"] == json!([{"name": "registry"}]), "{spec}");
        let tolerated = |key: &str| {
            spec["tolerations"].as_array().is_some_and(|all| all.iter().any(|it| it["key"] == key))
        };
        ensure!(tolerated("team"), "{spec}");
        answers(&namespace).await?;
        at_rest(&namespace, &tap).await?;
        let writes = tap.writes();
        let still = async || {
            ensure!(tap.writes() == writes, "{:?}", tap.bodies());
            Ok(())
        };
        namespace.throughout("nothing is written", Duration::from_secs(3), still).await?;
        // Another place is another pod.
        shop["spec"]["pod"]["nodeSelector"] = json!({"disk": "slow"});
        namespace.apply(&shop).await?;
        namespace
            .eventually("the StatefulSet follows", SOON, async || {
                let spec = namespace.get("StatefulSet", REDIS).await?["spec"]["template"]["spec"].clone();
                ensure!(spec["nodeSelector"] == json!({"disk": "slow"}), "{spec}");
                Ok(())
            })
            .await
    });
}

#[test]
fn a_volume_that_is_not_there_is_told_with_the_way_out() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&sharing(&json!({"storage": {"storageClassName": "nowhere"}}))).await?;
        let ready = namespace
            .eventually("Ready tells of Redis", SOON, async || {
                let app = namespace.get("NodeApp", "shop").await?;
                let ready = condition(&app, "Ready").clone();
                ensure!(ready["reason"] == "RedisNotReady", "{}", app["status"]);
                ensure!(app["status"]["redis"]["ready"] == false, "{}", app["status"]);
                Ok(ready)
            })
            .await?;
        let message = ready["message"].to_string();
        ensure!(message.contains("PersistentVolumeClaim shop-redis is not bound"), "{message}");
        ensure!(message.contains("Its storage class is nowhere"), "{message}");
        ensure!(message.contains("spec.redis.storage.storageClassName"), "{message}");
        // Another class is refused while the claim is there, with the same way out.
        namespace.apply(&sharing(&json!({"storage": {"storageClassName": "fast"}}))).await?;
        let told = reported(&namespace, "shop", "False").await?;
        let message = condition(&told, "Valid")["message"].to_string();
        ensure!(message.contains("kubectl delete pvc shop-redis"), "{message}");
        namespace.delete_object("PersistentVolumeClaim", REDIS).await?;
        namespace
            .eventually("a claim of the other class", SOON, async || {
                let claim = namespace.get("PersistentVolumeClaim", REDIS).await?;
                ensure!(claim["spec"]["storageClassName"] == "fast", "{}", claim["spec"]);
                Ok(())
            })
            .await
    });
}

#[test]
fn a_name_that_another_app_has_is_told() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        // Its Service has the name that the one of the Redis would get.
        namespace.apply(&app(REDIS, &json!({}))).await?;
        settled(&namespace, REDIS).await?;
        namespace.apply(&sharing(&json!({}))).await?;
        let told = reported(&namespace, "shop", "False").await?;
        let valid = condition(&told, "Valid");
        ensure!(valid["reason"] == "NameTaken", "{valid}");
        ensure!(
            valid["message"].to_string().contains("Service shop-redis exists and belongs to NodeApp"),
            "{valid}"
        );
        Ok(())
    });
}

#[test]
fn a_redis_that_makes_no_sense_is_refused_with_the_right_form() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        let refused = [
            (json!({"mode": "External"}), "needs redis.address"),
            (json!({"mode": "External", "address": "redis"}), "must be a host and a port"),
            (
                json!({"mode": "External", "address": "r:1", "image": "i"}),
                "with redis.mode External, leave them out",
            ),
            (json!({"mode": "Sidecar", "address": "r:1"}), "set redis.mode: External, or leave them out"),
            (json!({"mode": "Sidecar", "storage": {}}), "set redis.mode: Shared, or leave them out"),
            (json!({"mode": "Shared", "appendFsync": "sometimes"}), "supported values"),
            (json!({"mode": "Shared", "maxMemoryPolicy": "lru"}), "supported values"),
            (json!({"mode": "Shared", "storage": {"storageClassName": "Fast"}}), "kubectl get storageclass"),
            (json!({"mode": "Elsewhere"}), "supported values"),
            (json!({}), "Required value"),
            (
                json!({"mode": "External", "address": "r:1", "tls": {"ca": {}}}),
                "exactly one of secretKeyRef and configMapKeyRef",
            ),
            (
                json!({"mode": "External", "address": "r:1", "access": "Env", "tls": {"serverName": "r"}}),
                "used by the forwarder alone",
            ),
        ];
        for (redis, part) in refused {
            let answer = create(&namespace, &app("shop", &json!({ "redis": redis }))).await;
            let Err(error) = answer else { panic!("{redis} was taken") };
            ensure!(error.to_string().contains(part), "{redis}: {error:#}");
        }
        let fine = json!({"redis": {"mode": "External", "address": "[::1]:6379"}});
        create(&namespace, &app("fine", &fine)).await.map(drop)
    });
}
