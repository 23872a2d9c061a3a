//! What the API server has counted: requests by verb and resource.

use std::collections::BTreeMap;

use anyhow::Result;
use http::Request;
use kube::Client;
use serde_json::{Value, json};

/// Requests so far, by verb and resource.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts(BTreeMap<(String, String), u64>);

/// What concerns one app; everything else is there once for all of them.
const OF_APPS: &[&str] = &[
    "nodeapps",
    "nodeapps/status",
    "serviceaccounts",
    "controllerrevisions",
    "services",
    "poddisruptionbudgets",
    "deployments",
    "events",
    "horizontalpodautoscalers",
    "cronjobs",
    "jobs",
    "pods",
    "pods/status",
];
const READS: &[&str] = &["GET", "LIST", "WATCH"];

impl Counts {
    /// Asks the API server.
    pub(crate) async fn read(client: &Client) -> Result<Self> {
        let text = client.request_text(Request::get("/metrics").body(Vec::new())?).await?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let mut counts = BTreeMap::new();
        for line in text.lines() {
            let Some((labels, value)) =
                line.strip_prefix("apiserver_request_total{").and_then(|line| line.rsplit_once("} "))
            else {
                continue;
            };
            let label = |name: &str| {
                let start = labels.find(&format!("{name}=\""))? + name.len() + 2;
                labels[start..].split('"').next().map(str::to_owned)
            };
            let (Some(verb), Some(resource)) = (label("verb"), label("resource")) else { continue };
            let resource = match label("subresource") {
                Some(part) if !part.is_empty() => format!("{resource}/{part}"),
                _ => resource,
            };
            let value = value.split('.').next().and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
            *counts.entry((verb, resource)).or_default() += value;
        }
        Self(counts)
    }

    /// What has come since.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let grown = self.0.iter().filter_map(|(key, value)| {
            let more = value - before.0.get(key).unwrap_or(&0);
            (more > 0).then(|| (key.clone(), more))
        });
        Self(grown.collect())
    }

    /// Requests about single apps and their children: all but lists and watches.
    pub(crate) fn of_apps(&self) -> u64 {
        self.sum(|verb, resource| OF_APPS.contains(&resource) && !matches!(verb, "LIST" | "WATCH"))
    }

    /// Writes of apps, children and Events.
    pub(crate) fn writes(&self) -> u64 {
        self.sum(|verb, resource| OF_APPS.contains(&resource) && !READS.contains(&verb))
    }

    fn sum(&self, which: impl Fn(&str, &str) -> bool) -> u64 {
        self.0.iter().filter(|((verb, resource), _)| which(verb, resource)).map(|(_, count)| count).sum()
    }

    /// All of it.
    pub(crate) fn json(&self) -> Value {
        let rows = self.0.iter();
        rows.map(|((verb, resource), count)| json!({"verb": verb, "resource": resource, "count": count}))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# HELP apiserver_request_total Counter of apiserver requests
apiserver_request_total{code=\"201\",component=\"apiserver\",dry_run=\"\",group=\"apps\",resource=\"deployments\",scope=\"resource\",subresource=\"\",verb=\"APPLY\",version=\"v1\"} 7
apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"apps\",resource=\"deployments\",scope=\"resource\",subresource=\"\",verb=\"APPLY\",version=\"v1\"} 2
apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"nodeapp.dev\",resource=\"nodeapps\",scope=\"resource\",subresource=\"status\",verb=\"APPLY\",version=\"v1alpha1\"} 3
apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"apps\",resource=\"deployments\",scope=\"cluster\",subresource=\"\",verb=\"LIST\",version=\"v1\"} 1
apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"coordination.k8s.io\",resource=\"leases\",scope=\"resource\",subresource=\"\",verb=\"PUT\",version=\"v1\"} 40
";

    #[test]
    fn requests_are_summed_over_answers_and_the_lease_is_no_apps_matter() {
        let counts = Counts::parse(TEXT);
        assert_eq!((counts.of_apps(), counts.writes()), (12, 12));
        let none = counts.since(&counts);
        assert_eq!((none.of_apps(), none.json()), (0, json!([])));
    }
}
