//! Where the requests go.

use std::net::{SocketAddr, ToSocketAddrs};

/// A plain HTTP URL, taken apart, and where to find the token in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Host and port, as in the `Host` header.
    pub authority: String,
    /// Path with query.
    pub path: String,
    /// What tells one answer from another.
    pub token: Option<Token>,
}

/// Where the token of an answer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// In a header field.
    Header(String),
    /// In a top-level field of a JSON body.
    Json(String),
    /// It is the whole body.
    Body,
}

impl Target {
    /// Reads `http://host:port/path`.
    ///
    /// # Errors
    /// Says what is wrong with the URL.
    pub fn parse(url: &str, token: Option<Token>) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").ok_or_else(|| format!("{url}: want http://HOST:PORT/PATH"))?;
        let (host, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        if host.is_empty() {
            return Err(format!("{url}: no host; want http://HOST:PORT/PATH"));
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { host.to_owned() } else { format!("{host}:80") };
        Ok(Self { authority, path: path.to_owned(), token })
    }

    /// Looks the host up, once per run: the address of a Service is stable, and
    /// the name server is not what is measured.
    ///
    /// # Errors
    /// Names the host that has no address.
    pub fn resolve(&self) -> Result<SocketAddr, String> {
        let mut addresses =
            self.authority.to_socket_addrs().map_err(|error| format!("{}: {error}", self.authority))?;
        addresses.next().ok_or_else(|| format!("{}: no address", self.authority))
    }

    /// The bytes of one request.
    pub fn request(&self, keep: bool) -> Vec<u8> {
        let connection = if keep { "keep-alive" } else { "close" };
        format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: nodeapp-load\r\nConnection: {connection}\r\n\r\n",
            self.path, self.authority
        )
        .into_bytes()
    }
}

impl std::str::FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("header", name)) if !name.is_empty() => Ok(Self::Header(name.to_owned())),
            Some(("json", field)) if !field.is_empty() => Ok(Self::Json(field.to_owned())),
            None if text == "body" => Ok(Self::Body),
            _ => Err(format!("{text}: want header:NAME, json:FIELD or body")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let target = Target::parse("http://web.team.svc:3000/slow?ms=5", None).unwrap();
        assert_eq!((target.authority.as_str(), target.path.as_str()), ("web.team.svc:3000", "/slow?ms=5"));
        assert_eq!(Target::parse("http://web", None).unwrap().authority, "web:80");
    }

    #[test]
    fn other_urls_are_refused_with_the_right_form() {
        for url in ["https://web", "web:80/", "http:///x"] {
            assert!(Target::parse(url, None).unwrap_err().contains("http://HOST:PORT/PATH"), "{url}");
        }
    }

    #[test]
    fn a_token_has_three_notations() {
        assert_eq!("header:x-version".parse(), Ok(Token::Header("x-version".into())));
        assert_eq!("json:version".parse(), Ok(Token::Json("version".into())));
        assert_eq!("body".parse(), Ok(Token::Body));
        assert!("version".parse::<Token>().is_err());
    }
}
