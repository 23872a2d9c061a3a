//! The environment that an app really gets.

use anyhow::{Result, ensure};
use nodeapp_testkit::Namespace;
use serde_json::{Value, json};

use crate::app::{App, PORT};
use crate::e2e;

/// Answers with its environment.
const SOURCE: &str =
    "require('http').createServer((_, r) => r.end(JSON.stringify(process.env))).listen(process.env.PORT)";

async fn env_of(namespace: &Namespace, pod: &str) -> Result<Value> {
    Ok(serde_json::from_str(&namespace.pod_get(pod, PORT, "/").await?)?)
}

/// Sources and names in `status.env`.
async fn told(namespace: &Namespace) -> Result<Value> {
    let status = namespace.get("NodeApp", "shop").await?["status"].clone();
    let groups = status["env"].as_array().cloned().unwrap_or_default();
    Ok(groups.into_iter().map(|group| json!([group["from"], group["names"]])).collect())
}

#[test]
fn the_stronger_source_of_a_variable_wins_and_the_status_tells_which_one_it_was() {
    e2e(|namespace| async move {
        let common =
            json!({"NODE_VERSION": "config", "A": "config", "B": "config", "C": "config", "PORT": "9"});
        namespace
            .apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "common"}, "data": common}))
            .await?;
        let of_profile = |value: &str| json!([{"name": "C", "value": value}]);
        let shop = App::serving(&namespace, "shop", "web.js")?.without("script").with(&json!({
            "command": ["node", "-e", SOURCE],
            "envFrom": [{"configMapRef": {"name": "common"}}],
            "envProfiles": {"production": of_profile("production"), "staging": of_profile("staging")},
        }));
        let shop = shop.env(&[("B", "env"), ("C", "env")]);
        for profile in ["production", "staging"] {
            shop.clone().with(&json!({"profile": profile})).apply(&namespace).await?;
            let pod = shop.ready(&namespace, 1).await?.remove(0);
            let env = env_of(&namespace, &pod).await?;
            let expected =
                json!({"A": "config", "B": "env", "C": profile, "PORT": "3000", "NODE_VERSION": "config"});
            for (name, value) in expected.as_object().into_iter().flatten() {
                ensure!(&env[name] == value, "{name} is {}, not {value}: {env}", env[name]);
            }
            ensure!(
                env["PATH"].as_str().unwrap_or_default().contains("/usr/local/bin"),
                "the image's: {env}"
            );
            let told = told(&namespace).await?;
            let of_profile = format!("profile {profile}");
            let expected = json!([
                ["ConfigMap common (envFrom)", ["*"]],
                ["env", ["B"]],
                [of_profile, ["C"]],
                ["port", ["PORT"]]
            ]);
            ensure!(told == expected, "{told}");
        }
        Ok(())
    });
}
