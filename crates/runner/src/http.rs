//! The read-only HTTP endpoint: `GET` of four paths, one answer per connection.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, sockopt};

use crate::machine::Now;

const MAX_CONNECTIONS: usize = 32;
const MAX_REQUEST: usize = 8 * 1024;
/// A client that has not asked, or not read, by then is let go.
const PATIENCE: Duration = Duration::from_secs(5);

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: body.into() }
    }

    fn bytes(&self, head_only: bool) -> Vec<u8> {
        let phrase = match self.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            431 => "Request Header Fields Too Large",
            _ => "Service Unavailable",
        };
        let mut text = format!(
            "HTTP/1.1 {} {phrase}\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.status,
            self.kind,
            self.body.len()
        );
        if !head_only {
            text.push_str(&self.body);
        }
        text.into_bytes()
    }
}

#[derive(Debug)]
struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    /// What is left to send, once there is an answer.
    answer: Option<(Vec<u8>, usize)>,
    head_only: bool,
    until: Now,
}

/// The endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    listener: TcpListener,
    clients: BTreeMap<u64, Client>,
    next: u64,
}

impl Endpoint {
    /// Listens on `address`, or on every address with `port`.
    pub(crate) fn bind(address: Option<SocketAddr>, port: u16) -> io::Result<Self> {
        let listener = match address {
            Some(address) => listen(address)?,
            None => listen((Ipv6Addr::UNSPECIFIED, port).into())
                .or_else(|_| listen((Ipv4Addr::UNSPECIFIED, port).into()))?,
        };
        Ok(Self { listener, clients: BTreeMap::new(), next: 0 })
    }

    pub(crate) fn listener(&self) -> &TcpListener {
        &self.listener
    }

    /// Connections with whether they wait for room to write.
    pub(crate) fn streams(&self) -> impl Iterator<Item = (u64, &TcpStream, bool)> {
        self.clients.iter().map(|(id, client)| (*id, &client.stream, client.answer.is_some()))
    }

    pub(crate) fn deadline(&self) -> Option<Now> {
        self.clients.values().map(|client| client.until).min()
    }

    /// Lets those go that have had their time.
    pub(crate) fn expire(&mut self, now: Now) {
        self.clients.retain(|_, client| client.until > now);
    }

    pub(crate) fn accept(&mut self, now: Now) {
        while let Ok((stream, _)) = self.listener.accept() {
            if stream.set_nonblocking(true).is_ok() {
                // The oldest makes room: whoever holds connections open without asking
                // must not keep the kubelet out.
                if self.clients.len() >= MAX_CONNECTIONS {
                    self.clients.pop_first();
                }
                let until = now.saturating_add(PATIENCE);
                let client = Client { stream, request: vec![], answer: None, head_only: false, until };
                self.clients.insert(self.next, client);
                self.next += 1;
            }
        }
    }

    /// Goes on with a connection; the path once a request for a page is there,
    /// which [`Self::answer`] then has to be called for.
    pub(crate) fn advance(&mut self, id: u64) -> Option<String> {
        let client = self.clients.get_mut(&id)?;
        let outcome = if client.answer.is_some() { send(client).map(|()| None) } else { receive(client) };
        if outcome.is_err() {
            self.clients.remove(&id);
        }
        outcome.ok().flatten()
    }

    /// Answers a request.
    pub(crate) fn answer(&mut self, id: u64, answer: &Answer) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.answer = Some((answer.bytes(client.head_only), 0));
            if send(client).is_err() {
                self.clients.remove(&id);
            }
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket: OwnedFd = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, 64)?;
    Ok(socket.into())
}

/// Reads; an error ends the connection.
fn receive(client: &mut Client) -> io::Result<Option<String>> {
    let mut chunk = [0_u8; 2048];
    match rustix::io::read(&client.stream, &mut chunk) {
        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(n) => client.request.extend_from_slice(&chunk[..n]),
        Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    match parse(&client.request) {
        Request::Partial => Ok(None),
        Request::Page { path, head_only } => {
            client.head_only = head_only;
            Ok(Some(path))
        }
        Request::Refused(answer) => {
            client.answer = Some((answer.bytes(false), 0));
            send(client).map(|()| None)
        }
    }
}

/// Writes; an error ends the connection, and so does the end of the answer.
fn send(client: &mut Client) -> io::Result<()> {
    let Some((bytes, sent)) = &mut client.answer else { return Ok(()) };
    while *sent < bytes.len() {
        match rustix::net::send(&client.stream, &bytes[*sent..], SendFlags::NOSIGNAL) {
            Ok(n) => *sent += n,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::ErrorKind::ConnectionAborted.into())
}

#[derive(Debug, PartialEq, Eq)]
enum Request {
    Partial,
    Page { path: String, head_only: bool },
    Refused(Answer),
}

fn parse(bytes: &[u8]) -> Request {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if bytes.len() < MAX_REQUEST => return Request::Partial,
        Ok(httparse::Status::Partial) => {
            return Request::Refused(Answer::text(431, "the request is too long\n"));
        }
        Err(error) => return Request::Refused(Answer::text(400, format!("no HTTP request: {error}\n"))),
    }
    let path = parsed.path.unwrap_or("/").split('?').next().unwrap_or("/").to_owned();
    match parsed.method {
        Some("GET") => Request::Page { path, head_only: false },
        Some("HEAD") => Request::Page { path, head_only: true },
        _ => Request::Refused(Answer::text(405, "only GET is answered here\n")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(path: &str, head_only: bool) -> Request {
        Request::Page { path: path.to_owned(), head_only }
    }

    fn refused(request: &str) -> u16 {
        match parse(request.as_bytes()) {
            Request::Refused(answer) => answer.status,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_answered_once_it_is_complete() {
        assert_eq!(parse(b"GET /ready HTTP/1.1\r\nHost: x\r\n"), Request::Partial);
        assert_eq!(parse(b"GET /ready?now HTTP/1.1\r\nHost: x\r\n\r\n"), page("/ready", false));
        assert_eq!(parse(b"HEAD / HTTP/1.1\r\n\r\n"), page("/", true));
        let answer = Answer::text(200, "body").bytes(true);
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(b"\r\n\r\n"));
    }

    #[test]
    fn what_is_not_asked_for_politely_is_refused() {
        assert_eq!(refused("POST / HTTP/1.1\r\n\r\n"), 405);
        assert_eq!(refused("\x16\x03\x01\x02\r\n\r\n"), 400);
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(MAX_REQUEST))), 431);
    }

    #[test]
    fn idle_connections_do_not_keep_the_kubelets_question_out() {
        let mut endpoint = Endpoint::bind(Some("127.0.0.1:0".parse().unwrap()), 0).unwrap();
        let address = endpoint.listener().local_addr().unwrap();
        let idle: Vec<_> = (0..MAX_CONNECTIONS).map(|_| TcpStream::connect(address).unwrap()).collect();
        let mut kubelet = TcpStream::connect(address).unwrap();
        io::Write::write_all(&mut kubelet, b"GET /ready HTTP/1.1\r\n\r\n").unwrap();
        endpoint.accept(Now::ZERO);
        let asked: Vec<_> = (0..endpoint.next).filter_map(|id| endpoint.advance(id)).collect();
        assert_eq!(asked, ["/ready"]);
        assert!(endpoint.clients.len() <= MAX_CONNECTIONS);
        drop(idle);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            parse(&bytes);
        }
    }
}
