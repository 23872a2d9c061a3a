//! TypeScript and other runtimes from npm: each says that it is ready, and gets the signal.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use serde_json::json;
use support::npm::node_major;
use support::{Setup, has_node};

/// The script with an interpreter, or what is chosen without; its WHY.
fn runs(script: &str, interpreter: Option<&str>, only: &[&str], why: &str) {
    if !has_node() {
        return;
    }
    let Some(setup) = Setup::npm_app("runtimes", script) else { return };
    let mut launch = setup.config["launch"].clone();
    launch["script"]["args"] = json!(["a", "b c"]);
    if let Some(name) = interpreter {
        launch["script"]["interpreter"] = name.into();
    }
    let project = setup.dir.path().join("project");
    let modules = std::fs::read_link(project.join("node_modules")).unwrap();
    // What npm's installation scripts would have put there: without them the programs are where they are.
    let programs = setup.dir.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    for name in only {
        let source = match *name {
            "bun" => modules.join("@oven/bun-linux-x64/bin/bun"),
            "deno" => modules.join("@deno/linux-x64-glibc/deno"),
            _ => modules.join(".bin").join(name),
        };
        std::os::unix::fs::symlink(source, programs.join(name)).unwrap();
    }
    // Only these: with all of node_modules/.bin bun would be taken for each.
    std::fs::remove_file(project.join("node_modules")).unwrap();
    let path = format!("{}:{}", programs.display(), support::node_path());
    let stop = json!({"killSignal": "SIGINT", "drainDelay": 0, "drainTimeout": 0, "killTimeout": 20_000});
    let mut runner = setup
        .worker()
        .var("PATH", &path)
        .with("launch", launch)
        .with("readiness", json!({"waitReady": true}))
        .with("stop", stop)
        .start()
        .ready();
    assert_eq!(runner.output("stdout"), "a b c\n");
    let told = runner.output("stderr");
    assert!(told.contains(why), "{told}");
    assert_eq!(runner.stop().code(), Some(5), "{}", runner.output("stderr"));
}

#[test]
fn bun_runs_typescript_where_the_image_has_it() {
    runs("app.ts", None, &["bun"], "(bun, for .ts: bun is in the image)");
}

#[test]
fn deno_runs_with_the_permissions_of_the_pod() {
    runs("app.ts", Some("deno"), &["deno"], "(deno, named by interpreter)");
}

#[test]
fn tsx_runs_typescript_that_node_itself_cannot() {
    runs("app.ts", Some("tsx"), &["tsx"], "(tsx, named by interpreter)");
}

#[test]
fn without_bun_typescript_is_run_by_what_there_is() {
    // 22 and 23 can from some minor version on.
    match node_major() {
        24.. => runs("plain.ts", None, &["tsx"], "this Node.js strips types itself"),
        ..22 => runs("plain.ts", None, &["tsx"], "no Node.js that could run it by itself"),
        _ => runs("plain.ts", None, &["tsx"], "(node, for .ts: no bun"),
    }
}
