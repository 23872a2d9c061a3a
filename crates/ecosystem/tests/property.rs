//! Whatever PM2 takes becomes a NodeApp that the operator takes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nodeapp_ecosystem::report::AppReport;
use nodeapp_ecosystem::{Import, Source, Wishes, stream};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

fn text(pattern: &'static str) -> BoxedStrategy<Value> {
    pattern.prop_map(Value::from).boxed()
}

fn millis() -> BoxedStrategy<Value> {
    prop_oneof![
        (0..100_000_i64).prop_map(Value::from),
        (0..100_000_i64).prop_map(|number| Value::from(number.to_string())),
        Just(json!(1e12)),
        Just(json!(1500.5)),
    ]
    .boxed()
}

fn flag() -> BoxedStrategy<Value> {
    any::<bool>().prop_map(Value::from).boxed()
}

fn variables() -> BoxedStrategy<Value> {
    let value = prop_oneof![
        text("[ -~]{0,20}"),
        text("\\$\\([A-Z]{1,3}\\)"),
        any::<i32>().prop_map(Value::from),
        flag(),
        Just(Value::Null),
        Just(json!({"a": [1, "b"]})),
    ];
    let name = prop_oneof!["[A-Za-z_][A-Za-z0-9_]{0,12}", "[ -~]{1,8}", Just("PORT".to_owned())];
    prop::collection::btree_map(name, value, 0..6).prop_map(|all| json!(all)).boxed()
}

/// An option with a value that PM2 takes.
#[allow(clippy::too_many_lines)] // A row per option.
fn options() -> BoxedStrategy<(String, Value)> {
    let row = |name: &'static str, values: BoxedStrategy<Value>| {
        values.prop_map(move |value| (name.to_owned(), value)).boxed()
    };
    let instances = prop_oneof![
        (-5..12_i64).prop_map(Value::from),
        Just(json!("max")),
        Just(json!("3")),
        Just(json!("all"))
    ];
    let sizes =
        prop_oneof![text("[1-9][0-9]{0,4}[KMG]"), (1_000_000..9_000_000_000_i64).prop_map(Value::from)];
    let paths = prop_oneof![
        text("[a-z./~_-]{1,20}"),
        Just(json!("/dev/null")),
        Just(json!("NULL")),
        text("/var/log/[a-z]{1,8}\\.log")
    ];
    let words = prop::collection::vec("[a-z0-9=./-]{1,8}", 0..4);
    let args = prop_oneof![text("[a-z0-9 './-]{0,20}"), words.prop_map(|words| json!(words))];
    let cron = prop_oneof![
        text("[0-5]?[0-9] [01]?[0-9] \\* \\* [0-6]"),
        Just(json!("*/5 * * * *")),
        Just(json!("*/10 * * * * *")),
        Just(json!("0 0 4 * * *")),
        Just(json!("0")),
        Just(json!("@daily")),
        Just(json!("nonsense")),
    ];
    let mut rows = vec![
        row("name", prop_oneof![text("[ -~]{1,80}"), text("api|web worker|Default")].boxed()),
        row("cwd", paths.clone().boxed()),
        row("args", args.clone().boxed()),
        row("node_args", args.boxed()),
        row(
            "interpreter",
            prop_oneof![Just(json!("node")), Just(json!("none")), text("[a-z./~@0-9]{1,12}")].boxed(),
        ),
        row("instances", instances.boxed()),
        row("exec_mode", text("fork|cluster")),
        row(
            "port",
            (1..65_535_i64).prop_filter("the runner's", |port| *port != 9615).prop_map(Value::from).boxed(),
        ),
        row("env", variables()),
        row("env_production", variables()),
        row("env_staging", variables()),
        row("max_memory_restart", sizes.boxed()),
        row(
            "min_uptime",
            prop_oneof![text("[1-9][0-9]{0,3}[hms]?"), (100..1_000_000_i64).prop_map(Value::from)].boxed(),
        ),
        row("max_restarts", prop_oneof![(0..100_i64).prop_map(Value::from), Just(json!(1e300))].boxed()),
        row(
            "stop_exit_codes",
            prop::collection::vec(-1..300_i64, 0..5).prop_map(|codes| json!(codes)).boxed(),
        ),
        row("cron_restart", cron.boxed()),
        row("out_file", paths.clone().boxed()),
        row("error_file", paths.clone().boxed()),
        row("log_file", prop_oneof![paths, flag()].boxed()),
        row("log_date_format", text("[ -~]{1,140}")),
        row("log_type", text("json|raw|other")),
        row("instance_var", text("[A-Z_0-9]{1,10}|PORT")),
        row("increment_var", text("[A-Z_-]{1,10}|PORT|NODE_APP_INSTANCE")),
    ];
    for name in [
        "restart_delay",
        "exp_backoff_restart_delay",
        "kill_timeout",
        "listen_timeout",
        "killTimeout",
        "watch_delay",
    ] {
        rows.push(row(name, millis()));
    }
    for name in [
        "wait_ready",
        "autorestart",
        "autostart",
        "treekill",
        "shutdown_with_message",
        "merge_logs",
        "time",
        "pmx",
        "watch",
        "source_map_support",
    ] {
        rows.push(row(name, flag()));
    }
    prop::strategy::Union::new(rows).boxed()
}

fn entry() -> BoxedStrategy<Value> {
    let script = prop_oneof![
        text("[a-z./_-]{1,20}\\.js"),
        text("[a-z]{1,8}\\.(ts|py|sh)"),
        Just(json!("npm")),
        Just(json!("npm run start"))
    ];
    let job = prop::bool::weighted(0.1);
    (script, prop::collection::vec(options(), 0..14), job)
        .prop_map(|(script, options, job)| {
            let mut entry: Map<String, Value> = options.into_iter().collect();
            entry.insert("script".to_owned(), script);
            if job {
                // One that has what a job must not have.
                entry.insert("autorestart".to_owned(), json!(false));
                entry.insert("cron_restart".to_owned(), json!("*/5 * * * *"));
                entry.insert("env_staging".to_owned(), json!({"PORT": 4000}));
                entry
                    .entry("name")
                    .or_insert_with(|| json!("a-job-with-a-name-that-is-longer-than-any-run-can-be"));
            }
            Value::Object(entry)
        })
        .boxed()
}

/// A process as PM2 records it: options and variables side by side.
fn record() -> BoxedStrategy<Value> {
    let status = prop_oneof![Just("online"), Just("stopped"), Just("errored"), Just("waiting restart")];
    (entry(), "api|web worker|[ -~]{1,70}", status, 0..5_i64)
        .prop_map(|(entry, name, status, id)| {
            let mut record = entry.as_object().cloned().unwrap_or_default();
            let script = record.remove("script").unwrap_or_default();
            let script = script.as_str().unwrap_or_default().trim_start_matches("./").to_owned();
            record.retain(|key, _| !["cwd", "killTimeout", "interpreter"].contains(&key.as_str()));
            record.insert("name".to_owned(), json!(name));
            record.insert("status".to_owned(), json!(status));
            record.insert("pm_id".to_owned(), json!(id));
            record.insert("pm_cwd".to_owned(), json!("/srv/app"));
            record.insert("pm_exec_path".to_owned(), json!(format!("/srv/app/{script}")));
            Value::Object(record)
        })
        .boxed()
}

fn source(apps: &[Value]) -> Source {
    Source {
        file: "ecosystem.config.js".to_owned(),
        folder: Some(Path::new("/srv/app").to_owned()),
        variants: vec![(4, json!({"apps": apps}))],
        console: Vec::new(),
        asked: BTreeSet::new(),
        variables: BTreeSet::new(),
        env: BTreeMap::new(),
    }
}

/// Imports what PM2 has recorded.
fn import_records(records: &[Value]) -> Import {
    let mut import = Import::default();
    let recorded = Source { variants: vec![(4, json!(records))], folder: None, ..source(&[]) };
    import.add(
        &recorded,
        Wishes { image: Some("registry.example/app:1"), workdir: "/app", ..Wishes::default() },
    );
    import
}

fn import(apps: &[Value]) -> Import {
    let mut import = Import::default();
    let wishes = Wishes {
        image: Some("registry.example/app:1"),
        profile: Some("production"),
        workdir: "/app",
        namespace: None,
    };
    import.add(&source(apps), wishes);
    import
}

/// The keys of an entry that its report has no line about.
fn untold<'e>(entry: &'e Value, report: &AppReport) -> Vec<&'e String> {
    let told: BTreeSet<&str> = report.options.iter().map(|entry| entry.option.as_str()).collect();
    let given = entry.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    given.map(|(key, _)| key).filter(|key| !told.contains(key.as_str())).collect()
}

#[test]
fn what_is_the_default_here_too_has_its_line_in_the_report() {
    let entry = json!({
        "name": "a", "script": "a.js", "pmx": true, "namespace": "default", "time": true, "log_date_format": "YYYY",
        "instance_var": "NODE_APP_INSTANCE", "stop_exit_codes": [], "env": {}, "env_staging": {}, "args": [],
        "merge_logs": true, "out_file": "", "watch": false, "automation": true, "exec_interpreter": "node",
    });
    let import = import(std::slice::from_ref(&entry));
    let report = &import.report.files[0].apps[0];
    assert_eq!(untold(&entry, report), Vec::<&String>::new(), "{}", import.report.text());
    let lost = report.options.iter().find(|entry| entry.option == "log_date_format");
    assert!(lost.is_some_and(|entry| entry.note.contains("time")), "{lost:?}");
}

/// What the generator makes by chance and PM2 takes, but no app can be made of.
fn may_be_refused(note: &str) -> bool {
    ["looks like a secret", "belongs to the runner", "PM2 looks for a program"]
        .iter()
        .any(|reason| note.contains(reason))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_pm2_takes_the_operator_takes(entry in entry()) {
        let import = import(std::slice::from_ref(&entry));
        let report = &import.report.files[0].apps[0];
        if import.apps.is_empty() {
            for option in &report.options {
                let refused = option.verdict == nodeapp_ecosystem::report::Verdict::Refused;
                prop_assert!(!refused || may_be_refused(&option.note), "{}\n{:?}", entry, option);
            }
        } else {
            prop_assert_eq!(untold(&entry, report), Vec::<&String>::new(), "{}\n{}", entry, import.report.text());
        }
    }

    #[test]
    fn what_pm2_has_recorded_the_operator_takes(records in prop::collection::vec(record(), 1..6)) {
        let import = import_records(&records);
        for option in import.report.files[0].apps.iter().flat_map(|app| &app.options) {
            let refused = option.verdict == nodeapp_ecosystem::report::Verdict::Refused;
            prop_assert!(!refused || may_be_refused(&option.note), "{:?}\n{:?}", records, option);
        }
    }

    #[test]
    fn no_value_makes_an_import_panic(keys in prop::collection::btree_map("[a-z_]{1,20}", text("[ -~]{0,20}"), 0..10)) {
        import(&[json!(keys)]);
    }
}

#[test]
fn what_is_beyond_the_bounds_of_the_api_is_refused_here_and_not_there() {
    let many: BTreeMap<String, i32> = (0..600).map(|number| (format!("V{number}"), number)).collect();
    for (option, value, said) in [
        ("env", json!(many), "spec.env: 600 items; the API takes at most 512"),
        ("args", json!(vec!["a"; 300]), "spec.args: 300 items"),
        ("script", json!(format!("node {}", "a".repeat(5000))), "spec.script: 5005 letters"),
        ("args", json!(["a".repeat(40_000)]), "spec.args[0]: 40000 letters"),
    ] {
        let mut entry = json!({"name": "a", "script": "a.js"});
        entry[option] = value;
        let import = import(&[entry]);
        assert!(import.apps.is_empty() && import.report.has_failures(), "{option}");
        assert!(import.report.text().contains(said), "{option}: {}", import.report.text());
    }
}

/// A sample for the API server, which knows rules that the operator need not repeat.
#[test]
fn a_sample_of_generated_entries_becomes_what_is_written_down() {
    let mut runner = TestRunner::deterministic();
    let entries: Vec<Value> =
        (0..120).map(|_| entry().new_tree(&mut runner).expect("it generates").current()).collect();
    let records: Vec<Value> =
        (0..60).map(|_| record().new_tree(&mut runner).expect("it generates").current()).collect();
    let import = import(&entries);
    let recorded = import_records(&records);
    assert!(
        import.apps.len() > 100 && recorded.apps.len() > 20,
        "{}, {}",
        import.apps.len(),
        recorded.apps.len()
    );
    let text = stream(&import.apps) + &stream(&recorded.apps);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/generated.yaml");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == text,
        "UPDATE_GOLDEN=1 writes {} anew",
        path.display()
    );
}
