//! What `kubectl nodeapp import` writes is taken by a real API server, and what
//! has no image is refused in words that say so.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use nodeapp_testkit::{Tier, story};
use serde_json::{Value, json};

use crate::support::{Operator, Tap, app, create, install, reported, try_out};

/// The manifests that the test of the import compares with.
fn imported() -> Result<Vec<(String, Value)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/ecosystem/tests/golden");
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
