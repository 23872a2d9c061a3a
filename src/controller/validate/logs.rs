//! The app's output and its files.

use nodeapp_contract::config::{LogFiles, LogFormat, LogPolicy};
use nodeapp_contract::{Cron, paths};

use super::files::{NO_FILE, log_path};
use super::values::count;
use super::{Problems, time_zone};
use crate::crd::logs::LogType;
use crate::crd::{NodeAppSpec, defaults};

/// What a line looks like.
pub(super) fn policy(spec: &NodeAppSpec, problems: &mut Problems) -> LogPolicy {
    check_tokens("spec.logDateFormat", spec.log_date_format.as_ref(), &[], problems);
    LogPolicy {
        format: match spec.log_type.unwrap_or_default() {
            LogType::Raw => LogFormat::Raw,
            LogType::Json => LogFormat::Json,
        },
        date_format: spec.log_date_format.clone(),
        tag: spec.merge_logs.unwrap_or(false),
        time_zone: time_zone::rule(spec.time_zone.as_deref(), problems),
    }
}

/// Where the streams go; `/dev/null` for nowhere, none where the spec says nothing.
struct Targets {
    out: Option<String>,
    error: Option<String>,
    both: Option<String>,
}

impl Targets {
    fn of(spec: &NodeAppSpec, problems: &mut Problems) -> Self {
        let mut path = |field: &str, given: &Option<String>| {
            given.as_ref().map(|given| log_path(field, given, spec, problems))
        };
        Self {
            out: path("spec.outFile", &spec.out_file),
            error: path("spec.errorFile", &spec.error_file),
            both: path("spec.logFile", &spec.log_file).filter(|path| path != NO_FILE),
        }
    }

    fn none_is_given(&self) -> bool {
        self.out.is_none() && self.error.is_none() && self.both.is_none()
    }

    fn all_go_nowhere(&self) -> bool {
        let nowhere = |path: &Option<String>| path.as_ref().is_some_and(|path| path == NO_FILE);
        nowhere(&self.out) && nowhere(&self.error) && self.both.is_none()
    }
}

/// The files, if there is any.
pub(super) fn files(spec: &NodeAppSpec, problems: &mut Problems) -> Option<LogFiles> {
    let targets = Targets::of(spec, problems);
    if targets.none_is_given() && spec.log_rotate.is_none() {
        return None;
    }
    if targets.all_go_nowhere() {
        if spec.log_rotate.is_some() {
            problems.add(
                "spec.logRotate",
                "rotates no file, since outFile and errorFile are /dev/null; leave it out, or name a file",
            );
        }
        return None;
    }
    let given = spec.log_rotate.clone().unwrap_or_default();
    check_tokens("spec.logRotate.dateFormat", given.date_format.as_ref(), &['/'], problems);
    check_schedule(given.rotate_interval.as_ref(), problems);
    let files = LogFiles {
        max_size: given.max_size.as_ref().map_or(defaults::LOG_MAX_SIZE, |size| {
            problems.take("spec.logRotate.maxSize", size.parse(), defaults::LOG_MAX_SIZE)
        }),
        retain: count("spec.logRotate.retain", given.retain, defaults::LOG_RETAIN, 0, problems),
        compress: given.compress.unwrap_or(false),
        out_file: targets.out,
        error_file: targets.error,
        log_file: targets.both,
        rotate_interval: given.rotate_interval,
        date_format: given.date_format,
        ..LogFiles::in_dir(paths::LOG_DIR)
    };
    if log_volume_bytes(&files).is_none() {
        problems.add("spec.logRotate", "maxSize × retain is more than any disk; lower one of them");
    }
    Some(files)
}

/// `forbidden` are characters that the date may not have, beside control characters.
fn check_tokens(field: &str, format: Option<&String>, forbidden: &[char], problems: &mut Problems) {
    let bad = |format: &String| {
        format.is_empty()
            || format.contains(|letter: char| letter.is_control() || forbidden.contains(&letter))
    };
    if format.is_some_and(bad) {
        problems.add(
            field,
            "must be one line of Day.js tokens such as YYYY-MM-DD_HH-mm-ss (without / in names of files)",
        );
    }
}

fn check_schedule(schedule: Option<&String>, problems: &mut Problems) {
    if let Some(Err(error)) = schedule.map(|schedule| Cron::parse(schedule)) {
        problems.add(
            "spec.logRotate.rotateInterval",
            &format!("must be a cron expression such as '0 0 * * *', but: {error}"),
        );
    }
}

/// Room for the log files under the directory of the logs: for each the retained
/// ones, the open one, one that is being compressed and one to spare. Files
/// elsewhere lie on other volumes. None when it is more than can be said.
pub fn log_volume_bytes(files: &LogFiles) -> Option<u64> {
    let under = |path: &Option<String>| path.as_ref().is_none_or(|path| path.starts_with(paths::LOG_DIR));
    let streams = [
        under(&files.out_file),
        under(&files.error_file),
        files.log_file.is_some() && under(&files.log_file),
    ];
    let streams = streams.into_iter().filter(|under| *under).count().max(1) as u64;
    let each = u64::from(files.retain) + 3;
    files.max_size.checked_mul(streams * each).filter(|bytes| i64::try_from(*bytes).is_ok())
}
