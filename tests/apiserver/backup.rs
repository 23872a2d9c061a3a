//! What `docs/operations.md` says about a backup.

use anyhow::{Context as _, Result, ensure};
use nodeapp_manual::Page;
use nodeapp_testkit::{Tier, story};
use serde_json::json;

use crate::support::{app, install};

/// The command of the manual that reads all NodeApps, for one namespace.
fn command(namespace: &str) -> Result<String> {
    let page = Page::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")), "docs/operations.md")?;
    let block = page.blocks().into_iter().find(|block| block.text.contains("nodeapps.json"));
    let text = block.context("the page has the command")?.text;
    ensure!(text.contains("get nodeapps -A"), "{text}");
    Ok(text.replace("get nodeapps -A", &format!("get nodeapps -n {namespace}")))
}

#[test]
fn nodeapps_that_were_read_from_a_cluster_come_back_in_an_empty_one() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        let fields = json!({"instances": 3, "env": [{"name": "A", "value": "1"}]});
        namespace.apply(&app("shop", &fields)).await?;
        let before = namespace.get("NodeApp", "shop").await?;
        let folder = tempfile::tempdir()?;
        let tools = &namespace.cluster().tools;
        tools.shell(folder.path(), &command(namespace.name())?).await?;
        namespace.delete_object("NodeApp", "shop").await?;
        let said = tools.shell(folder.path(), "kubectl apply -f nodeapps.json").await?;
        ensure!(said.contains("shop created"), "{said}");
        let after = namespace.get("NodeApp", "shop").await?;
        ensure!(after["spec"] == before["spec"], "{after}");
        ensure!(after["metadata"]["uid"] != before["metadata"]["uid"], "it was never away");
        Ok(())
    });
}
