//! A line as the kubelet gives it, and what it tells of itself.

use jiff::Timestamp;
use serde::Deserialize;

/// How the runner's own lines begin.
pub(crate) const RUNNER: &[u8] = b"nodeapp-runner: ";

/// A line of a container's log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// When the node's runtime took it.
    pub(crate) at: Timestamp,
    /// Without its end of line.
    pub(crate) text: &'a [u8],
}

impl<'a> Line<'a> {
    /// Splits the stamp off. None: these are words of the kubelet, such as that it cannot read the file.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        let space = bytes.iter().take(64).position(|byte| *byte == b' ')?;
        let stamp = std::str::from_utf8(&bytes[..space]).ok()?;
        Some(Self { at: stamp.parse().ok()?, text: &bytes[space + 1..] })
    }

    /// Who wrote it, as far as it says so.
    pub(crate) fn writer(&self) -> Writer {
        if self.text.starts_with(RUNNER) {
            return Writer::Runner;
        }
        match self.object().and_then(|object| object.kind) {
            Some("out") => Writer::Out,
            Some("err") => Writer::Err,
            _ => Writer::Unknown,
        }
    }

    /// The fields that the runner put into a JSON line, with `logType: json`.
    pub(crate) fn object(&self) -> Option<Object<'a>> {
        if self.text.first() != Some(&b'{') {
            return None;
        }
        let object: Object = serde_json::from_slice(self.text).ok()?;
        (object.kind.is_some() && object.app.is_some()).then_some(object)
    }
}

/// Who wrote a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    Out,
    Err,
    Runner,
    /// The cluster tells nobody which of the two streams a line came from.
    Unknown,
}

impl Writer {
    /// PM2's word for it, where there is one.
    pub(crate) fn word(self) -> Option<&'static str> {
        match self {
            Self::Out => Some("out"),
            Self::Err => Some("err"),
            Self::Runner => Some("runner"),
            Self::Unknown => None,
        }
    }
}

/// What the runner says about a JSON line.
#[derive(Debug, Deserialize)]
pub(crate) struct Object<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<&'a str>,
    #[serde(rename = "app_name", default)]
    app: Option<std::borrow::Cow<'a, str>>,
    /// The text, where the app wrote no JSON of its own.
    #[serde(default)]
    pub(crate) message: Option<std::borrow::Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line<'_> {
        Line::new(text.as_bytes()).expect("a stamped line")
    }

    #[test]
    fn a_stamp_may_be_in_any_zone_and_words_of_the_kubelet_have_none() {
        let utc = line("2026-11-23T22:15:03.123456789Z  two blanks");
        assert_eq!(utc.text, b" two blanks");
        assert_eq!(utc.at, line("2026-11-23T23:15:03.123456789+01:00 x").at);
        assert!(Line::new(b"unable to retrieve container logs for containerd://1").is_none());
        assert_eq!(line("2026-11-23T22:15:03Z ").text, b"");
    }

    #[test]
    fn json_lines_of_the_runner_tell_their_stream_and_others_do_not() {
        let of = |text: &str| line(&format!("2026-11-23T22:15:03Z {text}")).writer();
        assert_eq!(of(r#"{"message":"a \"b\"","type":"err","app_name":"web"}"#), Writer::Err);
        assert_eq!(of(r#"{"level":30,"type":"out"}"#), Writer::Unknown, "the app's own JSON");
        assert_eq!(of(r#"{"type":{"deep":1},"app_name":"web"}"#), Writer::Unknown);
        assert_eq!(of("nodeapp-runner: started node"), Writer::Runner);
        assert_eq!(of("plain"), Writer::Unknown);
    }
}
