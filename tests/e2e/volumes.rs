//! Volumes that outlive a pod.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};
use nodeapp_testkit::Namespace;
use serde_json::{Value, json};

use crate::app::SOON;
use crate::e2e;

const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// A claim of the default class, or of another one.
pub(crate) fn claim(name: &str, class: Option<&str>) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": {"requests": {"storage": "10Mi"}},
        },
    })
}

/// A pod that runs a script with the claim `data` at `/data`, once.
async fn run(namespace: &Namespace, name: &str, script: &str) -> Result<()> {
    let security = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "main", "image": namespace.cluster().image("apps")?, "command": ["node", "-e", script],
                "securityContext": security, "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        },
    });
    namespace.apply(&pod).await?;
    namespace
        .eventually(&format!("the pod {name} succeeds"), SOON, async || {
            let pod = namespace.get("Pod", name).await?;
            ensure!(pod["status"]["phase"] == "Succeeded", "{}", pod["status"]);
            Ok(())
        })
        .await
}

async fn volume_of(namespace: &Namespace, claim: &str) -> Result<String> {
    let claim = namespace.get("PersistentVolumeClaim", claim).await?;
    ensure!(claim["status"]["phase"] == "Bound", "{}", claim["status"]);
    Ok(claim["spec"]["volumeName"].as_str().context("no volume")?.to_owned())
}

#[test]
fn a_claim_is_bound_to_a_volume_whose_data_outlives_the_pod_and_which_goes_with_the_claim() {
    e2e(|namespace| async move {
        namespace.apply(&claim("data", None)).await?;
        run(&namespace, "first", "fs.writeFileSync('/data/word', 'kept')").await?;
        let volume = volume_of(&namespace, "data").await?;
        namespace.delete_object("Pod", "first").await?;
        let read = "if (fs.readFileSync('/data/word', 'utf8') !== 'kept') process.exit(1)";
        run(&namespace, "second", read).await?;
        namespace.delete_object("Pod", "second").await?;
        namespace.delete_object("PersistentVolumeClaim", "data").await?;
        let volumes: Api<PersistentVolume> = Api::all(namespace.cluster().client.clone());
        namespace
            .eventually("the volume goes with its claim", SOON, async || {
                ensure!(volumes.get_opt(&volume).await?.is_none(), "{volume} is still there");
                Ok(())
            })
            .await
    });
}

#[test]
fn a_volume_that_is_to_be_retained_outlives_its_claim() {
    e2e(|namespace| async move {
        let client = &namespace.cluster().client;
        let classes: Api<StorageClass> = Api::all(client.clone());
        let all = classes.list(&ListParams::default()).await?;
        let default =
            all.items.iter().find(|class| class.annotations().get(IS_DEFAULT).is_some_and(|it| it == "true"));
        let mut class = default.context("no default StorageClass")?.clone();
        class.metadata = ObjectMeta { name: Some(namespace.name().to_owned()), ..ObjectMeta::default() };
        class.reclaim_policy = Some("Retain".to_owned());
        classes.create(&PostParams::default(), &class).await?;
        namespace.apply(&claim("data", Some(namespace.name()))).await?;
        run(&namespace, "first", "fs.writeFileSync('/data/word', 'kept')").await?;
        let volume = volume_of(&namespace, "data").await?;
        namespace.delete_object("Pod", "first").await?;
        namespace.delete_object("PersistentVolumeClaim", "data").await?;
        let volumes: Api<PersistentVolume> = Api::all(client.clone());
        let released = async || {
            let phase = volumes.get(&volume).await?.status.and_then(|status| status.phase);
            ensure!(phase.as_deref() == Some("Released"), "{phase:?}");
            Ok(())
        };
        namespace.eventually("the volume waits for somebody to decide", SOON, released).await?;
        volumes.delete(&volume, &DeleteParams::default()).await?;
        classes.delete(namespace.name(), &DeleteParams::default()).await?;
        Ok(())
    });
}
