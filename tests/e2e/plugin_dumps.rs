//! `kubectl nodeapp heap-snapshot`, `cpu-profile`, `inspect`, `report` and `dev`: one instance from near by.

use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nodeapp_testkit::Namespace;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::app::{App, PORT, SOON};
use crate::e2e;

/// What a verb of the plugin says, called as a user does.
async fn says(namespace: &Namespace, folder: &Path, line: &str) -> Result<String> {
    let (verb, rest) = line.split_once(' ').context("a verb and its words")?;
    let line = format!("kubectl nodeapp {verb} -n {} {rest}", namespace.name());
    namespace.cluster().tools.shell(folder, &line).await
}

/// Why a verb refuses.
async fn refusal(namespace: &Namespace, folder: &Path, line: &str) -> Result<String> {
    says(namespace, folder, line)
        .await
        .map_err(|error| format!("{error:#}"))
        .err()
        .context("it was not refused")
}

#[test]
fn snapshots_and_profiles_land_here_whole_and_leave_the_pod() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "obedient.js")?;
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 1).await?;
        let dir = tempfile::tempdir()?;

        let said = says(&namespace, dir.path(), "heap-snapshot shop").await?;
        let file = said.lines().find(|line| line.starts_with(&pods[0]) && line.ends_with(".heapsnapshot"));
        let text = std::fs::read(dir.path().join(file.with_context(|| said.clone())?))?;
        let snapshot: Value = serde_json::from_slice(&text)?;
        ensure!(snapshot["snapshot"]["meta"].is_object() && snapshot["nodes"].is_array(), "no snapshot");

        let line = format!(
            "cpu-profile shop --instance {} --seconds 1 -f a.cpuprofile",
            &pods[0][pods[0].len() - 5..]
        );
        let said = says(&namespace, dir.path(), &line).await?;
        ensure!(said.contains("DevTools"), "{said}");
        let profile: Value = serde_json::from_slice(&std::fs::read(dir.path().join("a.cpuprofile"))?)?;
        ensure!(profile["samples"].as_array().is_some_and(|samples| !samples.is_empty()), "no profile");
        let left = namespace
            .exec(&pods[0], &["node", "-p", "fs.readdirSync('/tmp/nodeapp-profiles').length"])
            .await?;
        ensure!(left.trim() == "0", "{left} files are left in the pod");

        let again = refusal(&namespace, dir.path(), &line).await?;
        ensure!(again.contains("--force"), "{again}");
        let unknown = refusal(&namespace, dir.path(), "cpu-profile shop --instance nope").await?;
        ensure!(unknown.contains(&pods[0]), "{unknown}");
        ensure!(std::fs::read_dir(dir.path())?.count() == 2, "something half is left");
        Ok(())
    });
}

/// An answer of the inspector through its forwarding.
async fn ask(port: u16, path: &str) -> Result<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await?;
    connection.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
    let (mut answer, mut buffer) = (vec![], [0; 4096]);
    while !answer.ends_with(b"]") && !answer.ends_with(b"} ]\n\n") {
        match connection.read(&mut buffer).await? {
            0 => break,
            count => answer.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[test]
fn the_inspector_of_an_instance_is_here_until_ctrl_c_and_closed_afterwards() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?;
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 1).await?;
        let args = ["inspect", "shop", "--port", "0", "-n", namespace.name()];
        let mut inspect = namespace.cluster().tools.plugin(&args)?.spawn()?;
        let mut lines = BufReader::new(inspect.stdout.take().context("no output")?).lines();
        let first = lines.next_line().await?.context("it says nothing")?;
        let port: u16 = first.rsplit(':').next().context("no port")?.trim().parse().context(first.clone())?;
        let list = ask(port, "/json/list").await?;
        ensure!(list.contains("webSocketDebuggerUrl"), "{list}");

        let pid = inspect.id().context("it has ended")?.to_string();
        ensure!(Command::new("kill").args(["-INT", &pid]).status()?.success(), "no signal");
        let ended = inspect.wait_with_output().await?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        ensure!(ended.status.success() && said.contains("closed again"), "{}: {said}", ended.status);
        let closed =
            "net.connect(9229).on('error', (e) => console.log(e.code)).on('connect', () => process.exit(1))";
        let code = namespace.exec(&pods[0], &["node", "-e", closed]).await?;
        ensure!(code.trim() == "ECONNREFUSED", "{code}");
        let status = shop.runner(&namespace).await?;
        ensure!(status["restarts"] == 0 && status["state"] == "online", "{status}");
        Ok(())
    });
}

#[test]
fn no_inspector_is_asked_of_a_shell_and_one_that_was_open_stays_open() {
    e2e(|namespace| async move {
        let shell = json!({"command": ["sh", "-c", "node web.js && echo over"]});
        let behind = App::serving(&namespace, "behind", "web.js")?.without("script").with(&shell);
        behind.apply(&namespace).await?;
        let open = App::serving(&namespace, "open", "web.js")?.with(&json!({"nodeArgs": ["--inspect"]}));
        open.apply(&namespace).await?;
        behind.ready(&namespace, 1).await?;
        let folder = Path::new(".");
        let known = async || {
            let status = behind.runner(&namespace).await?;
            ensure!(status["nodeVersion"].is_string(), "{status}");
            Ok(status["pid"].clone())
        };
        let pid = namespace.eventually("Node.js behind the shell", SOON, known).await?;
        let refused = refusal(&namespace, folder, "inspect behind --port 0").await?;
        ensure!(refused.contains("runs Node.js as a child") && refused.contains("exec node"), "{refused}");
        let status = behind.runner(&namespace).await?;
        ensure!(status["pid"] == pid && status["restarts"] == 0, "{status}");

        let pods = open.ready(&namespace, 1).await?;
        let line = format!(
            "timeout --foreground -s INT 5 kubectl nodeapp inspect open --port 0 -n {}",
            namespace.name()
        );
        let line = format!("{line} || test $? = 124");
        let said = namespace.cluster().tools.shell(folder, &line).await?;
        ensure!(said.contains("what was open stays so"), "{said}");
        let still =
            "net.connect(9229).on('error', () => process.exit(1)).on('connect', () => process.exit())";
        namespace.exec(&pods[0], &["node", "-e", still]).await.map(drop)
    });
}

#[test]
fn a_report_has_what_a_bug_needs_and_no_secret() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?
            .env(&[("REGION", "somewhere-quiet"), ("DB_PASSWORD", "correct horse battery")]);
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 1).await?;
        let dir = tempfile::tempdir()?;
        let said = says(&namespace, dir.path(), "report shop -f report.zip").await?;
        let (all, names) = pages(&dir.path().join("report.zip"))?;
        let folder = format!("{}/shop", namespace.name());
        for part in [
            "versions.yaml".to_owned(),
            format!("{folder}/nodeapps/shop.yaml"),
            format!("{folder}/deployments/shop.yaml"),
            format!("{folder}/events.yaml"),
            format!("{folder}/pods/{}.yaml", pods[0]),
            format!("{folder}/pods/{}.log", pods[0]),
            format!("{folder}/pods/{}.runner.json", pods[0]),
            "operator/nodeapp-operator".to_owned(),
        ] {
            ensure!(names.iter().any(|name| name.starts_with(&format!("report/{part}"))), "no {part}");
            ensure!(said.contains(&part), "{part} is not told: {said}");
        }
        ensure!(all.contains("REGION") && all.contains("\"state\":\"online\""), "it says nothing");
        for secret in ["somewhere-quiet", "correct horse"] {
            ensure!(!all.contains(secret), "{secret} is in the report");
        }
        Ok(())
    });
}

/// The pages of a report, in one text, and their names.
fn pages(path: &Path) -> Result<(String, Vec<String>)> {
    let mut zip = zip::ZipArchive::new(std::fs::File::open(path)?)?;
    let mut all = String::new();
    for place in 0..zip.len() {
        zip.by_index(place)?.read_to_string(&mut all)?;
    }
    let names = zip.file_names().map(str::to_owned).collect();
    Ok((all, names))
}

#[test]
fn a_report_of_somebody_with_few_rights_lists_what_is_missing_and_is_no_failure() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "lonely", "web.js")?;
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 1).await?;
        let tools = &namespace.cluster().tools;
        let name = namespace.name();
        let may = ["--verb=get,list", "--resource=nodeapps.nodeapp.dev,pods"];
        tools.kubectl(&[&["create", "role", "look", "-n", name][..], &may].concat()).await?;
        tools.kubectl(&["create", "rolebinding", "look", "-n", name, "--role=look", "--user=looker"]).await?;
        let dir = tempfile::tempdir()?;

        let said = says(&namespace, dir.path(), "report lonely -f few.zip --as looker").await?;
        ensure!(said.contains("missing.txt"), "{said}");
        let (all, names) = pages(&dir.path().join("few.zip"))?;
        for right in ["list deployments", "list events", "get pods/log", "get and create pods/exec"] {
            ensure!(all.contains(&format!("you may not {right}")), "{right} is not listed: {names:?}");
        }
        ensure!(names.iter().any(|page| page.ends_with("/lonely/nodeapps/lonely.yaml")), "{names:?}");

        // Of all namespaces, and apps of one name told apart.
        tools.shell(dir.path(), "kubectl nodeapp report lonely -A -f all.zip --lines 5").await?;
        let (_, names) = pages(&dir.path().join("all.zip"))?;
        let page = format!("report/{name}/lonely/nodeapps/lonely.yaml");
        ensure!(
            names.contains(&page) && !names.iter().any(|name| name.ends_with("missing.txt")),
            "{names:?}"
        );
        Ok(())
    });
}

/// What the app's image lacks for `dev`: its files where they can be written.
fn writable_code(namespace: &Namespace) -> Result<Value> {
    let image = namespace.cluster().image("apps")?;
    let copy = json!({
        "name": "copy-code",
        "image": image,
        "command": ["node", "-e", "fs.cpSync('/app', '/code', {recursive: true})"],
        "volumeMounts": [{"name": "code", "mountPath": "/code"}],
    });
    Ok(json!({
        "volumeMounts": [{"name": "code", "mountPath": "/app"}],
        "pod": {"volumes": [{"name": "code", "emptyDir": {}}], "initContainers": [copy]},
    }))
}

#[test]
fn a_folder_runs_in_an_instance_follows_changes_and_is_refused_in_production() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?;
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 1).await?;
        let dir = tempfile::tempdir()?;
        let answer = |text: &str| {
            let code = format!("require('http').createServer((_, out) => out.end('{text}')).listen({PORT})");
            std::fs::write(dir.path().join("web.js"), code)
        };
        answer("one")?;
        let refused = refusal(&namespace, dir.path(), "dev . shop").await?;
        ensure!(refused.contains("cannot be written") && refused.contains("initContainers"), "{refused}");

        let writable = shop.with(&writable_code(&namespace)?);
        writable.apply(&namespace).await?;
        let pods = writable.ready(&namespace, 1).await?;
        let folder = dir.path().to_str().context("a path")?;
        let mut dev =
            namespace.cluster().tools.plugin(&["dev", folder, "shop", "-n", namespace.name()])?.spawn()?;
        for text in ["one", "two"] {
            answer(text)?;
            let served = async || {
                let got = namespace.pod_get(&pods[0], PORT, "/").await?;
                ensure!(got == text, "{got}");
                Ok(())
            };
            namespace.eventually(&format!("the pod answers {text}"), SOON, served).await?;
        }
        std::fs::create_dir(dir.path().join("web.js.d"))?;
        std::fs::write(dir.path().join("web.js.d/part.js"), "")?;
        let is_there = async |path: &str| {
            let look = format!("fs.existsSync('{path}')");
            namespace.exec(&pods[0], &["node", "-p", &look]).await.map(|said| said.trim() == "true")
        };
        let here = async || {
            ensure!(is_there("/app/web.js.d/part.js").await?, "it is not there");
            Ok(())
        };
        namespace.eventually("a new file in the pod", SOON, here).await?;
        std::fs::remove_dir_all(dir.path().join("web.js.d"))?;
        let gone = async || {
            ensure!(!is_there("/app/web.js.d").await?, "it is still there");
            Ok(())
        };
        namespace.eventually("a folder that went here goes there", SOON, gone).await?;
        ensure!(dev.try_wait()?.is_none(), "it has ended");
        ensure!(namespace.ready_pods("shop").await? == pods, "the pod was replaced");

        says(&namespace, dir.path(), "dev . shop --once --to /tmp").await?;
        ensure!(is_there("/tmp/web.js").await?, "--to led elsewhere");

        let label = ["label", "-n", namespace.name(), "nodeapp/shop", "nodeapp.dev/environment=production"];
        namespace.cluster().tools.kubectl(&label).await?;
        let refused = refusal(&namespace, dir.path(), "dev . shop").await?;
        ensure!(refused.contains("production"), "{refused}");

        namespace.delete_object("Pod", &pods[0]).await?;
        answer("three")?;
        let ended = tokio::time::timeout(SOON, dev.wait_with_output()).await??;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        ensure!(!ended.status.success() && said.contains("is no more"), "{}: {said}", ended.status);
        Ok(())
    });
}
