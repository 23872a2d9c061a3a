//! The commands that somebody brings along from PM2, typed as with PM2, against a real API server.

use anyhow::{Result, ensure};
use nodeapp_testkit::{Namespace, Ran, Tier, story};
use serde_json::{Value, json};

use crate::support::{Operator, Tap, app, settled};

const ECOSYSTEM: &str = "module.exports = {apps: [
    {name: 'api', script: 'api.js', instances: 2, port: 3000, namespace: 'front',
     env: {LOG_LEVEL: 'debug'}, env_production: {LOG_LEVEL: 'warn'}},
    {name: 'mailer', script: 'mailer.js', namespace: 'back'},
]}";

/// Somebody in a folder with an ecosystem file.
struct Person<'a> {
    namespace: &'a Namespace,
    folder: tempfile::TempDir,
}

impl<'a> Person<'a> {
    fn new(namespace: &'a Namespace) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("ecosystem.config.js"), ECOSYSTEM)?;
        std::fs::write(folder.path().join("app.js"), "require('http').createServer().listen(3000)")?;
        Ok(Self { namespace, folder })
    }

    /// Types a command without `pm2` in front.
    async fn types(&self, line: &str) -> Result<Ran> {
        let namespace = self.namespace.name();
        let mut command = self.namespace.cluster().tools.plugin(&[])?;
        command.current_dir(self.folder.path()).args(line.split_whitespace()).args(["-n", namespace]);
        let output = command.output().await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
    }

    async fn does(&self, line: &str) -> Result<String> {
        let ran = self.types(line).await?;
        ensure!(ran.code == Some(0), "{line}: {ran:?}");
        Ok(ran.out)
    }

    async fn is_told(&self, line: &str, code: i32, words: &[&str]) -> Result<()> {
        let ran = self.types(line).await?;
        ensure!(ran.code == Some(code), "{line}: {ran:?}");
        ensure!(words.iter().all(|word| ran.err.contains(word)), "{line}: {ran:?}");
        Ok(())
    }

    async fn app(&self, name: &str) -> Result<Value> {
        self.namespace.get("NodeApp", name).await
    }
}

#[test]
fn a_page_of_pm2_commands_is_done_or_answered_without_a_manual() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let ann = Person::new(&namespace)?;
        // PM2 runs scripts, and takes the app's settings as options.
        ann.is_told("start app.js", 1, &["app.js is a script", "`init`"]).await?;
        ann.is_told("start app.js --name my-api -i max", 2, &["`--name` is a field of the app", "`init`"])
            .await?;
        ann.is_told("start ecosystem.config.js --env production", 1, &["api is not in the cluster yet"])
            .await?;
        ensure!(namespace.list("NodeApp").await?.is_empty(), "something was made");
        ann.does("start ecosystem.config.js --image registry.example/shop:7 --no-wait").await?;
        settled(&namespace, "api").await?;

        // The profile comes, the image stays, and both are reloaded: one by the change, one as asked.
        let said = ann.does("reload ecosystem.config.js --env production --update-env --no-wait").await?;
        ensure!(said.contains("api: changed") && said.contains("mailer: reloaded"), "{said}");
        let (api, mailer) = (ann.app("api").await?, ann.app("mailer").await?);
        ensure!(api["spec"]["image"] == "registry.example/shop:7", "{api}");
        ensure!(api["spec"].to_string().contains("warn"), "{api}");
        ensure!(mailer["metadata"]["annotations"]["nodeapp.dev/restartedAt"].is_string(), "{mailer}");
        ensure!(api["metadata"]["annotations"]["nodeapp.dev/restartedAt"].is_null(), "{api}");
        // No node, no process: what has to be told is told, of both.
        ann.is_told(
            "restart ecosystem.config.js --env production --timeout 5s",
            1,
            &["api: no instance runs", "mailer: no instance runs", "2 of 2 failed"],
        )
        .await?;
        ann.is_told("restart api --env production", 1, &["--env is about a file"]).await?;

        // A namespace of PM2 is a selector, a file too.
        ann.does("stop back --timeout 60s").await?;
        ensure!(ann.app("mailer").await?["spec"]["stopped"] == true, "mailer runs");
        ensure!(ann.app("api").await?["spec"]["stopped"].is_null(), "api is stopped");
        ann.does("stop ecosystem.config.js --timeout 60s").await?;
        ensure!(ann.app("api").await?["spec"]["stopped"] == true, "api runs");
        let said = ann.does("start ecosystem.config.js --env production --no-wait").await?;
        ensure!(said.matches("started").count() == 2, "{said}");
        ensure!(ann.app("mailer").await?["spec"]["stopped"] == false, "mailer is stopped");

        for needless in [
            "install pm2-logrotate",
            "startup",
            "startup systemd -u myuser --hp /home/myuser",
            "save",
            "install pm2-prometheus-exporter",
        ] {
            let said = ann.does(needless).await?;
            ensure!(said.lines().count() == 1, "{needless}: {said}");
        }
        let set = ann.types("set pm2-logrotate:max_size 10M").await?;
        let (_, patch) = set.err.trim().split_once("each app: ").unwrap_or_default();
        ensure!(set.code == Some(1) && patch.starts_with("kubectl patch"), "{set:?}");
        let patch = format!("{} -n {}", patch.replace("NAME", "api"), namespace.name());
        namespace.cluster().tools.shell(ann.folder.path(), &patch).await?;
        ensure!(ann.app("api").await?["spec"]["logRotate"]["maxSize"] == "10M", "{patch}");

        ann.is_told("delete front", 1, &["this would delete api; say --yes"]).await?;
        ann.does("delete ecosystem.config.js --timeout 60s").await?;
        ensure!(namespace.list("NodeApp").await?.is_empty(), "some are left");
        let gone = ann.does("wait api --for deleted").await?;
        ensure!(gone.contains("api: is gone already"), "{gone}");
        Ok(())
    });
}

#[test]
fn all_passes_over_jobs_and_a_build_that_never_gets_ready_can_be_stopped() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let ann = Person::new(&namespace)?;
        // There is no node, so it never gets ready.
        namespace.apply(&app("shop", &json!({"rollout": {"progressDeadline": "2s"}}))).await?;
        let job = json!({"port": null, "instances": null, "autorestart": false, "cronRestart": "@yearly"});
        namespace.apply(&app("report", &job)).await?;
        ann.is_told("wait shop --timeout 60s", 1, &["RolloutStuck"]).await?;

        let said = ann.does("reload all --no-wait").await?;
        ensure!(said.contains("report: is a job") && said.contains("shop: reloaded: asked for"), "{said}");
        ann.is_told("reload report", 1, &["report: is a job"]).await?;

        let said = ann.does("stop shop --timeout 60s").await?;
        ensure!(said.contains("shop: stopped"), "{said}");
        Ok(())
    });
}
