//! What leads to an app beside its Service, and what keeps others away.

use super::super::desired::NetworkChildren;
use super::super::error::Error;
use super::super::observe::Observed;
use super::Writer;

impl Writer<'_> {
    /// What concerns the pods: the policies, and the Service that stands for their addresses.
    pub(super) async fn guards(
        &mut self,
        wanted: NetworkChildren,
        observed: &Observed,
    ) -> Result<NetworkChildren, Error> {
        let known = &observed.network;
        let policy = self.optional(wanted.policy, known.policy.as_deref()).await?;
        let redis_policy = self.optional(wanted.redis_policy, known.redis_policy.as_deref()).await?;
        let headless = self.optional(wanted.headless, known.headless.as_deref()).await?;
        Ok(NetworkChildren { headless, policy, redis_policy, ..wanted })
    }

    /// What leads to the Service from outside.
    pub(super) async fn entrances(
        &mut self,
        wanted: NetworkChildren,
        observed: &Observed,
    ) -> Result<NetworkChildren, Error> {
        let known = &observed.network;
        let ingress = self.optional(wanted.ingress, known.ingress.as_deref()).await?;
        let route = match wanted.route {
            // It waited for its API: then nobody has deleted it.
            Some(first) if known.route.is_none() && !known.had_route => Some(self.create(&first).await?),
            route => self.optional(route, known.route.as_deref()).await?,
        };
        Ok(NetworkChildren { ingress, route, ..wanted })
    }
}
