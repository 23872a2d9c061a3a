//! Objects as a user writes them: YAML or JSON, by server-side apply.

use anyhow::{Context, Result, bail};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::Namespace;

/// The tests' own name among the field managers.
const MANAGER: &str = "nodeapp-tests";

impl Namespace {
    /// Applies one object to this namespace. Unknown fields are errors, as
    /// with kubectl.
    ///
    /// # Errors
    /// What the apiserver says.
    pub async fn apply(&self, object: &Value) -> Result<Value> {
        let (api, name) = self.place(object)?;
        let params = PatchParams::apply(MANAGER).force().validation_strict();
        let applied = api.patch(&name, &params, &Patch::Apply(object)).await?;
        Ok(serde_json::to_value(applied)?)
    }

    /// Applies every document of a YAML text.
    ///
    /// # Errors
    /// The text is no YAML, or what the apiserver says.
    pub async fn apply_yaml(&self, text: &str) -> Result<()> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text)?;
        for document in documents {
            self.apply(&document).await?;
        }
        Ok(())
    }

    /// A merge patch of one object.
    ///
    /// # Errors
    /// What the apiserver says.
    pub async fn patch(&self, kind: &str, name: &str, patch: &Value) -> Result<Value> {
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let patched =
            self.dynamic(kind)?.patch(name, &params.validation_strict(), &Patch::Merge(patch)).await?;
        Ok(serde_json::to_value(patched)?)
    }

    /// One object as JSON, by a kind such as `Deployment`.
    ///
    /// # Errors
    /// What the apiserver says, `NotFound` included.
    pub async fn get(&self, kind: &str, name: &str) -> Result<Value> {
        let found = self.dynamic(kind)?.get(name).await.with_context(|| format!("{kind} {name}"))?;
        Ok(serde_json::to_value(found)?)
    }

    /// All objects of a kind as JSON.
    ///
    /// # Errors
    /// What the apiserver says.
    pub async fn list(&self, kind: &str) -> Result<Vec<Value>> {
        let list = self.dynamic(kind)?.list(&kube::api::ListParams::default()).await?;
        list.items.into_iter().map(|item| Ok(serde_json::to_value(item)?)).collect()
    }

    /// Deletes one object.
    ///
    /// # Errors
    /// What the apiserver says, `NotFound` included.
    pub async fn delete_object(&self, kind: &str, name: &str) -> Result<()> {
        let deleted = self.dynamic(kind)?.delete(name, &DeleteParams::background()).await;
        deleted.map(drop).with_context(|| format!("delete {kind} {name}"))
    }

    fn place(&self, object: &Value) -> Result<(Api<DynamicObject>, String)> {
        let kind = object["kind"].as_str().context("the object has no kind")?;
        let name = object["metadata"]["name"].as_str().context("the object has no metadata.name")?;
        let api = self.dynamic(kind)?;
        let expected = json!(resource(kind)?.api_version);
        if object["apiVersion"] != expected {
            bail!("{kind} has apiVersion {}, want {expected}", object["apiVersion"]);
        }
        Ok((api, name.to_owned()))
    }

    fn dynamic(&self, kind: &str) -> Result<Api<DynamicObject>> {
        Ok(Api::namespaced_with(self.cluster().client.clone(), self.name(), &resource(kind)?))
    }
}

/// The kinds that the tests touch.
fn resource(kind: &str) -> Result<ApiResource> {
    let (group, version, plural) = match kind {
        "NodeApp" => ("nodeapp.dev", "v1alpha1", "nodeapps"),
        "Deployment" => ("apps", "v1", "deployments"),
        "ReplicaSet" => ("apps", "v1", "replicasets"),
        "StatefulSet" => ("apps", "v1", "statefulsets"),
        "ControllerRevision" => ("apps", "v1", "controllerrevisions"),
        "CronJob" => ("batch", "v1", "cronjobs"),
        "Job" => ("batch", "v1", "jobs"),
        "PodDisruptionBudget" => ("policy", "v1", "poddisruptionbudgets"),
        "Lease" => ("coordination.k8s.io", "v1", "leases"),
        "EndpointSlice" => ("discovery.k8s.io", "v1", "endpointslices"),
        "Pod" => ("", "v1", "pods"),
        "Service" => ("", "v1", "services"),
        "ServiceAccount" => ("", "v1", "serviceaccounts"),
        "ConfigMap" => ("", "v1", "configmaps"),
        "HorizontalPodAutoscaler" => ("autoscaling", "v2", "horizontalpodautoscalers"),
        "Ingress" => ("networking.k8s.io", "v1", "ingresses"),
        "NetworkPolicy" => ("networking.k8s.io", "v1", "networkpolicies"),
        "HTTPRoute" => ("gateway.networking.k8s.io", "v1", "httproutes"),
        "Secret" => ("", "v1", "secrets"),
        "PersistentVolumeClaim" => ("", "v1", "persistentvolumeclaims"),
        "ResourceQuota" => ("", "v1", "resourcequotas"),
        "LimitRange" => ("", "v1", "limitranges"),
        "Event" => ("events.k8s.io", "v1", "events"),
        _ => bail!("add {kind} to the kinds of the testkit"),
    };
    Ok(ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural))
}
