//! The app's output.

use nodeapp_operator::crd::defaults;
use nodeapp_operator::crd::logs::LogType;
use serde_json::json;

use super::super::facts::Facts;
use super::super::line::Line;

/// pm2-logrotate.
pub(super) fn rotation(facts: &Facts) -> Line {
    const CHECK: &str = "logRotation";
    let spec = &facts.app.spec;
    let files = [&spec.out_file, &spec.error_file, &spec.log_file];
    let writes = files.iter().any(|file| file.as_deref().is_some_and(|file| file != "/dev/null"));
    match &spec.log_rotate {
        Some(rotate) => {
            let size = rotate.max_size.as_ref().map_or_else(|| "10M".to_owned(), ToString::to_string);
            let kept = rotate.retain.map_or(i64::from(defaults::LOG_RETAIN), i64::from);
            let how = if rotate.compress == Some(true) { ", compressed" } else { "" };
            Line::pass(CHECK, format!("files are rotated at {size}, {kept} are kept{how}"))
        }
        None if writes => Line::warn(
            CHECK,
            "files are rotated by the defaults alone: at 10M, 30 of each kept, not compressed",
            facts.patch(&json!({"logRotate": {"maxSize": "10M", "retain": 7, "compress": true}})),
        ),
        None => Line::pass(CHECK, "it writes no files; the node rotates what `kubectl logs` shows"),
    }
}

/// PM2's `merge_logs`.
pub(super) fn merged(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "mergedLogs";
    let spec = &facts.app.spec;
    if facts.is_job() {
        return None;
    }
    let is_json = spec.log_type == Some(LogType::Json);
    Some(if spec.merge_logs == Some(true) || is_json {
        Line::pass(CHECK, "each line says which instance it is from")
    } else if facts.instances() < 2 && spec.autoscaling.is_none() {
        Line::pass(CHECK, "there is one instance")
    } else {
        let message = "in the merged lines of several instances nobody can tell whose they are";
        Line::warn(CHECK, message, facts.patch(&json!({"mergeLogs": true})))
    })
}
