//! What of a line is shown, and how.

use std::io::Write as _;

use jiff::Timestamp;
use regex::bytes::Regex;
use serde_json::json;

use super::line::{Line, Writer};

/// Prefixes of instances beside each other are told apart by these (ANSI's numbers).
const COLOURS: [u8; 10] = [36, 33, 35, 32, 34, 96, 93, 95, 92, 94];

/// Where a line comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) namespace: String,
    pub(crate) app: String,
    pub(crate) pod: String,
    /// Its number, if the app numbers its instances.
    pub(crate) number: Option<String>,
    /// Which of them it is, for its colour.
    pub(crate) place: usize,
}

impl Source {
    /// PM2 shows its number of a process. A pod without one is told by the end of its name.
    fn id(&self) -> &str {
        self.number.as_deref().unwrap_or_else(|| self.pod.rsplit('-').next().unwrap_or_default())
    }
}

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `ID|NAME | TEXT`, as `pm2 logs`.
    Prefixed,
    /// The text alone.
    Raw,
    /// One object per line.
    Json,
    /// `timestamp=… app=… id=… type=… message=…`
    Format,
}

/// Which lines, and how they look.
#[derive(Clone, Debug)]
pub(crate) struct Dress {
    pub(crate) form: Form,
    /// The one stream that is wanted; none: whatever there is.
    pub(crate) only: Option<Writer>,
    pub(crate) grep: Option<Regex>,
    pub(crate) highlight: Option<Regex>,
    pub(crate) timestamp: bool,
    /// Apps of several namespaces are told apart by it.
    pub(crate) namespaces: bool,
    pub(crate) colour: bool,
    /// Of the longest prefix.
    pub(crate) width: usize,
}

impl Dress {
    /// All lines, without colours.
    pub(crate) fn plain(form: Form) -> Self {
        Self {
            form,
            only: None,
            grep: None,
            highlight: None,
            timestamp: false,
            namespaces: false,
            colour: false,
            width: 0,
        }
    }

    /// The prefix of a source, `ID|NAME`.
    fn name(&self, source: &Source) -> String {
        let place = if self.namespaces { format!("{}/", source.namespace) } else { String::new() };
        format!("{}|{place}{}", source.id(), source.app)
    }

    /// Makes room for the prefix of a source.
    pub(crate) fn meet(&mut self, source: &Source) {
        self.width = self.width.max(self.name(source).len());
    }

    /// Whether a line is wanted at all.
    pub(crate) fn wants(&self, line: &Line) -> bool {
        self.only.is_none_or(|only| line.writer() == only)
            && self.grep.as_ref().is_none_or(|pattern| pattern.is_match(line.text))
    }

    /// Adds the line to the output, with its end.
    pub(crate) fn put(&self, source: &Source, line: &Line, output: &mut Vec<u8>) {
        match self.form {
            Form::Prefixed => self.prefixed(source, line, output),
            Form::Raw => self.text(line, output),
            Form::Json => object(source, line, output),
            Form::Format => format(source, line, output),
        }
        output.push(b'\n');
    }

    fn prefixed(&self, source: &Source, line: &Line, output: &mut Vec<u8>) {
        let (name, width) = (self.name(source), self.width);
        let written = if self.colour {
            let colour = COLOURS[source.place % COLOURS.len()];
            write!(output, "\x1b[{colour}m{name:width$} |\x1b[0m ")
        } else {
            write!(output, "{name:width$} | ")
        };
        // A vector takes everything.
        let _ = written;
        self.text(line, output);
    }

    fn text(&self, line: &Line, output: &mut Vec<u8>) {
        if self.timestamp {
            let _ = write!(output, "{} ", milliseconds(line.at));
        }
        let pattern = self.highlight.as_ref().or(self.grep.as_ref()).filter(|_| self.colour);
        match pattern {
            Some(pattern) => mark(pattern, line.text, output),
            None => output.extend_from_slice(line.text),
        }
        // A colour that the app left on would run into the next prefix.
        if self.colour && line.text.contains(&0x1b) {
            output.extend_from_slice(b"\x1b[0m");
        }
    }
}

/// Shows matches in reverse, whatever the colours around.
fn mark(pattern: &Regex, text: &[u8], output: &mut Vec<u8>) {
    let mut from = 0;
    for found in pattern.find_iter(text).filter(|found| !found.is_empty()) {
        output.extend_from_slice(&text[from..found.start()]);
        output.extend_from_slice(b"\x1b[7m");
        output.extend_from_slice(found.as_bytes());
        output.extend_from_slice(b"\x1b[27m");
        from = found.end();
    }
    output.extend_from_slice(&text[from..]);
}

/// The fields of PM2's log objects, and where it comes from. A line that the runner made so stays as it is.
fn object(source: &Source, line: &Line, output: &mut Vec<u8>) {
    if line.object().is_some() {
        output.extend_from_slice(line.text);
        return;
    }
    let mut object = json!({
        "message": String::from_utf8_lossy(line.text),
        "timestamp": milliseconds(line.at).to_string(),
        "process_id": source.number.as_deref().and_then(|number| number.parse::<u32>().ok()).unwrap_or(0),
        "app_name": source.app,
        "instance": source.pod,
        "namespace": source.namespace,
    });
    if let Some(word) = line.writer().word() {
        object["type"] = word.into();
    }
    output.extend_from_slice(object.to_string().as_bytes());
}

/// PM2's `--format`; the type is missing where it is not known.
fn format(source: &Source, line: &Line, output: &mut Vec<u8>) {
    let time = line.at.strftime("%Y-%m-%d-%H:%M:%S+0000");
    let kind = match line.writer().word() {
        Some("err") => " type=error".to_owned(),
        Some(word) => format!(" type={word}"),
        None => String::new(),
    };
    let _ = write!(output, "timestamp={time} app={} id={}{kind} message=", source.app, source.id());
    match line.object().and_then(|object| object.message) {
        Some(message) => output.extend_from_slice(message.as_bytes()),
        None => output.extend_from_slice(line.text),
    }
}

fn milliseconds(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "2026-11-23T22:15:03.123456789Z hello \u{1b}[31mworld";
    const MADE: &str = r#"2026-11-23T22:15:03Z {"message":"no disk","timestamp":"t","type":"err","process_id":0,"app_name":"web"}"#;

    fn source() -> Source {
        Source {
            namespace: "shop".into(),
            app: "web".into(),
            pod: "web-7d4b9c6f5-x2x1p".into(),
            number: None,
            place: 0,
        }
    }

    fn shown(dress: &Dress, line: &str) -> String {
        let mut output = vec![];
        let line = Line::new(line.as_bytes()).expect("a stamped line");
        dress.put(&source(), &line, &mut output);
        String::from_utf8(output).expect("text")
    }

    #[test]
    fn a_line_looks_as_in_pm2_with_the_end_of_the_pods_name_for_the_number() {
        let mut plain = Dress::plain(Form::Prefixed);
        plain.meet(&Source { app: "longer".into(), ..source() });
        assert_eq!(
            shown(&plain, PLAIN),
            "x2x1p|web    | hello \u{1b}[31mworld\n",
            "a pipe gets the app's own bytes"
        );
        let timed = Dress { timestamp: true, namespaces: true, ..Dress::plain(Form::Prefixed) };
        assert_eq!(
            shown(&timed, "2026-11-23T22:15:03.123456789Z x"),
            "x2x1p|shop/web | 2026-11-23T22:15:03.123Z x\n"
        );
        assert_eq!(shown(&Dress::plain(Form::Raw), PLAIN), "hello \u{1b}[31mworld\n");
    }

    #[test]
    fn on_a_terminal_matches_stand_out_and_colours_of_the_app_end_with_the_line() {
        let marked =
            Dress { colour: true, highlight: Regex::new("w.r").ok(), ..Dress::plain(Form::Prefixed) };
        assert_eq!(
            shown(&marked, PLAIN),
            "\u{1b}[36mx2x1p|web |\u{1b}[0m hello \u{1b}[31m\u{1b}[7mwor\u{1b}[27mld\u{1b}[0m\n"
        );
    }

    #[test]
    fn objects_have_pm2s_fields_and_those_of_the_runner_stay_as_they_are() {
        let made = shown(&Dress::plain(Form::Json), MADE);
        assert_eq!(made.trim_end(), MADE.split_once(' ').expect("a stamp").1);
        let plain: serde_json::Value =
            serde_json::from_str(&shown(&Dress::plain(Form::Json), PLAIN)).expect("an object");
        let expected = json!({
            "message": "hello \u{1b}[31mworld", "timestamp": "2026-11-23T22:15:03.123Z", "process_id": 0,
            "app_name": "web", "instance": "web-7d4b9c6f5-x2x1p", "namespace": "shop",
        });
        assert_eq!(plain, expected, "no type: the cluster does not tell it");
    }

    #[test]
    fn the_flat_form_has_pm2s_words() {
        assert_eq!(
            shown(&Dress::plain(Form::Format), MADE),
            "timestamp=2026-11-23-22:15:03+0000 app=web id=x2x1p type=error message=no disk\n"
        );
    }

    #[test]
    fn one_stream_hides_the_other_and_the_runner() {
        let wants =
            |dress: &Dress, text: &str| dress.wants(&Line::new(text.as_bytes()).expect("a stamped line"));
        let err = Dress { only: Some(Writer::Err), ..Dress::plain(Form::Prefixed) };
        assert!(wants(&err, MADE));
        assert!(!wants(&err, "2026-11-23T22:15:03Z nodeapp-runner: restarted"));
        assert!(!wants(&Dress { only: Some(Writer::Out), ..err.clone() }, MADE));
        let grep = Dress { grep: Regex::new("no (disk|memory)").ok(), ..err };
        assert!(wants(&grep, MADE) && !wants(&Dress { grep: Regex::new("^no").ok(), ..grep }, MADE));
    }
}
