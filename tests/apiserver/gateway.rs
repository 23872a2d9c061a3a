//! The Gateway API in the tests' cluster: the real definition, for who needs it there, and for who needs
//! it not to be.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use http::Request;
use serde_json::Value;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::support::{SOON, Tap, admin, apply};

/// The cluster has it or not, for all tests alike: held for reading by those who need it, for writing by
/// those who bring and take it.
static GATEWAY_API: RwLock<()> = RwLock::const_new(());

const DEFINITION: &str =
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/httproutes.gateway.networking.k8s.io";
const ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/httproutes?limit=1";

/// The API, for as long as the guard is held.
pub(crate) async fn there() -> Result<RwLockReadGuard<'static, ()>> {
    loop {
        let guard = GATEWAY_API.read().await;
        if served().await? {
            return Ok(guard);
        }
        drop(guard);
        let alone = GATEWAY_API.write().await;
        install().await?;
        drop(alone);
    }
}

/// No such API, until it is installed.
pub(crate) async fn absent() -> Result<RwLockWriteGuard<'static, ()>> {
    let alone = GATEWAY_API.write().await;
    remove().await?;
    Ok(alone)
}

/// Installs the definition of the standard channel.
pub(crate) async fn install() -> Result<()> {
    let text = std::fs::read_to_string(definition()?)?;
    let definition: Value = serde_saphyr::from_str(&text)?;
    apply(&admin(&Tap::default()).await?, DEFINITION, &definition).await?;
    wait_until(true).await
}

/// Takes it out, and all routes with it.
pub(crate) async fn remove() -> Result<()> {
    let request = Request::delete(DEFINITION).body(Vec::new())?;
    match admin(&Tap::default()).await?.request::<Value>(request).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        answer => drop(answer?),
    }
    wait_until(false).await
}

/// The file in the Go module of the API, downloaded when it is not in Go's cache.
fn definition() -> Result<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/hack/gateway-api");
    let output = Command::new("go")
        .args(["mod", "download", "-json", "sigs.k8s.io/gateway-api"])
        .current_dir(folder)
        .output()
        .context("cannot run go")?;
    let answer: Value = serde_json::from_slice(&output.stdout)?;
    let module = answer["Dir"].as_str().with_context(|| format!("no module: {answer}"))?;
    Ok(PathBuf::from(module).join("config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"))
}

async fn served() -> Result<bool> {
    let request = Request::get(ROUTES).body(Vec::new())?;
    match admin(&Tap::default()).await?.request::<Value>(request).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 405 | 503) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn wait_until(there: bool) -> Result<()> {
    let deadline = Instant::now() + SOON;
    while served().await? != there {
        ensure!(Instant::now() < deadline, "the Gateway API is not as it should be: there = {there}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
