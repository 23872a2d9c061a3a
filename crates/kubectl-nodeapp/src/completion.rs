//! `completion`: what shells need to complete words, and what kubectl asks its plugins.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Command;
use kube::ResourceExt;
use kube::api::ListParams;
use nodeapp_operator::crd::NodeApp;

use crate::cluster::{Scope, wait_for};
use crate::files;

/// A shell that waits for a word waits no longer than this.
const PATIENCE: Duration = Duration::from_secs(2);
/// Tells the shell to offer no files (cobra's directive, which kubectl speaks).
const NO_FILES: &str = ":4\n";
/// Tells it to do as it likes, so that it offers files.
const FILES: &str = ":0\n";

/// Print a script that lets a shell complete the program kubectl-nodeapp.
///
/// For `kubectl nodeapp` itself, kubectl asks a program named kubectl_complete-nodeapp in PATH: link it to this one.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  source <(kubectl nodeapp completion bash)\n  ln -s \"$(command -v kubectl-nodeapp)\" ~/.local/bin/kubectl_complete-nodeapp"
)]
pub(crate) struct Args {
    /// Shell to write it for.
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &Args, mut command: Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "kubectl-nodeapp", &mut script);
    // A reader that has seen enough is no failure.
    let _ = std::io::stdout().write_all(&script);
    ExitCode::SUCCESS
}

/// Whether the program was called by kubectl to complete a line, by its name.
pub(crate) fn is_asked(program: Option<&str>) -> bool {
    let base = program.and_then(|program| program.rsplit(['/', '\\']).next()).unwrap_or_default();
    base.trim_end_matches(".exe").starts_with("kubectl_complete-")
}

/// Answers kubectl: `words` are those of the line, the last one is not finished.
pub(crate) fn answer(words: &[String], command: &Command) -> ExitCode {
    let (last, before) =
        words.split_last().map_or(("", [].as_slice()), |(last, before)| (last.as_str(), before));
    let (offered, more) = match before.iter().find(|word| !word.starts_with('-')) {
        None => (verbs(command), NO_FILES),
        Some(verb) => wanted(command, verb, last, before),
    };
    let fitting = offered
        .iter()
        .filter(|word| word.starts_with(last))
        .fold(String::new(), |text, word| text + word + "\n");
    files::print(&(fitting + more));
    ExitCode::SUCCESS
}

/// The verbs that are shown in the help.
fn verbs(command: &Command) -> Vec<String> {
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    shown.map(|verb| verb.get_name().to_owned()).collect()
}

/// What may follow a verb: its flags, or the names of apps and files where it takes them.
fn wanted(command: &Command, verb: &str, last: &str, before: &[String]) -> (Vec<String>, &'static str) {
    let Some(verb) = command.find_subcommand(verb) else { return (Vec::new(), FILES) };
    if last.starts_with('-') {
        let flags = verb.get_arguments().filter_map(|it| Some(format!("--{}", it.get_long()?)));
        return (flags.collect(), NO_FILES);
    }
    let values: Vec<String> = verb
        .get_positionals()
        .flat_map(|argument| argument.get_value_names().unwrap_or_default())
        .map(ToString::to_string)
        .collect();
    let takes = |what: &[&str]| values.iter().any(|value| what.iter().any(|word| value.contains(word)));
    let more = if takes(&["FILE", "DIR", "FOLDER"]) { FILES } else { NO_FILES };
    (if takes(&["NAME", "APP"]) { apps(before) } else { Vec::new() }, more)
}

/// The names of the apps where the line looks; none where the cluster does not tell.
fn apps(before: &[String]) -> Vec<String> {
    let after = |flags: [&str; 2]| {
        let place = before.iter().position(|word| flags.contains(&word.as_str()))?;
        before.get(place + 1).cloned()
    };
    let scope = Scope::in_namespace(after(["-n", "--namespace"]));
    let mut names = Vec::new();
    // What fails here is told by the verb itself, once it is run.
    let _ = wait_for(async {
        let cluster = scope.connect().await?;
        let apps = cluster.scoped::<NodeApp>();
        let found = tokio::time::timeout(PATIENCE, apps.list_metadata(&ListParams::default())).await;
        let found = found.map_err(|late| late.to_string())?.map_err(|refused| refused.to_string())?;
        names = found.iter().map(ResourceExt::name_any).collect();
        Ok(ExitCode::SUCCESS)
    });
    names
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn kubectl_is_answered_under_the_name_by_which_it_asks() {
        assert!(is_asked(Some("/usr/local/bin/kubectl_complete-nodeapp")));
        assert!(is_asked(Some("kubectl_complete-pm2.exe")));
        assert!(!is_asked(Some("kubectl-nodeapp")) && !is_asked(None));
    }

    #[test]
    fn verbs_and_flags_are_offered_and_files_where_one_is_wanted() {
        let command = crate::Arguments::command();
        assert!(verbs(&command).iter().any(|verb| verb == "reload"));
        let (flags, _) = wanted(&command, "stop", "--", &[]);
        assert!(flags.iter().any(|flag| flag == "--no-wait"), "{flags:?}");
        assert_eq!(wanted(&command, "render", "", &[]), (Vec::new(), FILES));
        assert_eq!(wanted(&command, "version", "", &[]), (Vec::new(), NO_FILES));
    }
}
