//! Reading one HTTP/1.1 response.

use crate::target::Token;

const MAX_HEADERS: usize = 64;
const MAX_TOKEN: usize = 80;

/// How far a response has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    Partial,
    /// It is complete.
    Complete(Answer),
    /// It is none.
    Malformed(String),
}

/// A complete response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Whether the server keeps the connection.
    pub keep: bool,
    /// The token that was asked for.
    pub token: Option<String>,
    /// Bytes of the response; what follows belongs to nobody.
    pub length: usize,
}

/// Looks at all bytes received so far; `closed` says that no more will come.
pub fn parse(bytes: &[u8], closed: bool, token: Option<&Token>) -> Progress {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Progress::Partial,
        Err(error) => return Progress::Malformed(error.to_string()),
    };
    let find = |name: &str| {
        let field = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        field.map(|field| String::from_utf8_lossy(field.value).trim().to_owned())
    };
    let rest = bytes.get(head..).unwrap_or_default();
    let body =
        match body(rest, closed, find("transfer-encoding").as_deref(), find("content-length").as_deref()) {
            Ok(Some(body)) => body,
            Ok(None) => return Progress::Partial,
            Err(problem) => return Progress::Malformed(problem),
        };
    let keep = !body.until_close
        && response.version == Some(1)
        && !find("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let found = token.and_then(|token| match token {
        Token::Header(name) => find(name),
        Token::Json(field) => json_field(&body.content, field),
        Token::Body => Some(String::from_utf8_lossy(&body.content).trim().to_owned()),
    });
    Progress::Complete(Answer {
        status: response.code.unwrap_or(0),
        keep,
        token: found.map(|token| token.chars().take(MAX_TOKEN).collect()),
        length: head + body.length,
    })
}

struct Body {
    content: Vec<u8>,
    length: usize,
    until_close: bool,
}

fn body(
    rest: &[u8],
    closed: bool,
    encoding: Option<&str>,
    length: Option<&str>,
) -> Result<Option<Body>, String> {
    if encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case("chunked")) {
        return chunked(rest);
    }
    if let Some(length) = length {
        let length: usize = length.parse().map_err(|_| format!("content-length: {length}"))?;
        return Ok(rest.get(..length).map(|content| Body {
            content: content.to_vec(),
            length,
            until_close: false,
        }));
    }
    // Without a length the close of the connection is the end of the body.
    let whole = Body { content: rest.to_vec(), length: rest.len(), until_close: true };
    Ok(closed.then_some(whole))
}

fn chunked(rest: &[u8]) -> Result<Option<Body>, String> {
    let mut content = Vec::new();
    let mut at = 0;
    loop {
        let slice = rest.get(at..).unwrap_or_default();
        let (line, size) = match httparse::parse_chunk_size(slice) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err("bad chunk size".to_owned()),
        };
        let size = usize::try_from(size).map_err(|_| "chunk too long".to_owned())?;
        let end = at + line + size;
        // Two more bytes: the line end after the data. Node.js sends no trailers.
        if rest.len() < end + 2 {
            return Ok(None);
        }
        content.extend_from_slice(rest.get(at + line..end).unwrap_or_default());
        at = end + 2;
        if size == 0 {
            return Ok(Some(Body { content, length: at, until_close: false }));
        }
    }
}

fn json_field(body: &[u8], field: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    match value.get(field)? {
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(bytes: &[u8], closed: bool, token: Option<&Token>) -> Answer {
        match parse(bytes, closed, token) {
            Progress::Complete(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_response_with_a_length_ends_there() {
        let bytes = b"HTTP/1.1 200 OK\r\nX-Version: v2\r\nContent-Length: 2\r\n\r\nokHTTP";
        let answer = complete(bytes, false, Some(&Token::Header("x-version".into())));
        assert!(answer.keep);
        assert_eq!(answer.token.as_deref(), Some("v2"));
        assert_eq!(answer.length, bytes.len() - 4);
        assert_eq!(parse(&bytes[..bytes.len() - 5], false, None), Progress::Partial);
    }

    #[test]
    fn chunks_are_put_together() {
        let bytes =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{\"v\":\"\r\n3\r\na\"}\r\n0\r\n\r\n";
        let answer = complete(bytes, false, Some(&Token::Json("v".into())));
        assert_eq!(answer.token.as_deref(), Some("a"));
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut], false, None), Progress::Partial, "cut at {cut}");
        }
    }

    #[test]
    fn a_server_that_closes_is_not_asked_again() {
        let bytes = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        assert!(!complete(bytes, false, None).keep);
        let bytes = b"HTTP/1.1 200 OK\r\n\r\nto the end";
        assert_eq!(parse(bytes, false, None), Progress::Partial);
        let answer = complete(bytes, true, Some(&Token::Body));
        assert!(!answer.keep);
        assert_eq!(answer.token.as_deref(), Some("to the end"));
    }

    #[test]
    fn garbage_is_malformed() {
        assert!(matches!(parse(b"SSH-2.0\r\n", false, None), Progress::Malformed(_)));
    }
}
