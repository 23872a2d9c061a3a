//! What the table of `kubectl nodeapp rights` says is enough for each verb, and without it the verb names what is missing.

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use nodeapp_testkit::{Namespace, Ran, Tier, story};
use serde_json::json;

use crate::support::{Operator, SOON, Tap, admin, app, grant_role, settled};

/// What a verb says that may not.
const REFUSED: &str = "you may not";

/// A verb with the arguments that it is tried with, in an order in which each finds what it needs. Those about a process
/// get as far as without any.
const LINES: &[&[&str]] = &[
    &["ls"],
    &["jlist"],
    &["env", "shop"],
    &["history", "shop"],
    &["describe", "shop"],
    &["doctor", "shop"],
    &["diff", "shop.yaml"],
    &["logs", "shop", "--nostream"],
    &["flush", "shop"],
    &["reset", "shop"],
    &["trigger", "shop", "go"],
    &["send-signal", "SIGUSR2", "shop"],
    &["restart", "shop"],
    &["heap-snapshot", "shop"],
    &["cpu-profile", "shop"],
    &["inspect", "shop"],
    &["dev", ".", "shop"],
    &["rehearse", "shop"],
    &["report", "shop"],
    &["wait", "shop", "--timeout", "1s"],
    &["pause", "shop"],
    &["resume", "shop", "--no-wait"],
    &["reload", "shop", "--timeout", "1s"],
    &["rollback", "shop", "--timeout", "1s"],
    &["scale", "shop", "3", "--timeout", "1s"],
    &["stop", "shop", "--timeout", "60s"],
    &["start", "shop", "--no-wait"],
    &["start", "shop.yaml", "--no-wait"],
];

async fn run(namespace: &Namespace, folder: &std::path::Path, words: &[&str], user: &str) -> Result<Ran> {
    let mut command = namespace.cluster().tools.plugin(words)?;
    command.current_dir(folder).args(["-n", namespace.name(), "--as", user]);
    let output = command.output().await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
}

/// Gives a user of its own what the row of a verb says.
async fn with_rights(namespace: &Namespace, verb: &str) -> Result<String> {
    let role = namespace.cluster().tools.run_plugin(&["rights", verb, "-o", "yaml"]).await?;
    let user = format!("{verb}-in-{}", namespace.name());
    let admin = admin(&Tap::default()).await?;
    grant_role(&admin, namespace.name(), &format!("may-{verb}"), &role.out, &user).await?;
    Ok(user)
}

#[test]
fn the_rights_of_its_row_are_enough_for_each_verb_and_without_them_it_names_one() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("shop.yaml"), app("shop", &json!({"instances": 4})).to_string())?;

        let nobody = async |words: &&[&str]| {
            let ran = run(&namespace, folder.path(), words, "somebody-without-rights").await?;
            ensure!(ran.code != Some(0) && ran.err.contains(REFUSED), "{words:?}: {ran:?}");
            Ok(())
        };
        let asks: Vec<_> = LINES.iter().map(nobody).collect();
        futures::stream::iter(asks).buffer_unordered(4).try_collect::<Vec<()>>().await?;

        for words in LINES {
            let verb = words.first().context("a verb")?;
            let user = with_rights(&namespace, verb).await?;
            let does = async || {
                let ran = run(&namespace, folder.path(), words, &user).await?;
                ensure!(!ran.err.contains(REFUSED), "{words:?}: {ran:?}");
                Ok(())
            };
            namespace.eventually(verb, SOON, does).await?;
        }
        Ok(())
    });
}
