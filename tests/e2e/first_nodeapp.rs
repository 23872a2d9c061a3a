//! The first five minutes, as `docs/first-nodeapp.md` tells them.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use nodeapp_manual::Page;
use nodeapp_testkit::Namespace;

use crate::e2e;

/// What marks the blocks of the page that are run here.
const MARK: &str = "run by: the_commands_of_the_first_page_do_what_it_says";

/// A kubeconfig whose namespace is that of the test, as the reader has one.
async fn kubeconfig(namespace: &Namespace, file: &Path) -> Result<()> {
    let tools = &namespace.cluster().tools;
    std::fs::copy(tools.kubeconfig(), file)?;
    let file = file.to_str().context("a plain path")?;
    let set = ["config", "set-context", "--current", "--namespace", namespace.name(), "--kubeconfig", file];
    tools.kubectl(&set).await.map(drop)
}

#[test]
fn the_commands_of_the_first_page_do_what_it_says() {
    e2e(|namespace| async move {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let page = Page::read(repository, "docs/first-nodeapp.md")?;
        let blocks = page.blocks().into_iter().filter(|block| block.comment.as_deref() == Some(MARK));
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("kubeconfig");
        kubeconfig(&namespace, &config).await?;
        let mut said = Vec::new();
        for block in blocks {
            let script = format!("set -eu; export KUBECONFIG={}\n{}", config.display(), block.text);
            let run = namespace.cluster().tools.shell(repository, &script).await;
            said.push(run.with_context(|| format!("docs/first-nodeapp.md:{}", block.line))?);
        }
        let [first, answer, changed, broken, last] = said.as_slice() else {
            anyhow::bail!("{} blocks were run", said.len());
        };
        ensure!(first.contains("hello  1.0.0    2/2    0         online"), "{first}");
        ensure!(answer.contains("\"version\":\"1\"") && answer.contains("listens on port 3000"), "{answer}");
        ensure!(changed.lines().last().is_some_and(|line| line.starts_with('1')), "{changed}");
        ensure!(broken.contains("2/3") || broken.contains("3/3") || broken.contains("reloading"), "{broken}");
        ensure!(last.contains("deleted"), "{last}");
        ensure!(namespace.get("NodeApp", "hello").await.is_err(), "it is still there");
        Ok(())
    });
}
