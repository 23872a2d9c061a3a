//! The app's output: its form, its files and their rotation.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::notation::Size;

/// Form of a line of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)] // PM2's names; docs on variants would not reach the schema.
pub enum LogType {
    #[default]
    Raw,
    Json,
}

/// Rotation of the log files (the module pm2-logrotate).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogRotate {
    /// Size at which a file is rotated: whole bytes, or a number with the binary unit K, M or G.
    /// Default 10M (PM2: 10M).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<Size>,
    /// Rotated files kept of each log file. Default 30 (PM2: 30).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub retain: Option<i32>,
    /// Compress rotated files with gzip. Default false (PM2: false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress: Option<bool>,
    /// Times at which files that are not empty are rotated whatever their size (pm2-logrotate
    /// `rotateInterval`): a cron expression of five fields such as `0 0 * * *`, or of six with the
    /// seconds first, or a word such as `@daily`, in timeZone. Default: off (PM2: `0 0 * * *`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    #[x_kube(validation = (
        r"self.matches('^(@[a-z]+|\\S+( +\\S+){4,5})$')",
        "rotateInterval must be a cron expression of five or six fields such as '0 0 * * *', or @daily",
    ))]
    pub rotate_interval: Option<String>,
    /// Date in the names of rotated files, in the tokens of Day.js (pm2-logrotate `dateFormat`).
    /// Default `YYYY-MM-DD_HH-mm-ss` (PM2: `YYYY-MM-DD_HH-mm-ss`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = (
        r"self.matches('^[^/\\x00-\\x1f]+$')",
        "dateFormat is a part of a file's name, such as YYYY-MM-DD_HH-mm-ss: one line without /",
    ))]
    pub date_format: Option<String>,
}
