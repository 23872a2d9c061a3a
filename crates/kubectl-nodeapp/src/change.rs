//! Changing apps: exactly the field that is meant, one app after the other, and a word about each.

use std::process::ExitCode;

use futures::future::join_all;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use nodeapp_operator::crd::NodeApp;
use serde_json::Value;

use crate::cluster::{Attempt, Cluster, told};
use crate::select::{RESOURCE, understood};
use crate::state::full_name;
use crate::waiting::{Goal, Waiting, pace};
use crate::{Outcome, files};

/// Field manager of every write.
pub(crate) const MANAGER: &str = "kubectl-nodeapp";

/// What became of an app.
#[derive(Debug)]
pub(crate) enum Step {
    /// It is so already, or it is done.
    Said(String),
    /// It was asked for.
    Asked { goal: Goal, done: String },
    /// Nothing was changed; it is waited for.
    Awaited { goal: Goal, done: String },
}

impl Cluster {
    /// Changes an app by a merge patch.
    ///
    /// # Errors
    /// What the cluster refuses, in words.
    pub(crate) async fn patch(&self, app: &NodeApp, patch: &Value) -> Result<NodeApp, String> {
        let namespace = app.metadata.namespace.as_deref();
        let attempt = Attempt { verb: "patch", resource: RESOURCE, namespace };
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let patched = self.nodeapps_beside(app).patch(&app.name_any(), &params, &Patch::Merge(patch)).await;
        patched.map(understood).map_err(|error| told(&attempt, &error))
    }

    /// Changes apps, and then waits for all of them at once. Goes on with the others where one fails; each one is told
    /// of, so that whoever reads it knows what was changed.
    pub(crate) async fn carry_out(
        &self,
        apps: &[NodeApp],
        waiting: Option<&Waiting>,
        change: impl AsyncFn(&NodeApp) -> Result<Step, String>,
    ) -> Outcome {
        let mut failed = Vec::new();
        let mut asked = Vec::new();
        let name = |app: &NodeApp| full_name(app, self.namespace.is_none());
        for app in apps {
            match change(app).await {
                Ok(Step::Said(words)) => files::say(&format!("{}: {words}", name(app))),
                Ok(Step::Asked { goal, done }) => {
                    asked.push((app, goal, done.clone(), format!("{done} was asked for, but")));
                }
                Ok(Step::Awaited { goal, done }) => {
                    asked.push((app, goal, done.clone(), format!("not {done}:")));
                }
                Err(error) => {
                    eprintln!("error: {}: {error}", name(app));
                    failed.push(name(app));
                }
            }
        }
        let every = pace(asked.len());
        let waits = waiting.filter(|waiting| !waiting.no_wait);
        let ends = asked.iter().map(async |(app, goal, done, failed)| {
            let Some(waiting) = waits else {
                files::say(&format!("{}: {done}: asked for", name(app)));
                return None;
            };
            match self.wait(app, goal, waiting.timeout, every).await {
                Ok(()) => {
                    files::say(&format!("{}: {done}", name(app)));
                    None
                }
                Err(why) => {
                    eprintln!("error: {}: {failed} {why}", name(app));
                    Some(name(app))
                }
            }
        });
        failed.extend(join_all(ends).await.into_iter().flatten());
        if failed.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        if apps.len() > 1 {
            eprintln!("{} of {} failed: {}", failed.len(), apps.len(), failed.join(", "));
        }
        Ok(ExitCode::FAILURE)
    }
}
