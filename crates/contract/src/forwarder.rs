//! What the operator tells the forwarder: its arguments, and where files lie.
//!
//! Everything goes by arguments, nothing by the environment, and no credential
//! by either: user name, password, certificates and key are files of a mounted
//! Secret, read anew for each connection.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Port on `127.0.0.1` and `[::1]` that the app finds its Redis at.
pub const PORT: u16 = 6379;
/// The executable in the forwarder's image. Its arguments are
/// [`Forwarder::args`], or [`WAIT`] for the hook that holds the app's start back
/// until the port is there.
pub const PROGRAM: &str = "/nodeapp-forwarder";
/// Argument that makes the program wait, at most 10 s, until a forwarder listens
/// in this pod: the container's `postStart` hook. It connects nowhere.
pub const WAIT: &str = "wait";

/// Mount path of the Secret with user name and password.
pub const CREDENTIALS_DIR: &str = "/nodeapp/redis/credentials";
/// File with the password; one line break at its end is left out.
pub const PASSWORD_FILE: &str = "/nodeapp/redis/credentials/password";
/// File with the name of an ACL user; the user `default` when there is none.
pub const USERNAME_FILE: &str = "/nodeapp/redis/credentials/username";
/// Mount path of the Secret with what TLS needs, under the names that a Secret
/// of the type `kubernetes.io/tls` has.
pub const TLS_DIR: &str = "/nodeapp/redis/tls";
/// Certificates of the authorities that may have signed Redis' certificate, in PEM.
pub const CA_FILE: &str = "/nodeapp/redis/tls/ca.crt";
/// The client's certificate and its chain, in PEM.
pub const CERT_FILE: &str = "/nodeapp/redis/tls/tls.crt";
/// Key of the client's certificate, in PEM.
pub const KEY_FILE: &str = "/nodeapp/redis/tls/tls.key";

/// Unless told otherwise: for the name and the TCP connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Unless told otherwise: how long connections that are open at SIGTERM may go on.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Unless told otherwise: connections at a time.
pub const MAX_CONNECTIONS: u32 = 512;

const UPSTREAM: &str = "--upstream";
const LISTEN_PORT: &str = "--listen-port";
const PASSWORD: &str = "--password-file";
const USERNAME: &str = "--username-file";
const TLS: &str = "--tls";
const TLS_CA: &str = "--tls-ca-file";
const TLS_NAME: &str = "--tls-server-name";
const TLS_CERT: &str = "--tls-cert-file";
const TLS_KEY: &str = "--tls-key-file";
const CONNECT: &str = "--connect-timeout";
const DRAIN: &str = "--drain-timeout";
const MOST: &str = "--max-connections";

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or IP address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// TLS to Redis; certificates are always verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM file with the authorities; the roots of Mozilla's programme when absent.
    pub ca_file: Option<String>,
    /// Name in Redis' certificate; the host of the upstream when absent.
    pub server_name: Option<String>,
    /// PEM file with the client's certificate; together with `key_file`.
    pub cert_file: Option<String>,
    /// PEM file with the key of that certificate.
    pub key_file: Option<String>,
}

/// All that a forwarder is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarder {
    /// The app's Redis; the name is resolved for each connection.
    pub upstream: Address,
    /// Port to listen on; 0 takes any free one.
    pub listen_port: u16,
    /// File with the password; no AUTH is sent when absent.
    pub password_file: Option<String>,
    /// File with the user name; together with `password_file`.
    pub username_file: Option<String>,
    /// TLS instead of plain TCP.
    pub tls: Option<Tls>,
    /// Time for the name and the TCP connection.
    pub connect_timeout: Duration,
    /// Time from SIGTERM to the end, where connections remain open.
    pub drain_timeout: Duration,
    /// Connections at a time; one more is refused with Redis' own words.
    pub max_connections: u32,
}

impl Forwarder {
    /// Plain TCP to that address, without credentials.
    pub fn to(upstream: Address) -> Self {
        Self {
            upstream,
            listen_port: PORT,
            password_file: None,
            username_file: None,
            tls: None,
            connect_timeout: CONNECT_TIMEOUT,
            drain_timeout: DRAIN_TIMEOUT,
            max_connections: MAX_CONNECTIONS,
        }
    }

    /// The arguments of the container: `run` and what is not the default, in a stable order.
    pub fn args(&self) -> Vec<String> {
        let mut args = vec!["run".to_owned(), format!("{UPSTREAM}={}", self.upstream)];
        let mut add = |name: &str, value: Option<String>| {
            args.extend(value.map(|value| format!("{name}={value}")));
        };
        add(LISTEN_PORT, (self.listen_port != PORT).then(|| self.listen_port.to_string()));
        add(USERNAME, self.username_file.clone());
        add(PASSWORD, self.password_file.clone());
        add(CONNECT, (self.connect_timeout != CONNECT_TIMEOUT).then(|| shown(self.connect_timeout)));
        add(DRAIN, (self.drain_timeout != DRAIN_TIMEOUT).then(|| shown(self.drain_timeout)));
        add(MOST, (self.max_connections != MAX_CONNECTIONS).then(|| self.max_connections.to_string()));
        if let Some(tls) = &self.tls {
            add(TLS_CA, tls.ca_file.clone());
            add(TLS_NAME, tls.server_name.clone());
            add(TLS_CERT, tls.cert_file.clone());
            add(TLS_KEY, tls.key_file.clone());
            args.push(TLS.to_owned());
        }
        args
    }

    /// Reads the arguments behind `run`.
    ///
    /// # Errors
    /// Says which argument is wrong and what would be right.
    pub fn parse<S: AsRef<str>>(args: &[S]) -> Result<Self, String> {
        let mut given = Given::read(args)?;
        let upstream = given.take(UPSTREAM).ok_or(format!("{UPSTREAM}=HOST:PORT is missing"))?;
        let mut forwarder = Self::to(upstream.parse().map_err(|problem| format!("{UPSTREAM}: {problem}"))?);
        let seconds = |name: &str, text: Option<String>, default| {
            text.map_or(Ok(default), |text| time(&text).map_err(|problem| format!("{name}: {problem}")))
        };
        forwarder.listen_port = number(LISTEN_PORT, given.take(LISTEN_PORT), PORT)?;
        forwarder.username_file = given.take(USERNAME);
        forwarder.password_file = given.take(PASSWORD);
        forwarder.connect_timeout = seconds(CONNECT, given.take(CONNECT), CONNECT_TIMEOUT)?;
        forwarder.drain_timeout = seconds(DRAIN, given.take(DRAIN), DRAIN_TIMEOUT)?;
        forwarder.max_connections = number(MOST, given.take(MOST), MAX_CONNECTIONS)?;
        forwarder.tls = given.tls()?;
        forwarder.check()?;
        Ok(forwarder)
    }

    fn check(&self) -> Result<(), String> {
        if self.username_file.is_some() && self.password_file.is_none() {
            return Err(format!("{USERNAME} needs {PASSWORD} beside it"));
        }
        if self.max_connections == 0 {
            return Err(format!("{MOST} is 0; at least 1 is needed"));
        }
        if self.connect_timeout.is_zero() {
            return Err(format!("{CONNECT} is 0; give the time a connection may take, such as 5s"));
        }
        Ok(())
    }
}

/// Options with their values, each once.
struct Given(Vec<(String, Option<String>)>);

impl Given {
    fn read<S: AsRef<str>>(args: &[S]) -> Result<Self, String> {
        let known = [UPSTREAM, LISTEN_PORT, PASSWORD, USERNAME, TLS, TLS_CA, TLS_NAME, TLS_CERT, TLS_KEY]
            .into_iter()
            .chain([CONNECT, DRAIN, MOST]);
        let mut given = Self(vec![]);
        let mut rest = args.iter().map(AsRef::as_ref);
        while let Some(arg) = rest.next() {
            let (name, mut value) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (arg, None),
            };
            if !known.clone().any(|known| known == name) {
                return Err(format!("there is no option {name}"));
            }
            if given.0.iter().any(|(other, _)| other == name) {
                return Err(format!("{name} is given twice"));
            }
            if name != TLS {
                value = value.or_else(|| rest.next());
                if value.is_none_or(str::is_empty) {
                    return Err(format!("{name} needs a value"));
                }
            } else if value.is_some() {
                return Err(format!("{TLS} takes no value; leave it out for plain TCP"));
            }
            given.0.push((name.to_owned(), value.map(str::to_owned)));
        }
        Ok(given)
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(other, _)| other == name)?;
        self.0.swap_remove(at).1
    }

    fn tls(&mut self) -> Result<Option<Tls>, String> {
        let wanted = self.0.iter().any(|(name, _)| name == TLS);
        let part = [TLS_CA, TLS_NAME, TLS_CERT, TLS_KEY]
            .into_iter()
            .find(|part| self.0.iter().any(|(name, _)| name == part));
        if let (false, Some(part)) = (wanted, part) {
            return Err(format!("{part} needs {TLS} beside it"));
        }
        let tls = Tls {
            ca_file: self.take(TLS_CA),
            server_name: self.take(TLS_NAME),
            cert_file: self.take(TLS_CERT),
            key_file: self.take(TLS_KEY),
        };
        if tls.cert_file.is_some() != tls.key_file.is_some() {
            return Err(format!("{TLS_CERT} and {TLS_KEY} go together"));
        }
        Ok(wanted.then_some(tls))
    }
}

fn number<N: FromStr>(name: &str, text: Option<String>, default: N) -> Result<N, String> {
    text.map_or(Ok(default), |text| text.parse().map_err(|_| format!("{name}: {text} is no number for it")))
}

/// `5s`, `500ms`.
fn time(text: &str) -> Result<Duration, String> {
    let (digits, milliseconds) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => (text.strip_suffix('s').unwrap_or_default(), 1_000),
    };
    let count = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(milliseconds));
    count.map(Duration::from_millis).ok_or_else(|| format!("{text} is no time such as 5s or 500ms"))
}

fn shown(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{}s", time.as_secs()),
        _ => format!("{}ms", time.as_millis()),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl FromStr for Address {
    type Err = String;

    /// `HOST:PORT`, with brackets around an IPv6 address.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is not HOST:PORT, such as redis.shop:6379 or [2001:db8::1]:6379");
        if text.contains("://") {
            return Err(format!("{text} is a URL; give HOST:PORT, such as redis.shop:6379"));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match inner {
            Some(address) if address.parse::<std::net::Ipv6Addr>().is_ok() => address,
            Some(_) => return Err(wrong()),
            None => host,
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let named = !host.is_empty() && host.len() <= 253 && host.chars().all(fits);
        match port.parse() {
            Ok(port) if port > 0 && (named || inner.is_some()) => Ok(Self { host: host.to_owned(), port }),
            _ => Err(wrong()),
        }
    }
}

/// Whether a certificate can have this name: an IP address, or a DNS name without a port. A forwarder
/// that is told another one refuses to start.
pub fn is_certificate_name(name: &str) -> bool {
    if name.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    let mut labels = name.strip_suffix('.').unwrap_or(name).split('.');
    let is_label = |label: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=63).contains(&label.len())
            && label.bytes().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // What ends in a number is an IP address, or a mistake in one.
    let is_number = |label: &str| {
        let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
        hexadecimal.map_or_else(
            || label.bytes().all(|byte| byte.is_ascii_digit()),
            |digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        )
    };
    name.len() <= 253
        && labels.clone().all(is_label)
        && labels.next_back().is_some_and(|last| !is_number(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redis() -> Address {
        Address { host: "redis.shop".into(), port: 6379 }
    }

    #[test]
    fn what_the_operator_writes_the_forwarder_reads() {
        let plain = Forwarder::to(redis());
        assert_eq!(plain.args(), ["run", "--upstream=redis.shop:6379"]);
        let full = Forwarder {
            upstream: Address { host: "2001:db8::1".into(), port: 6380 },
            listen_port: 0,
            password_file: Some(PASSWORD_FILE.into()),
            username_file: Some(USERNAME_FILE.into()),
            tls: Some(Tls {
                ca_file: Some(CA_FILE.into()),
                server_name: Some("redis.example".into()),
                cert_file: Some(CERT_FILE.into()),
                key_file: Some(KEY_FILE.into()),
            }),
            connect_timeout: Duration::from_millis(1_500),
            drain_timeout: Duration::ZERO,
            max_connections: 7,
        };
        let bare_tls = Forwarder { tls: Some(Tls::default()), ..plain.clone() };
        for forwarder in [plain, full, bare_tls] {
            let args = forwarder.args();
            assert_eq!(Forwarder::parse(&args[1..]), Ok(forwarder));
        }
    }

    #[test]
    fn a_value_may_stand_in_an_argument_of_its_own() {
        let read = Forwarder::parse(&["--upstream", "redis.shop:6379", "--drain-timeout", "9s"]).unwrap();
        assert_eq!(read, Forwarder { drain_timeout: Duration::from_secs(9), ..Forwarder::to(redis()) });
    }

    #[test]
    fn a_wrong_argument_is_named_with_what_would_be_right() {
        for (args, part) in [
            (vec![], "--upstream=HOST:PORT is missing"),
            (vec!["--upstream"], "needs a value"),
            (vec!["--upstream="], "needs a value"),
            (vec!["--upstream=redis"], "is not HOST:PORT"),
            (vec!["--upstream=redis:0"], "is not HOST:PORT"),
            (vec!["--upstream=:1"], "is not HOST:PORT"),
            (vec!["--upstream=::1:6379"], "is not HOST:PORT"),
            (vec!["--upstream=[redis]:6379"], "is not HOST:PORT"),
            (vec!["--upstream=redis://r:1"], "is a URL"),
            (vec!["--upstream=r:1", "--upstream=r:1"], "given twice"),
            (vec!["--upstream=r:1", "--password=x"], "no option --password"),
            (vec!["--upstream=r:1", "--username-file=u"], "needs --password-file"),
            (vec!["--upstream=r:1", "--tls=no"], "takes no value"),
            (vec!["--upstream=r:1", "--tls-ca-file=c"], "--tls-ca-file needs --tls"),
            (vec!["--upstream=r:1", "--tls", "--tls-key-file=k"], "go together"),
            (vec!["--upstream=r:1", "--drain-timeout=5"], "no time such as"),
            (vec!["--upstream=r:1", "--drain-timeout=18446744073709551615s"], "no time such as"),
            (vec!["--upstream=r:1", "--connect-timeout=0s"], "--connect-timeout is 0"),
            (vec!["--upstream=r:1", "--listen-port=65536"], "no number"),
            (vec!["--upstream=r:1", "--max-connections=0"], "at least 1"),
        ] {
            let problem = Forwarder::parse(&args).unwrap_err();
            assert!(problem.contains(part), "{args:?}: {problem}");
        }
    }
}
