//! `import`: PM2's configuration as manifests, and a report of what became of it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nodeapp_ecosystem::read::{self, Failure, Reading, Source};
use nodeapp_ecosystem::secrets::Masks;
use nodeapp_ecosystem::{Import, NO_IMAGE, Wishes, js, node, stream, yaml};

use crate::{Outcome, files};

/// Turn PM2's configuration into NodeApps.
///
/// Reads ecosystem files (.config.js, .cjs, .mjs, .json, .yaml), dump.pm2 and the output of `pm2 jlist` (`-` for
/// standard input). The manifests go to standard output, the report of what became of every option to standard error.
/// Values that look like secrets become references to a Secret and are printed nowhere.
///
/// Exit code: 0 if everything was imported, 1 if a file or an app was not.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl nodeapp import ecosystem.config.js --image registry.example/shop:1 | kubectl apply -f -\n  pm2 jlist | kubectl nodeapp import - --image registry.example/shop:1 -o manifests/"
)]
pub(crate) struct Args {
    /// Files of PM2.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Image of the apps.
    #[arg(long)]
    image: Option<String>,
    /// Profile to select, as in `pm2 start --env`.
    #[arg(long)]
    env: Option<String>,
    /// Namespace to write into the manifests.
    #[arg(long, short)]
    namespace: Option<String>,
    /// Write one file per app into this folder instead of standard output.
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Write over files that are there.
    #[arg(long, requires = "output")]
    force: bool,
    /// Write the report to a file instead of standard error.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Form of the report; json if the name of its file ends so.
    #[arg(long, value_name = "FORM")]
    report_format: Option<Form>,
    /// Where the app lies in the image.
    #[arg(long, value_name = "DIR", default_value = "/app")]
    workdir: String,
    /// Folder that a JavaScript file may read from; its own if none.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Run the file in your own Node.js, where it may do whatever it wants.
    #[arg(long)]
    use_node: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    Text,
    Json,
}

pub(crate) fn run(args: &Args) -> Outcome {
    if !args.workdir.starts_with('/') {
        return Err(format!("--workdir must be an absolute path such as /app, not {}", args.workdir));
    }
    let import = gathered(args);
    write_manifests(&import, args)?;
    write_report(&import, args)?;
    Ok(if import.report.has_failures() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// One file with PM2's configuration, for a verb that applies what comes of it.
pub(crate) fn of_file(file: &Path, image: Option<&str>, profile: Option<&str>, workdir: &str) -> Import {
    gathered(&Args {
        files: vec![file.to_owned()],
        image: image.map(str::to_owned),
        env: profile.map(str::to_owned),
        namespace: None,
        output: None,
        force: false,
        report: None,
        report_format: None,
        workdir: workdir.to_owned(),
        root: None,
        use_node: false,
    })
}

/// What the files have, with a report of what became of it. What they print goes to standard error.
fn gathered(args: &Args) -> Import {
    let env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let shell_secrets = Masks::of(env.iter());
    let mut import = Import::masking(shell_secrets);
    if args.use_node {
        eprintln!(
            "warning: --use-node runs the files in your Node.js; they may read, write and call whatever they want"
        );
    }
    let wishes = Wishes {
        image: args.image.as_deref(),
        namespace: args.namespace.as_deref(),
        profile: args.env.as_deref(),
        workdir: &args.workdir,
    };
    let mut console = Vec::new();
    for file in &args.files {
        match source(file, args, &env) {
            Ok(source) => {
                import.add(&source, wishes);
                console.extend(source.console);
            }
            Err(failure) => {
                console.extend(failure.console);
                import.add_failure(&file.display().to_string(), &failure.message);
            }
        }
    }
    for line in console {
        eprintln!("{}", import.masks.apply(&line));
    }
    import
}

fn source(file: &Path, args: &Args, env: &BTreeMap<String, String>) -> Result<Source, Failure> {
    if file == Path::new("-") {
        let mut text = String::new();
        let limit = js::fence::LARGEST_FILE;
        let read = std::io::stdin().take(limit + 1).read_to_string(&mut text);
        read.map_err(|error| format!("standard input: {error}"))?;
        if text.len() as u64 > limit {
            return Err(format!("standard input has more than {} MB", limit >> 20).into());
        }
        return read::read_stdin(&text);
    }
    let reading = Reading {
        env,
        profile: args.env.as_deref(),
        root: args.root.as_deref(),
        use_node: args.use_node,
        time_limit: if args.use_node { node::TIME_LIMIT } else { js::TIME_LIMIT },
    };
    nodeapp_ecosystem::read(file, &reading)
}

fn write_manifests(import: &Import, args: &Args) -> Result<(), String> {
    let Some(folder) = &args.output else {
        files::print(&stream(&import.apps));
        return Ok(());
    };
    import.apps.iter().try_for_each(|app| {
        let name = app.metadata.name.as_deref().unwrap_or_default();
        files::write(&folder.join(format!("{name}.yaml")), &yaml(app), args.force)
    })
}

fn write_report(import: &Import, args: &Args) -> Result<(), String> {
    let by_name = args.report.as_ref().is_some_and(|file| file.extension().is_some_and(|it| it == "json"));
    let form = args.report_format.unwrap_or(if by_name { Form::Json } else { Form::Text });
    let mut text = match form {
        Form::Json => import.shown().json(),
        Form::Text => import.shown().text(),
    };
    if form == Form::Text && args.image.is_none() && !import.apps.is_empty() {
        text += "\nNo image is given, so the API server will refuse the manifests: image is \"";
        text += NO_IMAGE;
        text += "\".\nBuild one (`kubectl nodeapp init` writes a Dockerfile) and import with --image.\n";
    }
    if let Some(file) = &args.report {
        // A report is made anew each time.
        return files::write(file, &text, true);
    }
    eprint!("{text}");
    Ok(())
}
