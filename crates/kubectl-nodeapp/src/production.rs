//! Which apps are in production, so that verbs which disturb an app ask before they do.

use kube::ResourceExt;
use nodeapp_operator::crd::NodeApp;
use nodeapp_operator::crd::env::effective;

/// Label of a NodeApp that says what it is for; with the value `production` nothing disturbs it unasked.
pub(crate) const ENVIRONMENT_LABEL: &str = "nodeapp.dev/environment";

/// Whether an app is in production: by its label, which wins, or by the `NODE_ENV` that its processes get from `env`
/// and the profile in force.
pub(crate) fn is_production(app: &NodeApp) -> bool {
    if let Some(environment) = app.labels().get(ENVIRONMENT_LABEL) {
        return environment == "production";
    }
    let is_set = |name: &str, value: Option<&str>| name == "NODE_ENV" && value == Some("production");
    effective(&app.spec).iter().any(|it| is_set(&it.variable.name, it.variable.value.as_deref()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn app(labels: &Value, spec: &Value) -> NodeApp {
        let mut app = json!({
            "apiVersion": "nodeapp.dev/v1alpha1",
            "kind": "NodeApp",
            "metadata": {"name": "shop", "labels": labels},
            "spec": {"image": "a:1", "script": "a.js"},
        });
        for (field, value) in spec.as_object().into_iter().flatten() {
            app["spec"][field] = value.clone();
        }
        serde_json::from_value(app).expect("a NodeApp")
    }

    #[test]
    fn an_app_is_in_production_by_its_label_or_by_the_node_env_that_it_gets() {
        let node_env = |value: &str| json!([{"name": "NODE_ENV", "value": value}]);
        let nothing = json!({});
        assert!(!is_production(&app(&nothing, &nothing)));
        assert!(is_production(&app(&json!({ENVIRONMENT_LABEL: "production"}), &nothing)));
        assert!(is_production(&app(&nothing, &json!({"env": node_env("production")}))));
        let profile = json!({
            "env": node_env("development"),
            "envProfiles": {"production": node_env("production")},
            "profile": "production",
        });
        assert!(is_production(&app(&nothing, &profile)));
        let other =
            json!({"env": node_env("development"), "envProfiles": {"production": node_env("production")}});
        assert!(!is_production(&app(&nothing, &other)), "a profile that is not in force");
    }

    #[test]
    fn a_label_that_says_otherwise_wins_over_node_env() {
        let spec = json!({"env": [{"name": "NODE_ENV", "value": "production"}]});
        assert!(!is_production(&app(&json!({ENVIRONMENT_LABEL: "staging"}), &spec)));
    }
}
