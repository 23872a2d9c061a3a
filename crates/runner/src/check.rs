//! One check of an app: a connection, a request or a program.

use std::fmt::Write as _;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nodeapp_contract::config::Check;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::launch;
use crate::machine::Now;
use crate::settings::Env;

/// The status line fits in here; more is not read.
const MAX_HEAD: usize = 1024;

#[derive(Debug)]
enum Kind {
    /// Waits for the connection; then sends the request, if there is one.
    Connecting { socket: OwnedFd, request: Option<Vec<u8>> },
    /// Waits for the status line.
    Reading { socket: OwnedFd, head: Vec<u8> },
    /// Waits for the end of a program.
    Program { pid: Pid },
}

/// A check that is going on.
#[derive(Debug)]
pub(crate) struct Running {
    kind: Kind,
    pub(crate) deadline: Now,
}

impl Running {
    /// Starts a check; an error is a failed one.
    pub(crate) fn start(check: &Check, deadline: Now, env: &Env, cwd: Option<&Path>) -> io::Result<Self> {
        let kind = match check {
            Check::Tcp { port } => Kind::Connecting { socket: connect(*port)?, request: None },
            Check::Http { port, path, headers } => {
                Kind::Connecting { socket: connect(*port)?, request: Some(request(*port, path, headers)) }
            }
            Check::Grpc { .. } => return Err(io::ErrorKind::Unsupported.into()),
            Check::Exec { argv } => Kind::Program { pid: execute(argv, env, cwd)? },
        };
        Ok(Self { kind, deadline })
    }

    /// The socket to wait on, and whether for room to write.
    pub(crate) fn socket(&self) -> Option<(&OwnedFd, bool)> {
        match &self.kind {
            Kind::Connecting { socket, .. } => Some((socket, true)),
            Kind::Reading { socket, .. } => Some((socket, false)),
            Kind::Program { .. } => None,
        }
    }

    /// The program that is executed.
    pub(crate) fn pid(&self) -> Option<Pid> {
        match &self.kind {
            Kind::Program { pid } => Some(*pid),
            _ => None,
        }
    }

    /// Goes on; the result once there is one.
    pub(crate) fn advance(&mut self) -> Option<bool> {
        match &mut self.kind {
            Kind::Connecting { socket, request } => {
                match sockopt::socket_error(&*socket) {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => return Some(false),
                }
                let Some(request) = request else { return Some(true) };
                // It fits into an empty socket buffer at once.
                match rustix::net::send(&*socket, request, rustix::net::SendFlags::NOSIGNAL) {
                    Ok(sent) if sent == request.len() => {}
                    _ => return Some(false),
                }
                let socket = socket.try_clone().ok();
                self.kind = Kind::Reading { socket: socket?, head: vec![] };
                None
            }
            Kind::Reading { socket, head } => {
                let mut chunk = [0_u8; MAX_HEAD];
                match rustix::io::read(&*socket, &mut chunk) {
                    Ok(0) => Some(false),
                    Ok(n) => {
                        head.extend_from_slice(&chunk[..n]);
                        verdict(head)
                    }
                    Err(Errno::AGAIN | Errno::INTR) => None,
                    Err(_) => Some(false),
                }
            }
            Kind::Program { .. } => None,
        }
    }

    /// Its time is over.
    pub(crate) fn cancel(&self) {
        if let Kind::Program { pid } = self.kind {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

fn connect(port: u16) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    let address = std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

fn request(port: u16, path: &str, headers: &[(String, String)]) -> Vec<u8> {
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut text = format!("GET {slash}{path} HTTP/1.1\r\n");
    let given = |wanted: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    if !given("host") {
        let _ = write!(text, "Host: localhost:{port}\r\n");
    }
    if !given("user-agent") {
        text.push_str("User-Agent: nodeapp-runner\r\n");
    }
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("Connection: close\r\n\r\n");
    text.into_bytes()
}

/// 200 to 399 is a success, as for the kubelet.
fn verdict(head: &[u8]) -> Option<bool> {
    let mut headers = [httparse::EMPTY_HEADER; 0];
    let mut response = httparse::Response::new(&mut headers);
    // It stops at the first header for want of room, which is far enough.
    let _ = response.parse(head);
    match response.code {
        Some(code) => Some((200..400).contains(&code)),
        None if head.len() >= MAX_HEAD || head.contains(&b'\n') => Some(false),
        None => None,
    }
}

fn execute(argv: &[String], env: &Env, cwd: Option<&Path>) -> io::Result<Pid> {
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    let name = argv.first().ok_or_else(missing)?;
    let program = launch::find_program(name, env, cwd).ok_or_else(missing)?;
    let mut command = Command::new(program);
    command.args(&argv[1..]).env_clear().envs(env);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    if let Some(cwd) = cwd {
        command.current_dir(cwd);
    }
    Ok(Pid::from_child(&command.spawn()?))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;

    fn finish(running: &mut Running) -> bool {
        loop {
            let (socket, write) = running.socket().unwrap();
            let flags = if write { rustix::event::PollFlags::OUT } else { rustix::event::PollFlags::IN };
            let mut fds = [rustix::event::PollFd::new(socket, flags)];
            rustix::event::poll(&mut fds, None).unwrap();
            if let Some(result) = running.advance() {
                return result;
            }
        }
    }

    fn start(check: &Check) -> io::Result<Running> {
        Running::start(check, Duration::ZERO, &Env::new(), None)
    }

    #[test]
    fn tcp_passes_if_somebody_accepts() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(finish(&mut start(&Check::Tcp { port }).unwrap()));
        drop(listener);
        assert!(!start(&Check::Tcp { port }).is_ok_and(|mut running| finish(&mut running)));
    }

    #[test]
    fn http_is_judged_by_its_status_and_sends_what_it_is_told() {
        for (status, passes) in [("200 OK", true), ("302 Found", true), ("404 No", false), ("503 x", false)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut text = vec![0; 1024];
                let n = stream.read(&mut text).unwrap();
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").unwrap();
                String::from_utf8_lossy(&text[..n]).into_owned()
            });
            let headers = vec![("X-Probe".to_owned(), "1".to_owned())];
            let check = Check::Http { port, path: "/health?x=1".into(), headers };
            assert_eq!(finish(&mut start(&check).unwrap()), passes, "{status}");
            let request = server.join().unwrap();
            assert!(request.starts_with("GET /health?x=1 HTTP/1.1\r\nHost: localhost:"), "{request}");
            assert!(request.contains("\r\nX-Probe: 1\r\n"), "{request}");
        }
    }

    #[test]
    fn a_status_line_may_come_in_pieces_and_garbage_fails() {
        assert_eq!(verdict(b"HTTP/1.1 20"), None);
        assert_eq!(verdict(b"HTTP/1.1 204 No Content\r\nServer: x\r\n"), Some(true));
        assert_eq!(verdict(b"SSH-2.0-OpenSSH\r\n"), Some(false));
        assert_eq!(verdict(&[b'x'; MAX_HEAD]), Some(false));
    }
}
