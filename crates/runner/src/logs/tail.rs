//! The last lines of a process, for whoever asks why it ended; without credentials.
//!
//! Only whole lines are kept, so that no half of a credential is left over where the
//! room ends, and what is masked is masked before anything is cut.

use std::collections::VecDeque;
use std::os::unix::ffi::OsStrExt;

use nodeapp_contract::config::LogTail;
use nodeapp_contract::env::is_credential;

use crate::settings::Env;

/// What is kept of a stream.
const ROOM: usize = 4 * 1024;
/// What is shown of it.
const LINES: usize = 10;
const BYTES: usize = 2 * 1024;
/// What stands where a credential was.
const MASK: &[u8] = b"***";
/// A line of a credential of several lines is masked by itself if it is so long; a
/// shorter one is a brace or the like.
const LINE_OF_CREDENTIAL: usize = 8;
/// Variables that are no credentials, though nobody has said where they are from.
const WELL_KNOWN: [&str; 8] =
    ["PATH", "HOME", "HOSTNAME", "PWD", "PORT", "NODE_VERSION", "YARN_VERSION", "NODE_ENV"];

/// The last bytes of a stream.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    bytes: VecDeque<u8>,
    /// The first line is not whole.
    cut: bool,
}

impl Tail {
    /// Takes in what was read.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        let fresh = &chunk[chunk.len().saturating_sub(ROOM)..];
        let excess = (self.bytes.len() + fresh.len()).saturating_sub(ROOM);
        self.cut |= excess > 0 || fresh.len() < chunk.len();
        self.bytes.drain(..excess.min(self.bytes.len()));
        self.bytes.extend(fresh);
    }

    /// The last lines, masked; forgets them.
    pub(crate) fn take(&mut self, secrets: &[Vec<u8>]) -> Vec<String> {
        let bytes: Vec<u8> = std::mem::take(&mut self.bytes).into();
        let mut text = if std::mem::take(&mut self.cut) {
            bytes.iter().position(|byte| *byte == b'\n').map_or(vec![], |end| bytes[end + 1..].to_vec())
        } else {
            bytes
        };
        for secret in secrets {
            text = masked(&text, secret);
        }
        shown(&text)
    }
}

/// A plain search: there is little to search in, and this code is in every pod.
fn masked(mut text: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut masked = vec![];
    while let Some(at) = text.windows(secret.len()).position(|part| part == secret) {
        masked.extend_from_slice(&text[..at]);
        masked.extend_from_slice(MASK);
        text = &text[at + secret.len()..];
    }
    masked.extend_from_slice(text);
    masked
}

/// As many of the last lines as fit.
fn shown(text: &[u8]) -> Vec<String> {
    let mut room = BYTES;
    let mut lines: Vec<String> = vec![];
    for line in text.split(|byte| *byte == b'\n').rev() {
        let line = String::from_utf8_lossy(line);
        let mut clean: String = line.chars().filter(|c| *c == '\t' || !c.is_control()).collect();
        if clean.trim().is_empty() {
            continue;
        }
        let whole = clean.len() <= room;
        if !whole {
            let end = (0..=room).rev().find(|at| clean.is_char_boundary(*at)).unwrap_or(0);
            clean.truncate(end);
        }
        if whole || lines.is_empty() {
            room -= clean.len();
            lines.insert(0, clean);
        }
        if !whole || lines.len() == LINES {
            break;
        }
    }
    lines
}

/// The values that must not be shown, longest first, since one may hold another.
pub(crate) fn secrets(policy: &LogTail, vars: &Env) -> Vec<Vec<u8>> {
    let is_secret = |name: &str| {
        let from_whole = policy.secret_prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
        let known =
            WELL_KNOWN.contains(&name) || name.starts_with("NODEAPP_") || name.starts_with("KUBERNETES_");
        policy.secrets.iter().any(|secret| secret == name)
            || is_credential(name)
            || (from_whole && !known && !policy.plain.iter().any(|plain| plain == name))
    };
    let mut secrets: Vec<Vec<u8>> = vec![];
    let mut add = |secret: &[u8]| {
        // In its place at once: a sort would be more code.
        let at = secrets.iter().position(|known| known.len() <= secret.len()).unwrap_or(secrets.len());
        if !secret.is_empty() {
            secrets.insert(at, secret.to_vec());
        }
    };
    for (name, value) in vars {
        if name.to_str().is_none_or(is_secret) {
            let value = value.as_bytes();
            add(value);
            add(value.trim_ascii());
            for line in value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
                if line.len() >= LINE_OF_CREDENTIAL {
                    add(line);
                }
            }
        }
    }
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(chunks: &[&str], secrets: &[&str]) -> Vec<String> {
        let mut tail = Tail::default();
        for chunk in chunks {
            tail.push(chunk.as_bytes());
        }
        tail.take(&secrets.iter().map(|secret| secret.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    #[test]
    fn the_last_lines_are_kept_and_no_more_than_fit() {
        assert_eq!(tail(&["a\nb", "c\n\nd"], &[]), ["a", "bc", "d"]);
        let many: String = (0..40).fold(String::new(), |text, n| text + &format!("line {n}\n"));
        let shown = tail(&[&many], &[]);
        assert_eq!((shown.len(), shown[0].as_str(), shown[9].as_str()), (10, "line 30", "line 39"));
        let long = tail(&["first\n", &"x".repeat(3_000)], &[]);
        assert_eq!((long.len(), long[0].len()), (1, BYTES));
        assert_eq!(tail(&["\u{1b}[31mred\u{1b}[0m\n"], &[]), ["[31mred[0m"]);
    }

    #[test]
    fn a_line_that_is_not_whole_is_dropped_since_it_may_hold_half_a_credential() {
        let long = format!("hunter2{}\nError: no\n", "x".repeat(ROOM));
        assert_eq!(tail(&[&long], &["hunter2"]), ["Error: no"]);
        assert_eq!(tail(&["hunter", &"y".repeat(ROOM), "\nend\n"], &[]), ["end"]);
        assert!(tail(&[&"z".repeat(ROOM + 1)], &[]).is_empty());
    }

    #[test]
    fn credentials_are_masked_wherever_they_stand() {
        assert_eq!(
            tail(&["login with hun", "ter2 failed: hunter2\n"], &["hunter2"]),
            ["login with *** failed: ***"]
        );
        // One that stands across the place where a long line is cut.
        let edge = format!("{}hunter2", "x".repeat(BYTES - 3));
        assert!(!tail(&[&edge], &["hunter2"])[0].contains("hun"));
    }

    #[test]
    fn what_comes_from_a_secret_is_one_and_what_is_known_to_be_plain_is_none() {
        let policy = LogTail {
            key: "k".into(),
            secrets: vec!["STRIPE".into()],
            secret_prefixes: vec!["DB_".into()],
            plain: vec!["DB_HOST".into()],
        };
        let vars = [
            ("STRIPE", "sk_1"),
            ("DB_PASS", "p1"),
            ("DB_HOST", "db.internal"),
            ("API_TOKEN", "a-token-of-the-image"),
            ("LOG_LEVEL", "info"),
            ("CERT_PRIVATE_KEY", "-----BEGIN-----\nabcdefgh\n}\n"),
        ];
        let vars: Env = vars.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let secrets: Vec<_> =
            secrets(&policy, &vars).into_iter().map(|s| String::from_utf8(s).unwrap()).collect();
        for secret in ["sk_1", "p1", "a-token-of-the-image", "abcdefgh", "-----BEGIN-----\nabcdefgh\n}"] {
            assert!(secrets.iter().any(|known| known == secret), "{secret} is not in {secrets:?}");
        }
        for plain in ["db.internal", "info", "}"] {
            assert!(!secrets.iter().any(|known| known == plain), "{plain}");
        }
        assert!(secrets.is_sorted_by_key(|secret| std::cmp::Reverse(secret.len())));
    }
}
