//! What the tables of `docs/from-pm2.md` tell people to type is there.

use std::path::Path;

use nodeapp_ecosystem::commands::COMMANDS;
use nodeapp_ecosystem::options::{OPTIONS, SECTIONS};

use crate::{folder, run};

/// What the tables say, whatever it is about.
fn texts() -> Vec<&'static str> {
    let options = OPTIONS.iter().map(|option| option.says).chain(SECTIONS.iter().map(|(_, says)| *says));
    let commands = COMMANDS.iter().flat_map(|command| [command.here, command.difference]);
    options.chain(commands).collect()
}

/// The words that follow a program in the code of texts.
fn verbs_of<'t>(program: &str, texts: &[&'t str]) -> Vec<&'t str> {
    // Every second part is between backquotes.
    let code = texts.iter().flat_map(|text| text.split('`').skip(1).step_by(2));
    let commands = code.flat_map(|code| code.split(['|', ';']));
    let arguments = commands.filter_map(|command| command.trim().strip_prefix(program)?.strip_prefix(' '));
    arguments.filter_map(|arguments| arguments.split_whitespace().next()).collect()
}

#[test]
fn every_verb_that_the_tables_name_is_one_of_the_plugin() {
    let help = run(&folder(&[]), &["--help"]).out;
    let list = help.split_once("\nCommands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let known: Vec<_> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let told = verbs_of("kubectl nodeapp", &texts());
    assert!(told.contains(&"start") && told.contains(&"init"), "{told:?}");
    for verb in told {
        assert!(known.contains(&verb), "`kubectl nodeapp {verb}` is not among {known:?}");
    }
}

#[test]
fn every_verb_that_the_tables_name_is_one_of_the_runner() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runner/src/command.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let told = verbs_of("ctl", &texts());
    assert!(told.contains(&"status") && told.contains(&"signal"), "{told:?}");
    for verb in told {
        assert!(source.contains(&format!("[\"{verb}\"")), "`ctl {verb}` is no verb of the runner");
    }
}

#[test]
fn code_in_a_text_is_found_whatever_stands_around_it() {
    let text = "by `x | ctl flush`, or `ctl signal NAME`; ctl restart, `a; ctl status` and `ctls no`";
    assert_eq!(verbs_of("ctl", &[text]), ["flush", "signal", "status"]);
}
