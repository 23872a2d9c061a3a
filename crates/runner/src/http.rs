//! The read-only HTTP endpoint: `GET` of four paths, one answer per connection.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

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
            if self.clients.len() < MAX_CONNECTIONS && stream.set_nonblocking(true).is_ok() {
                let until = now.saturating_add(PATIENCE);
                self.clients.insert(self.next, Client { stream, request: vec![], answer: None, until });
                self.next += 1;
            }
        }
    }

    /// Goes on with a connection; `page` makes the answer of a path.
    pub(crate) fn serve(&mut self, id: u64, page: impl FnOnce(&str) -> Answer) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if matches!(step(client, page), Ok(true)) {
            return;
        }
        self.clients.remove(&id);
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

/// True if the connection lives on.
fn step(client: &mut Client, page: impl FnOnce(&str) -> Answer) -> io::Result<bool> {
    if client.answer.is_none() {
        let mut chunk = [0_u8; 2048];
        match rustix::io::read(&client.stream, &mut chunk) {
            Ok(0) => return Ok(false),
            Ok(n) => client.request.extend_from_slice(&chunk[..n]),
            Err(rustix::io::Errno::AGAIN) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
        let Some(answer) = respond(&client.request, page) else { return Ok(true) };
        client.answer = Some((answer, 0));
    }
    let Some((bytes, sent)) = &mut client.answer else { return Ok(true) };
    while *sent < bytes.len() {
        match rustix::net::send(&client.stream, &bytes[*sent..], rustix::net::SendFlags::NOSIGNAL) {
            Ok(n) => *sent += n,
            Err(rustix::io::Errno::AGAIN) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// The answer to a request, once it is complete.
fn respond(request: &[u8], page: impl FnOnce(&str) -> Answer) -> Option<Vec<u8>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(request) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if request.len() < MAX_REQUEST => return None,
        Ok(httparse::Status::Partial) => {
            return Some(Answer::text(431, "the request is too long\n").bytes(false));
        }
        Err(error) => return Some(Answer::text(400, format!("no HTTP request: {error}\n")).bytes(false)),
    }
    let path = parsed.path.unwrap_or("/").split('?').next().unwrap_or("/");
    match parsed.method {
        Some("GET") => Some(page(path).bytes(false)),
        Some("HEAD") => Some(page(path).bytes(true)),
        _ => Some(Answer::text(405, "only GET is answered here\n").bytes(false)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(request: &str) -> Option<String> {
        respond(request.as_bytes(), |path| Answer::text(200, format!("page {path}")))
            .map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_request_is_answered_once_it_is_complete() {
        assert_eq!(ask("GET /ready HTTP/1.1\r\nHost: x\r\n"), None);
        let answer = ask("GET /ready?now HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\npage /ready"), "{answer}");
        assert!(ask("HEAD / HTTP/1.1\r\n\r\n").unwrap().ends_with("\r\n\r\n"));
    }

    #[test]
    fn what_is_not_asked_for_politely_is_refused() {
        assert!(ask("POST / HTTP/1.1\r\n\r\n").unwrap().contains("405"));
        assert!(ask("\x16\x03\x01\x02\r\n\r\n").unwrap().contains("400"));
        let long = format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(MAX_REQUEST));
        assert!(ask(&long).unwrap().contains("431"));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            respond(&bytes, |_| Answer::text(200, ""));
        }
    }
}
