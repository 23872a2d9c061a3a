//! TLS to Redis: authorities, server name and a client's certificate from files.

use std::sync::{Arc, Mutex, PoisonError};

use nodeapp_contract::forwarder::{Address, Tls};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::problem::{self, Problem};

/// Sessions that may be resumed: a connection takes a ticket or two, and there is one server.
const SESSIONS: usize = 8;

/// How to speak TLS, made anew when a file has changed.
pub(crate) struct Client {
    files: Tls,
    name: ServerName<'static>,
    made: Mutex<Option<Made>>,
}

struct Made {
    of: Content,
    config: Arc<ClientConfig>,
}

/// What the files hold.
#[derive(PartialEq, Eq)]
struct Content {
    authorities: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
}

impl Client {
    /// # Errors
    /// The server name is none.
    pub(crate) fn new(files: Tls, upstream: &Address) -> Result<Self, String> {
        let name = files.server_name.clone().unwrap_or_else(|| upstream.host.clone());
        let name = ServerName::try_from(name.clone()).map_err(|_| {
            format!("{name} cannot be a name in a certificate; --tls-server-name takes a DNS name or an IP address")
        })?;
        Ok(Self { files, name, made: Mutex::new(None) })
    }

    /// Shakes hands over a TCP connection.
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        redis: &str,
    ) -> Result<TlsStream<TcpStream>, Problem> {
        let config = self.config()?;
        let connected = TlsConnector::from(config).connect(self.name.clone(), stream).await;
        connected.map_err(|error| Problem::tls(self.explain(&error, redis)))
    }

    /// The configuration for what the files hold now.
    fn config(&self) -> Result<Arc<ClientConfig>, Problem> {
        let content = |path: &Option<String>| path.as_deref().map(problem::read).transpose();
        let content = Content {
            authorities: content(&self.files.ca_file)?,
            certificate: content(&self.files.cert_file)?,
            key: content(&self.files.key_file)?,
        };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.as_ref().filter(|made| made.of == content) {
            return Ok(made.config.clone());
        }
        let config = Arc::new(self.make(&content)?);
        *made = Some(Made { of: content, config: config.clone() });
        Ok(config)
    }

    fn make(&self, content: &Content) -> Result<ClientConfig, Problem> {
        let path = |path: &Option<String>| path.clone().unwrap_or_default();
        let mut roots = RootCertStore::empty();
        match &content.authorities {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(pem) => {
                roots.add_parsable_certificates(certificates(pem, &path(&self.files.ca_file))?);
            }
        }
        let wrong = |what: &str, error: &rustls::Error| Problem::file(format!("{what}: {error}"));
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("no version of TLS", &error))?
            .with_root_certificates(roots);
        let mut config = match (&content.certificate, &content.key) {
            (Some(certificate), Some(key)) => {
                let key_file = path(&self.files.key_file);
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| Problem::file(format!("{key_file} holds no key in PEM: {error:?}")))?;
                let chain = certificates(certificate, &path(&self.files.cert_file))?;
                builder.with_client_auth_cert(chain, key).map_err(|error| wrong(&key_file, &error))?
            }
            _ => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(config)
    }

    fn explain(&self, error: &std::io::Error, redis: &str) -> String {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let advice = match tls {
            Some(rustls::Error::InvalidCertificate(_)) => match &self.files.ca_file {
                Some(file) => format!(
                    "{file} must hold the authority of its certificate, which must be for {}",
                    self.name.to_str()
                ),
                None => format!(
                    "give its authority as a file, unless a public one has signed it; it must be for {}",
                    self.name.to_str()
                ),
            },
            Some(rustls::Error::InvalidMessage(_)) => "does it speak TLS on this port?".to_owned(),
            Some(rustls::Error::AlertReceived(_)) => "does it want a certificate of the client?".to_owned(),
            _ => "see what Redis says of it".to_owned(),
        };
        format!("no TLS connection to Redis at {redis}: {error}; {advice}")
    }
}

/// Why Redis ended a connection that had come about.
pub(crate) fn explain_end(error: &std::io::Error, redis: &str) -> String {
    let advice =
        "if it speaks of a certificate, Redis wants one of the client's that it knows the authority of";
    format!("Redis at {redis} ended a TLS connection: {error}; {advice}")
}

/// The certificates of a PEM file, one at least.
fn certificates(pem: &[u8], path: &str) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Problem::file(format!("{path} holds no certificate in PEM"))),
        Err(error) => Err(Problem::file(format!("{path} is not PEM: {error:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use nodeapp_contract::forwarder::is_certificate_name;

    use super::*;

    fn client(files: Tls) -> Client {
        Client::new(files, &Address { host: "redis.shop".into(), port: 6379 }).unwrap()
    }

    #[test]
    fn the_configuration_is_kept_until_a_file_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.crt");
        let authority = || rcgen::generate_simple_self_signed(["redis.shop".to_owned()]).unwrap().cert.pem();
        std::fs::write(&path, authority()).unwrap();
        let client = client(Tls { ca_file: Some(path.to_string_lossy().into_owned()), ..Tls::default() });
        let first = client.config().unwrap();
        assert!(Arc::ptr_eq(&first, &client.config().unwrap()));
        std::fs::write(&path, authority()).unwrap();
        assert!(!Arc::ptr_eq(&first, &client.config().unwrap()));
        std::fs::write(&path, "nothing").unwrap();
        assert!(client.config().unwrap_err().text.contains("holds no certificate"));
        std::fs::remove_file(&path).unwrap();
        assert!(client.config().unwrap_err().text.contains("cannot read"));
    }

    #[test]
    fn public_roots_are_there_without_any_file() {
        assert!(client(Tls::default()).config().is_ok());
    }

    #[test]
    fn a_host_that_no_certificate_can_name_is_refused_at_the_start() {
        let upstream = Address { host: "redis_shop".into(), port: 6379 };
        let named = Tls { server_name: Some("redis.shop".into()), ..Tls::default() };
        assert!(Client::new(named, &upstream).is_ok());
        let wrong = Tls { server_name: Some("redis shop".into()), ..Tls::default() };
        assert!(Client::new(wrong, &upstream).is_err_and(|problem| problem.contains("--tls-server-name")));
    }

    #[test]
    fn the_operator_takes_the_names_that_this_takes() {
        let (long, label) = (format!("{}.example", "a.".repeat(123)), format!("{}.example", "a".repeat(64)));
        let names = [
            "redis.example.com",
            "redis.example.com.",
            "redis",
            "redis_shop.a",
            "10.0.0.1",
            "2001:db8::1",
            "::1",
            "1a.x1",
            "r.0xyz",
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a..",
            "-a.b",
            "a-.b",
            "r:6380",
            "redis.example.com:6380",
            "[::1]",
            "a b",
            "10.0.0",
            "10.0.0.256",
            "r.1",
            "r.0x1",
            "r.0X",
            "r.0",
            "*.example.com",
            "\u{fc}.de",
            &long,
            &label,
        ];
        let agree = |name: &str| is_certificate_name(name) == ServerName::try_from(name.to_owned()).is_ok();
        let other: Vec<_> = names.into_iter().filter(|name| !agree(name)).collect();
        assert!(other.is_empty(), "{other:?}");
        assert!(is_certificate_name(names[0]) && !is_certificate_name("a..b"));
    }
}
