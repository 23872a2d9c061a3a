//! What apps become, object by object, as text that a review can read.
//!
//! `UPDATE_GOLDEN=1 cargo test --test golden` writes the files anew. A changed
//! pod template reaches running apps only when their spec changes; that is what
//! revisions are for.

use std::path::PathBuf;

use anyhow::{Context, Result};
use nodeapp_operator::controller::desired::{Children, Settings, desired};
use nodeapp_operator::controller::observe::Observed;
use nodeapp_operator::controller::validate::validate;
use nodeapp_operator::crd::NodeApp;
use serde::Serialize;
use serde_json::Value;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn yaml(object: &impl Serialize) -> Result<String> {
    // Through JSON, which sorts the keys.
    let object: Value = serde_json::to_value(object)?;
    Ok(serde_saphyr::to_string(&object)?)
}

/// All children of an app, in the order in which they are applied.
fn render(app: &str) -> Result<String> {
    let mut app: NodeApp = serde_saphyr::from_str(app)?;
    app.metadata.namespace = Some("storefront".to_owned());
    app.metadata.uid = Some("0b6f5a0e-8d2c-4a43-9a35-3e1f6f1a2b3c".to_owned());
    let valid = validate(&app).map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let settings = Settings {
        runner_image: "registry.example/nodeapp-runner:9.9.9".to_owned(),
        forwarder_image: "registry.example/nodeapp-forwarder:9.9.9".to_owned(),
        redis_image: "registry.example/valkey:8.1".to_owned(),
        watch_secrets: false,
        namespace: Some("nodeapp-system".to_owned()),
        ..Settings::default()
    };
    let Children {
        service_account,
        revision,
        service,
        disruption_budget,
        deployment,
        job,
        cron_job,
        autoscaler,
        redis,
        network,
        ..
    } = desired(&valid, &Observed::default(), &settings);
    let redis = match redis.wanted() {
        Some(redis) => {
            vec![yaml(&redis.claim)?, yaml(&redis.secret)?, yaml(&redis.service)?, yaml(&redis.stateful_set)?]
        }
        None => vec![],
    };
    let documents = [
        Some(yaml(&service_account)?),
        Some(yaml(&revision)?),
        service.as_ref().map(yaml).transpose()?,
        disruption_budget.as_ref().map(yaml).transpose()?,
        job.as_ref().map(yaml).transpose()?,
        deployment.as_ref().map(yaml).transpose()?,
        cron_job.as_ref().map(yaml).transpose()?,
        autoscaler.as_ref().map(yaml).transpose()?,
        network.policy.as_ref().map(yaml).transpose()?,
        network.redis_policy.as_ref().map(yaml).transpose()?,
        network.headless.as_ref().map(yaml).transpose()?,
        network.ingress.as_ref().map(yaml).transpose()?,
        network.route.as_ref().map(yaml).transpose()?,
    ];
    Ok(documents.into_iter().flatten().chain(redis).collect::<Vec<_>>().join("---\n"))
}

fn compare(name: &str) -> Result<()> {
    let app = std::fs::read_to_string(file(&format!("{name}.nodeapp.yaml")))?;
    let rendered = render(&app)?;
    let path = file(&format!("{name}.children.yaml"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, rendered)?;
        return Ok(());
    }
    let expected = std::fs::read_to_string(&path)
        .with_context(|| format!("{}; UPDATE_GOLDEN=1 writes it", path.display()))?;
    for (number, (expected, rendered)) in expected.lines().zip(rendered.lines()).enumerate() {
        assert_eq!(expected, rendered, "line {} of {}", number + 1, path.display());
    }
    assert_eq!(expected.lines().count(), rendered.lines().count(), "{}", path.display());
    Ok(())
}

#[test]
fn a_minimal_app() -> Result<()> {
    compare("minimal")
}

#[test]
fn an_app_with_every_field() -> Result<()> {
    compare("full")
}

#[test]
fn an_app_whose_number_of_instances_follows_the_load() -> Result<()> {
    compare("autoscaled")
}

#[test]
fn apps_with_a_redis_beside_them_of_their_own_and_elsewhere() -> Result<()> {
    compare("redis-sidecar")?;
    compare("redis-shared")?;
    compare("redis-external")
}

#[test]
fn a_worker_without_a_port() -> Result<()> {
    compare("worker")
}

#[test]
fn apps_that_are_reached_from_outside_and_shut_off_from_others() -> Result<()> {
    compare("network")?;
    compare("network-worker")
}

#[test]
fn a_job() -> Result<()> {
    compare("job")
}
