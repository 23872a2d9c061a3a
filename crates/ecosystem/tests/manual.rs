//! `docs/from-pm2.md` answers every option and command, and its example is what `import` makes.

// Helpers of tests are no test functions for the lint.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nodeapp_ecosystem::commands::COMMANDS;
use nodeapp_ecosystem::options::{OPTIONS, SECTIONS, camel};
use nodeapp_ecosystem::read::Reading;
use nodeapp_ecosystem::{Import, Wishes, read, yaml};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn options() -> String {
    let mut table = "| PM2 | here | | |\n|---|---|---|---|\n".to_owned();
    for option in OPTIONS {
        let plain: Vec<&str> = std::iter::once(&option.name).chain(option.aliases).copied().collect();
        let mut names: Vec<String> = plain.iter().map(|name| format!("`{name}`")).collect();
        let camels = plain.iter().filter(|name| !name.contains('<')).map(|name| camel(name));
        names.extend(camels.filter(|name| !plain.contains(&name.as_str())).map(|name| format!("`{name}`")));
        let field = if option.field.is_empty() {
            "–".to_owned()
        } else {
            format!("`{}`", option.field.replace(" or ", "` or `"))
        };
        let _ = writeln!(
            table,
            "| {} | {field} | {} | {} |",
            names.join(", "),
            option.answer.word(),
            option.says
        );
    }
    for (section, says) in SECTIONS {
        let _ = writeln!(table, "| `{section}` (section) | – | not applicable | {says} |");
    }
    table
}

fn commands() -> String {
    let mut table = "| `pm2 …` | here | difference |\n|---|---|---|\n".to_owned();
    for command in COMMANDS {
        let names: Vec<String> = command.pm2.split(", ").map(|name| format!("`{name}`")).collect();
        let _ = writeln!(table, "| {} | {} | {} |", names.join(", "), command.here, command.difference);
    }
    table
}

/// The file of the well-known article on PM2 in production, and what becomes of it.
fn example() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ecosystems/seed/ecosystem.config.js");
    let env = BTreeMap::new();
    let reading = Reading {
        env: &env,
        profile: Some("production"),
        root: None,
        use_node: false,
        time_limit: Duration::from_secs(20),
    };
    let mut source = read(&file, &reading).unwrap();
    "ecosystem.config.js".clone_into(&mut source.file);
    let mut import = Import::default();
    let wishes = Wishes {
        image: Some("registry.example/acme/api:1.4.2"),
        profile: Some("production"),
        workdir: "/app",
        namespace: None,
    };
    import.add(&source, wishes);
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.strip_prefix("// env: production\n").unwrap();
    let report = import.report.text();
    format!("```js\n{text}```\n\n```yaml\n{}```\n\n```text\n{report}```\n", yaml(&import.apps[0]))
}

/// A page with what stands between two marks made anew.
fn with(page: &str, mark: &str, text: &str) -> String {
    let (start, end) = (format!("<!-- {mark} -->\n"), format!("<!-- end of {mark} -->"));
    let (before, rest) = page.split_once(&start).unwrap_or_else(|| panic!("{start} is missing"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{end} is missing"));
    format!("{before}{start}\n{text}\n{end}{after}")
}

#[test]
fn the_manual_answers_every_option_and_command_and_shows_what_import_makes() {
    let path = root().join("docs/from-pm2.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let mut made = page.clone();
    for (mark, text) in [("options", options()), ("commands", commands()), ("example", example())] {
        made = with(&made, mark, &text);
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &made).unwrap();
    } else {
        assert_eq!(page, made, "UPDATE_GOLDEN=1 writes docs/from-pm2.md anew");
    }
}

/// PM2's options, as its own schema lists them, and its commands.
#[test]
fn nothing_that_pm2_has_is_left_out() {
    let schema = "script name name_prefix append_env_to_name namespace cwd args exec_interpreter node_args exec_mode instances \
        instance_var increment_var port env env_<name> filter_env wait_ready listen_timeout kill_timeout kill_retry_time \
        shutdown_with_message treekill autostart autorestart stop_exit_codes min_uptime max_restarts restart_delay \
        exp_backoff_restart_delay max_memory_restart cron_restart watch ignore_watch watch_delay watch_options out_file \
        error_file log_file pid_file merge_logs log_date_format time log_type disable_logs source_map_support \
        disable_source_map_support uid gid username force execute_command vizion pmx automation trace disable_trace v8 \
        event_loop_inspector deep_monitoring io post_update install_url write windowsHide";
    for name in schema.split_whitespace() {
        assert!(OPTIONS.iter().any(|option| option.name == name), "{name}");
    }
    let all: Vec<&str> = COMMANDS.iter().flat_map(|command| command.pm2.split(", ")).collect();
    let commands = "start stop restart reload gracefulReload startOrRestart startOrReload startOrGracefulReload scale delete list \
        ls ps status jlist prettylist describe show info logs flush reloadLogs logrotate monit dashboard imonit env id pid reset \
        sendSignal trigger attach send save dump resurrect startup unstartup cleardump update ping kill report ecosystem init \
        deploy pull forward backward install uninstall set get unset conf serve web inspect profile:cpu profile:mem slist link \
        plus monitor pm2-runtime pm2-docker all /regex/ --only --update-env --watch --force -i --name --sort --parallel --silent \
        --no-daemon --attach --mini-list";
    for name in commands.split_whitespace() {
        assert!(all.iter().any(|known| known.split(' ').next() == Some(name)), "{name}");
    }
    // What comes after a command has its own answer, in a row that begins with the command.
    for (command, words) in [
        ("deploy", "setup REF revert current previous list exec run"),
        ("logs", "--lines --nostream --raw --json --format --timestamp --err --out --highlight"),
        ("pm2-runtime", "--json --format --formatted --raw --web --delay --no-auto-exit"),
        ("serve", "--spa --ftp --basic-auth-username --basic-auth-password"),
    ] {
        let rows: Vec<&str> =
            COMMANDS.iter().map(|row| row.pm2).filter(|row| row.split(' ').next() == Some(command)).collect();
        for word in words.split(' ') {
            let is_there = |row: &&str| row.split([' ', ',']).any(|other| other == word);
            assert!(rows.iter().any(is_there), "{command} {word}");
        }
    }
}
