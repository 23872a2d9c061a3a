//! One check of an app: a connection, a request or a program.

mod grpc;
mod http;

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

/// What a check has found: passed, or what is wrong.
pub(crate) type Outcome = Result<(), String>;

/// Bytes read at once.
const CHUNK: usize = 1024;

/// What is read of an answer, by its protocol.
#[derive(Debug)]
enum Answer {
    Http(Vec<u8>),
    Grpc(grpc::Answer),
}

impl Answer {
    /// Takes what was read and puts what has to be sent into `out`; the outcome
    /// once there is one.
    fn take(&mut self, read: &[u8], out: &mut Vec<u8>) -> Option<Outcome> {
        match self {
            Self::Http(head) => {
                head.extend_from_slice(read);
                http::verdict(head)
            }
            Self::Grpc(answer) => answer.take(read, out),
        }
    }
}

#[derive(Debug)]
enum Kind {
    /// Waits for the connection; then sends the request, if there is one.
    Connecting { socket: OwnedFd, request: Option<(Vec<u8>, Answer)> },
    /// Waits for the answer.
    Reading { socket: OwnedFd, answer: Answer },
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
                let request = http::request(*port, path, headers);
                Kind::Connecting { socket: connect(*port)?, request: Some((request, Answer::Http(vec![]))) }
            }
            Check::Grpc { port, service } => {
                let answer = Answer::Grpc(grpc::Answer::default());
                let request = Some((grpc::request(*port, service), answer));
                Kind::Connecting { socket: connect(*port)?, request }
            }
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

    /// Goes on; the outcome once there is one.
    pub(crate) fn advance(&mut self) -> Option<Outcome> {
        match &mut self.kind {
            Kind::Connecting { socket, request } => {
                match sockopt::socket_error(&*socket) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) | Err(error) => return Some(Err(in_words(error))),
                }
                let Some((request, answer)) = request.take() else { return Some(Ok(())) };
                if let Err(problem) = send(socket, &request) {
                    return Some(Err(problem));
                }
                match socket.try_clone() {
                    Ok(socket) => self.kind = Kind::Reading { socket, answer },
                    Err(error) => return Some(Err(error.to_string())),
                }
                None
            }
            Kind::Reading { socket, answer } => {
                let mut chunk = [0_u8; CHUNK];
                match rustix::io::read(&*socket, &mut chunk) {
                    Ok(0) => Some(Err("the app closed the connection without an answer".to_owned())),
                    Ok(n) => {
                        let mut out = vec![];
                        let outcome = answer.take(&chunk[..n], &mut out);
                        outcome.or_else(|| send(socket, &out).err().map(Err))
                    }
                    Err(Errno::AGAIN | Errno::INTR) => None,
                    Err(error) => Some(Err(in_words(error))),
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

/// It fits into an empty socket buffer at once.
fn send(socket: &OwnedFd, bytes: &[u8]) -> Outcome {
    match rustix::net::send(socket, bytes, rustix::net::SendFlags::NOSIGNAL) {
        Ok(sent) if sent == bytes.len() => Ok(()),
        Ok(_) => Err("the app reads nothing".to_owned()),
        Err(error) => Err(in_words(error)),
    }
}

fn in_words(error: Errno) -> String {
    match error {
        Errno::CONNREFUSED => "nothing listens on its port".to_owned(),
        Errno::CONNRESET | Errno::PIPE => "the app reset the connection".to_owned(),
        error => io::Error::from(error).to_string(),
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

    fn finish(running: &mut Running) -> Outcome {
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
        assert_eq!(finish(&mut start(&Check::Tcp { port }).unwrap()), Ok(()));
        drop(listener);
        let refused = finish(&mut start(&Check::Tcp { port }).unwrap());
        assert_eq!(refused, Err("nothing listens on its port".to_owned()));
    }

    #[test]
    fn http_is_judged_by_its_status_and_sends_what_it_is_told() {
        let told = |status: &str| Err(format!("it answers with status {status}"));
        for (status, outcome) in
            [("200 OK", Ok(())), ("302 Found", Ok(())), ("404 No", told("404")), ("503 x", told("503"))]
        {
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
            assert_eq!(finish(&mut start(&check).unwrap()), outcome, "{status}");
            let request = server.join().unwrap();
            assert!(request.starts_with("GET /health?x=1 HTTP/1.1\r\nHost: localhost:"), "{request}");
            assert!(request.contains("\r\nX-Probe: 1\r\n"), "{request}");
        }
    }
}
