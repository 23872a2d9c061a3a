//! One question to one runner, over plain HTTP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use nodeapp_contract::{LAST_EXIT_PAGE, LastExit, RunnerStatus};
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

/// A runner that is alive answers at once.
const PATIENCE: Duration = Duration::from_secs(2);
/// No page of a runner is longer. What answers there may be anything.
const LONGEST: usize = 64 * 1024;

/// The page `/status`.
pub(super) async fn status(runner: SocketAddr) -> io::Result<RunnerStatus> {
    get(runner, "/status").await
}

/// The last exit with its last lines, for who knows the key.
pub(super) async fn last_exit(runner: SocketAddr, key: &str) -> io::Result<Option<LastExit>> {
    get(runner, &format!("{LAST_EXIT_PAGE}{key}")).await
}

/// A page of JSON.
async fn get<T: DeserializeOwned>(runner: SocketAddr, path: &str) -> io::Result<T> {
    let answer = tokio::time::timeout(PATIENCE, exchange(runner, path));
    let answer = answer.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    if head.split(' ').nth(1) != Some("200") {
        return Err(io::Error::other(head.lines().next().unwrap_or_default().to_owned()));
    }
    serde_json::from_str(body).map_err(io::Error::from)
}

async fn exchange(runner: SocketAddr, path: &str) -> io::Result<String> {
    let stream = TcpStream::connect(runner).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {runner}\r\nconnection: close\r\n\r\n");
    let mut rest = request.as_bytes();
    while !rest.is_empty() {
        stream.writable().await?;
        rest = &rest[at_once(stream.try_write(rest))?.unwrap_or(0)..];
    }
    let (mut answer, mut chunk) = (Vec::new(), [0; 4 * 1024]);
    while answer.len() < LONGEST {
        stream.readable().await?;
        match at_once(stream.try_read(&mut chunk))? {
            Some(0) => break,
            Some(read) => answer.extend_from_slice(&chunk[..read]),
            None => {}
        }
    }
    String::from_utf8(answer).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Nothing if it is to be tried again.
fn at_once(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// The answer to one request, and what becomes of it.
    async fn answered(answer: &'static [u8]) -> io::Result<RunnerStatus> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await?;
            assert!(request[..read].starts_with(b"GET /status HTTP/1.1\r\n"));
            stream.write_all(answer).await
        });
        let status = status(address).await;
        // One that is cut off in its answer has a broken connection.
        let _ = server.await?;
        status
    }

    #[tokio::test]
    async fn a_runner_tells_its_restarts() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n\
            {\"state\":\"online\",\"ready\":true,\"restarts\":7,\"unknown\":1}\n";
        assert_eq!(answered(answer).await.unwrap().restarts, 7);
    }

    #[tokio::test]
    async fn what_is_no_answer_of_a_runner_is_an_error() {
        for answer in [
            b"HTTP/1.1 404 Not Found\r\n\r\n{}".as_slice(),
            b"HTTP/1.1 200 OK\r\n\r\n<html>",
            b"SSH-2.0-OpenSSH\r\n",
            b"\xff\xff",
            b"",
        ] {
            assert!(answered(answer).await.is_err(), "{answer:?}");
        }
    }
}
