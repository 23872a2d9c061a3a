//! How an app is reached inside a real cluster. What leads there from outside needs an ingress controller
//! or a Gateway, which this cluster does not have: that is what tests/apiserver/network.rs is for. Nor does
//! it enforce a `NetworkPolicy`.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use nodeapp_testkit::Namespace;
use serde_json::{Value, json};

use crate::app::{App, SOON};
use crate::e2e;

/// Asks an address so many times, each on a connection of its own; prints which pods have answered.
const ASK: &str = "
const [url, times] = process.argv.slice(1);
const pods = [];
for (let i = 0; i < Number(times); i++) {
  const answer = await fetch(url, {headers: {connection: 'close'}, signal: AbortSignal.timeout(5000)});
  pods.push((await answer.json()).pod);
}
console.log(JSON.stringify(pods));
";

/// Which pods answer at an address, seen from another pod.
async fn asked(namespace: &Namespace, client: &str, url: &str, times: usize) -> Result<Vec<String>> {
    let times = times.to_string();
    let command = ["node", "--input-type=module", "-e", ASK, url, &times];
    Ok(serde_json::from_str(&namespace.exec(client, &command).await?)?)
}

/// A pod of another app.
async fn client(namespace: &Namespace) -> Result<String> {
    let client = App::worker(namespace, "client", "web.js")?;
    client.apply(namespace).await?;
    client.ready(namespace, 1).await?.pop().context("no client")
}

#[test]
fn a_client_stays_with_one_instance_more_ports_answer_and_a_name_stands_for_all_pods() {
    e2e(|namespace| async move {
        let service = json!({
            "ports": [{"name": "web", "port": 80, "targetPort": "http"}],
            "headless": true,
        });
        let shop = App::serving(&namespace, "shop", "web.js")?
            .with(&json!({"instances": 2, "service": service, "networkPolicy": {}}));
        shop.apply(&namespace).await?;
        let (client, pods) = tokio::try_join!(client(&namespace), shop.ready(&namespace, 2))?;
        let both: BTreeSet<String> = pods.iter().cloned().collect();

        // The second port leads to the same pods, and to all of them.
        let answers = async || {
            let answers = asked(&namespace, &client, "http://shop/", 20).await?;
            ensure!(answers.iter().cloned().collect::<BTreeSet<_>>() == both, "{answers:?}");
            Ok(())
        };
        namespace.eventually("both pods answer on port 80", SOON, answers).await?;

        // One address for each pod, and each answers.
        let resolve =
            "require('dns').promises.resolve4(process.argv[1]).then(all => console.log(JSON.stringify(all)))";
        let name = format!("shop-headless.{}.svc.cluster.local", namespace.name());
        let mut addresses = BTreeSet::new();
        for pod in namespace.pods("shop").await? {
            addresses.extend(pod.status.and_then(|status| status.pod_ip));
        }
        let resolved = async || {
            let text = namespace.exec(&client, &["node", "-e", resolve, &name]).await?;
            let found: BTreeSet<String> = serde_json::from_str(&text)?;
            ensure!(found == addresses, "{name} stands for {found:?}, the pods have {addresses:?}");
            Ok(())
        };
        namespace.eventually("the name stands for the addresses of both pods", SOON, resolved).await?;
        for address in &addresses {
            asked(&namespace, &client, &format!("http://{address}:3000/"), 1).await?;
        }

        // From now on the client stays where it is, and no pod is replaced for that.
        let mut sticky = service.clone();
        sticky["sessionAffinity"] = json!("ClientIP");
        let stays = shop.with(&json!({ "service": sticky }));
        stays.apply(&namespace).await?;
        let one = async || {
            let answers = asked(&namespace, &client, "http://shop:3000/", 20).await?;
            let pods: BTreeSet<&String> = answers.iter().collect();
            ensure!(pods.len() == 1, "{answers:?}");
            Ok(())
        };
        namespace.eventually("one pod answers all of it", SOON, one).await?;
        ensure!(namespace.ready_pods("shop").await? == pods, "pods were replaced");
        Ok(())
    });
}

#[test]
fn a_worker_is_reached_by_nobody_and_its_state_is_known_all_the_same() {
    e2e(|namespace| async move {
        let worker = App::worker(&namespace, "worker", "web.js")?.with(&json!({"networkPolicy": {}}));
        worker.apply(&namespace).await?;
        worker.ready(&namespace, 1).await?;
        ensure!(namespace.list("Service").await?.is_empty(), "a worker has no Service");
        let policy = namespace.get("NetworkPolicy", "worker").await?["spec"].clone();
        let peers = &policy["ingress"][0]["from"];
        let home = &peers[0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"];
        ensure!(home == nodeapp_testkit::OPERATOR_NAMESPACE, "{policy}");
        // The labels by which it is let in are those that the operator has.
        let labels = peers[0]["podSelector"]["matchLabels"].as_object().context("no labels")?.clone();
        let words: Vec<String> = labels
            .iter()
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
            .collect();
        let tools = &namespace.cluster().tools;
        let selector = words.join(",");
        let found = tools
            .kubectl(&[
                "get",
                "pods",
                "-n",
                nodeapp_testkit::OPERATOR_NAMESPACE,
                "-l",
                &selector,
                "-o",
                "json",
            ])
            .await?;
        let found: Value = serde_json::from_str(&found)?;
        ensure!(found["items"].as_array().is_some_and(|pods| !pods.is_empty()), "nobody has {selector}");
        Ok(())
    });
}
