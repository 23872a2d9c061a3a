//! The app's output and its files.

use nodeapp_contract::config::{LogFiles, LogFormat, LogPolicy};

use super::*;

const FILE: u64 = 10 << 20;

fn files(spec: &Value) -> LogFiles {
    valid(spec).runner.log_files.unwrap_or_else(|| panic!("{spec} makes no files"))
}

#[test]
fn the_form_of_lines_reaches_the_runner_with_the_rule_of_the_zone() {
    let app = valid(&json!({
        "logType": "json", "logDateFormat": "YYYY-MM-DD HH:mm:ss", "mergeLogs": true,
        "timeZone": "America/New_York",
    }));
    assert_eq!(
        app.runner.log,
        LogPolicy {
            format: LogFormat::Json,
            date_format: Some("YYYY-MM-DD HH:mm:ss".to_owned()),
            tag: true,
            time_zone: Some("EST5EDT,M3.2.0,M11.1.0".to_owned()),
        }
    );
    assert_eq!(app.runner.log_files, None);
    assert_eq!(valid(&json!({"timeZone": "UTC", "logType": "raw"})).runner.log, LogPolicy::default());
}

#[test]
fn any_of_the_files_brings_the_others_of_pm2_with_it() {
    let pm2s = LogFiles::in_dir("/nodeapp/logs");
    assert_eq!(files(&json!({"logRotate": {}})), pm2s);
    let out = files(&json!({"outFile": "cart.log"}));
    assert_eq!(out, LogFiles { out_file: Some("/nodeapp/logs/cart.log".into()), ..pm2s.clone() });
    let both = files(&json!({"logFile": "/nodeapp/logs/all/cart.log"}));
    assert_eq!(both, LogFiles { log_file: Some("/nodeapp/logs/all/cart.log".into()), ..pm2s.clone() });
    let rotated = files(&json!({"errorFile": "/dev/null", "logFile": "/dev/null", "logRotate": {
        "rotateInterval": "0 0 * * *", "dateFormat": "YYYY-MM-DD", "compress": true, "retain": 3, "maxSize": "1M",
    }}));
    assert_eq!(
        rotated,
        LogFiles {
            error_file: Some("/dev/null".into()),
            rotate_interval: Some("0 0 * * *".into()),
            date_format: Some("YYYY-MM-DD".into()),
            compress: true,
            retain: 3,
            max_size: 1 << 20,
            ..pm2s
        }
    );
    assert_eq!(valid(&json!({"outFile": "/dev/null", "errorFile": "/dev/null"})).runner.log_files, None);
    assert_eq!(valid(&json!({"logFile": "/dev/null"})).runner.log_files, None);
}

#[test]
fn the_room_for_log_files_is_that_of_the_files_in_their_directory() {
    let room = |spec: Value| log_volume_bytes(&files(&spec)).unwrap();
    assert_eq!(room(json!({"logRotate": {}})), 2 * 33 * FILE);
    assert_eq!(room(json!({"logFile": "all.log"})), 3 * 33 * FILE);
    assert_eq!(room(json!({"outFile": "/dev/null", "logRotate": {"retain": 1}})), 4 * FILE);
    assert_eq!(room(json!({"outFile": "/tmp/a.log", "logRotate": {"retain": 1}})), 4 * FILE);
    let far = json!({"logRotate": {"maxSize": "8000000000G", "retain": 10}});
    assert_eq!(problem(&far), "spec.logRotate: maxSize × retain is more than any disk; lower one of them");
}

#[test]
fn a_log_file_lies_where_something_can_be_written() {
    valid(&json!({"outFile": "/var/log/app/out.log", "writablePaths": ["/var/log/app"]}));
    valid(&json!({"outFile": "/tmp/out.log", "errorFile": "deep/er/error.log"}));
    for (path, words) in [
        ("/var/log/app/out.log", ["lies where nothing can be written", "add /var/log/app to writablePaths"]),
        ("/nodeapp/run/out.log", ["lies where nothing can be written", "lies under /nodeapp/logs"]),
        ("../run/out.log", ["without . and ..", "app-out.log"]),
        ("logs/", ["without / at the end", "app-out.log"]),
        ("/nodeapp/logs", ["is a directory", "name a file in it"]),
        ("NULL", ["/dev/null", "none"]),
        ("", ["must be the path of a file", "app-out.log"]),
    ] {
        let told = problem(&json!({"logFile": path}));
        assert!(told.starts_with("spec.logFile: "), "{told}");
        for words in words {
            assert!(told.contains(words), "{path}: `{words}` is not in: {told}");
        }
    }
}

#[test]
fn both_streams_may_share_a_file_as_under_pm2() {
    let shared = files(&json!({"outFile": "a.log", "errorFile": "/nodeapp/logs/a.log"}));
    assert_eq!(shared.out_file.as_deref(), Some("/nodeapp/logs/a.log"));
    assert_eq!(shared.out_file, shared.error_file);
    valid(&json!({"logFile": "cart-error.log"}));
}

#[test]
fn dates_schedules_and_zones_that_cannot_be_followed_are_refused() {
    for (spec, words) in [
        (json!({"logDateFormat": ""}), "spec.logDateFormat: must be one line of Day.js tokens"),
        (json!({"logDateFormat": "HH\nmm"}), "spec.logDateFormat: must be one line of Day.js tokens"),
        (json!({"logRotate": {"dateFormat": "YYYY/MM"}}), "spec.logRotate.dateFormat: must be one line"),
        (
            json!({"logRotate": {"rotateInterval": "0 0 * *"}}),
            "spec.logRotate.rotateInterval: must be a cron",
        ),
        (json!({"logRotate": {"rotateInterval": "daily"}}), "spec.logRotate.rotateInterval: must be a cron"),
        (
            json!({"logRotate": {"rotateInterval": "0 0 30 2 *"}}),
            "spec.logRotate.rotateInterval: must be a cron expression such as '0 0 * * *', but: the cron \
             expression \"0 0 30 2 *\" names a day that never comes",
        ),
        (json!({"timeZone": "Berlin"}), "spec.timeZone: Berlin is no time zone"),
        (
            json!({"logRotate": {}, "outFile": "/dev/null", "errorFile": "/dev/null"}),
            "spec.logRotate: rotates no file",
        ),
    ] {
        let told = problem(&spec);
        assert!(told.starts_with(words), "{spec}: {told}");
    }
}
