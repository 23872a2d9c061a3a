//! Whether the definition of the API in the cluster is as new as this operator: one that
//! is older drops fields of specs without a word, and takes no status that has new ones.

use kube::{Client, CustomResourceExt};
use serde_json::Value;

use crate::crd::NodeApp;

/// Where every API server shows the schema to whoever is logged in.
const SCHEMAS: &str = "/openapi/v3/apis/nodeapp.dev/v1alpha1";
const NAME: &str = "dev.nodeapp.v1alpha1.NodeApp";
/// Fields that are named.
const NAMED: usize = 5;

/// What is said of a definition that is older than this operator; nothing where it is
/// not, or cannot be seen.
pub(crate) async fn is_older(client: &Client) -> Option<String> {
    told(&lacking(client).await?)
}

/// The fields of spec and status that the definition in the cluster lacks, as paths; nothing
/// where it cannot be seen.
pub async fn lacking(client: &Client) -> Option<Vec<String>> {
    let request = http::Request::get(SCHEMAS).body(Vec::new()).ok()?;
    let served: Value = client.request(request).await.ok()?;
    let ours = serde_json::to_value(NodeApp::crd()).ok()?;
    let ours = &ours["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    Some(not_served(ours, served["components"]["schemas"].get(NAME)?))
}

/// The fields of spec and status that are not served, as paths.
fn not_served(ours: &Value, served: &Value) -> Vec<String> {
    let mut lacking = Vec::new();
    for part in ["spec", "status"] {
        compare(part, &ours["properties"][part], &served["properties"][part], &mut lacking);
    }
    lacking
}

fn compare(path: &str, ours: &Value, served: &Value, lacking: &mut Vec<String>) {
    for (name, field) in ours["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match served["properties"].get(name) {
            Some(known) => compare(&path, field, known, lacking),
            None => lacking.push(path),
        }
    }
    for below in ["items", "additionalProperties"] {
        if ours[below].is_object() && served[below].is_object() {
            compare(path, &ours[below], &served[below], lacking);
        }
    }
}

fn told(lacking: &[String]) -> Option<String> {
    let named = lacking.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = lacking.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!lacking.is_empty()).then(|| {
        format!(
            "{named}{more} in the CustomResourceDefinition nodeapps.nodeapp.dev, which is older than this operator \
             (upgrade the chart nodeapp-operator-crds, or kubectl apply --server-side -f manifests/crds.yaml)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Value {
        let definition = serde_json::to_value(crate::crd::definition()).unwrap();
        definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
    }

    #[test]
    fn what_an_older_definition_lacks_is_named_and_what_a_newer_one_has_is_not() {
        let installed = ours();
        let raw = serde_json::to_value(NodeApp::crd()).unwrap();
        let raw = &raw["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        assert_eq!(not_served(raw, &installed), Vec::<String>::new());
        let mut older = installed.clone();
        older["properties"]["spec"]["properties"].as_object_mut().unwrap().remove("stopped");
        let rollout = &mut older["properties"]["spec"]["properties"]["rollout"]["properties"];
        rollout.as_object_mut().unwrap().remove("before");
        let conditions =
            &mut older["properties"]["status"]["properties"]["conditions"]["items"]["properties"];
        conditions.as_object_mut().unwrap().remove("reason");
        let missing = not_served(raw, &older);
        assert_eq!(missing, ["spec.rollout.before", "spec.stopped", "status.conditions.reason"]);
        assert_eq!(not_served(&older, raw), Vec::<String>::new());
    }

    #[test]
    fn a_long_list_is_cut_short() {
        let fields: Vec<_> = (0..7).map(|number| format!("spec.f{number}")).collect();
        let text = told(&fields).unwrap();
        assert!(text.starts_with("spec.f0, spec.f1, spec.f2, spec.f3, spec.f4 and 2 more in the"), "{text}");
        assert_eq!(told(&[]), None);
    }
}
