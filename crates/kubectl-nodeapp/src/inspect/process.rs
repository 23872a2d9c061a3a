//! Which program gets the signal that opens an inspector. Any but Node.js would end by it.

use nodeapp_contract::RunnerStatus;
use serde::Deserialize;

/// Tells of a process what it runs, in the Node.js of the image.
const LOOK: &str = "const of = '/proc/' + process.argv[1]; console.log(JSON.stringify({program: \
                    require('fs').readlinkSync(of + '/exe'), words: require('fs').readFileSync(of + '/cmdline', \
                    'utf8').split('\\0')}))";
/// Programs on Node.js that run the app in a process of its own, without `.js` and the like.
const STARTERS: [&str; 14] = [
    "concurrently",
    "corepack",
    "cross-env",
    "dotenv",
    "nodemon",
    "npm",
    "npm-cli",
    "npx",
    "npx-cli",
    "pm2-runtime",
    "pnpm",
    "tsx",
    "yarn",
    "yarnpkg",
];

/// What a process runs.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Process {
    /// Path of the program, links followed.
    program: String,
    /// Its command line.
    words: Vec<String>,
}

/// The command that tells it of this process.
pub(super) fn look(pid: &str) -> [&str; 4] {
    ["node", "-e", LOOK, pid]
}

/// The process that the runner has started, if there is anything to be signalled that it knows as Node.js.
///
/// # Errors
/// Why not, and what to do.
pub(super) fn known(status: &RunnerStatus) -> Result<u32, String> {
    let pid = status.pid.ok_or("no process runs; `describe` says why")?;
    if status.node_version.is_none() {
        return Err(
            "the runner does not know it as Node.js, and any other program would end by the signal: the app \
                    has not served yet, has `pmx: false`, or is something else"
                .to_owned(),
        );
    }
    Ok(pid)
}

/// Whether this process opens an inspector by the signal, and is the app.
///
/// # Errors
/// Why not, and what to do.
pub(super) fn can_open(process: &Process) -> Result<(), String> {
    let program = base(&process.program);
    if ["deno", "bun"].contains(&program) {
        return Err(format!("{program} opens no inspector on request; start it with --inspect"));
    }
    let way_out =
        "start it as `node SCRIPT` (in a shell: `exec node SCRIPT`), or give it --inspect in nodeArgs";
    if !["node", "nodejs"].contains(&program) {
        return Err(format!(
            "the main process is {program}, which runs Node.js as a child and would end by the signal; {way_out}"
        ));
    }
    // A program may have a title in place of its words.
    let mut words =
        process.words.iter().flat_map(|word| word.split(' ')).filter(|word| !word.starts_with('-'));
    let starter = words.by_ref().take(2).map(stem).find(|word| STARTERS.contains(word));
    match starter {
        Some(starter) => {
            Err(format!("the main process is {starter}, which runs the app as a child; {way_out}"))
        }
        None => Ok(()),
    }
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn stem(path: &str) -> &str {
    let base = base(path);
    [".js", ".cjs", ".mjs"].iter().find_map(|end| base.strip_suffix(end)).unwrap_or(base)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(program: &str, words: &[&str]) -> Result<(), String> {
        let process = serde_json::from_value(json!({"program": program, "words": words}));
        can_open(&process.expect("a process"))
    }

    #[test]
    fn only_a_process_that_is_the_app_and_node_gets_the_signal() {
        for words in
            [&["node", "web.js"][..], &["node", "--max-old-space-size=99", "/app/npm/web.js"], &["shop api"]]
        {
            assert_eq!(verdict("/usr/local/bin/node", words), Ok(()), "{words:?}");
        }
        for (program, words, part) in [
            (
                "/bin/busybox",
                &["sh", "-c", "node migrate.js && node web.js"][..],
                "busybox, which runs Node.js",
            ),
            ("/usr/bin/dash", &["sh", "-c", "node web.js; true"], "`exec node SCRIPT`"),
            ("/usr/local/bin/node", &["npm start"], "npm, which runs the app"),
            (
                "/usr/local/bin/node",
                &["node", "/usr/lib/node_modules/npm/bin/npm-cli.js", "start"],
                "npm-cli",
            ),
            (
                "/usr/local/bin/node",
                &["node", "--inspect-port=1", "/app/node_modules/.bin/tsx", "a.ts"],
                "tsx",
            ),
            ("/usr/bin/deno", &["deno", "run", "a.ts"], "deno opens no inspector"),
        ] {
            assert!(verdict(program, words).is_err_and(|why| why.contains(part)), "{words:?}");
        }
    }

    #[test]
    fn a_process_that_is_not_known_as_node_gets_no_signal() {
        let status = |fields: serde_json::Value| {
            let mut status = json!({"state": "online", "ready": true, "restarts": 0});
            status.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
            known(&serde_json::from_value(status).expect("a status"))
        };
        assert_eq!(status(json!({"pid": 7, "nodeVersion": "v24.1.0"})), Ok(7));
        assert!(status(json!({"pid": 7})).is_err_and(|why| why.contains("pmx")));
        assert!(status(json!({})).is_err_and(|why| why.contains("no process runs")));
    }
}
