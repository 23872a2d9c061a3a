//! How many instances, and which number each has.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The name of a variable that every program can read.
pub(super) fn variable(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 253,
        "x-kubernetes-validations": [
            {
                "rule": "self.matches('^[a-zA-Z_][a-zA-Z0-9_]*$')",
                "message": "must be the name of a variable: letters, digits and '_', not starting with a digit, such as WORKER_ID",
            },
            {
                "rule": "!self.startsWith('NODEAPP_')",
                "message": "names that start with NODEAPP_ belong to the operator; take another name",
            },
        ],
    })
}

/// As many instances as the nodes have room for, instead of a number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FillCluster {
    /// Instances fewer than would fit (PM2: `instances: -1` leaves one CPU). Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub leave: Option<i32>,
    /// Never more instances than this. Default: 10000 (PM2: none).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_instances: Option<i32>,
}

/// How the number of instances of an app with `fillCluster` comes about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FillStatus {
    /// Instances that are wanted, unless the app is stopped.
    pub wanted: i32,
    /// Instances that there is room for now; wanted follows when it has lasted.
    pub fits: i32,
    /// Since when there has been room for another number than wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub since: Option<String>,
    /// How it was worked out.
    #[schemars(length(max = 4096))]
    pub arithmetic: String,
}
