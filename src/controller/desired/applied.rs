//! Says in an object what its spec was made to be. The API server keeps lists such as the rules of a
//! policy as one value: who owns them is known, and not what of them. Without it, something taken out
//! within such a list would look as if it had come from elsewhere, and would stay.

use k8s_openapi::Metadata;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use crate::controller::names;

/// The object with a hash of its spec in an annotation: another spec is always another object.
pub(super) fn marked<K: Metadata<Ty = ObjectMeta> + Serialize>(mut object: K) -> K {
    let whole = serde_json::to_value(&object).expect("a Kubernetes object is JSON");
    let annotations = object.metadata_mut().annotations.get_or_insert_default();
    annotations.insert(names::APPLIED_ANNOTATION.to_owned(), names::hash(&whole["spec"].to_string()));
    object
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::CronJob;
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::desired::{Settings, desired};
    use crate::controller::observe::Observed;
    use crate::controller::validate::validate;

    fn job(tolerations: &Value) -> CronJob {
        let app = json!({
            "apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp",
            "metadata": {"name": "cart", "namespace": "storefront", "uid": "u"},
            "spec": {"image": "a:1", "script": "a.js", "autorestart": false, "cronRestart": "0 3 * * *",
                "pod": {"tolerations": [tolerations]}},
        });
        let valid = validate(&serde_json::from_value(app).unwrap()).unwrap();
        desired(&valid, &Observed::default(), &Settings::default()).cron_job.unwrap()
    }

    #[test]
    fn a_job_that_loses_a_field_deep_in_its_template_is_another_object() {
        let of =
            |job: &CronJob| names::annotation(&job.metadata, names::APPLIED_ANNOTATION).map(str::to_owned);
        let one = job(&json!({"key": "a", "operator": "Exists", "effect": "NoSchedule"}));
        let other = job(&json!({"key": "a", "operator": "Exists"}));
        assert!(of(&one).is_some());
        assert_ne!(of(&one), of(&other));
        assert_eq!(of(&one), of(&job(&json!({"key": "a", "operator": "Exists", "effect": "NoSchedule"}))));
    }
}
