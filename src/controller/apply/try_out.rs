//! Asks before anything is written.

use kube::Api;

use super::{Child, Writer};
use crate::controller::desired::{Children, Prepared};
use crate::controller::error::{Action, Error};
use crate::controller::ssa;

impl Writer<'_> {
    /// Asks the API server about a new template: whether it would take it in what runs the pods.
    ///
    /// # Errors
    /// It would not.
    pub async fn try_out(&self, children: &Children<Prepared>) -> Result<(), Error> {
        let Some(template) = &children.untried else { return Ok(()) };
        if let Some(mut cron_job) = children.cron_job.clone() {
            let job = cron_job.spec.as_mut().and_then(|spec| spec.job_template.spec.as_mut());
            if let Some(job) = job {
                job.template = template.clone();
            }
            return self.would_take(&cron_job).await;
        }
        let Some(mut deployment) = children.deployment.clone() else { return Ok(()) };
        if let Some(spec) = deployment.spec.as_mut() {
            spec.template = template.clone();
        }
        self.would_take(&deployment).await
    }

    async fn would_take<K: Child>(&self, desired: &K) -> Result<(), Error> {
        let name = desired.metadata().name.clone().unwrap_or_default();
        let api = Api::<K>::namespaced(self.client.clone(), self.namespace);
        let tried = ssa::try_out(self.client, &api, &name, desired).await;
        tried.map_err(|source| Error { action: Action::TryOut, kind: K::KIND, name, source })
    }
}
