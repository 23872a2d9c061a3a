//! What the manuals tell people to type is taken by this program.

use std::path::Path;

use clap::CommandFactory;
use clap::error::ErrorKind;
use nodeapp_manual::Call;

use crate::Arguments;

/// The program under each of its names.
const NAMES: [&[&str]; 4] =
    [&["kubectl", "nodeapp"], &["kubectl", "pm2"], &["kubectl-nodeapp"], &["kubectl-pm2"]];

/// Words in capitals stand for what the reader puts there.
fn filled_in(word: &str) -> &str {
    match word {
        "N" => "4",
        _ => word,
    }
}

/// What is wrong with a call, if anything is.
fn problem(call: &Call) -> Option<String> {
    let words = call.words.iter().map(|word| filled_in(word));
    let error =
        match Arguments::command().try_get_matches_from(std::iter::once("kubectl nodeapp").chain(words)) {
            Err(error) => error,
            Ok(matches) => {
                let verb = matches.subcommand_name()?;
                let known = Arguments::command().get_subcommands().any(|it| it.get_name() == verb);
                return (!known).then(|| format!("`{verb}` is no verb"));
            }
        };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => None,
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            if !call.whole =>
        {
            None
        }
        _ => Some(error.to_string()),
    }
}

#[test]
fn every_command_that_the_manuals_show_is_one_of_this_program() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let pages = nodeapp_manual::pages(&repository).unwrap();
    let calls = nodeapp_manual::calls(&pages, &NAMES);
    assert!(calls.len() > 80, "{} calls in the manuals", calls.len());
    let wrong =
        calls.iter().filter_map(|call| Some(format!("{} {:?}: {}", call.place, call.words, problem(call)?)));
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_verb_is_in_the_manual_of_the_plugin() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = nodeapp_manual::Page::read(&repository, "docs/kubectl.md").unwrap();
    let code: Vec<&str> = page.spans().into_iter().flat_map(|(_, code)| code.split([' ', ','])).collect();
    let verbs: Vec<_> =
        Arguments::command().get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let missing: Vec<_> = verbs.iter().filter(|verb| !code.contains(&verb.as_str())).collect();
    assert!(verbs.len() > 30 && missing.is_empty(), "docs/kubectl.md does not tell of {missing:?}");
}

#[test]
fn a_verb_or_a_flag_that_there_is_not_is_found() {
    let call = |line: &str, whole| {
        let words = line.split(' ').map(str::to_owned).collect();
        problem(&Call { place: String::new(), words, whole })
    };
    assert_eq!(call("scale shop N", true), None);
    assert_eq!(call("describe --help", true), None);
    assert_eq!(call("inspect", false), None);
    for wrong in ["ls --sideways", "ls -o nonsense", "save", "inspect", "scale shop many"] {
        assert!(call(wrong, true).is_some(), "{wrong}");
    }
}
