//! What a kubelet would do, where there is no node.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use nodeapp_testkit::Namespace;
use serde_json::json;

use crate::support::SOON;

/// Waits for so many pods of an app and makes them ready. Those that come later are not.
pub(crate) async fn make_ready(namespace: &Namespace, app: &str, count: usize) -> Result<()> {
    let pods = namespace.api::<Pod>();
    let of_it = ListParams::default().labels(&format!("nodeapp.dev/app={app}"));
    let what = format!("{count} pods of {app}");
    let names = namespace.eventually(&what, SOON, async || {
        let mut found = pods.list(&of_it).await?.items;
        found.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        ensure!(found.len() == count, "{} pods", found.len());
        Ok(found.into_iter().filter_map(|pod| pod.metadata.name).collect::<Vec<_>>())
    });
    for name in names.await? {
        let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        let patch = Patch::Merge(json!({ "status": status }));
        pods.patch_status(&name, &PatchParams::default(), &patch).await?;
    }
    Ok(())
}
