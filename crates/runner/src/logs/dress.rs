//! What a line looks like: bare, behind a date and a tag, or as JSON.

use nodeapp_contract::Zone;
use nodeapp_contract::config::{LogFormat, LogPolicy};

use super::Kind;
use super::date::{DateFormat, Stamp};
use super::json::{self, Field};

/// So much is dressed before it is written; lines may grow a hundredfold.
const RUN: usize = 128 * 1024;

/// Whose lines these are.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) app: String,
    /// Name of the pod.
    pub(super) instance: String,
    pub(super) kind: Kind,
}

/// Where a piece of output stands in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// It begins with the begin of a line.
    pub(super) starts: bool,
    /// It ends with the end of a line.
    pub(super) whole: bool,
}

impl Piece {
    /// Lines, one or several.
    pub(super) const LINES: Self = Self { starts: true, whole: true };
}

#[derive(Debug)]
enum Style {
    Bare,
    /// Date, if there is one, and whether there is a tag.
    Lead(Option<Stamp>, bool),
    Json(Stamp),
}

/// Dresses the lines of one stream.
#[derive(Debug)]
pub(super) struct Dress {
    style: Style,
    origin: Origin,
    pid: u32,
    pid_is_new: bool,
    /// In front of a plain line.
    lead: Vec<u8>,
    /// In JSON, what is added to an object.
    fields: Vec<Field>,
    /// The same, from the message's last quote to the end of the line.
    tail: Vec<u8>,
    out: Vec<u8>,
}

impl Dress {
    pub(super) fn new(policy: &LogPolicy, zone: &Zone, origin: Origin) -> Self {
        let date = policy.date_format.as_ref().filter(|format| !format.is_empty());
        let date = date.map(|format| DateFormat::new(format, zone.clone()));
        let style = match policy.format {
            LogFormat::Json => Style::Json(Stamp::new(date.unwrap_or_else(DateFormat::iso))),
            LogFormat::Raw if date.is_none() && !policy.tag => Style::Bare,
            LogFormat::Raw => Style::Lead(date.map(Stamp::new), policy.tag),
        };
        let (lead, fields, tail, out) = (vec![], vec![], vec![], vec![]);
        Self { style, origin, pid: 0, pid_is_new: true, lead, fields, tail, out }
    }

    /// Whether lines go as they are.
    pub(super) fn is_bare(&self) -> bool {
        matches!(self.style, Style::Bare)
    }

    pub(super) fn is_json(&self) -> bool {
        matches!(self.style, Style::Json(_))
    }

    /// The process that writes from now on.
    pub(super) fn written_by(&mut self, pid: u32) {
        self.pid = pid;
        self.pid_is_new = true;
    }

    /// Dresses what was read at a time in milliseconds since the epoch.
    pub(super) fn dress(
        &mut self,
        bytes: &[u8],
        piece: Piece,
        millis: u64,
        mut sink: impl FnMut(&[u8], Piece),
    ) {
        if matches!(self.style, Style::Bare) {
            return sink(bytes, piece);
        }
        self.refresh(millis);
        match &self.style {
            Style::Json(_) => self.objects(bytes, piece, sink),
            _ if piece.starts => {
                let Self { lead, out, .. } = self;
                let mut first = true;
                for line in lines(bytes) {
                    if out.len() + lead.len() + line.len() > RUN && !first {
                        sink(out, Piece::LINES);
                        out.clear();
                    }
                    first = false;
                    out.extend_from_slice(lead);
                    out.extend_from_slice(line);
                }
                sink(out, piece);
                self.rest();
            }
            _ => sink(bytes, piece),
        }
    }

    fn objects(&mut self, bytes: &[u8], piece: Piece, mut sink: impl FnMut(&[u8], Piece)) {
        let Self { fields, tail, out, .. } = self;
        // For all lines at once where they are valid, which is fast.
        let valid = std::str::from_utf8(bytes).is_ok();
        for line in lines(bytes) {
            if out.len() > RUN {
                sink(out, Piece::LINES);
                out.clear();
            }
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            // An object that came in pieces cannot be told from text.
            if piece == Piece::LINES
                && begins_object(line)
                && std::str::from_utf8(line).is_ok_and(|line| json::add_fields(line, fields, out))
            {
                out.push(b'\n');
                continue;
            }
            let line = line.strip_suffix(b"\r").filter(|_| piece.whole).unwrap_or(line);
            out.extend_from_slice(b"{\"message\":\"");
            match std::str::from_utf8(if valid { line } else { b"" }) {
                Ok(line) if valid => json::escape_valid(line, out),
                _ => json::escape(line, out),
            }
            if piece.whole {
                out.extend_from_slice(tail);
            } else {
                out.extend_from_slice(&tail[..tail.len() - 2]);
                out.extend_from_slice(b",\"partial\":true}\n");
            }
        }
        sink(out, Piece::LINES);
        self.rest();
    }

    /// What is left over of a line that had grown is given back.
    fn rest(&mut self) {
        self.out.clear();
        self.out.shrink_to(2 * RUN);
    }

    /// Makes what goes with each line anew if the date or the process is another.
    fn refresh(&mut self, millis: u64) {
        let pid_is_new = std::mem::take(&mut self.pid_is_new);
        let stamp = match &mut self.style {
            Style::Bare => return,
            Style::Lead(stamp, _) => stamp.as_mut(),
            Style::Json(stamp) => Some(stamp),
        };
        if stamp.is_some_and(|stamp| stamp.turns(millis)) || pid_is_new {
            match &self.style {
                Style::Bare => {}
                Style::Lead(..) => self.lead(millis),
                Style::Json(stamp) => {
                    self.fields = fields(&self.origin, self.pid, stamp, millis);
                    self.tail = b"\"".to_vec();
                    for field in &self.fields {
                        self.tail.push(b',');
                        field.write(&mut self.tail);
                    }
                    self.tail.extend_from_slice(b"}\n");
                }
            }
        }
    }

    fn lead(&mut self, millis: u64) {
        let Style::Lead(stamp, tag) = &self.style else { return };
        self.lead.clear();
        if let Some(stamp) = stamp {
            stamp.write(millis, &mut self.lead);
            self.lead.extend_from_slice(b": ");
        }
        if *tag {
            self.lead.extend_from_slice(format!("{}|{} | ", self.origin.instance, self.pid).as_bytes());
        }
    }
}

/// Each with its end, if it has one.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut from = 0;
    let ends = memchr::memchr_iter(b'\n', bytes).map(|at| at + 1);
    ends.chain((!bytes.ends_with(b"\n")).then_some(bytes.len())).map(move |end| {
        let line = &bytes[from..end];
        from = end;
        line
    })
}

fn begins_object(line: &[u8]) -> bool {
    line.iter().find(|byte| !matches!(byte, b' ' | b'\t')) == Some(&b'{')
}

/// PM2's fields, and three of ours.
fn fields(origin: &Origin, pid: u32, stamp: &Stamp, millis: u64) -> Vec<Field> {
    let text = |text: &str| serde_json::Value::from(text).to_string().into_bytes();
    let (kind, stream) = match origin.kind {
        Kind::Out => ("out", "stdout"),
        Kind::Error => ("err", "stderr"),
    };
    let mut timestamp = vec![];
    stamp.write_json(millis, &mut timestamp);
    vec![
        Field { name: "timestamp", value: timestamp },
        Field { name: "type", value: text(kind) },
        Field { name: "process_id", value: b"0".to_vec() },
        Field { name: "app_name", value: text(&origin.app) },
        Field { name: "pid", value: pid.to_string().into_bytes() },
        Field { name: "instance", value: text(&origin.instance) },
        Field { name: "stream", value: text(stream) },
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const AT: u64 = 1_795_420_892_007;

    fn dress(policy: &LogPolicy) -> Dress {
        let origin = Origin { app: "web".into(), instance: "web-x".into(), kind: Kind::Error };
        let mut dress = Dress::new(policy, &Zone::UTC, origin);
        dress.written_by(17);
        dress
    }

    fn dressed(policy: &LogPolicy, bytes: &[u8], piece: Piece) -> Vec<u8> {
        let mut all = vec![];
        dress(policy).dress(bytes, piece, AT, |bytes, _| all.extend_from_slice(bytes));
        all
    }

    fn policy(format: LogFormat, date: Option<&str>, tag: bool) -> LogPolicy {
        LogPolicy { format, date_format: date.map(str::to_owned), tag, time_zone: None }
    }

    #[test]
    fn each_line_gets_pm2s_date_and_the_tag() {
        for (date, tag, expected) in [
            (None, false, "one\n\ntwo\n"),
            (Some("HH:mm:ss"), false, "08:01:32: one\n08:01:32: \n08:01:32: two\n"),
            (None, true, "web-x|17 | one\nweb-x|17 | \nweb-x|17 | two\n"),
            (Some("YYYY"), true, "2026: web-x|17 | one\n2026: web-x|17 | \n2026: web-x|17 | two\n"),
        ] {
            let policy = policy(LogFormat::Raw, date, tag);
            let seen = dressed(&policy, b"one\n\ntwo\n", Piece::LINES);
            assert_eq!(String::from_utf8(seen).unwrap(), expected);
        }
        let policy = policy(LogFormat::Raw, Some("YYYY"), false);
        let later = Piece { starts: false, whole: true };
        assert_eq!(dressed(&policy, b"the rest\n", later), b"the rest\n", "in the middle of a line");
    }

    #[test]
    fn a_json_line_has_pm2s_fields_and_where_it_comes_from() {
        let seen = dressed(&policy(LogFormat::Json, None, false), b"say \"hi\"\r\n", Piece::LINES);
        assert_eq!(
            String::from_utf8(seen).unwrap(),
            "{\"message\":\"say \\\"hi\\\"\",\"timestamp\":\"2026-11-23T08:01:32.007Z\",\"type\":\"err\",\
             \"process_id\":0,\"app_name\":\"web\",\"pid\":17,\"instance\":\"web-x\",\"stream\":\"stderr\"}\n"
        );
        let seen = dressed(&policy(LogFormat::Json, Some("[\"]ss"), false), b"{\"a\":1}\n", Piece::LINES);
        let seen = String::from_utf8(seen).unwrap();
        assert!(seen.starts_with("{\"a\":1,\"timestamp\":\"\\\"32\",\"type\":\"err\","), "{seen}");
    }

    #[test]
    fn a_line_that_comes_in_pieces_is_several_objects() {
        let policy = policy(LogFormat::Json, None, false);
        let first = dressed(&policy, b"{\"a\":", Piece { starts: true, whole: false });
        let first: Value = serde_json::from_slice(&first).unwrap();
        assert_eq!((first["message"].as_str(), first["partial"].as_bool()), (Some("{\"a\":"), Some(true)));
        let last = dressed(&policy, b"1}\n", Piece { starts: false, whole: true });
        let last: Value = serde_json::from_slice(&last).unwrap();
        assert_eq!((last["message"].as_str(), last.get("partial")), (Some("1}"), None));
    }

    #[test]
    fn a_flood_of_empty_lines_is_dressed_within_bounds() {
        for policy in [policy(LogFormat::Json, None, false), policy(LogFormat::Raw, Some("YYYY"), true)] {
            let (mut most, mut count) = (0, 0);
            let mut dress = dress(&policy);
            dress.dress(&vec![b'\n'; 100_000], Piece::LINES, AT, |bytes, piece| {
                assert_eq!(piece, Piece::LINES);
                most = most.max(bytes.len());
                count += lines(bytes).count();
            });
            assert_eq!(count, 100_000);
            assert!(most <= RUN + 1_024 && dress.out.capacity() <= 2 * RUN, "{most}");
        }
    }

    proptest! {
        #[test]
        fn whatever_an_app_writes_is_one_object_per_line(
            all in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..10),
        ) {
            let all: Vec<Vec<u8>> = all.into_iter()
                .map(|line| line.into_iter().filter(|byte| *byte != b'\n').collect()).collect();
            let bytes: Vec<u8> = all.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect();
            let seen = dressed(&policy(LogFormat::Json, None, false), &bytes, Piece::LINES);
            let seen: Vec<Value> = lines(&seen).map(|line| serde_json::from_slice(line).unwrap()).collect();
            prop_assert_eq!(seen.len(), all.len());
            for (line, object) in all.iter().zip(&seen) {
                prop_assert_eq!(object["pid"].as_u64(), Some(17));
                if let Some(message) = object["message"].as_str() {
                    let line = line.strip_suffix(b"\r").unwrap_or(line);
                    prop_assert_eq!(message, String::from_utf8_lossy(line));
                }
            }
        }

        #[test]
        fn no_byte_behind_the_date_is_changed(bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), Just(b'\n')], 0..200,
        )) {
            let mut bytes = bytes;
            bytes.push(b'\n');
            let seen = dressed(&policy(LogFormat::Raw, Some("ss"), false), &bytes, Piece::LINES);
            let bare: Vec<u8> = lines(&seen).flat_map(|line| line.strip_prefix(b"32: ").unwrap().to_vec()).collect();
            prop_assert_eq!(bare, bytes);
        }
    }
}
