//! `init`: what a folder with a Node.js app needs to become an image that runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nodeapp_ecosystem::read::Reading;
use nodeapp_ecosystem::{Import, Wishes, js, names, stream};
use nodeapp_operator::crd::NodeApp;
use serde_json::{Value, json};

use crate::{Outcome, files};

/// Write a Dockerfile, a .dockerignore, a NodeApp and a CI job for an app.
///
/// Looks at package.json, lock files and the ecosystem file of the folder. Files that are there stay as they are,
/// unless --force is given.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of the app.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Image that CI builds, without a tag.
    #[arg(long, default_value = "registry.example/app")]
    image: String,
    /// Version of Node.js; if none, that of engines in package.json, else 22.
    #[arg(long)]
    node: Option<String>,
    /// Write over files that are there.
    #[arg(long)]
    force: bool,
}

/// Files that PM2 is configured by, in the order in which they are looked for.
const ECOSYSTEM: [&str; 7] = [
    "ecosystem.config.js",
    "ecosystem.config.cjs",
    "ecosystem.config.mjs",
    "ecosystem.json",
    "ecosystem.yaml",
    "process.json",
    "process.yml",
];

/// The port of an app that says nothing of one.
const PORT: u16 = 3000;

/// What the folder tells of its app.
#[derive(Debug, Default, PartialEq)]
struct Project {
    name: String,
    node: String,
    manager: &'static str,
    locked: bool,
    script: String,
    builds: bool,
    /// A file with the registry's credentials, which the install needs and the image must not have.
    npmrc: bool,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let folder = &args.folder;
    let text = std::fs::read_to_string(folder.join("package.json"));
    let text = text.map_err(|error| {
        format!("{}: {error}; init needs the package.json of the app", folder.join("package.json").display())
    })?;
    let package: Value =
        serde_json::from_str(&text).map_err(|error| format!("package.json is no JSON: {error}"))?;
    let project = project(folder, &package, args.node.as_deref());
    let (manifest, whole) = manifest(folder, &project, &args.image)?;
    let written = [
        ("Dockerfile", dockerfile(&project)),
        (".dockerignore", dockerignore()),
        ("nodeapp.yaml", manifest),
        (".github/workflows/nodeapp.yaml", workflow(&project, &args.image)),
    ];
    let mut kept = 0;
    for (name, text) in &written {
        match files::write(&folder.join(name), text, args.force) {
            Ok(()) => println!("wrote {name}"),
            Err(error) => {
                kept += 1;
                eprintln!("kept: {error}");
            }
        }
    }
    Ok(if kept > 0 || !whole { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn project(folder: &Path, package: &Value, node: Option<&str>) -> Project {
    let text = |path: &str| package.pointer(path).and_then(Value::as_str);
    let has = |name: &str| folder.join(name).exists();
    let lock = [
        ("pnpm-lock.yaml", "pnpm"),
        ("yarn.lock", "yarn"),
        ("package-lock.json", "npm"),
        ("npm-shrinkwrap.json", "npm"),
    ];
    let locked = lock.into_iter().find(|(file, _)| has(file));
    let named = text("/packageManager")
        .and_then(|it| ["pnpm", "yarn", "npm"].into_iter().find(|name| it.starts_with(name)));
    let folder_name =
        folder.canonicalize().ok().and_then(|it| Some(it.file_name()?.to_string_lossy().into_owned()));
    let script = match (text("/scripts/start"), text("/main")) {
        (Some(_), _) => "npm start".to_owned(),
        (None, Some(main)) => main.trim_start_matches("./").to_owned(),
        (None, None) => ["server.js", "index.js", "app.js"]
            .into_iter()
            .find(|name| has(name))
            .unwrap_or("index.js")
            .to_owned(),
    };
    Project {
        name: names::label(text("/name").map(str::to_owned).or(folder_name).as_deref().unwrap_or("app")),
        node: node.map_or_else(|| major(text("/engines/node")), str::to_owned),
        manager: locked.map(|(_, manager)| manager).or(named).unwrap_or("npm"),
        locked: locked.is_some(),
        script,
        builds: text("/scripts/build").is_some(),
        npmrc: has(".npmrc"),
    }
}

/// The newest major version that a range such as `>=18 <21` names first, else a current one.
fn major(range: Option<&str>) -> String {
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    let first = range
        .and_then(|range| range.find(|letter: char| letter.is_ascii_digit()).map(|at| digits(&range[at..])));
    match (first, range) {
        // Open to newer ones.
        (Some(number), Some(range)) if range.trim_start().starts_with('>') && !range.contains('<') => {
            number.parse::<u32>().unwrap_or(22).max(22).to_string()
        }
        (Some(number), _) => number,
        (None, _) => "22".to_owned(),
    }
}

fn dockerfile(project: &Project) -> String {
    let (install, prune) = match (project.manager, project.locked) {
        ("pnpm", locked) => (
            format!("corepack enable && pnpm install{}", if locked { " --frozen-lockfile" } else { "" }),
            "pnpm prune --prod".to_owned(),
        ),
        ("yarn", locked) => (
            format!("corepack enable && yarn install{}", if locked { " --frozen-lockfile" } else { "" }),
            "yarn install --production --ignore-scripts --prefer-offline".to_owned(),
        ),
        (_, true) => ("npm ci".to_owned(), "npm prune --omit=dev".to_owned()),
        (_, false) => ("npm install".to_owned(), "npm prune --omit=dev".to_owned()),
    };
    let with = if project.npmrc { "--mount=type=secret,id=npmrc,target=/app/.npmrc " } else { "" };
    let build = if project.builds { format!("RUN {} run build\n", project.manager) } else { String::new() };
    format!(
        "# Builds the app and leaves the tools behind. The runner of the NodeApp starts it, so there is no CMD.\n\
         FROM node:{node}-slim AS build\n\
         WORKDIR /app\n\
         COPY . .\n\
         RUN {with}{install}\n\
         {build}\
         RUN {with}{prune}\n\
         \n\
         FROM node:{node}-slim\n\
         ENV NODE_ENV=production\n\
         WORKDIR /app\n\
         COPY --from=build --chown=1000:1000 /app .\n\
         USER 1000:1000\n",
        node = project.node,
    )
}

fn dockerignore() -> String {
    let lines = [
        "# Built or installed inside, secret, or of no use in an image. Files of PM2 often hold secrets, and are of no use",
        "# there either.",
        "**/node_modules",
        "npm-debug.log*",
        ".git",
        ".github",
        "**/.env",
        "**/.env.*",
        "**/.npmrc",
        "**/*.pem",
        "**/*.key",
        "**/*.p12",
        "ecosystem.*",
        "process.json",
        "process.yml",
        ".pm2",
        "dump.pm2",
        "coverage",
        "logs",
        "*.log",
        "Dockerfile",
        ".dockerignore",
        "nodeapp.yaml",
    ];
    lines.join("\n") + "\n"
}

/// The apps of the ecosystem file if there is one, else one for the package; and
/// whether all of them are there.
fn manifest(folder: &Path, project: &Project, image: &str) -> Result<(String, bool), String> {
    let image = format!("{image}:latest");
    let Some(file) = ECOSYSTEM.into_iter().map(|name| folder.join(name)).find(|file| file.exists()) else {
        return Ok((stream(&[of_package(project, &image)?]), true));
    };
    let env = BTreeMap::new();
    let reading =
        Reading { env: &env, profile: None, root: None, use_node: false, time_limit: js::TIME_LIMIT };
    let source = nodeapp_ecosystem::read(&file, &reading);
    let source = source.map_err(|failure| format!("{}: {}", file.display(), failure.message))?;
    let mut import = Import::default();
    import.add(&source, Wishes { image: Some(&image), workdir: "/app", ..Wishes::default() });
    eprint!("{}", import.shown().text());
    if import.apps.is_empty() {
        return Err(format!("{}: no app could be imported", file.display()));
    }
    Ok((stream(&import.apps), !import.report.has_failures()))
}

/// The app of a package that PM2 has no file for.
fn of_package(project: &Project, image: &str) -> Result<NodeApp, String> {
    let app = json!({
        "apiVersion": "nodeapp.dev/v1alpha1",
        "kind": "NodeApp",
        "metadata": {"name": project.name},
        "spec": {"image": image, "script": project.script, "instances": 2, "port": PORT},
    });
    eprintln!("nodeapp.yaml: the app is given port {PORT} as PORT; take it out for a worker");
    serde_json::from_value(app)
        .map_err(|error| format!("package.json: no NodeApp can be made of it: {error}"))
}

fn workflow(project: &Project, image: &str) -> String {
    let with = if project.npmrc { " --secret id=npmrc,src=.npmrc" } else { "" };
    format!(
        "# Builds an image for each commit on main and lets the NodeApp roll to it. Needs the secret KUBECONFIG, and\n\
         # rights to push to the registry.\n\
         name: nodeapp\n\
         on:\n  push:\n    branches: [main]\n\
         jobs:\n  deploy:\n    runs-on: ubuntu-latest\n    permissions: {{contents: read, packages: write}}\n    steps:\n      \
         - uses: actions/checkout@v4\n      \
         - name: Build and push\n        run: |\n          docker build{with} -t {image}:${{{{ github.sha }}}} .\n          docker push {image}:${{{{ github.sha }}}}\n      \
         - name: Roll out\n        env:\n          KUBECONFIG_CONTENT: ${{{{ secrets.KUBECONFIG }}}}\n        run: |\n          \
         umask 077 && printf '%s' \"$KUBECONFIG_CONTENT\" > kubeconfig && export KUBECONFIG=$PWD/kubeconfig\n          \
         sed -i 's|image: {image}:.*|image: {image}:${{{{ github.sha }}}}|' nodeapp.yaml\n          \
         kubectl apply -f nodeapp.yaml\n          \
         # No object may be behind its spec before its condition is asked for.\n          \
         kubectl wait -f nodeapp.yaml --for=condition=Ready --timeout=10m\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_node_comes_from_engines() {
        for (range, version) in [
            (None, "22"),
            (Some("20.x"), "20"),
            (Some("^18.17.0"), "18"),
            (Some(">=18"), "22"),
            (Some(">=18 <21"), "18"),
            (Some("lts/*"), "22"),
        ] {
            assert_eq!(major(range), version, "{range:?}");
        }
    }

    #[test]
    fn package_and_lock_file_say_how_to_build_and_what_to_start() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pnpm-lock.yaml"), "").unwrap();
        let package = json!({"name": "@acme/Shop", "main": "./dist/main.js", "scripts": {"build": "tsc"}, "engines": {"node": "20"}});
        let found = project(folder.path(), &package, None);
        let expected = Project {
            name: "acme-shop".into(),
            node: "20".into(),
            manager: "pnpm",
            locked: true,
            script: "dist/main.js".into(),
            builds: true,
            npmrc: false,
        };
        assert_eq!(found, expected);
        let file = dockerfile(&found);
        for line in [
            "FROM node:20-slim AS build",
            "RUN corepack enable && pnpm install --frozen-lockfile",
            "RUN pnpm run build",
            "USER 1000:1000",
        ] {
            assert!(file.lines().any(|it| it == line), "{line} is not in\n{file}");
        }
    }

    #[test]
    fn the_registrys_credentials_are_there_for_the_install_and_not_in_the_image() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".npmrc"), "//registry.example/:_authToken=x").unwrap();
        let found = project(folder.path(), &json!({}), None);
        let mounted =
            dockerfile(&found).matches("RUN --mount=type=secret,id=npmrc,target=/app/.npmrc npm").count();
        assert_eq!(mounted, 2, "{}", dockerfile(&found));
        assert!(workflow(&found, "a").contains("docker build --secret id=npmrc,src=.npmrc -t a:"));
        let ignored = dockerignore();
        for line in
            ["**/.npmrc", "ecosystem.*", "process.json", "process.yml", "**/*.key", "**/*.p12", "**/.env"]
        {
            assert!(ignored.lines().any(|it| it == line), "{line} is not in\n{ignored}");
        }
    }

    #[test]
    fn the_manual_shows_the_ci_job_as_it_is_written() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let page = nodeapp_manual::Page::read(&repository, "docs/ci-cd.md").unwrap();
        let shown = page
            .blocks()
            .into_iter()
            .find(|block| block.comment.as_deref() == Some("written by kubectl nodeapp init"));
        assert_eq!(shown.unwrap().text, workflow(&Project::default(), "registry.example/acme/api"));
    }

    #[test]
    fn the_ci_job_is_yaml_and_its_expressions_are_whole() {
        let text = workflow(&Project::default(), "registry.example/shop");
        let job: Value = serde_saphyr::from_str(&text).unwrap();
        let steps = job["jobs"]["deploy"]["steps"].as_array().unwrap();
        assert_eq!(steps.len(), 3);
        let roll = steps[2]["run"].as_str().unwrap();
        assert!(roll.contains("image: registry.example/shop:${{ github.sha }}|' nodeapp.yaml"), "{roll}");
    }
}
