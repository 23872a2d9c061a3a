//! The first minute of a new user.

use anyhow::ensure;
use serde_json::Value;

use crate::app::{SOON, settled};
use crate::e2e;

#[test]
fn kubectl_apply_of_the_example_gives_ready_pods_that_answer() {
    e2e(|namespace| async move {
        let tools = &namespace.cluster().tools;
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/nodeapp.yaml");
        tools.kubectl(&["apply", "-n", namespace.name(), "-f", file]).await?;
        let check = async || settled(&namespace, "hello", 2).await;
        let pods = namespace.eventually("the example is ready", SOON, check).await?;
        for pod in &pods {
            let answer: Value = serde_json::from_str(&namespace.pod_get(pod, 3000, "/greet").await?)?;
            ensure!(answer["pod"] == pod.as_str() && answer["version"] == "1", "{pod} answers {answer}");
        }
        // The Service leads to the same pods.
        let service = format!("/api/v1/namespaces/{}/services/hello:3000/proxy/", namespace.name());
        let answer: Value = serde_json::from_str(&tools.kubectl(&["get", "--raw", &service]).await?)?;
        ensure!(pods.iter().any(|pod| answer["pod"] == pod.as_str()), "the Service answers {answer}");
        Ok(())
    });
}
