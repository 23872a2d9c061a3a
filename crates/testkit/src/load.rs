//! Drives `nodeapp-load` in a pod: load never comes from outside the cluster.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nodeapp_load::{LoadPlan, pod};

use crate::{LoadReport, Namespace};

/// A pod that sends load.
pub struct Load<'a> {
    namespace: &'a Namespace,
    pod: String,
}

impl<'a> Load<'a> {
    /// Starts the pod and waits for the first answers.
    ///
    /// # Errors
    /// The pod does not start, or nothing answers.
    pub async fn start(namespace: &'a Namespace, plan: &LoadPlan) -> Result<Self> {
        let name = format!("load-{:08x}", rand::random::<u32>());
        namespace.apply(&pod::manifest(&name, &namespace.cluster().image("load")?, plan)).await?;
        let load = Self { namespace, pod: name };
        load.answered(1).await.context("load does not start")?;
        Ok(load)
    }

    /// The counts so far.
    ///
    /// # Errors
    /// The pod does not answer.
    pub async fn report(&self) -> Result<LoadReport> {
        let text = self.namespace.pod_get(&self.pod, pod::CONTROL_PORT, "/report").await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Waits for that many more answers, which is how a test lets load go on
    /// for a while without sleeping.
    ///
    /// # Errors
    /// They do not come.
    pub async fn answered(&self, more: u64) -> Result<LoadReport> {
        let mut goal = None;
        let what = format!("{more} more requests answered");
        let check = async || {
            let report = self.report().await?;
            let goal = *goal.get_or_insert(report.ok() + more);
            ensure!(report.ok() >= goal, "{} of {goal}, {} failed", report.ok(), report.failed());
            Ok(report)
        };
        self.namespace.eventually(&what, Duration::from_mins(1), check).await
    }

    /// Waits for the first answer with this token.
    ///
    /// # Errors
    /// It does not come.
    pub async fn answered_by(&self, token: &str, limit: Duration) -> Result<LoadReport> {
        let check = async || {
            let report = self.report().await?;
            ensure!(report.tokens.contains_key(token), "answers come from {:?}", report.tokens);
            Ok(report)
        };
        self.namespace.eventually(&format!("an answer of {token}"), limit, check).await
    }

    /// Ends the load and gives the final counts.
    ///
    /// # Errors
    /// The pod does not answer.
    pub async fn stop(self) -> Result<LoadReport> {
        let text = self.namespace.pod_get(&self.pod, pod::CONTROL_PORT, "/stop").await?;
        let report: LoadReport = serde_json::from_str(&text)?;
        ensure!(report.finished, "the load did not end: {report:?}");
        Ok(report)
    }
}
