//! `kubectl nodeapp doctor` against a real API server: each command that it prints is run as it stands, and mends.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::support::{Operator, SOON, Tap, admin, app, apply, install, reported, settled};

/// What needs pods that run, which there are none of here.
const NEED_PODS: [&str; 3] = ["killTimeout", "loadTested", "state"];

/// The lines about one app, by check: verdict and command.
async fn lines(namespace: &Namespace, more: &str) -> Result<BTreeMap<String, (String, Option<String>)>> {
    let folder = tempfile::tempdir()?;
    lines_in(namespace, folder.path(), more).await
}

async fn lines_in(
    namespace: &Namespace,
    folder: &std::path::Path,
    more: &str,
) -> Result<BTreeMap<String, (String, Option<String>)>> {
    let line = format!("kubectl nodeapp doctor shop -n {} -o json {more} || true", namespace.name());
    let said = namespace.cluster().tools.shell(folder, &line).await?;
    let told: Value = serde_json::from_str(&said).with_context(|| said.clone())?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let lines = told["apps"][0]["lines"].as_array().with_context(|| said.clone())?;
    let pair =
        |line: &Value| Some((text(&line["check"])?, (text(&line["verdict"])?, text(&line["command"]))));
    Ok(lines.iter().filter_map(pair).collect())
}

/// Runs what is printed for everything that is not as it should be; the checks.
async fn mend(namespace: &Namespace, folder: &std::path::Path) -> Result<BTreeSet<String>> {
    let mut mended = BTreeSet::new();
    for (check, (verdict, command)) in lines(namespace, "").await? {
        if verdict == "pass" || NEED_PODS.contains(&check.as_str()) {
            continue;
        }
        let command = command.with_context(|| format!("{check} has no command"))?;
        // That one is about other points too, which make it fail.
        let about_all = if command.starts_with("kubectl nodeapp doctor") { " || true" } else { "" };
        let line = format!("{command}{about_all}");
        namespace.cluster().tools.shell(folder, &line).await.with_context(|| check.clone())?;
        mended.insert(check);
    }
    Ok(mended)
}

/// An app with everything wrong that a spec can have wrong and still be carried out.
fn ill() -> Value {
    app(
        "shop",
        &json!({
            "instances": 1,
            "pmx": false,
            "drainDelay": "0s",
            "drainTimeout": "0s",
            "killTimeout": 0,
            "outFile": "out.log",
            "erroredRetryDelay": "0s",
            "nodeArgs": ["--max-old-space-size=4096"],
            "resources": {"limits": {"memory": "512Mi"}},
            "pod": {"topologySpreadConstraints": []},
        }),
    )
}

#[test]
fn each_command_that_doctor_prints_mends_what_it_found() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&ill()).await?;
        settled(&namespace, "shop").await?;
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("server.js"), "process.on('SIGINT', () => process.exit(0));\n")?;
        let budget = json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "everything"},
            "spec": {"minAvailable": "100%", "selector": {}},
        });
        namespace.apply(&budget).await?;

        // One thing may show behind another, so that it takes several rounds.
        let mut mended = BTreeSet::new();
        for _ in 0..8 {
            let some = mend(&namespace, folder.path()).await?;
            if some.is_empty() {
                break;
            }
            mended.extend(some);
            reported(&namespace, "shop", "True").await?;
        }
        let expected = [
            "disruptionBudget",
            "heap",
            "instances",
            "logRotation",
            "maxMemoryRestart",
            "mergedLogs",
            "monitoring",
            "requests",
            "restartLimits",
            "sharedState",
            "shutdown",
            "spread",
            "waitReady",
        ];
        ensure!(mended.iter().eq(expected.iter()), "{mended:?}");
        let left = lines(&namespace, "").await?;
        let ill: Vec<_> =
            left.iter().filter(|(_, (verdict, _))| verdict != "pass").map(|(check, _)| check).collect();
        ensure!(ill == NEED_PODS, "{left:?}");
        Ok(())
    });
}

#[test]
fn a_paused_and_a_stopped_app_are_told_with_what_wakes_them() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({"stopped": true}))).await?;
        reported(&namespace, "shop", "True").await?;
        let pause = json!({"metadata": {"annotations": {"nodeapp.dev/paused": "true"}}});
        namespace.patch("NodeApp", "shop", &pause).await?;
        let folder = tempfile::tempdir()?;
        for word in ["nodeapp.dev/paused-", "stopped"] {
            let (verdict, command) = lines(&namespace, "").await?.remove("state").context("a line")?;
            let command = command.context("a command")?;
            ensure!(verdict == "warn" && command.contains(word), "{verdict} {command}");
            namespace.cluster().tools.shell(folder.path(), &command).await?;
        }
        settled(&namespace, "shop").await?;
        let shop = namespace.get("NodeApp", "shop").await?;
        ensure!(shop["spec"]["stopped"].is_null() && shop["metadata"]["annotations"].is_null(), "{shop}");
        Ok(())
    });
}

#[test]
fn an_audit_of_the_source_is_told_and_recorded_for_its_image() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        let folder = tempfile::tempdir()?;
        let source = "const app = require('express')();\nconst sessions = {};\n\
                      app.get('/', (req, res) => { sessions[req.ip] = 1; res.end(); });\n";
        std::fs::write(folder.path().join("server.js"), source)?;
        let found = lines_in(&namespace, folder.path(), "--audit . --record").await?;
        ensure!(found["sharedState"].0 != "pass", "{found:?}");
        let again = lines(&namespace, "").await?;
        ensure!(again["sharedState"] == found["sharedState"], "it is recorded: {again:?}");
        namespace.apply(&app("shop", &json!({"image": "registry.example/shop:2"}))).await?;
        let other = lines(&namespace, "").await?;
        let command = other["sharedState"].1.clone().unwrap_or_default();
        ensure!(command.contains("--audit . --record"), "another image was never audited: {command}");
        Ok(())
    });
}

#[test]
fn whoever_lacks_rights_gets_the_command_for_somebody_who_may_give_them() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        let user = format!("reader-of-{}", namespace.name());
        let tools = &namespace.cluster().tools;
        let folder = tempfile::tempdir()?;
        let look = format!("kubectl nodeapp doctor shop -n {} --as {user}", namespace.name());
        let refused = tools.shell(folder.path(), &look).await.err().context("it is refused")?;
        let refused = format!("{refused:#}");
        ensure!(refused.contains("you may not get nodeapps"), "{refused}");

        let get = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "rules": [{"apiGroups": ["nodeapp.dev"], "resources": ["nodeapps"], "verbs": ["get"]}]});
        crate::support::grant_role(
            &admin(&Tap::default()).await?,
            namespace.name(),
            "get",
            &get.to_string(),
            &user,
        )
        .await?;
        let with_user = format!("--as {user}");
        let granted = async || {
            let found = lines(&namespace, &with_user).await;
            found.map_err(|error| error.context("the right to get is not there yet"))
        };
        let found = namespace.eventually("it may be looked at", SOON, granted).await?;
        let (verdict, command) = found["rights"].clone();
        let command = command.context("a command")?;
        ensure!(verdict == "warn" && !found.contains_key("disruptionBudget"), "{found:?}");

        // The role of the chart, as the plugin itself prints it.
        tools.shell(folder.path(), "kubectl nodeapp rights -o yaml | kubectl apply -f -").await?;
        tools.shell(folder.path(), &command).await?;
        let passes = async || {
            let found = lines(&namespace, &with_user).await?;
            ensure!(found["rights"].0 == "pass" && found.contains_key("disruptionBudget"), "{found:?}");
            Ok(())
        };
        namespace.eventually("the rights are there", SOON, passes).await
    });
}

#[test]
fn pods_that_no_monitor_selects_get_one_by_the_printed_command() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        let schema =
            json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "podmonitors.monitoring.coreos.com"},
            "spec": {
                "group": "monitoring.coreos.com",
                "names": {"kind": "PodMonitor", "plural": "podmonitors", "singular": "podmonitor"},
                "scope": "Namespaced",
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
            },
        });
        let path =
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/podmonitors.monitoring.coreos.com";
        let admin = admin(&Tap::default()).await?;
        apply(&admin, path, &definition).await?;
        let monitoring = async || {
            let found = lines(&namespace, "").await?;
            let (verdict, command) = found["monitoring"].clone();
            let command = command.context("a command")?;
            ensure!(verdict == "warn" && command.contains("PodMonitor"), "{verdict} {command}");
            Ok(command)
        };
        let command = namespace.eventually("PodMonitors are known", SOON, monitoring).await?;
        let folder = tempfile::tempdir()?;
        namespace.cluster().tools.shell(folder.path(), &command).await?;
        let found = lines(&namespace, "").await?;
        ensure!(found["monitoring"].0 == "pass", "{found:?}");
        Ok(())
    });
}

#[test]
fn doctor_says_what_is_wrong_with_the_call_itself() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        let tools = &namespace.cluster().tools;
        let folder = tempfile::tempdir()?;
        let name = namespace.name();
        for (line, word) in [
            (format!("kubectl nodeapp doctor sohp -n {name}"), "did you mean shop?"),
            (format!("kubectl nodeapp doctor shop -n {name} --record"), "--audit"),
            (format!("kubectl nodeapp doctor shop -n {name} --kubeconfig none"), "no cluster to ask"),
            (format!("kubectl nodeapp doctor shop -n {name} --audit nowhere"), "nowhere"),
        ] {
            let refused = tools.shell(folder.path(), &line).await.err().with_context(|| line.clone())?;
            let refused = format!("{refused:#}");
            ensure!(refused.contains(word), "{line}: {refused}");
        }
        // The words for people: nobody reads control codes in a pipe.
        let told = tools.shell(folder.path(), &format!("kubectl nodeapp doctor -n {name} || true")).await?;
        ensure!(told.contains("shop in namespace") && !told.contains('\x1b'), "{told}");
        Ok(())
    });
}
