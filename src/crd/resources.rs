//! Compute resources of the app.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::notation::Quantity;

/// Compute resources of the app's container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What the node must have free for each instance, by resource name. Default: 100m cpu, and
    /// memory as maxMemoryRestart, else 128Mi (never more than the limit).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub requests: BTreeMap<String, Quantity>,
    /// What each instance may use at most, by resource name. With a memory limit, Node.js gets three
    /// quarters of it for its old heap, and not less than maxMemoryRestart: `--max-old-space-size` =
    /// ⌊max(0.75 × limit, maxMemoryRestart) in MiB⌋, unless `NODE_OPTIONS` or nodeArgs say it.
    /// Default: memory as 125 % of maxMemoryRestart, nothing else (PM2: none).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub limits: BTreeMap<String, Quantity>,
}
