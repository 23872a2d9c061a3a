//! The operator's own program over a long life.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::Request;
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::support::{app, install};

/// Deletion is the garbage collector's work, which takes its time.
const PATIENCE: Duration = Duration::from_mins(2);
/// Allocators keep some of what they were given, but not more with each round.
const GROWTH: u64 = 16 << 20;

/// The operator as a process with the administrator's rights.
struct Program {
    child: Child,
    address: String,
}

impl Program {
    fn start(namespace: &Namespace) -> Result<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_nodeapp-operator"))
            .args(["run", "--no-lease", "--listen", "127.0.0.1:0", "--log-format", "json"])
            .args(["--runner-image", "registry.example/runner:1", "--namespace", namespace.name()])
            .env("KUBECONFIG", std::env::var(Tier::Apiserver.variable())?)
            .env_remove("RUST_LOG")
            .stdout(Stdio::piped())
            .spawn()?;
        let mut log = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut line = String::new();
        log.read_line(&mut line)?;
        let first: Value = serde_json::from_str(&line).with_context(|| format!("no JSON: {line}"))?;
        let address = first["listen"].as_str().context("no address")?.to_owned();
        // Read on, or the pipe would be full one day.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Ok(Self { child, address })
    }

    /// Resident memory in bytes, as it tells it itself.
    fn memory(&self) -> Result<u64> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        let line = page.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        Ok(line.context("no such metric")?.parse()?)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn two_hundred_apps_that_come_and_go_cost_no_memory_that_stays() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        let operator = Program::start(&namespace)?;
        let mut sizes = Vec::new();
        for round in 0..8 {
            for number in 0..25 {
                namespace.apply(&app(&format!("app-{round}-{number}"), &json!({}))).await?;
            }
            deployments(&namespace, 25).await?;
            let all = format!("/apis/nodeapp.dev/v1alpha1/namespaces/{}/nodeapps", namespace.name());
            let request = Request::delete(all).body(Vec::new())?;
            namespace.cluster().client.request::<Value>(request).await?;
            deployments(&namespace, 0).await?;
            sizes.push(operator.memory()?);
        }
        println!("resident memory after each 25 apps: {sizes:?}");
        let (early, late) = (sizes[1], sizes[7]);
        ensure!(late < early + GROWTH, "{sizes:?}");
        Ok(())
    });
}

async fn deployments(namespace: &Namespace, count: usize) -> Result<()> {
    namespace
        .eventually(&format!("{count} Deployments"), PATIENCE, async || {
            let found = namespace.list("Deployment").await?.len();
            ensure!(found == count, "{found}");
            Ok(())
        })
        .await
}
