//! What `kubectl nodeapp import` writes is taken by a real API server, and what
//! has no image is refused in words that say so.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use nodeapp_operator::controller::names::MANAGER;
use nodeapp_testkit::{Tier, story};
use serde_json::{Value, json};

use crate::support::{Operator, SOON, Tap, app, create, install, reported, try_out};

/// The manifests that the test of the import compares with.
fn imported() -> Result<Vec<(String, Value)>> {
    let folder = golden();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_stem().context("a file has a name")?.to_string_lossy().into_owned();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            let text = std::fs::read_to_string(&path)?;
            let documents: Vec<Value> = serde_saphyr::from_multiple(&text)?;
            found.extend(
                documents.into_iter().filter(Value::is_object).map(|document| (name.clone(), document)),
            );
        }
    }
    Ok(found)
}

#[test]
fn everything_that_is_imported_is_taken_by_the_api_server() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        let manifests = imported()?;
        ensure!(manifests.len() > 50, "only {} manifests", manifests.len());
        // Files name their apps alike, and each keeps its name: nothing is kept of a dry run.
        for (file, manifest) in manifests {
            let taken =
                try_out(&namespace, &manifest).await.with_context(|| format!("{file}: {manifest}"))?;
            ensure!(
                taken["metadata"]["name"] == manifest["metadata"]["name"],
                "{file}: {}",
                taken["metadata"]
            );
        }
        Ok(())
    });
}

/// Where the manifests are that the tests of the plugin compare with.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/ecosystem/tests/golden")
}

#[test]
fn the_manifests_mean_the_same_to_the_yaml_of_kubectl() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        let line = format!("kubectl apply --dry-run=server -n {} -f .", namespace.name());
        let said = namespace.cluster().tools.shell(&golden(), &line).await?;
        let taken: BTreeSet<&str> = said
            .lines()
            .filter_map(|line| {
                line.strip_prefix("nodeapp.nodeapp.dev/")?.strip_suffix(" created (server dry run)")
            })
            .collect();
        // `no` is the name of an app, and false in the YAML of kubectl.
        for (file, manifest) in imported()? {
            let name = manifest["metadata"]["name"].as_str().context("a name")?;
            ensure!(taken.contains(name), "{file}: {name} is not in {said}");
        }
        Ok(())
    });
}

#[test]
fn what_kustomize_has_changed_is_rendered() {
    story(Tier::Apiserver, |namespace| async move {
        let folder = tempfile::tempdir()?;
        let patch = json!([{"op": "replace", "path": "/spec/image", "value": "registry.example/shop:2"}]);
        let kustomization = format!(
            "resources: [app.yaml]\nnamePrefix: green-\npatches:\n- target: {{kind: NodeApp}}\n  patch: '{patch}'\n"
        );
        std::fs::write(folder.path().join("kustomization.yaml"), kustomization)?;
        std::fs::copy(golden().join("init.yaml"), folder.path().join("app.yaml"))?;
        let line = "kubectl kustomize . | kubectl nodeapp render -";
        let rendered = namespace.cluster().tools.shell(folder.path(), line).await?;
        for line in ["kind: Deployment", "  name: green-acme-shop"] {
            ensure!(rendered.lines().any(|other| other == line), "{line} is not in {rendered}");
        }
        ensure!(rendered.contains("image: registry.example/shop:2"), "{rendered}");
        Ok(())
    });
}

/// The commands of the manual, as they are: what the program renders from what kubectl tells changes nothing.
#[test]
fn the_file_of_the_article_is_rendered_as_the_cluster_has_it_also_where_it_fills_the_cluster() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let (tools, name) = (&namespace.cluster().tools, namespace.name());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/ecosystem/tests/ecosystems/seed");
        let folder = tempfile::tempdir()?;
        std::fs::copy(source.join("ecosystem.config.js"), folder.path().join("ecosystem.config.js"))?;
        let line = format!(
            "kubectl nodeapp import ecosystem.config.js --env production --image registry.example/shop:1 -n {name} > api.yaml \
             && kubectl apply -f api.yaml"
        );
        tools.shell(folder.path(), &line).await?;
        let app = reported(&namespace, "api-server", "True").await?;
        ensure!(app["spec"]["fillCluster"].is_object(), "{}", app["spec"]);

        let help = tools.shell(folder.path(), "kubectl nodeapp render --help").await?;
        let snapshot = help.lines().map(str::trim).find(|line| line.starts_with("kubectl get "));
        let snapshot = snapshot.context("the help tells how")?.replace(" > ", &format!(" -n {name} > "));
        let lines = [
            snapshot.as_str(),
            "kubectl nodeapp render api.yaml --observed now.yaml > children.yaml",
            "grep -q '^kind: Deployment' children.yaml",
            &format!(
                "kubectl diff --server-side --force-conflicts --field-manager={MANAGER} -f children.yaml"
            ),
        ];
        let line = lines.join(" && ");
        let unchanged = async || tools.shell(folder.path(), &line).await.map(drop);
        namespace.eventually("what is rendered is what is there", SOON, unchanged).await
    });
}

#[test]
fn the_file_of_the_article_on_pm2_becomes_an_app_that_the_operator_carries_out() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let manifests = imported()?;
        let (_, manifest) = manifests.iter().find(|(file, _)| file == "seed").context("it is imported")?;
        namespace.apply(manifest).await?;
        reported(&namespace, "api-server", "True").await?;
        let deployment = namespace.get("Deployment", "api-server").await?;
        let app = &deployment["spec"]["template"]["spec"]["containers"][0];
        let node_env =
            app["env"].as_array().into_iter().flatten().find(|variable| variable["name"] == "NODE_ENV");
        ensure!(node_env.is_some_and(|variable| variable["value"] == "production"), "{}", app["env"]);
        ensure!(app["resources"]["limits"]["memory"] == "640Mi", "{}", app["resources"]);
        Ok(())
    });
}

#[test]
fn an_import_without_an_image_is_refused_with_what_is_missing() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        let placeholder = "<the image of the app: import with --image, or write it here>";
        let refused = create(&namespace, &app("shop", &json!({"image": placeholder}))).await;
        let said = format!("{:#}", refused.err().context("it is refused")?);
        ensure!(said.contains("image must name a container image"), "{said}");
        Ok(())
    });
}
