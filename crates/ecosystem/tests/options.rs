//! What each option does to a `NodeApp`, and that the others do nothing to it.

// Helpers of tests are no test functions for the lint.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nodeapp_ecosystem::options::{Answer, OPTIONS};
use nodeapp_ecosystem::report::AppReport;
use nodeapp_ecosystem::{Import, Source, Wishes};
use serde_json::{Value, json};

/// Imports one app with more options; the NodeApp, and what is said.
fn imported(more: &Value) -> (Value, AppReport) {
    let mut entry = json!({"name": "x", "script": "a.js"});
    for (option, value) in more.as_object().unwrap() {
        entry[option] = value.clone();
    }
    let source = Source {
        file: "ecosystem.config.js".to_owned(),
        folder: Some(Path::new("/srv/app").to_owned()),
        variants: vec![(4, json!({"apps": [entry]}))],
        console: Vec::new(),
        asked: BTreeSet::new(),
        variables: BTreeSet::new(),
        env: BTreeMap::new(),
    };
    let wishes = Wishes { image: Some("a:1"), profile: Some("production"), workdir: "/app", namespace: None };
    let mut import = Import::default();
    import.add(&source, wishes);
    let report = import.report.files[0].apps[0].clone();
    assert_eq!(import.apps.len(), 1, "{more}: {report:?}");
    (serde_json::to_value(&import.apps[0]).unwrap(), report)
}

/// A value for an option, where it goes, and what stands there then.
fn effects() -> Vec<(&'static str, Value, &'static str, Value)> {
    vec![
        ("script", json!("dist/b.js"), "/spec/script", json!("dist/b.js")),
        ("name", json!("My App"), "/metadata/name", json!("my-app")),
        ("append_env_to_name", json!(true), "/metadata/name", json!("x-production")),
        ("namespace", json!("team"), "/metadata/labels/nodeapp.dev~1pm2-namespace", json!("team")),
        ("cwd", json!("sub"), "/spec/cwd", json!("/app/sub")),
        ("args", json!("a 'b c'"), "/spec/args", json!(["a", "b c"])),
        ("exec_interpreter", json!("tsx"), "/spec/interpreter", json!("tsx")),
        ("node_args", json!("--trace-gc"), "/spec/nodeArgs", json!(["--trace-gc"])),
        ("instances", json!(3), "/spec/instances", json!(3)),
        ("instances", json!("max"), "/spec/fillCluster", json!({"leave": 0})),
        ("instance_var", json!("N"), "/spec/instanceVar", json!("N")),
        ("increment_var", json!("M"), "/spec/incrementVar", json!("M")),
        ("port", json!(3000), "/spec/port", json!(3000)),
        ("env", json!({"A": 1}), "/spec/env", json!([{"name": "A", "value": "1"}])),
        ("env_<name>", json!({"A": 1}), "/spec/envProfiles/staging", json!([{"name": "A", "value": "1"}])),
        ("wait_ready", json!(true), "/spec/waitReady", json!(true)),
        ("listen_timeout", json!(9000), "/spec/listenTimeout", json!(9000)),
        ("kill_timeout", json!(4000), "/spec/killTimeout", json!(4000)),
        ("shutdown_with_message", json!(true), "/spec/shutdownWithMessage", json!(true)),
        ("treekill", json!(false), "/spec/treekill", json!(false)),
        ("autostart", json!(false), "/spec/stopped", json!(true)),
        ("autorestart", json!(false), "/spec/autorestart", json!(false)),
        ("stop_exit_codes", json!([0, "3"]), "/spec/stopExitCodes", json!([0, 3])),
        ("min_uptime", json!("10s"), "/spec/minUptime", json!("10s")),
        ("max_restarts", json!(3), "/spec/maxRestarts", json!(3)),
        ("restart_delay", json!(100), "/spec/restartDelay", json!(100)),
        ("exp_backoff_restart_delay", json!(100), "/spec/expBackoffRestartDelay", json!(100)),
        ("max_memory_restart", json!("200M"), "/spec/maxMemoryRestart", json!("200M")),
        ("cron_restart", json!("0 3 * * *"), "/spec/cronRestart", json!("0 3 * * *")),
        ("out_file", json!("/var/log/o.log"), "/spec/outFile", json!("o.log")),
        ("error_file", json!("e.log"), "/spec/errorFile", json!("e.log")),
        ("log_file", json!("l.log"), "/spec/logFile", json!("l.log")),
        ("merge_logs", json!(true), "/spec/mergeLogs", json!(true)),
        ("log_date_format", json!("YYYY"), "/spec/logDateFormat", json!("YYYY")),
        ("time", json!(true), "/spec/logDateFormat", json!("YYYY-MM-DDTHH:mm:ss")),
        ("log_type", json!("json"), "/spec/logType", json!("json")),
        ("source_map_support", json!(true), "/spec/sourceMapSupport", json!(true)),
        ("disable_source_map_support", json!(true), "/spec/sourceMapSupport", Value::Null),
        ("pmx", json!(false), "/spec/pmx", json!(false)),
        ("automation", json!(false), "/spec/pmx", json!(false)),
    ]
}

#[test]
fn each_option_with_a_counterpart_gets_there() {
    for (option, value, place, expected) in effects() {
        let key = if option == "env_<name>" { "env_staging" } else { option };
        let (app, report) = imported(&json!({ key: value }));
        assert_eq!(app.pointer(place).unwrap_or(&Value::Null), &expected, "{option}: {app}");
        assert!(report.options.iter().any(|entry| entry.option == key), "{option}: {report:?}");
    }
    let shown: BTreeSet<&str> = effects().iter().map(|(option, ..)| *option).collect();
    for option in OPTIONS {
        assert_eq!(shown.contains(option.name), option.answer != Answer::NotApplicable, "{}", option.name);
    }
}

#[test]
fn each_option_without_one_changes_nothing_and_is_answered() {
    let (plain, _) = imported(&json!({}));
    let values = json!({
        "name_prefix": "p", "exec_mode": "fork", "filter_env": true, "kill_retry_time": 50, "watch": true,
        "ignore_watch": "a", "watch_delay": 100, "watch_options": {}, "pid_file": "a.pid", "disable_logs": true,
        "uid": "node", "gid": 1, "username": "a", "force": true, "execute_command": true, "vizion": true,
        "trace": true, "disable_trace": true, "v8": true, "event_loop_inspector": true, "deep_monitoring": true,
        "io": {}, "post_update": ["npm ci"], "install_url": "https://example.com", "write": true, "windowsHide": true,
    });
    for option in OPTIONS.iter().filter(|option| option.answer == Answer::NotApplicable) {
        let value = values.get(option.name).unwrap_or_else(|| panic!("{} has no value here", option.name));
        let (app, report) = imported(&json!({ option.name: value }));
        assert_eq!(app, plain, "{}", option.name);
        let said = report.options.iter().find(|entry| entry.option == option.name);
        assert_eq!(said.map(|entry| entry.note.as_str()), Some(option.says), "{}", option.name);
    }
}

#[test]
fn automation_that_is_off_lets_a_rejection_end_the_process_as_in_pm2() {
    for entry in [json!({"automation": false}), json!({"automation": false, "pmx": true})] {
        let (app, _) = imported(&entry);
        assert!(app["spec"]["pmx"] == false && app["spec"]["unhandledRejections"].is_null(), "{app}");
    }
    assert_eq!(imported(&json!({"automation": true})).0, imported(&json!({})).0);
}

#[test]
fn the_name_of_an_app_without_one_is_what_pm2_makes_of_its_script() {
    for (script, name) in [
        ("node dist/server.js", "server"),
        ("./node_modules/.bin/next start", "next start"),
        ("node ready.js --a", "node ready"),
        ("./dist/main.prod.js", "main.prod"),
        ("npm start", "npm start"),
    ] {
        let (_, report) = imported(&json!({"name": null, "script": script}));
        assert_eq!(report.pm2_name, name, "{script}");
    }
}
