//! Asks before anything is written.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Instant;

use kube::Api;

use super::{Child, Writer};
use crate::controller::backoff::Memory;
use crate::controller::cache::AppKey;
use crate::controller::desired::{Children, Prepared};
use crate::controller::error::{Action, Error};
use crate::controller::ssa;

impl Writer<'_> {
    /// Asks the API server about a new template: whether it would take it in what runs the pods. What
    /// it has just refused is refused from memory.
    ///
    /// # Errors
    /// It would not.
    pub async fn try_out(
        &self,
        children: &Children<Prepared>,
        app: &AppKey,
        memory: &Memory,
    ) -> Result<(), Error> {
        let Some(template) = &children.untried else { return Ok(()) };
        if let Some(mut cron_job) = children.cron_job.clone() {
            let job = cron_job.spec.as_mut().and_then(|spec| spec.job_template.spec.as_mut());
            if let Some(job) = job {
                job.template = template.clone();
            }
            return self.would_take(&cron_job, app, memory).await;
        }
        let Some(mut deployment) = children.deployment.clone() else { return Ok(()) };
        if let Some(spec) = deployment.spec.as_mut() {
            spec.template = template.clone();
        }
        self.would_take(&deployment, app, memory).await
    }

    async fn would_take<K: Child>(&self, desired: &K, app: &AppKey, memory: &Memory) -> Result<(), Error> {
        let name = desired.metadata().name.clone().unwrap_or_default();
        let question = hash(desired);
        if let Some(status) = memory.refusal(app, question, Instant::now()) {
            let source = kube::Error::Api(status);
            return Err(Error { action: Action::TryOut, kind: K::KIND, name, source });
        }
        let api = Api::<K>::namespaced(self.client.clone(), self.namespace);
        let Err(source) = ssa::try_out(self.client, &api, &name, desired).await else { return Ok(()) };
        let refused = Error { action: Action::TryOut, kind: K::KIND, name, source };
        if let kube::Error::Api(status) = &refused.source
            && refused.class().needs_a_person()
        {
            memory.refused(app, question, status.clone(), Instant::now());
        }
        Err(refused)
    }
}

fn hash<K: Child>(object: &K) -> u64 {
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(object).expect("a Kubernetes object is JSON").hash(&mut hasher);
    hasher.finish()
}
