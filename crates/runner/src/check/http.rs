//! A request of HTTP/1.1.

use std::fmt::Write as _;

use super::Outcome;

/// The status line fits in here; more is not read.
const MAX_HEAD: usize = 1024;

/// The request of a check.
pub(super) fn request(port: u16, path: &str, headers: &[(String, String)]) -> Vec<u8> {
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
pub(super) fn verdict(head: &[u8]) -> Option<Outcome> {
    let mut headers = [httparse::EMPTY_HEADER; 0];
    let mut response = httparse::Response::new(&mut headers);
    // It stops at the first header for want of room, which is far enough.
    let _ = response.parse(head);
    match response.code {
        Some(200..400) => Some(Ok(())),
        Some(code) => Some(Err(format!("it answers with status {code}"))),
        None if head.len() >= MAX_HEAD || head.contains(&b'\n') => {
            Some(Err("its answer is no HTTP/1.1".to_owned()))
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_may_come_in_pieces_and_garbage_fails() {
        let garbage = Some(Err("its answer is no HTTP/1.1".to_owned()));
        assert_eq!(verdict(b"HTTP/1.1 20"), None);
        assert_eq!(verdict(b"HTTP/1.1 204 No Content\r\nServer: x\r\n"), Some(Ok(())));
        assert_eq!(verdict(b"SSH-2.0-OpenSSH\r\n"), garbage.clone());
        assert_eq!(verdict(&[b'x'; MAX_HEAD]), garbage);
    }
}
