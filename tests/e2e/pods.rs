//! What the pods have around the app, as it is seen from within them.

use anyhow::{Result, ensure};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use nodeapp_testkit::Namespace;
use serde_json::{Value, json};

use crate::app::{App, SOON, condition, pod_uids, settled};
use crate::e2e;
use crate::volumes::claim;

fn script(text: &str) -> Value {
    json!(["node", "-e", text])
}

/// A program that ends at once when it is told to.
const IDLE: &str = "process.on('SIGTERM', () => process.exit()); setInterval(() => {}, 1e6)";

async fn node(namespace: &Namespace, pod: &str, text: &str) -> Result<String> {
    Ok(namespace.exec(pod, &["node", "-p", text]).await?.trim().to_owned())
}

#[test]
fn what_an_app_writes_to_its_claim_is_there_after_a_rollout_and_a_writable_path_is_empty() {
    e2e(|namespace| async move {
        namespace.apply(&claim("uploads", None)).await?;
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&json!({
            "writablePaths": ["/app/cache"],
            "volumeMounts": [{"name": "uploads", "mountPath": "/app/uploads"}],
            "pod": {"volumes": [{"name": "uploads", "persistentVolumeClaim": {"claimName": "uploads"}}]},
        }));
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 1).await?;
        node(&namespace, &pods[0], "fs.writeFileSync('/app/uploads/a.txt', 'kept')").await?;
        // Beside it, a path that may be written is empty at the start of a pod, and others may not.
        node(&namespace, &pods[0], "fs.writeFileSync('/app/cache/a.txt', 'gone')").await?;
        let elsewhere = node(&namespace, &pods[0], "fs.writeFileSync('/app/a.txt', '')").await;
        let refused = elsewhere.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(refused.contains("EROFS"), "{refused}");
        let before = pod_uids(&namespace, "shop").await?;
        let shop = shop.env(&[("VERSION", "v2")]);
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 1).await?;
        ensure!(pod_uids(&namespace, "shop").await? != before, "the pod was not replaced");
        let text = node(&namespace, &pods[0], "fs.readFileSync('/app/uploads/a.txt', 'utf8')").await?;
        ensure!(text == "kept", "{text}");
        let cache = node(&namespace, &pods[0], "fs.readdirSync('/app/cache').length").await?;
        ensure!(cache == "0", "{cache}");
        Ok(())
    });
}

#[test]
fn a_claim_that_there_is_not_is_told_while_the_old_pod_serves_and_helps_as_soon_as_it_is_made() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?;
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 1).await?;
        let with_volume = shop.with(&json!({
            "volumeMounts": [{"name": "uploads", "mountPath": "/app/uploads"}],
            "pod": {"volumes": [{"name": "uploads", "persistentVolumeClaim": {"claimName": "uploads"}}]},
        }));
        with_volume.apply(&namespace).await?;
        namespace
            .eventually("the missing claim is told", SOON, async || {
                let object = namespace.get("NodeApp", "shop").await?;
                let ready = condition(&object, "Ready")?;
                let message = ready["message"].as_str().unwrap_or_default();
                ensure!(message.contains("persistentvolumeclaim \"uploads\" not found"), "{ready}");
                ensure!(message.contains("Create the PersistentVolumeClaim"), "{ready}");
                ensure!(namespace.ready_pods("shop").await? == pods, "the old pod does not serve");
                Ok(())
            })
            .await?;
        namespace.apply(&claim("uploads", None)).await?;
        with_volume.ready(&namespace, 1).await.map(drop)
    });
}

#[test]
fn a_claim_that_no_provisioner_binds_is_told_soon_while_the_old_pod_serves() {
    e2e(|namespace| async move {
        // The scheduler waits ten minutes for such a volume, and says nothing meanwhile.
        let classes = Api::<StorageClass>::all(namespace.cluster().client.clone());
        let class = StorageClass {
            metadata: ObjectMeta { name: Some(namespace.name().to_owned()), ..ObjectMeta::default() },
            provisioner: "example.com/nobody".to_owned(),
            volume_binding_mode: Some("WaitForFirstConsumer".to_owned()),
            ..StorageClass::default()
        };
        classes.create(&PostParams::default(), &class).await?;
        let shop = App::serving(&namespace, "shop", "web.js")?;
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 1).await?;
        namespace.apply(&claim("uploads", Some(namespace.name()))).await?;
        let with_volume = shop.with(&json!({
            "volumeMounts": [{"name": "uploads", "mountPath": "/app/uploads"}],
            "pod": {"volumes": [{"name": "uploads", "persistentVolumeClaim": {"claimName": "uploads"}}]},
        }));
        with_volume.apply(&namespace).await?;
        let told = async || {
            let object = namespace.get("NodeApp", "shop").await?;
            let ready = condition(&object, "Ready")?;
            let message = ready["message"].as_str().unwrap_or_default();
            ensure!(message.contains("PersistentVolumeClaims (uploads) have to be bound"), "{ready}");
            ensure!(message.contains("kubectl describe pvc"), "{ready}");
            ensure!(namespace.ready_pods("shop").await? == pods, "the old pod does not serve");
            Ok(())
        };
        let told = namespace.eventually("the claim that nobody binds is told", SOON, told).await;
        classes.delete(namespace.name(), &DeleteParams::default()).await?;
        told
    });
}

#[test]
fn containers_before_and_beside_the_app_run_and_a_stop_waits_for_no_sidecar() {
    e2e(|namespace| async move {
        let image = namespace.cluster().image("apps")?;
        let share = json!([{"name": "share", "mountPath": "/share"}]);
        let write =
            "fs.writeFileSync('/share/from-init', fs.readFileSync('/share/from-sidecar', 'utf8') + '+init')";
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&json!({
            "volumeMounts": share,
            "pod": {
                "volumes": [{"name": "share", "emptyDir": {}}],
                "initContainers": [{"name": "prepare", "image": image, "command": script(write), "volumeMounts": share}],
                "sidecars": [{
                    "name": "beside", "image": image, "volumeMounts": share,
                    "command": script(&format!("fs.writeFileSync('/share/from-sidecar', 'sidecar'); {IDLE}")),
                    "startupProbe": {
                        "exec": {"command": ["node", "-e", "fs.statSync('/share/from-sidecar')"]},
                        "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 30,
                    },
                }],
            },
        }));
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 1).await?;
        let seen = node(&namespace, &pods[0], "fs.readFileSync('/share/from-init', 'utf8')").await?;
        ensure!(seen == "sidecar+init", "{seen}");
        let pod = namespace.get("Pod", &pods[0]).await?;
        for container in pod["spec"]["initContainers"].as_array().into_iter().flatten() {
            for bound in ["requests", "limits"] {
                for resource in ["cpu", "memory"] {
                    ensure!(!container["resources"][bound][resource].is_null(), "{bound} of {container}");
                }
            }
        }
        let shop = shop.with(&json!({"stopped": true}));
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 0).await.map(drop)
    });
}

#[test]
fn names_users_and_labels_that_are_asked_for_are_seen_from_within() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&json!({
            "instances": 2,
            "securityContext": {"readOnlyRootFilesystem": false},
            "pod": {
                "labels": {"team": "web"},
                "securityContext": {"runAsUser": 2000, "runAsGroup": 2001},
                "dnsConfig": {"options": [{"name": "ndots", "value": "3"}], "searches": ["shop.example"]},
                "hostAliases": [{"ip": "192.0.2.7", "hostnames": ["legacy.example"]}],
                // None of it exists: pods start without.
                "imagePullSecrets": [{"name": "registry"}],
                "topologySpreadConstraints": [
                    {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"},
                ],
                "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "Exists"}]},
                ]}}},
                "tolerations": [{"operator": "Exists"}],
                "nodeSelector": {"kubernetes.io/os": "linux"},
            },
            "podTemplate": {"metadata": {"annotations": {"example.com/note": "overlay"}}, "spec": {"hostname": "shop"}},
        }));
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 2).await?;
        let pod = &pods[0];
        ensure!(node(&namespace, pod, "[process.getuid(), process.getgid()].join()").await? == "2000,2001");
        ensure!(
            node(&namespace, pod, "fs.readFileSync('/etc/hosts', 'utf8')").await?.contains("legacy.example")
        );
        let resolver = node(&namespace, pod, "fs.readFileSync('/etc/resolv.conf', 'utf8')").await?;
        ensure!(resolver.contains("ndots:3") && resolver.contains("shop.example"), "{resolver}");
        ensure!(node(&namespace, pod, "os.hostname()").await? == "shop");
        node(&namespace, pod, "fs.writeFileSync('/app/written', ''), fs.rmSync('/app/written')")
            .await
            .map(drop)
            .or_else(|error| {
                // The image's folder is root's; a read-only file system would say something else.
                ensure!(error.to_string().contains("EACCES"), "{error:#}");
                Ok(())
            })?;
        let object = namespace.get("Pod", pod).await?;
        ensure!(object["metadata"]["labels"]["team"] == "web", "{}", object["metadata"]);
        ensure!(object["metadata"]["annotations"]["example.com/note"] == "overlay", "{}", object["metadata"]);
        ensure!(object["spec"]["imagePullSecrets"][0]["name"] == "registry", "{}", object["spec"]);
        let valid = namespace.get("NodeApp", "shop").await?;
        let valid = condition(&valid, "Valid")?;
        ensure!(valid["reason"] == "LoosenedSecurity", "{valid}");
        settled(&namespace, "shop", 2).await.map(drop)
    });
}

#[test]
fn pods_that_may_do_more_than_the_namespace_allows_are_refused_and_the_old_one_serves() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?;
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 1).await?;
        shop.with(&json!({"podTemplate": {"spec": {"hostNetwork": true}}})).apply(&namespace).await?;
        namespace
            .eventually("Pod Security's refusal is told", SOON, async || {
                let object = namespace.get("NodeApp", "shop").await?;
                let degraded = condition(&object, "Degraded")?;
                ensure!(degraded["reason"] == "PodsRefused", "{}", object["status"]);
                let message = degraded["message"].as_str().unwrap_or_default();
                ensure!(message.contains("host namespaces"), "{degraded}");
                ensure!(namespace.ready_pods("shop").await? == pods, "the old pod does not serve");
                Ok(())
            })
            .await
    });
}
