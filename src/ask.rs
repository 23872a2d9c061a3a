//! The command line's way to an operator that runs: a request to its address.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(5);
/// Between two questions to an operator that is not ready yet.
const PAUSE: Duration = Duration::from_millis(500);

/// What is logged, after it was set to `filter` if one is given.
///
/// # Errors
/// When no operator answers at this address, or it refuses the filter.
pub fn log_level(address: SocketAddr, filter: Option<&str>) -> Result<String, String> {
    let asked = match filter {
        Some(filter) => request(address, "PUT", "/log-level", filter),
        None => request(address, "GET", "/log-level", ""),
    };
    let answer = asked.map_err(|error| format!("no operator answers at {address}: {error}"))?;
    body_of(&answer).map(str::to_owned).map_err(|body| body.trim_end().to_owned())
}

/// What an operator at `address` (`HOST:PORT`) says of itself once it is ready.
///
/// # Errors
/// When it is not within `limit`; then with what it waits for, or why nobody answers.
pub fn ready(address: &str, limit: Duration) -> Result<String, String> {
    let begun = Instant::now();
    loop {
        let error = match readyz(address) {
            Ok(body) => return Ok(body),
            Err(error) => error,
        };
        if begun.elapsed() + PAUSE > limit {
            return Err(error);
        }
        std::thread::sleep(PAUSE);
    }
}

/// One look at `/readyz`, at whichever address of the host answers.
fn readyz(address: &str) -> Result<String, String> {
    let resolved = address.to_socket_addrs().map_err(|error| format!("cannot resolve {address}: {error}"))?;
    let mut last = format!("{address} has no address");
    for resolved in resolved {
        match request(resolved, "GET", "/readyz", "") {
            Ok(answer) => {
                return body_of(&answer)
                    .map(str::to_owned)
                    .map_err(|body| format!("the operator at {address} is not ready: {}", body.trim_end()));
            }
            Err(error) => last = format!("no operator answers at {address} ({resolved}): {error}"),
        }
    }
    Err(last)
}

/// The body of an answer: of a good one, or of any other.
fn body_of(answer: &str) -> Result<&str, &str> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    if head.starts_with("HTTP/1.1 200") { Ok(body) } else { Err(body) }
}

fn request(address: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
