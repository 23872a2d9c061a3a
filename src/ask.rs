//! The command line's way to an operator that runs: a request to its own address,
//! from inside its pod.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// What is logged, after it was set to `filter` if one is given.
///
/// # Errors
/// When no operator answers at this address, or it refuses the filter.
pub fn log_level(address: SocketAddr, filter: Option<&str>) -> Result<String, String> {
    let asked = match filter {
        Some(filter) => request(address, "PUT", filter),
        None => request(address, "GET", ""),
    };
    let answer = asked.map_err(|error| format!("no operator answers at {address}: {error}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.starts_with("HTTP/1.1 200") { Ok(body.to_owned()) } else { Err(body.trim_end().to_owned()) }
}

fn request(address: SocketAddr, method: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} /log-level HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
