//! Operators of different versions: what an older one rendered stays, and several at
//! once do not fight.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::Request;
use nodeapp_operator::controller::desired::{Settings, desired};
use nodeapp_operator::controller::observe::Observed;
use nodeapp_operator::controller::validate::validate;
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::support::{Operator, SOON, Tap, app, install, reported, settled, versions};

/// Runner images stand for versions: each operator would render another template.
const VERSIONS: [&str; 2] = ["registry.example/runner:1", "registry.example/runner:2"];

fn template(deployment: &Value) -> Value {
    deployment["spec"]["template"].clone()
}

#[test]
fn leaders_of_different_versions_in_turn_write_nothing_over_a_settled_app() {
    story(Tier::Apiserver, |namespace| async move {
        let first = Operator::start_with(&namespace, &Tap::default(), VERSIONS[0]).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        let before = settled(&namespace, "shop").await?;
        first.kill().await;
        for turn in 1..5 {
            let tap = Tap::default();
            let operator = Operator::start_with(&namespace, &tap, VERSIONS[turn % 2]).await?;
            // Another app shows that it has looked at everything.
            let other = format!("other-{turn}");
            namespace.apply(&app(&other, &json!({}))).await?;
            settled(&namespace, &other).await?;
            ensure!(versions(&namespace, "shop").await? == before, "turn {turn}: {:?}", tap.calls());
            operator.kill().await;
        }
        Ok(())
    });
}

#[test]
fn two_versions_at_work_at_once_come_to_an_agreement() {
    story(Tier::Apiserver, |namespace| async move {
        let taps = [Tap::default(), Tap::default()];
        let _one = Operator::start_with(&namespace, &taps[0], VERSIONS[0]).await?;
        let _two = Operator::start_with(&namespace, &taps[1], VERSIONS[1]).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        namespace.apply(&app("shop", &json!({"args": ["changed"], "instances": 3}))).await?;
        reported(&namespace, "shop", "True").await?;
        // Whoever came first has rendered, and the other one takes it as it is.
        let rested = async || -> Result<()> {
            let before = versions(&namespace, "shop").await?;
            let still = async || {
                let now = versions(&namespace, "shop").await?;
                ensure!(now == before, "{before:?} became {now:?}");
                Ok(())
            };
            namespace.throughout("nobody writes", Duration::from_secs(3), still).await
        };
        let mut quiet = rested().await;
        for _ in 0..3 {
            if quiet.is_ok() {
                break;
            }
            quiet = rested().await;
        }
        quiet?;
        assert_eq!(namespace.list("ControllerRevision").await?.len(), 2, "one per spec, not per version");
        Ok(())
    });
}

#[test]
fn a_template_that_an_older_version_rendered_stays_to_the_letter() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        let older = Box::pin(as_an_older_one_made_it(&namespace, "shop")).await?;
        let _operator = Operator::start_with(&namespace, &Tap::default(), VERSIONS[1]).await?;
        settled(&namespace, "shop").await?;
        assert_eq!(template(&namespace.get("Deployment", "shop").await?), older);
        // Scaling keeps it, a change of the spec is rendered by the new version, and going back brings it back.
        namespace.apply(&app("shop", &json!({"instances": 4}))).await?;
        settled(&namespace, "shop").await?;
        assert_eq!(template(&namespace.get("Deployment", "shop").await?), older);
        namespace.apply(&app("shop", &json!({"instances": 4, "args": ["new"]}))).await?;
        reported(&namespace, "shop", "True").await?;
        assert_ne!(template(&namespace.get("Deployment", "shop").await?), older);
        namespace.apply(&app("shop", &json!({"instances": 4}))).await?;
        namespace
            .eventually("the older template is back", SOON, async || {
                let now = template(&namespace.get("Deployment", "shop").await?);
                ensure!(now == older, "{now}");
                Ok(())
            })
            .await
    });
}

/// Revision and Deployment as this version makes them, but for a variable that no version of today knows and one
/// that it lacks. Returns the template as the API server has it.
async fn as_an_older_one_made_it(namespace: &Namespace, name: &str) -> Result<Value> {
    let app = serde_json::from_value(namespace.get("NodeApp", name).await?)?;
    let valid = validate(&app).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    let settings = Settings { runner_image: "registry.example/runner:0".to_owned(), ..Settings::default() };
    let children = desired(&valid, &Observed::default(), &settings);
    let age = |template: &mut Value| -> Result<()> {
        let env = template["spec"]["containers"][0]["env"].as_array_mut().context("variables")?;
        env.retain(|variable| variable["name"] != "PORT");
        env.insert(0, json!({"name": "OF_OLD", "value": "1"}));
        Ok(())
    };
    let mut revision = serde_json::to_value(&children.revision)?;
    age(&mut revision["data"]["template"])?;
    let mut deployment = serde_json::to_value(&children.deployment)?;
    age(&mut deployment["spec"]["template"])?;
    for (group, object) in [("controllerrevisions", &revision), ("deployments", &deployment)] {
        let name = object["metadata"]["name"].as_str().context("a name")?;
        let path = format!("/apis/apps/v1/namespaces/{}/{group}/{name}", namespace.name());
        let request = Request::patch(format!("{path}?fieldManager=nodeapp-operator&force=true"))
            .header("content-type", "application/apply-patch+yaml")
            .body(serde_json::to_vec(object)?)?;
        namespace.cluster().client.request::<Value>(request).await?;
    }
    Ok(template(&namespace.get("Deployment", name).await?))
}
