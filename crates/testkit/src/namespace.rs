//! A namespace of one test, and waits in it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, DeleteParams, PostParams};
use kube::core::NamespaceResourceScope;
use serde_json::json;

use crate::{Cluster, dump};

/// Often enough to see a state that lasts a second, seldom enough for a
/// cluster that shares two cores with the test.
const POLL: Duration = Duration::from_millis(250);

/// A namespace with the Pod Security level `restricted` enforced.
pub struct Namespace {
    cluster: Cluster,
    name: String,
}

impl Namespace {
    pub(crate) async fn create(cluster: Cluster, title: &str) -> Result<Self> {
        let name = name_for(title, rand::random());
        let object = serde_json::from_value(json!({
            "metadata": {
                "name": name,
                "labels": {
                    "pod-security.kubernetes.io/enforce": "restricted",
                    "nodeapp.dev/test": "true",
                },
            },
        }))?;
        let api: Api<core::Namespace> = Api::all(cluster.client.clone());
        api.create(&PostParams::default(), &object).await?;
        Ok(Self { cluster, name })
    }

    pub(crate) async fn delete(&self) -> Result<()> {
        let api: Api<core::Namespace> = Api::all(self.cluster.client.clone());
        api.delete(&self.name, &DeleteParams::background()).await?;
        Ok(())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Objects of one kind in it.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.cluster.client.clone(), &self.name)
    }

    /// Polls `check` until it succeeds and gives its value.
    ///
    /// # Errors
    /// It did not within `limit`. Names the last reason, after the objects,
    /// Events and logs of the namespace have been printed.
    pub async fn eventually<T>(
        &self,
        what: &str,
        limit: Duration,
        mut check: impl AsyncFnMut() -> Result<T>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            // A check that hangs must not outlive the limit.
            let left = limit.saturating_sub(start.elapsed()).max(POLL);
            let reason = match tokio::time::timeout(left, check()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(reason)) => reason,
                Err(_) => anyhow::anyhow!("the check itself did not end"),
            };
            if start.elapsed() >= limit {
                eprintln!("{}", dump::namespace(&self.cluster, &self.name).await);
                return Err(reason.context(format!("waited {} s for: {what}", limit.as_secs())));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Polls `check` for the whole of `duration`.
    ///
    /// # Errors
    /// It failed once. Names the reason, after the objects, Events and logs of
    /// the namespace have been printed.
    pub async fn throughout(
        &self,
        what: &str,
        duration: Duration,
        mut check: impl AsyncFnMut() -> Result<()>,
    ) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < duration {
            if let Err(reason) = check().await {
                eprintln!("{}", dump::namespace(&self.cluster, &self.name).await);
                let after = start.elapsed().as_secs_f32();
                return Err(reason).with_context(|| format!("no longer true after {after:.1} s: {what}"));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

/// The name tells a person whose namespace it is; the number keeps two runs apart.
fn name_for(title: &str, number: u32) -> String {
    let last = title.rsplit("::").next().unwrap_or(title);
    let plain: String =
        last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
    format!("t-{}-{number:08x}", plain.to_lowercase().trim_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_carries_the_name_of_its_test() {
        assert_eq!(name_for("rollout::a_change_rolls", 7), "t-a-change-rolls-00000007");
        let long = name_for(&"very_long_".repeat(20), u32::MAX);
        assert!(long.len() <= 63, "{long}");
    }
}
