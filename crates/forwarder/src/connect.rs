//! From a name to a connection on which Redis takes commands.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nodeapp_contract::Forwarder;
use nodeapp_contract::forwarder::Address;
use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::problem::Problem;
use crate::{auth, tls};

/// For handshake and AUTH, which Redis makes between two commands: it may be busy with a long one.
const GREETING_TIMEOUT: Duration = Duration::from_secs(30);
/// A Redis that is gone without a word is noticed on an idle connection in IDLE + PROBES × INTERVAL, on one
/// with bytes under way in GONE. The kernels on both sides do the asking, Redis may be as busy as it likes.
const IDLE: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;
const GONE: Duration = Duration::from_mins(1);

/// A connection to Redis.
pub(crate) enum Upstream {
    Plain(TcpStream),
    /// Boxed: a session is large, and not every app has one.
    Tls(Box<TlsStream<TcpStream>>),
}

/// How to get to Redis.
pub(crate) struct Target {
    pub(crate) settings: Forwarder,
    /// As in messages.
    pub(crate) name: String,
    tls: Option<tls::Client>,
}

impl Target {
    /// # Errors
    /// The server name is none.
    pub(crate) fn new(settings: Forwarder) -> Result<Self, String> {
        let tls =
            settings.tls.clone().map(|files| tls::Client::new(files, &settings.upstream)).transpose()?;
        Ok(Self { name: settings.upstream.to_string(), settings, tls })
    }

    /// A connection on which Redis takes commands, and the bytes that it has sent already.
    pub(crate) async fn connect(&self) -> Result<(Upstream, Vec<u8>), Problem> {
        let Forwarder { username_file, password_file, connect_timeout, upstream, .. } = &self.settings;
        let auth =
            password_file.as_deref().map(|file| auth::command(username_file.as_deref(), file)).transpose()?;
        let stream = reach(upstream, *connect_timeout).await.map_err(|error| {
            let advice = "is it running, is the address right, and does a NetworkPolicy let this pod to it?";
            let closed = "the app's connections are closed until it answers";
            Problem::away(format!("cannot reach Redis at {}: {error}; {closed}. {advice}", self.name))
        })?;
        keep_alive(&stream).map_err(|error| Problem::away(format!("cannot set up a connection: {error}")))?;
        self.greet_in_time(stream, auth.as_deref()).await
    }

    async fn greet_in_time(
        &self,
        stream: TcpStream,
        auth: Option<&[u8]>,
    ) -> Result<(Upstream, Vec<u8>), Problem> {
        match tokio::time::timeout(GREETING_TIMEOUT, self.greet(stream, auth)).await {
            Ok(greeted) => greeted,
            Err(_) => Err(Problem::away(format!(
                "Redis at {} took the connection and said nothing for {} s; what keeps it busy{}?",
                self.name,
                GREETING_TIMEOUT.as_secs(),
                if self.tls.is_some() { ", or does it speak no TLS on this port" } else { "" }
            ))),
        }
    }

    async fn greet(
        &self,
        mut stream: TcpStream,
        auth: Option<&[u8]>,
    ) -> Result<(Upstream, Vec<u8>), Problem> {
        let mut rest = vec![];
        let Some(tls) = &self.tls else {
            if let Some(auth) = auth {
                rest = auth::authenticate(&mut stream, auth, &self.name).await?;
            }
            return Ok((Upstream::Plain(stream), rest));
        };
        let mut stream = Box::new(tls.connect(stream, &self.name).await?);
        if let Some(auth) = auth {
            rest = auth::authenticate(&mut stream, auth, &self.name).await?;
        }
        Ok((Upstream::Tls(stream), rest))
    }
}

/// Resolves the name and tries its addresses in turn, each with its share of the time that is left.
async fn reach(upstream: &Address, timeout: Duration) -> Result<TcpStream, String> {
    let until = Instant::now() + timeout;
    let late = || format!("no answer in {} ms", timeout.as_millis());
    let addresses = tokio::time::timeout(timeout, resolve(upstream))
        .await
        .map_err(|_| format!("the name is not resolved in {} ms", timeout.as_millis()))??;
    let mut last = "the name has no address".to_owned();
    for (tried, address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        last = match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error.to_string(),
            Err(_) => late(),
        };
    }
    Err(last)
}

/// The addresses of a name, asked for on a thread beside, as the system's resolver waits. A question that nobody
/// waits for any more and that has not begun is dropped, so that a dead DNS server leaves no queue behind.
async fn resolve(upstream: &Address) -> Result<Vec<SocketAddr>, String> {
    struct Question(tokio::task::JoinHandle<std::io::Result<Vec<SocketAddr>>>);
    impl Drop for Question {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let Address { host, port } = upstream.clone();
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let mut question = Question(tokio::task::spawn_blocking(move || {
        std::net::ToSocketAddrs::to_socket_addrs(&(host.as_str(), port)).map(Iterator::collect)
    }));
    match (&mut question.0).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn keep_alive(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, IDLE)?;
    sockopt::set_tcp_keepintvl(stream, INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    sockopt::set_tcp_user_timeout(stream, u32::try_from(GONE.as_millis()).unwrap_or(u32::MAX))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use nodeapp_contract::forwarder;

    use super::*;

    #[tokio::test]
    async fn every_address_of_a_name_is_tried() {
        // localhost has both families in most hosts files; the server has one.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let upstream = Address { host: "localhost".into(), port };
        assert!(reach(&upstream, Duration::from_secs(10)).await.is_ok());
        drop(listener);
        let error = reach(&upstream, Duration::from_secs(10)).await.unwrap_err();
        assert!(error.contains("refused"), "{error}");
    }

    #[tokio::test]
    async fn a_name_without_address_is_an_error_that_names_no_other_reason() {
        let upstream = Address { host: "nobody.invalid".into(), port: 1 };
        let error = reach(&upstream, Duration::from_secs(10)).await.unwrap_err();
        assert!(error.contains("resolved") || error.contains("lookup"), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let upstream = Address { host: "redis".into(), port: 6379 };
        let settings = Forwarder { tls: Some(forwarder::Tls::default()), ..Forwarder::to(upstream) };
        let target = Target::new(settings).unwrap();
        // From here on time passes as soon as nothing else happens.
        tokio::time::pause();
        let problem = target.greet_in_time(stream, None).await.err().unwrap();
        assert!(
            problem.text.contains("said nothing for 30 s") && problem.text.contains("no TLS"),
            "{problem:?}"
        );
        assert_eq!(problem.reply, None);
    }

    #[tokio::test]
    async fn the_kernel_asks_whether_redis_is_still_there() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        keep_alive(&stream).unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), IDLE);
    }
}
