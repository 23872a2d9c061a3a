//! The little of the inspector's protocol that is needed to find a process and to close its inspector.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// Time for an answer. A process that stands at a breakpoint answers too.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer that is looked at.
const LONGEST: u64 = 64 * 1024;

/// The id of the process, if an inspector listens at the end of this connection.
pub(super) async fn target(connection: impl AsyncRead + AsyncWrite + Unpin, port: u16) -> Option<String> {
    let answer = timeout(PATIENCE, get(connection, port, "/json/list")).await.ok()??;
    let list: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
    Some(list.get(0)?.get("id")?.as_str()?.to_owned())
}

async fn get(mut connection: impl AsyncRead + AsyncWrite + Unpin, port: u16, path: &str) -> Option<String> {
    let ask = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    connection.write_all(ask.as_bytes()).await.ok()?;
    let mut answer = vec![];
    let mut buffer = [0; 4096];
    // It may keep the connection open whatever was asked for.
    while !is_whole(&answer) && (answer.len() as u64) < LONGEST {
        match connection.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
        }
    }
    String::from_utf8(answer).ok()
}

/// Whether the body is as long as the head says.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| answer.len() - end - 4 >= length)
}

/// Has the process close its inspector shortly after this connection has ended.
pub(super) async fn close(
    mut connection: impl AsyncRead + AsyncWrite + Unpin,
    port: u16,
    target: &str,
) -> Result<(), String> {
    let expression =
        "setTimeout(() => (process.getBuiltinModule ?? require)('node:inspector').close(), 300); 'closing'";
    let order = json!({
        "id": 1,
        "method": "Runtime.evaluate",
        "params": {"expression": expression, "includeCommandLineAPI": true, "returnByValue": true},
    });
    let talk = async {
        let ask = format!(
            "GET /{target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: bm9kZWFwcCBpbnNwZWN0IQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        connection.write_all(ask.as_bytes()).await?;
        let (mut answer, mut buffer) = (vec![], [0; 4096]);
        // What comes with the request is lost.
        while !contains(&answer, b"\r\n\r\n") && (answer.len() as u64) < LONGEST {
            match connection.read(&mut buffer).await? {
                0 => return Ok(answer),
                count => answer.extend_from_slice(&buffer[..count]),
            }
        }
        connection.write_all(&frame(order.to_string().as_bytes())).await?;
        // One short frame after the head says what became of it.
        while !contains(&answer, b"\"id\":1") && (answer.len() as u64) < LONGEST {
            match connection.read(&mut buffer).await? {
                0 => break,
                count => answer.extend_from_slice(&buffer[..count]),
            }
        }
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(PATIENCE, talk).await.map_err(|_| "the process does not answer".to_owned())?;
    let answer = answer.map_err(|error| format!("the connection broke: {error}"))?;
    if contains(&answer, b"closing") {
        return Ok(());
    }
    Err("the process does not take the order".to_owned())
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// A message of text as a client sends it. The mask is for proxies, of which there are none here.
fn frame(text: &[u8]) -> Vec<u8> {
    const FINAL_TEXT: u8 = 0x81;
    const MASKED: u8 = 0x80;
    const TWO_BYTES_FOLLOW: u8 = 0x7e;
    let mut frame = vec![FINAL_TEXT];
    match u16::try_from(text.len()) {
        Ok(length) if length < 126 => frame.push(MASKED | length.to_be_bytes()[1]),
        length => {
            frame.push(MASKED | TWO_BYTES_FOLLOW);
            frame.extend(length.unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text.iter().take(usize::from(u16::MAX)));
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_body_is_as_long_as_told() {
        let answer = b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert!(is_whole(answer) && !is_whole(&answer[..answer.len() - 1]) && !is_whole(&answer[..20]));
    }

    #[test]
    fn frames_have_the_length_that_their_form_asks_for() {
        assert_eq!(frame(b"hi"), [&[0x81, 0x82, 0, 0, 0, 0][..], b"hi"].concat());
        let long = frame(&[b'x'; 300]);
        assert_eq!((&long[..8], long.len()), (&[0x81, 0xfe, 1, 44, 0, 0, 0, 0][..], 308));
    }
}
