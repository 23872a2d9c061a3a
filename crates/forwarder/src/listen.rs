//! `127.0.0.1` and `[::1]`, and nothing else: whoever reaches this port has the app's Redis.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};

use crate::say;

/// The sockets, one at least.
pub(crate) struct Listeners {
    first: TcpListener,
    second: Option<TcpListener>,
}

impl Listeners {
    /// Takes the port on both addresses. A machine without IPv6, or without IPv4, has the other one.
    ///
    /// # Errors
    /// Says what to do.
    pub(crate) async fn bind(port: u16) -> Result<Self, String> {
        let first = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let port = match &first {
            Some(listener) => listener.local_addr().map_err(|error| error.to_string())?.port(),
            None => port,
        };
        let second = bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await?;
        match (first, second) {
            (Some(first), second) => Ok(Self { first, second }),
            (None, Some(first)) => Ok(Self { first, second: None }),
            (None, None) => Err("this host has neither 127.0.0.1 nor [::1]; its `lo` must be up".to_owned()),
        }
    }

    /// Both addresses, as in the log.
    pub(crate) fn shown(&self) -> String {
        let address =
            |listener: &TcpListener| listener.local_addr().map(|a| a.to_string()).unwrap_or_default();
        let first = address(&self.first);
        self.second.as_ref().map_or(first.clone(), |second| format!("{first} and {}", address(second)))
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = match &self.second {
            Some(second) => tokio::select! {
                accepted = self.first.accept() => accepted,
                accepted = second.accept() => accepted,
            },
            None => self.first.accept().await,
        }?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// A socket, unless the host does not have the address.
async fn bind(address: SocketAddr) -> Result<Option<TcpListener>, String> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if is_missing(&error) => {
            say::line(&format!("this host has no {}, which is left out: {error}", address.ip()));
            Ok(None)
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(format!(
            "{address} is taken: another container of this pod listens there. Stop that one, or turn `redis` off in \
             the app's spec if it is the Redis that the app is to have"
        )),
        Err(error) => Err(format!("cannot listen on {address}: {error}")),
    }
}

fn is_missing(error: &io::Error) -> bool {
    let unsupported = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(unsupported)
}
