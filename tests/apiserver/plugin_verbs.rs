//! `kubectl nodeapp` where a real API server is enough: what it lists, changes and refuses.

use anyhow::{Result, ensure};
use nodeapp_testkit::{Namespace, Ran, Tier, story};
use serde_json::json;

use crate::support::{Operator, Tap, app, install, reported, settled};

/// Runs a verb in the namespace of the test.
async fn plugin(namespace: &Namespace, words: &[&str]) -> Result<Ran> {
    let args = [words, &["-n", namespace.name()]].concat();
    namespace.cluster().tools.run_plugin(&args).await
}

/// The same of a verb that is to succeed; its standard output.
async fn done(namespace: &Namespace, words: &[&str]) -> Result<String> {
    let ran = plugin(namespace, words).await?;
    ensure!(ran.code == Some(0), "{words:?}: {ran:?}");
    Ok(ran.out)
}

/// The same of one that is to fail; its standard error.
async fn failed(namespace: &Namespace, words: &[&str]) -> Result<String> {
    let ran = plugin(namespace, words).await?;
    ensure!(ran.code == Some(1), "{words:?}: {ran:?}");
    Ok(ran.err)
}

#[test]
fn apps_are_listed_stopped_started_and_scaled_by_exactly_the_field_that_is_meant() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({"image": "registry.example/shop:1.4.2"}))).await?;
        settled(&namespace, "shop").await?;

        let table = done(&namespace, &["ls"]).await?;
        ensure!(table.contains("shop") && table.contains("1.4.2") && table.contains("0/2"), "{table}");
        ensure!(
            table.contains("launching") && !table.contains('\x1b'),
            "no control codes in a pipe: {table}"
        );
        let yaml = done(&namespace, &["ls", "-o", "yaml"]).await?;
        ensure!(yaml.contains("kind: NodeApp") && !yaml.contains("managedFields"), "{yaml}");

        let spec = async || anyhow::Ok(namespace.get("NodeApp", "shop").await?["spec"].clone());
        let before = spec().await?;
        let said = done(&namespace, &["scale", "shop", "+3", "--no-wait"]).await?;
        ensure!(said.contains("2 → 5"), "{said}");
        ensure!(spec().await?["instances"] == 5, "{}", spec().await?);
        done(&namespace, &["scale", "shop", "-3", "--no-wait"]).await?;
        ensure!(spec().await? == before, "{} is not {before}", spec().await?);
        let few = failed(&namespace, &["scale", "shop", "-3", "--no-wait"]).await?;
        ensure!(few.contains("has 2 instances, and -3 would make -1"), "{few}");

        let said = done(&namespace, &["stop", "shop", "--timeout", "60s"]).await?;
        ensure!(said.contains("shop: stopped"), "{said}");
        ensure!(namespace.pods("shop").await?.is_empty(), "it waits until no pod is left");
        let table = done(&namespace, &["ls", "shop"]).await?;
        ensure!(table.contains("0/0") && table.contains("stopped"), "{table}");
        let again = done(&namespace, &["stop", "shop"]).await?;
        ensure!(again.contains("is stopped already"), "{again}");

        // There is no node, so its pods never get ready.
        let late = failed(&namespace, &["start", "shop", "--timeout", "2s"]).await?;
        ensure!(late.contains("not done after 2 s") && late.contains("started was asked for"), "{late}");
        ensure!(spec().await?["stopped"] == false, "{}", spec().await?);
        Ok(())
    });
}

#[test]
fn what_cannot_be_done_is_told_with_the_way_out_and_the_rest_is_done() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        let autoscaled = json!({"instances": null, "autoscaling": {"maxInstances": 3, "cpu": "70%"}});
        namespace.apply(&app("worker", &autoscaled)).await?;
        reported(&namespace, "shop", "True").await?;
        reported(&namespace, "worker", "True").await?;

        let unknown = failed(&namespace, &["stop", "shpo"]).await?;
        ensure!(unknown.contains("did you mean shop?"), "{unknown}");
        let said = plugin(&namespace, &["scale", "all", "3", "--no-wait"]).await?;
        ensure!(said.code == Some(1) && said.out.contains("shop: 2 → 3 instances"), "{said:?}");
        ensure!(said.err.contains("worker: autoscaling decides"), "{said:?}");
        ensure!(said.err.contains("1 of 2 failed: worker"), "{said:?}");

        let nobody = failed(&namespace, &["ls", "--as", "somebody-without-rights"]).await?;
        ensure!(nobody.contains("you may not list nodeapps.nodeapp.dev in namespace"), "{nobody}");
        let nowhere = failed(&namespace, &["ls", "--kubeconfig", "/nowhere"]).await?;
        ensure!(nowhere.contains("no cluster to ask") && nowhere.contains("--kubeconfig"), "{nowhere}");
        let number = plugin(&namespace, &["stop", "0"]).await?;
        ensure!(number.code == Some(2) && number.err.contains("by their name"), "{number:?}");
        Ok(())
    });
}

#[test]
fn an_empty_namespace_is_told_with_what_makes_an_app() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        let ran = plugin(&namespace, &["ls"]).await?;
        ensure!(ran.code == Some(0) && ran.out.is_empty(), "{ran:?}");
        ensure!(ran.err.contains("there is no NodeApp in namespace"), "{ran:?}");
        let list = done(&namespace, &["jlist"]).await?;
        let list: serde_json::Value = serde_json::from_str(&list)?;
        ensure!(list["items"] == json!([]), "{list}");
        Ok(())
    });
}

#[test]
fn a_file_is_applied_as_a_whole_or_not_at_all() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let folder = tempfile::tempdir()?;
        let write = |name: &str, text: String| -> Result<String> {
            let path = folder.path().join(name);
            std::fs::write(&path, text)?;
            Ok(path.to_string_lossy().into_owned())
        };
        let both = |port: u32| {
            let apps = [app("shop", &json!({})), app("worker", &json!({"port": port}))];
            apps.map(|app| format!("---\n{}", serde_json::to_string(&app).unwrap_or_default())).join("\n")
        };
        // The API server refuses the second one: the port is the runner's.
        let bad = write("bad.yaml", both(9615))?;
        let refused = failed(&namespace, &["start", &bad, "--no-wait"]).await?;
        ensure!(refused.contains("worker: ") && refused.contains("port 9615"), "{refused}");
        ensure!(refused.contains("nothing was changed"), "{refused}");
        ensure!(namespace.list("NodeApp").await?.is_empty(), "something was made of it");

        let good = write("good.yaml", both(3000))?;
        let said = done(&namespace, &["start", &good, "--no-wait"]).await?;
        ensure!(said.contains("shop: created") && said.contains("worker: created"), "{said}");
        let again = done(&namespace, &["start", &good, "--no-wait", "--only", "shop"]).await?;
        ensure!(again.contains("shop: is as the file says") && !again.contains("worker"), "{again}");

        let ecosystem =
            "module.exports = {apps: [{name: 'api', script: 'api.js', instances: 2, port: 3000}]}";
        let ecosystem = write("ecosystem.config.js", ecosystem.to_owned())?;
        let bare = failed(&namespace, &["start", &ecosystem]).await?;
        ensure!(bare.contains("give --image"), "{bare}");
        let image = "registry.example/api:1";
        let said = done(&namespace, &["start", &ecosystem, "--image", image, "--no-wait"]).await?;
        ensure!(said.contains("api: created"), "{said}");
        let api = namespace.get("NodeApp", "api").await?;
        ensure!(api["spec"]["image"] == image && api["spec"]["instances"] == 2, "{}", api["spec"]);

        let all = failed(&namespace, &["delete", "all"]).await?;
        ensure!(all.contains("would delete api, shop, worker; say --yes"), "{all}");
        done(&namespace, &["delete", "api", "--timeout", "60s"]).await?;
        done(&namespace, &["delete", "all", "--yes", "--timeout", "60s"]).await?;
        ensure!(namespace.list("NodeApp").await?.is_empty(), "some are left");
        Ok(())
    });
}

#[test]
fn rollouts_are_kept_back_and_variables_are_shown_without_secrets() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let env = json!({"env": [
            {"name": "LOG_LEVEL", "value": "info"},
            {"name": "DB_PASSWORD", "value": "hunter2"},
            {"name": "STRIPE", "valueFrom": {"secretKeyRef": {"name": "pay", "key": "stripe"}}},
        ]});
        namespace.apply(&app("shop", &env)).await?;
        settled(&namespace, "shop").await?;
        let variables = done(&namespace, &["env", "shop"]).await?;
        ensure!(variables.contains("info") && variables.contains("Secret pay, key stripe"), "{variables}");
        ensure!(!variables.contains("hunter2"), "{variables}");

        done(&namespace, &["pause", "shop"]).await?;
        let spec = namespace.get("NodeApp", "shop").await?["spec"].clone();
        ensure!(spec["rollout"]["paused"] == true, "{spec}");
        let refused = failed(&namespace, &["reload", "shop"]).await?;
        ensure!(refused.contains("`resume` goes on"), "{refused}");
        done(&namespace, &["resume", "shop", "--no-wait"]).await?;
        done(&namespace, &["pause", "shop", "--operator"]).await?;
        let held = failed(&namespace, &["scale", "shop", "5"]).await?;
        ensure!(held.contains("was asked for, but") && held.contains("nodeapp.dev/paused"), "{held}");
        done(&namespace, &["resume", "shop", "--no-wait"]).await?;
        let annotations = namespace.get("NodeApp", "shop").await?["metadata"]["annotations"].clone();
        ensure!(annotations["nodeapp.dev/paused"].is_null(), "{annotations}");

        done(&namespace, &["reload", "shop", "--no-wait"]).await?;
        let annotations = namespace.get("NodeApp", "shop").await?["metadata"]["annotations"].clone();
        ensure!(annotations["nodeapp.dev/restartedAt"].is_string(), "{annotations}");
        let history = done(&namespace, &["history", "shop"]).await?;
        ensure!(history.contains("registry.example/shop:1") && history.lines().count() == 2, "{history}");
        let first = failed(&namespace, &["rollback", "shop"]).await?;
        ensure!(first.contains("has no earlier revision"), "{first}");
        let version = done(&namespace, &["version"]).await?;
        ensure!(
            version.contains("nodeapps.nodeapp.dev v1alpha1") && version.contains("kubernetes v"),
            "{version}"
        );
        Ok(())
    });
}
