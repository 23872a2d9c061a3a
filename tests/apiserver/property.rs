//! Whatever the API takes, the API server takes what is made of it.

use anyhow::{Context, Result, bail};
use http::Request;
use kube::api::PatchParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use nodeapp_operator::controller::apply::Child;
use nodeapp_operator::controller::desired::{Settings, desired};
use nodeapp_operator::controller::observe::Observed;
use nodeapp_operator::controller::ssa::{self, Part};
use nodeapp_operator::controller::validate::validate;
use nodeapp_operator::crd::{self, NodeApp};
use nodeapp_testkit::{Namespace, Tier, generate, story};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::install;

#[test]
fn whatever_children_are_made_of_a_nodeapp_the_api_server_takes_them() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        let cases = if std::env::var_os("NODEAPP_TEST_ALL").is_some() { 400 } else { 40 };
        let definition = serde_json::to_value(crd::definition())?;
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let strategy = generate::values(schema);
        // Other cases in each run; one that fails is printed as a whole.
        let mut runner = TestRunner::default();
        let (mut taken, mut refused, mut tries) = (0, 0, 0);
        while taken < cases {
            tries += 1;
            if tries > cases * 500 {
                bail!(
                    "only {taken} of {tries} were valid, {refused} of them refused by the rules of the API"
                );
            }
            let mut spec = strategy.new_tree(&mut runner).map_err(|why| anyhow::anyhow!("{why}"))?.current();
            usual(&mut spec);
            let Some(app) = readable(&namespace, &spec) else { continue };
            let Ok(valid) = validate(&app) else { continue };
            if !is_taken(&namespace, &spec).await? {
                refused += 1;
                continue;
            }
            let settings =
                Settings { runner_image: "registry.example/runner:1".to_owned(), ..Settings::default() };
            let children = desired(&valid, &Observed::default(), &settings);
            let client = &namespace.cluster().client;
            let all = async {
                try_out(client, &children.service_account).await?;
                try_out(client, &children.revision).await?;
                if let Some(service) = &children.service {
                    try_out(client, service).await?;
                }
                if let Some(budget) = &children.disruption_budget {
                    try_out(client, budget).await?;
                }
                if let Some(job) = &children.job {
                    try_out(client, job).await?;
                }
                if let Some(cron_job) = &children.cron_job {
                    try_out(client, cron_job).await?;
                }
                match &children.deployment {
                    Some(deployment) => try_out(client, deployment).await,
                    None => Ok(()),
                }
            };
            match all.await {
                // The operator asks first, and tells.
                Err(_) if children.untried.is_some() => continue,
                result => result.with_context(|| format!("the spec is {spec}"))?,
            }
            taken += 1;
        }
        println!("{taken} NodeApps taken, {refused} refused by the API's own rules, of {tries} generated");
        Ok(())
    });
}

/// What every app has: without it hardly any would be valid.
fn usual(spec: &mut Value) {
    spec["image"] = json!("registry.example/shop:1");
    if spec["command"].is_null() && spec["script"].is_null() {
        spec["script"] = json!("server.js");
    }
}

fn object(namespace: &Namespace, spec: &Value) -> Value {
    json!({
        "apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp",
        "metadata": {"name": "case", "namespace": namespace.name()}, "spec": spec,
    })
}

fn readable(namespace: &Namespace, spec: &Value) -> Option<NodeApp> {
    let mut app: NodeApp = serde_json::from_value(object(namespace, spec)).ok()?;
    app.metadata.uid = Some("00000000-0000-0000-0000-000000000001".to_owned());
    Some(app)
}

/// Whether the rules of the API take it.
async fn is_taken(namespace: &Namespace, spec: &Value) -> Result<bool> {
    let path = format!("/apis/nodeapp.dev/v1alpha1/namespaces/{}/nodeapps", namespace.name());
    let request = Request::post(format!("{path}?dryRun=All&fieldValidation=Strict"))
        .body(serde_json::to_vec(&object(namespace, spec))?)?;
    match namespace.cluster().client.request::<Value>(request).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 422 => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn try_out<K: Child + Resource<DynamicType = (), Scope = NamespaceResourceScope>>(
    client: &Client,
    child: &K,
) -> Result<()> {
    let meta = child.metadata();
    let api = Api::<K>::namespaced(client.clone(), meta.namespace.as_deref().context("a namespace")?);
    let params = PatchParams::apply("nodeapp-operator").force().dry_run();
    let name = meta.name.as_deref().context("a name")?;
    let request = ssa::request(api.resource_url(), name, Part::Object, &params, child)?;
    let answer = client.request::<Value>(request).await;
    let kind = <K as k8s_openapi::Resource>::KIND;
    answer.map(drop).with_context(|| format!("{kind} is refused: {:?}", serde_json::to_string(child)))
}
