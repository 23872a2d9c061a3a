//! Images of what this repository holds: operator, runner, forwarder, load probe, example.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::base::{self, DEFAULT_NODE};
use super::layer::{Entry, Tree, add_folder};
use super::oci::{Blob, Run, Store};
use crate::{hash, paths, sh};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// A static program of the workspace.
struct Program {
    package: &'static str,
    name: &'static str,
    profile: &'static str,
    /// What the image does when nothing else is said.
    cmd: &'static [&'static str],
}

const PROGRAMS: [Program; 4] = [
    Program { package: "nodeapp-operator", name: "nodeapp-operator", profile: "image", cmd: &["run"] },
    Program { package: "nodeapp-runner", name: "nodeapp-runner", profile: "runner", cmd: &[] },
    Program {
        package: "nodeapp-forwarder",
        name: "nodeapp-forwarder",
        profile: "forwarder",
        cmd: &["--help"],
    },
    Program { package: "nodeapp-load", name: "nodeapp-load", profile: "image", cmd: &[] },
];

/// Builds a program alone, as its image has it.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let program = PROGRAMS.iter().find(|program| program.name == name);
    build(program.with_context(|| format!("{name} is not among the programs"))?)
}

/// Builds the operator as it is released, and the client that is measured beside it; both less thoroughly, and
/// sooner, where no figure counts.
pub(crate) fn bench_programs(quick: bool) -> Result<(PathBuf, PathBuf)> {
    let profile = if quick { "image" } else { "release" };
    let built = |package, name| build(&Program { package, name, profile, cmd: &[] });
    Ok((built("nodeapp-operator", "nodeapp-operator")?, built("nodeapp-bench", "nodeapp-bench")?))
}

/// `localhost/nodeapp-bench`: Node.js, PM2 from npm, the apps of `bench/apps` at `/app`, and the load.
pub(crate) fn bench(modules: &Path) -> Result<String> {
    let store = Store::open()?;
    let load = program("nodeapp-load")?;
    let mut tree = Tree::new();
    add_folder(&mut tree, &paths::repo().join("bench/apps"), "app")?;
    add_folder(&mut tree, modules, "pm2/node_modules")?;
    tree.insert("bin/nodeapp-load".into(), Entry::File { source: load, mode: 0o755 });
    let key = format!("bench-{}", content_key(&tree)?);
    let layer = match store.layer_of(&key) {
        Some(layer) => layer,
        None => store.layer(&key, &tree)?,
    };
    let reference = format!("localhost/nodeapp-bench:{}", base::tag(&layer));
    app_image(&store, &reference, layer, "")?;
    Ok(reference)
}

/// Builds the programs, each alone, because Cargo unites the features of what it builds together.
pub(crate) fn binaries() -> Result<Vec<PathBuf>> {
    PROGRAMS.iter().map(build).collect()
}

/// The images of the built programs, in the order of these.
pub(crate) fn images(store: &Store, binaries: &[PathBuf]) -> Result<[String; PROGRAMS.len()]> {
    let mut references = PROGRAMS.map(|_| String::new());
    ensure!(binaries.len() == PROGRAMS.len(), "a program was not built");
    for ((program, binary), reference) in PROGRAMS.iter().zip(binaries).zip(&mut references) {
        let repository = format!("localhost/{}", program.name);
        *reference = base::one_program(store, &repository, program.name, binary, program.cmd)?;
    }
    Ok(references)
}

/// `localhost/nodeapp-example-hello:1.0.0`: the default Node image with `examples/hello` at `/app`.
pub(crate) fn hello(store: &Store) -> Result<String> {
    let layer = app_layer(store, "hello", "examples/hello")?;
    let reference = "localhost/nodeapp-example-hello:1.0.0".to_owned();
    app_image(store, &reference, layer, "")?;
    Ok(reference)
}

/// The apps of the end-to-end tests, and the same image with `USER` in the three ways Dockerfiles set it.
pub(crate) fn apps(store: &Store) -> Result<(String, BTreeMap<String, String>)> {
    let layer = app_layer(store, "apps", "tests/e2e/apps")?;
    let reference = format!("localhost/nodeapp-e2e-apps:{}", base::tag(&layer));
    app_image(store, &reference, layer.clone(), "")?;
    let mut by_user = BTreeMap::new();
    for (name, user) in [("root", ""), ("node", "node"), ("numeric", "1000:1000")] {
        let reference = format!("{reference}-user-{name}");
        app_image(store, &reference, layer.clone(), user)?;
        by_user.insert(name.to_owned(), reference);
    }
    Ok((reference, by_user))
}

/// Apps that use Redis, with their packages: fetched once by their lock file.
pub(crate) fn redis_apps(store: &Store) -> Result<String> {
    let source = paths::repo().join("tests/e2e/redis-apps");
    let lock = std::fs::read(source.join("package-lock.json")).context("redis-apps has no lock file")?;
    let key = hash::short([lock.as_slice()]);
    let modules = packages(&source, &format!("redis-apps-{key}"))?;
    let mut apps = Tree::new();
    add_folder(&mut apps, &source, "app")?;
    let mut parts = content_key(&apps)?;
    parts.push_str(&key);
    let key = format!("redis-apps-{}", hash::short([parts.as_bytes()]));
    let layer = if let Some(layer) = store.layer_of(&key) {
        layer
    } else {
        add_folder(&mut apps, &modules, "app/node_modules")?;
        store.layer(&key, &apps)?
    };
    let reference = format!("localhost/nodeapp-e2e-redis-apps:{}", base::tag(&layer));
    app_image(store, &reference, layer, "")?;
    Ok(reference)
}

/// The `node_modules` of a folder with a lock file, kept under this name.
fn packages(source: &Path, name: &str) -> Result<PathBuf> {
    let npm = paths::cache()?.join("npm");
    let dir = npm.join(name);
    if !dir.is_dir() {
        let part = npm.join(format!(".part-{name}"));
        let _ = std::fs::remove_dir_all(&part);
        std::fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(source.join(file), part.join(file))?;
        }
        let mut fetch = Command::new("npm");
        // Not `npm ci`: it asks for optional packages of other systems, which are left out here.
        fetch.current_dir(&part).args(["install", "--no-save", "--silent", "--no-audit", "--no-fund"]);
        fetch.args(["--ignore-scripts", "--omit=dev", "--omit=optional"]);
        sh::run(&format!("fetch the packages of {name} from npm"), &mut fetch)?;
        std::fs::rename(&part, &dir)?;
    }
    Ok(dir.join("node_modules"))
}

fn app_layer(store: &Store, name: &str, folder: &str) -> Result<Blob> {
    let mut tree = Tree::new();
    add_folder(&mut tree, &paths::repo().join(folder), "app")?;
    let key = format!("{name}-{}", content_key(&tree)?);
    match store.layer_of(&key) {
        Some(layer) => Ok(layer),
        None => store.layer(&key, &tree),
    }
}

fn app_image(store: &Store, reference: &str, layer: Blob, user: &str) -> Result<()> {
    let run = Run { working_dir: "/app".into(), ..base::node_run(DEFAULT_NODE, user) };
    store.image(reference, &[base::node_layer(store, DEFAULT_NODE)?, layer], &run).map(drop)
}

/// Names and contents of a small tree.
fn content_key(tree: &Tree) -> Result<String> {
    let mut parts = Vec::new();
    for (path, entry) in tree {
        parts.push(path.clone().into_bytes());
        let (mode, content) = match entry {
            Entry::File { source, mode } => {
                (*mode, std::fs::read(source).with_context(|| format!("cannot read {}", source.display()))?)
            }
            other => (0, format!("{other:?}").into_bytes()),
        };
        parts.push(mode.to_be_bytes().to_vec());
        parts.push(content);
    }
    Ok(hash::short(parts.iter().map(Vec::as_slice)))
}

fn build(program: &Program) -> Result<PathBuf> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(paths::repo())
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .args(["build", "--quiet", "--locked", "--target", TARGET, "--profile", program.profile])
        .args(["--package", program.package, "--bin", program.name]);
    sh::run(&format!("build {} (static)", program.name), &mut command)?;
    Ok(paths::target().join(TARGET).join(program.profile).join(program.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the Dockerfile says of a target, instruction by instruction.
    fn stage(dockerfile: &str, target: &str) -> Vec<(String, String)> {
        let (_, stage) = dockerfile.split_once(&format!("FROM scratch AS {target}\n")).expect(target);
        let lines = stage.lines().take_while(|line| !line.starts_with("FROM "));
        lines.filter_map(|line| line.split_once(' ')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
    }

    #[test]
    fn docker_builds_the_images_that_are_made_here_without_it() {
        let file = paths::repo().join("images/Dockerfile");
        let dockerfile = std::fs::read_to_string(file).expect("there");
        let list = |words: &[&str]| serde_json::to_string(words).expect("JSON").replace("\",\"", "\", \"");
        for program in PROGRAMS.iter().filter(|program| program.name != "nodeapp-load") {
            let (name, target) = (program.name, program.name.trim_start_matches("nodeapp-"));
            let mut wanted = vec![
                ("COPY".to_owned(), format!("--from=build /out/{name} /{name}")),
                ("USER".to_owned(), base::USER.to_owned()),
                ("ENTRYPOINT".to_owned(), list(&[&format!("/{name}")])),
            ];
            if !program.cmd.is_empty() {
                wanted.push(("CMD".to_owned(), list(program.cmd)));
            }
            assert_eq!(stage(&dockerfile, target), wanted, "{target}");
            // Here it is built sooner, there as thoroughly as for the benchmark.
            let profile = if program.profile == "image" { "release" } else { program.profile };
            let line = format!("program {name} {profile}");
            let mut built = dockerfile.lines().map(|line| line.trim().trim_end_matches(" && \\"));
            assert!(built.any(|built| built == line), "no line `{line}`");
        }
    }

    #[test]
    fn docker_builds_with_the_compiler_that_is_pinned() {
        let read = |name: &str| std::fs::read_to_string(paths::repo().join(name)).expect(name);
        let toolchain = read("rust-toolchain.toml");
        let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).expect("a channel");
        let from = format!("FROM rust:{}-", channel.trim_matches('"'));
        assert!(read("images/Dockerfile").contains(&from), "no line `{from}…`");
    }
}
