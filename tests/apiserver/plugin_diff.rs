//! `kubectl nodeapp diff`: what a file would change, asked of a real API server, and that nothing is changed by asking.

use std::path::Path;

use anyhow::{Result, ensure};
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::support::{Operator, Tap, app, install, settled, versions};

/// What `diff` says about a file with these objects, and its exit code.
async fn diff(namespace: &Namespace, objects: &[Value], flags: &str) -> Result<(String, i32)> {
    let folder = tempfile::tempdir()?;
    let text: Vec<String> = objects.iter().map(Value::to_string).collect();
    std::fs::write(folder.path().join("shop.yaml"), text.join("\n---\n"))?;
    run(namespace, folder.path(), &format!("kubectl nodeapp diff shop.yaml -n {} {flags}", namespace.name()))
        .await
}

async fn run(namespace: &Namespace, folder: &Path, line: &str) -> Result<(String, i32)> {
    let line = format!("{line} 2>&1; echo \"ended with $?\"");
    let said = namespace.cluster().tools.shell(folder, &line).await?;
    let (said, code) = said.rsplit_once("ended with ").unwrap_or((&said, "-1"));
    Ok((said.to_owned(), code.trim().parse()?))
}

#[test]
fn diff_shows_what_a_file_changes_in_the_app_and_in_its_children_and_changes_nothing() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let fields =
            json!({"env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "A", "value": "1"}]});
        namespace.apply(&app("shop", &fields)).await?;
        let before = settled(&namespace, "shop").await?;
        let (said, code) = diff(&namespace, &[app("shop", &fields)], "").await?;
        ensure!(code == 0 && said.is_empty(), "the same file is no difference: {code}\n{said}");

        let other = json!({
            "port": null, "instances": 3,
            "env": [{"name": "DB_PASSWORD", "value": "hunter3"}, {"name": "A", "value": "2"}],
        });
        let (said, code) = diff(&namespace, &[app("shop", &other)], "").await?;
        ensure!(code == 1, "{code}\n{said}");
        let name = namespace.name();
        for line in [
            format!("--- live NodeApp {name}/shop\n+++ applied NodeApp {name}/shop\n"),
            "-  instances: 2\n".to_owned(),
            "+  instances: 3\n".to_owned(),
            "-  port: 3000\n".to_owned(),
            format!("+++ applied Deployment {name}/shop\n"),
            "-  replicas: 2\n+  replicas: 3\n".to_owned(),
            format!("--- live Service {name}/shop\n+++ /dev/null\n"),
            "*** (after)".to_owned(),
        ] {
            ensure!(said.contains(&line), "{line} is missing:\n{said}");
        }
        ensure!(!said.contains("hunter") && !said.contains('\x1b'), "{said}");
        let (own, code) = diff(&namespace, &[app("shop", &other)], "--no-children").await?;
        ensure!(code == 1 && !own.contains("Deployment"), "{own}");

        let fresh = app("fresh", &json!({}));
        let (said, code) = diff(&namespace, &[fresh], "").await?;
        for kind in ["NodeApp", "Deployment", "Service", "PodDisruptionBudget", "ServiceAccount"] {
            let line = format!("--- /dev/null\n+++ applied {kind} {name}/fresh\n");
            ensure!(code == 1 && said.contains(&line), "{kind} is missing: {code}\n{said}");
        }
        ensure!(versions(&namespace, "shop").await? == before, "something was written");
        ensure!(namespace.get("NodeApp", "fresh").await.is_err(), "it was made");
        Ok(())
    });
}

#[test]
fn what_was_applied_by_kubectl_and_is_taken_out_of_the_file_shows_as_taken_out() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        let folder = tempfile::tempdir()?;
        let write = |app: &Value| std::fs::write(folder.path().join("shop.yaml"), app.to_string());
        write(&app("shop", &json!({"waitReady": true})))?;
        let name = namespace.name();
        run(&namespace, folder.path(), &format!("kubectl apply -n {name} -f shop.yaml")).await?;
        write(&app("shop", &json!({})))?;
        let (said, code) =
            run(&namespace, folder.path(), &format!("kubectl nodeapp diff shop.yaml -n {name}")).await?;
        ensure!(code == 1 && said.contains("-  waitReady: true\n"), "{code}\n{said}");
        run(&namespace, folder.path(), &format!("kubectl apply -n {name} -f shop.yaml")).await?;
        let line = format!("kubectl nodeapp diff shop.yaml -n {name} --no-children");
        let (said, code) = run(&namespace, folder.path(), &line).await?;
        ensure!(code == 0 && said.is_empty(), "{code}\n{said}");
        Ok(())
    });
}

#[test]
fn diff_says_what_cannot_be_applied_with_an_exit_code_of_its_own() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        let wrong = app("shop", &json!({"command": ["node", "a.js"]}));
        let (said, code) = diff(&namespace, &[wrong], "").await?;
        ensure!(code == 2 && said.contains("set exactly one of script"), "{code}\n{said}");
        let taken = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"},
            "spec": {"ports": [{"port": 80}], "selector": {"app": "other"}},
        });
        namespace.apply(&taken).await?;
        let (said, code) = diff(&namespace, &[app("shop", &json!({}))], "").await?;
        ensure!(code == 2 && said.contains("Service shop"), "{code}\n{said}");
        let (said, code) = diff(&namespace, &[taken], "").await?;
        ensure!(code == 2 && said.contains("no NodeApp"), "{code}\n{said}");
        Ok(())
    });
}
