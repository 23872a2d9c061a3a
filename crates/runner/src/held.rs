//! The listening socket that outlives the app's process.
//!
//! The runner binds the app's port and does not listen on it. The first process
//! that takes a descriptor over starts the listening; from then on connections
//! wait in the kernel's queue while no process runs. While nobody has taken it
//! over, an app that listens by itself still can.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, sockopt};

/// Descriptors start here: high and with a gap below, because Node.js marks the
/// low ones close-on-exec, and a Node.js behind `npm start` needs them.
const FIRST_FD: i32 = 40;
/// One is used up each time the app closes its server and listens again.
const POOL: usize = 24;

#[derive(Debug)]
struct Socket {
    address: SocketAddr,
    bound: OwnedFd,
    pool: Vec<OwnedFd>,
}

/// The held sockets of one port, one per kind of exposure.
#[derive(Debug)]
pub(crate) struct Held {
    sockets: Vec<Socket>,
}

impl Held {
    /// Binds `port` for "every address" (IPv6 and IPv4) and for "every IPv4
    /// address": an app gets the one that it asks for, never a wider one.
    pub(crate) fn bind(port: u16) -> io::Result<Self> {
        let addresses = [
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
        ];
        let mut sockets = vec![];
        let mut problem = None;
        for address in addresses {
            match bind(address) {
                Ok(socket) => sockets.push(socket),
                Err(error) => problem = Some(error),
            }
        }
        match problem {
            Some(error) if sockets.is_empty() => Err(error),
            _ => Ok(Self { sockets }),
        }
    }

    /// The value of `NODEAPP_LISTEN_FDS`.
    pub(crate) fn describe(&self) -> String {
        let mut text = String::new();
        for socket in &self.sockets {
            let lead = if text.is_empty() { "" } else { ";" };
            let _ = write!(text, "{lead}{}=", socket.address);
            for (at, fd) in socket.pool.iter().enumerate() {
                let lead = if at == 0 { "" } else { "," };
                let _ = write!(text, "{lead}{}", fd.as_raw_fd());
            }
        }
        text
    }

    /// Whether the next process to be started gets the descriptors.
    pub(crate) fn inherit(&self, yes: bool) -> io::Result<()> {
        let flags = if yes { FdFlags::empty() } else { FdFlags::CLOEXEC };
        for fd in self.sockets.iter().flat_map(|socket| &socket.pool) {
            fcntl_setfd(fd, flags)?;
        }
        Ok(())
    }

    /// Ends the listening for everybody, so that clients are refused instead of
    /// waiting for a process that will not come. A later process may listen again.
    pub(crate) fn refuse(&self) {
        for socket in &self.sockets {
            // Only while it listens: otherwise the mark of the shutdown stays, and
            // connections of a later listener would be born with it.
            if sockopt::socket_acceptconn(&socket.bound).unwrap_or(false) {
                let _ = rustix::net::shutdown(&socket.bound, Shutdown::Read);
            }
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    rustix::net::bind(&socket, &address)?;
    let pool = (0..POOL).map(|_| fcntl_dupfd_cloexec(&socket, FIRST_FD)).collect::<Result<_, _>>()?;
    Ok(Socket { address, bound: socket, pool })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    #[test]
    fn as_long_as_nobody_took_it_over_the_app_can_listen_by_itself() {
        let port = free_port();
        let held = Held::bind(port).unwrap();
        let own = TcpListener::bind(("127.0.0.1", port)).expect("the port is bound, not listened on");
        drop(own);
        let fds = held.describe();
        assert!(fds.contains(&format!("0.0.0.0:{port}=")), "{fds}");
        rustix::net::listen(&held.sockets[0].pool[0], 16).unwrap();
        assert!(TcpListener::bind(("127.0.0.1", port)).is_err(), "now it is listened on");
        held.refuse();
        assert!(TcpListener::bind(("127.0.0.1", port)).is_ok(), "listening has ended for all");
    }

    #[test]
    fn descriptors_are_high_and_stay_at_home_unless_told() {
        let held = Held::bind(free_port()).unwrap();
        let flags = |held: &Held| rustix::io::fcntl_getfd(&held.sockets[0].pool[3]).unwrap();
        assert!(held.sockets[0].pool.iter().all(|fd| fd.as_raw_fd() >= FIRST_FD));
        assert!(flags(&held).contains(FdFlags::CLOEXEC));
        held.inherit(true).unwrap();
        assert!(!flags(&held).contains(FdFlags::CLOEXEC));
        held.inherit(false).unwrap();
        assert!(flags(&held).contains(FdFlags::CLOEXEC));
    }
}
