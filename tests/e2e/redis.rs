//! Apps as they are written for one host, with the clients from npm, and Redis on localhost.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use nodeapp_testkit::{Namespace, Tier};
use serde_json::{Value, json};

use crate::app::{App, PORT, SOON, condition};
use crate::e2e;

/// An app of `tests/e2e/redis-apps`.
fn app(namespace: &Namespace, script: &str, redis: &Value) -> Result<App> {
    let image = namespace.cluster().image("redis_apps")?;
    let fields = json!({"image": image, "redis": redis, "resources": {"limits": {"memory": "256Mi"}}});
    Ok(App::serving(namespace, "shop", script)?.with(&fields))
}

/// What a pod answers.
async fn ask(namespace: &Namespace, pod: &str, path: &str) -> Result<Value> {
    Ok(serde_json::from_str(&namespace.pod_get(pod, PORT, path).await?)?)
}

/// What all pods answer to the same question at once, added up.
async fn sum(namespace: &Namespace, pods: &[String], path: &str, field: &str) -> Result<u64> {
    let answers = try_join_all(pods.iter().map(|pod| ask(namespace, pod, path))).await?;
    answers.iter().map(|answer| answer[field].as_u64().with_context(|| format!("{answer}"))).sum()
}

/// Waits until the Redis that is shared answers, as the status tells it.
async fn redis_ready(namespace: &Namespace) -> Result<()> {
    namespace
        .eventually("the status says that Redis answers", SOON, async || {
            let app = namespace.get("NodeApp", "shop").await?;
            ensure!(app["status"]["redis"]["ready"] == true, "{}", app["status"]["redis"]);
            Ok(())
        })
        .await
}

#[test]
fn a_sidecar_is_on_localhost_for_clients_from_npm_and_no_other_instance_sees_it() {
    e2e(|namespace| async move {
        let shop = app(&namespace, "shop.js", &json!({"mode": "Sidecar"}))?.with(&json!({"instances": 2}));
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 2).await?;
        let added = ask(&namespace, &pods[0], "/add?n=1000").await?;
        ensure!(added["acknowledged"] == 1000, "{added}");
        let counters =
            (ask(&namespace, &pods[0], "/counter").await?, ask(&namespace, &pods[1], "/counter").await?);
        ensure!(counters.0["counter"] == 1000 && counters.1["counter"] == 0, "{counters:?}");
        let policy = ask(&namespace, &pods[0], "/config?key=maxmemory-policy").await?;
        ensure!(policy["value"] == "allkeys-lru", "{policy}");
        let kept = ask(&namespace, &pods[0], "/config?key=appendonly").await?;
        ensure!(kept["value"] == "no", "{kept}");
        // A limit of 100 is one of 100 for each of them: what docs/redis.md warns of.
        let passed = sum(&namespace, &pods, "/limited?n=120", "passed").await?;
        ensure!(passed == 200, "{passed} of 240 passed");
        Ok(())
    });
}

#[test]
fn a_counter_of_four_instances_is_exact_under_load_and_a_rate_limit_is_one_limit() {
    e2e(|namespace| async move {
        let shop = app(&namespace, "shop.js", &json!({"mode": "Shared"}))?.with(&json!({"instances": 4}));
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 4).await?;
        redis_ready(&namespace).await?;
        let acknowledged = sum(&namespace, &pods, "/add?n=2500", "acknowledged").await?;
        ensure!(acknowledged == 10_000, "{acknowledged} of 10000 are acknowledged");
        for pod in &pods {
            let answer = ask(&namespace, pod, "/counter").await?;
            ensure!(answer["counter"] == 10_000, "{pod}: {answer}");
        }
        let passed = sum(&namespace, &pods, "/limited?n=60", "passed").await?;
        ensure!(passed == 100, "{passed} of 240 passed a limit of 100");
        Ok(())
    });
}

/// Asks the app's own Service from inside a pod, and gives the answer and the cookie.
async fn browse(namespace: &Namespace, pod: &str, path: &str, cookie: &str) -> Result<Value> {
    let script = format!(
        "fetch('http://shop:{PORT}{path}', {{headers: {{cookie: {cookie:?}}}}}).then(async (answer) => \
         console.log(JSON.stringify({{body: await answer.json(), cookie: answer.headers.get('set-cookie')}})))"
    );
    Ok(serde_json::from_str(&namespace.exec(pod, &["node", "-e", &script]).await?)?)
}

#[test]
fn a_session_survives_a_rollout() {
    e2e(|namespace| async move {
        let shop = app(&namespace, "shop.js", &json!({"mode": "Shared"}))?.with(&json!({"instances": 2}));
        shop.clone().env(&[("VERSION", "v1")]).apply(&namespace).await?;
        let pods = shop.ready(&namespace, 2).await?;
        redis_ready(&namespace).await?;
        let login = browse(&namespace, &pods[0], "/login?user=ann", "").await?;
        let cookie =
            login["cookie"].as_str().and_then(|cookie| cookie.split(';').next()).context("no cookie")?;
        shop.clone().env(&[("VERSION", "v2")]).apply(&namespace).await?;
        let pods = shop.ready(&namespace, 2).await?;
        let known = browse(&namespace, &pods[0], "/whoami", cookie).await?;
        ensure!(known["body"] == json!({"user": "ann", "version": "v2"}), "{known}");
        let stranger = browse(&namespace, &pods[0], "/whoami", "").await?;
        ensure!(stranger["body"]["user"].is_null(), "{stranger}");
        Ok(())
    });
}

#[test]
fn jobs_of_a_queue_that_two_instances_share_are_done_once_each() {
    e2e(|namespace| async move {
        let shop = app(&namespace, "queue.js", &json!({"mode": "Shared"}))?.with(&json!({"instances": 2}));
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 2).await?;
        redis_ready(&namespace).await?;
        ask(&namespace, &pods[0], "/fill?from=0&n=200").await?;
        ask(&namespace, &pods[1], "/fill?from=200&n=200").await?;
        namespace
            .eventually("all jobs are done", SOON, async || {
                let counts = ask(&namespace, &pods[0], "/").await?;
                ensure!(counts["done"] == 400, "{counts}");
                ensure!(counts["twice"] == 0, "{counts}");
                Ok(())
            })
            .await
    });
}

/// Number of a program's process in the only container of a pod, as this machine sees
/// it; none where the node is another machine.
async fn process_of(namespace: &Namespace, pod: &str, program: &str) -> Result<Option<u32>> {
    let pod = namespace.get("Pod", pod).await?;
    let status = &pod["status"]["containerStatuses"][0];
    let id = status["containerID"].as_str().unwrap_or_default();
    let id = id.rsplit('/').next().filter(|id| !id.is_empty()).context("it does not run")?;
    let mut found: Vec<u32> = std::fs::read_dir("/proc")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|process| {
            let read =
                |file: &str| std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
            // Probes run in the same group.
            read("cgroup").contains(id) && read("comm").trim() == program
        })
        .collect();
    found.sort_unstable();
    Ok(found.first().copied())
}

async fn started(namespace: &Namespace, pod: &str) -> Result<String> {
    let pod = namespace.get("Pod", pod).await?;
    let status = &pod["status"]["containerStatuses"][0];
    ensure!(status["ready"] == true, "{status}");
    Ok(format!("{} {}", pod["metadata"]["uid"], status["state"]["running"]["startedAt"]))
}

async fn written(namespace: &Namespace, pod: &str, least: u64) -> Result<()> {
    namespace
        .eventually(&format!("{least} writes are acknowledged"), SOON, async || {
            let answer = ask(namespace, pod, "/written").await?;
            ensure!(answer["acknowledged"].as_u64() >= Some(least), "{answer}");
            Ok(())
        })
        .await
}

#[test]
fn a_redis_that_is_killed_or_replaced_while_it_writes_loses_nothing_that_it_acknowledged() {
    e2e(|namespace| async move {
        let redis = json!({"mode": "Shared", "appendFsync": "always"});
        let shop = app(&namespace, "shop.js", &redis)?;
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 1).await?;
        redis_ready(&namespace).await?;
        let policy = ask(&namespace, &pods[0], "/config?key=appendfsync").await?;
        ensure!(policy["value"] == "always", "{policy}");
        ask(&namespace, &pods[0], "/write").await?;
        written(&namespace, &pods[0], 200).await?;

        let before = started(&namespace, "shop-redis-0").await?;
        // Only where the node is this machine is there a process to kill.
        let local = namespace.cluster().breakable(Tier::Node)?.is_some();
        let process = process_of(&namespace, "shop-redis-0", "redis-server").await?;
        ensure!(process.is_some() || !local, "no process of Redis is found");
        if let Some(process) = process {
            let killed = std::process::Command::new("kill").args(["-9", &process.to_string()]).status()?;
            ensure!(killed.success(), "kill -9 {process}: {killed}");
            let back = async || {
                ensure!(started(&namespace, "shop-redis-0").await? != before, "not killed yet");
                Ok(())
            };
            namespace.eventually("Redis is back after kill -9", SOON, back).await?;
        }
        let answer = ask(&namespace, &pods[0], "/written").await?;
        let so_far = answer["acknowledged"].as_u64().context("no number")?;
        written(&namespace, &pods[0], so_far + 200).await?;

        let before = started(&namespace, "shop-redis-0").await?;
        namespace.delete_object("Pod", "shop-redis-0").await?;
        let back = async || {
            ensure!(started(&namespace, "shop-redis-0").await? != before, "not replaced yet");
            Ok(())
        };
        namespace.eventually("another pod of Redis", SOON, back).await?;
        let answer = ask(&namespace, &pods[0], "/written").await?;
        let so_far = answer["acknowledged"].as_u64().context("no number")?;
        written(&namespace, &pods[0], so_far + 200).await?;

        let lost = ask(&namespace, &pods[0], "/lost").await?;
        ensure!(lost["lost"] == json!([]), "{lost}");
        ensure!(lost["acknowledged"].as_u64() >= Some(600), "{lost}");
        let restarts = namespace.container_restarts("shop").await?;
        ensure!(restarts.values().all(|count| *count == 0), "the app was restarted: {restarts:?}");
        Ok(())
    });
}

#[test]
fn an_app_whose_redis_is_away_runs_on_and_the_status_tells_what_is_wrong() {
    e2e(|namespace| async move {
        let storage = json!({"storageClassName": "there-is-none"});
        let shop = app(&namespace, "shop.js", &json!({"mode": "Shared", "storage": storage}))?;
        shop.apply(&namespace).await?;
        let message = namespace
            .eventually("Ready tells of Redis", SOON, async || {
                let app = namespace.get("NodeApp", "shop").await?;
                let ready = condition(&app, "Ready")?;
                ensure!(ready["reason"] == "RedisNotReady", "{}", app["status"]);
                Ok(ready["message"].to_string())
            })
            .await?;
        ensure!(message.contains("PersistentVolumeClaim shop-redis is not bound"), "{message}");
        ensure!(message.contains("spec.redis.storage.storageClassName"), "{message}");
        let pods = namespace.ready_pods("shop").await?;
        ensure!(pods.len() == 1, "the app serves: {pods:?}");
        namespace
            .throughout("nothing in the pod is restarted", Duration::from_secs(5), async || {
                for pod in namespace.list("Pod").await? {
                    let status = &pod["status"];
                    for list in ["initContainerStatuses", "containerStatuses"] {
                        for container in status[list].as_array().into_iter().flatten() {
                            ensure!(container["restartCount"] == 0, "{container}");
                        }
                    }
                }
                Ok(())
            })
            .await
    });
}

/// An authority, a certificate for this host and one for a client, in PEM: authority, certificate, key, certificate, key.
fn certificates(host: &str) -> Result<[String; 5]> {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    // Each has a name of its own: OpenSSL takes a certificate for its own issuer whose subject is the issuer's.
    let named = |name: &str| -> Result<CertificateParams> {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        Ok(params)
    };
    let (authority_key, key, client_key) = (KeyPair::generate()?, KeyPair::generate()?, KeyPair::generate()?);
    let mut authority = named("authority")?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let signed = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);
    let certificate = named(host)?.signed_by(&key, &issuer)?;
    let client = named("shop")?.signed_by(&client_key, &issuer)?;
    Ok([signed.pem(), certificate.pem(), key.serialize_pem(), client.pem(), client_key.serialize_pem()])
}

/// Its pod.
fn their_pod(image: &str) -> Value {
    let command = json!([
        "redis-server",
        "--port",
        "0",
        "--tls-port",
        "6380",
        "--tls-cert-file",
        "/theirs/tls.crt",
        "--tls-key-file",
        "/theirs/tls.key",
        "--tls-ca-cert-file",
        "/theirs/ca.crt",
        "--tls-auth-clients",
        "yes",
        "--aclfile",
        "/theirs/users.acl",
        "--save",
        "",
        "--appendonly",
        "no",
    ]);
    let security = json!({
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true,
    });
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "theirs", "labels": {"who": "theirs"}},
        "spec": {
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "redis", "image": image, "command": command,
                "securityContext": security, "volumeMounts": [{"name": "theirs", "mountPath": "/theirs"}],
                "readinessProbe": {"tcpSocket": {"port": 6380}, "periodSeconds": 1},
            }],
            "volumes": [{"name": "theirs", "secret": {"secretName": "theirs"}}],
        },
    })
}

/// A Redis that speaks TLS and wants a certificate, a user and a password, as somebody else would run it.
async fn somebody_elses_redis(namespace: &Namespace) -> Result<()> {
    let [authority, certificate, key, client, client_key] = certificates("redis.example")?;
    let password = "p@ss/word:#1";
    let acl = format!("user default off\nuser shop on >{password} ~* &* +@all\n");
    let apply = async |object: Value| namespace.apply(&object).await;
    apply(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "redis-ca"},
        "data": {"ca.crt": &authority},
    }))
    .await?;
    apply(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"},
        "stringData": {"user": "shop", "password": password},
    }))
    .await?;
    apply(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "client"}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": client, "tls.key": client_key},
    }))
    .await?;
    apply(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs"},
        "stringData": {"tls.crt": certificate, "tls.key": key, "ca.crt": authority, "users.acl": acl},
    }))
    .await?;
    apply(their_pod(&namespace.cluster().image("redis")?)).await?;
    apply(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "theirs"},
        "spec": {"selector": {"who": "theirs"}, "ports": [{"port": 6380}]},
    }))
    .await?;
    let ready = async || started(namespace, "theirs").await.map(drop);
    namespace.eventually("their Redis is there", SOON, ready).await
}

#[test]
fn a_redis_elsewhere_is_reached_on_localhost_by_tls_with_certificate_user_and_password() {
    e2e(|namespace| async move {
        somebody_elses_redis(&namespace).await?;
        let redis = json!({
            "mode": "External", "address": "theirs:6380",
            "credentials": {"secretName": "login", "usernameKey": "user"},
            "tls": {
                "ca": {"configMapKeyRef": {"name": "redis-ca", "key": "ca.crt"}},
                "serverName": "redis.example", "clientSecretName": "client",
            },
        });
        let shop = app(&namespace, "shop.js", &redis)?.with(&json!({"instances": 2}));
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 2).await?;
        let acknowledged = sum(&namespace, &pods, "/add?n=500", "acknowledged").await?;
        let counter = ask(&namespace, &pods[0], "/counter").await?;
        ensure!(acknowledged == 1000 && counter["counter"] == 1000, "{acknowledged}, {counter}");
        for pod in &pods {
            let seen = namespace.exec(pod, &["node", "-p", "JSON.stringify(process.env)"]).await?;
            ensure!(!seen.contains("p@ss") && !seen.contains("REDIS_"), "{seen}");
        }
        Ok(())
    });
}

#[test]
fn code_that_reads_where_its_redis_is_gets_it_by_variables() {
    e2e(|namespace| async move {
        // One of ours is somebody else's to another app.
        let redis = json!({"mode": "Shared", "storage": {"retention": "Delete"}});
        let shop = app(&namespace, "shop.js", &redis)?;
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 1).await?;
        redis_ready(&namespace).await?;
        let elsewhere = json!({
            "mode": "External", "address": "shop-redis:6379", "access": "Env",
            "credentials": {"secretName": "shop-redis-auth"},
        });
        let mut other = app(&namespace, "env.js", &elsewhere)?;
        other.name = "other".to_owned();
        other.apply(&namespace).await?;
        let pods = other.ready(&namespace, 1).await?;
        let answer = ask(&namespace, &pods[0], "/").await?;
        ensure!(answer["counter"] == 1, "{answer}");
        Ok(())
    });
}

#[test]
fn every_example_with_a_redis_is_taken_by_the_api_server() {
    e2e(|namespace| async move {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/nodeapp-redis.yaml");
        let file = file.to_string_lossy().into_owned();
        let tools = &namespace.cluster().tools;
        tools.kubectl(&["apply", "-n", namespace.name(), "--dry-run=server", "-f", &file]).await.map(drop)
    });
}
