//! A redis-server with a password, and a forwarder to it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::bench::rig::{Rig, wait_for};
use crate::sh;

const PASSWORD: &str = "bench";
const START: Duration = Duration::from_secs(20);

/// How the connection to Redis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    Plain,
    Tls,
}

/// Both processes; they end with this.
pub(super) struct Pair {
    redis: Child,
    forwarder: Child,
    redis_port: u16,
    pub(super) port: u16,
    security: Security,
    dir: tempfile::TempDir,
}

impl Pair {
    pub(super) fn start(program: &Path, security: Security) -> Result<Self> {
        let dir = tempfile::tempdir().context("cannot make a folder")?;
        fs::write(dir.path().join("password"), PASSWORD)?;
        let (redis_port, port) = (Rig::port()?, Rig::port()?);
        let mut server = Command::new("redis-server");
        server.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--requirepass", PASSWORD]);
        let mut options = vec![format!("--password-file={}", dir.path().join("password").display())];
        if security == Security::Tls {
            certificates(dir.path())?;
            server.args(["--port", "0", "--tls-port", &redis_port.to_string(), "--tls-auth-clients", "no"]);
            for (option, file) in [
                ("--tls-ca-cert-file", "ca.crt"),
                ("--tls-cert-file", "tls.crt"),
                ("--tls-key-file", "tls.key"),
            ] {
                server.arg(option).arg(dir.path().join(file));
            }
            options.push("--tls".to_owned());
            options.push(format!("--tls-ca-file={}", dir.path().join("ca.crt").display()));
        } else {
            server.args(["--port", &redis_port.to_string()]);
        }
        let quiet = |command: &mut Command| {
            command
                .current_dir(dir.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
        };
        let redis = quiet(&mut server).context("cannot start redis-server")?;
        let mut command = Command::new(program);
        command.args([
            "run",
            &format!("--upstream=127.0.0.1:{redis_port}"),
            &format!("--listen-port={port}"),
        ]);
        let forwarder = quiet(command.args(options)).context("cannot start the forwarder")?;
        let pair = Self { redis, forwarder, redis_port, port, security, dir };
        wait_for("redis-server to listen", START, || TcpStream::connect(localhost(redis_port)).ok())?;
        // Without a connection through it, so that it is measured as it starts.
        sh::output(Command::new(program).args(["wait", &port.to_string()]))?;
        Ok(pair)
    }

    /// The forwarder's process id.
    pub(super) fn forwarder(&self) -> u32 {
        self.forwarder.id()
    }

    /// `redis-benchmark`, set up for the forwarder or for Redis itself.
    pub(super) fn benchmark(&self, through: bool) -> Command {
        // It tries for ever to connect to what refuses it.
        let mut command = Command::new("timeout");
        command.args(["120", "redis-benchmark", "-h", "127.0.0.1", "--csv"]);
        if through {
            command.args(["-p", &self.port.to_string()]);
        } else {
            command.args(["-p", &self.redis_port.to_string(), "-a", PASSWORD]);
            if self.security == Security::Tls {
                command.arg("--tls").arg("--cacert").arg(self.file("ca.crt"));
            }
        }
        command
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for child in [&mut self.forwarder, &mut self.redis] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(super) fn localhost(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// An authority and a certificate for 127.0.0.1.
fn certificates(dir: &Path) -> Result<()> {
    let authority_key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![])?;
    // Named apart from what it signs, or OpenSSL takes that for signed by itself.
    params.distinguished_name.push(DnType::CommonName, "authority of a bench");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key)?;
    let key = KeyPair::generate()?;
    let names = vec!["127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names)?.signed_by(&key, &Issuer::new(params, authority_key))?;
    fs::write(dir.join("ca.crt"), authority.pem())?;
    fs::write(dir.join("tls.crt"), certificate.pem())?;
    fs::write(dir.join("tls.key"), key.serialize_pem())?;
    Ok(())
}
