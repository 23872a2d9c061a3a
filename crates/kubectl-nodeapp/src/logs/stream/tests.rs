//! Whatever becomes of connections and of the container: each line once, in order.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{Error, Write};
use std::sync::Mutex;

use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use jiff::Timestamp;
use kube::client::Body;
use proptest::prelude::*;

use super::super::dress::{Dress, Form};
use super::*;

type Answer = StreamBody<futures::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Error>>>>;

/// What happens in the node, before or after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// The container writes so many lines.
    Write(usize),
    /// It ends, and another one begins.
    Restart,
    /// The cluster tells the watch how it is now.
    Tell,
}

/// A question for a log.
#[derive(Clone, Debug)]
struct Step {
    deeds: Vec<Deed>,
    /// The connection breaks after so many lines; without it the answer ends as a log does.
    breaks: Option<usize>,
}

/// The log of one pod, with the container before, as a kubelet keeps it.
struct Kubelet {
    steps: VecDeque<Step>,
    /// Of all containers: lines with the second of their stamp.
    logs: Vec<Vec<(i64, String)>>,
    second: i64,
    state: watch::Sender<State>,
    asked: Vec<String>,
}

impl Kubelet {
    fn state(&self) -> State {
        State { id: Some(format!("{}", self.logs.len())), ended: false, gone: false }
    }

    fn does(&mut self, deed: Deed) {
        match deed {
            Deed::Write(count) => {
                for _ in 0..count {
                    // Some lines have a second in common.
                    self.second += i64::from(self.lines().is_multiple_of(3));
                    let (stamp, number) =
                        (Timestamp::from_second(self.second).expect("a time"), self.lines());
                    let line = format!("{stamp} line {number}\n");
                    let second = self.second;
                    self.logs.last_mut().expect("a container").push((second, line));
                }
            }
            Deed::Restart => self.logs.push(vec![]),
            Deed::Tell => {
                self.state.send_replace(self.state());
            }
        }
    }

    fn lines(&self) -> usize {
        self.logs.iter().map(Vec::len).sum()
    }

    fn answers(&mut self, query: &str) -> Option<Answer> {
        self.asked.push(query.to_owned());
        let step = self.steps.pop_front();
        step.iter().flat_map(|step| step.deeds.clone()).for_each(|deed| self.does(deed));
        let previous = query.contains("previous=true");
        let log = self.logs.iter().rev().nth(usize::from(previous));
        let since = query.split('&').find_map(|pair| pair.strip_prefix("sinceTime="));
        let since =
            since.map(|since| since.replace("%3A", ":").parse::<Timestamp>().expect("a time").as_second());
        let lines = log?.iter().filter(|(second, _)| since.is_none_or(|since| *second >= since));
        let mut pieces: Vec<_> = lines.map(|(_, line)| Ok(Frame::data(Bytes::from(line.clone())))).collect();
        if let Some(breaks) = step.as_ref().and_then(|step| step.breaks) {
            pieces.truncate(breaks);
            // In the middle of a line.
            pieces.push(Ok(Frame::data(Bytes::from_static(b"1970-01-01T00:0"))));
            pieces.push(Err(Error::other("the cable is out")));
        } else if step.is_none() && !previous {
            // Nothing more happens; whoever knows the newest container has all of it.
            let known = *self.state.borrow() == self.state();
            let now = if known { State { gone: true, ..self.state() } } else { self.state() };
            self.state.send_replace(now);
        }
        Some(StreamBody::new(futures::stream::iter(pieces)))
    }
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is shown, and what was asked for.
fn followed(steps: Vec<Step>, begin: Begin) -> (Vec<String>, Vec<String>, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let (state, receiver) = watch::channel(State::default());
        let mut kubelet =
            Kubelet { steps: steps.into(), logs: vec![vec![]], second: 1_000, state, asked: vec![] };
        kubelet.does(Deed::Write(2));
        kubelet.does(Deed::Tell);
        let kubelet = Arc::new(Mutex::new(kubelet));
        let node = Arc::clone(&kubelet);
        let client = Client::new(
            tower::service_fn(move |request: http::Request<Body>| {
                let query = request.uri().query().unwrap_or_default();
                let answer = node.lock().expect("no panic").answers(query);
                let missing = || StreamBody::new(futures::stream::iter(vec![]));
                let answer = http::Response::builder()
                    .status(if answer.is_some() { 200 } else { 404 })
                    .body(answer.unwrap_or_else(missing));
                async move { Ok::<_, Infallible>(answer.expect("an answer")) }
            }),
            "shop",
        );
        let source = Source {
            namespace: "shop".into(),
            app: "web".into(),
            pod: "web-1".into(),
            number: None,
            place: 0,
        };
        let written = Written::default();
        let output = Arc::new(Output::to(Dress::plain(Form::Raw), Box::new(written.clone()), |_| {}));
        let stream = Stream::new(client, source, APP_CONTAINER, begin, output);
        let ended = timeout(Duration::from_mins(10), stream.follow(receiver)).await;
        let kubelet = kubelet.lock().expect("no panic");
        assert!(matches!(ended, Ok(Ok(()))), "it does not end: {:?}", kubelet.asked);
        let text = String::from_utf8(written.0.lock().expect("no panic").clone()).expect("text");
        (text.lines().map(str::to_owned).collect(), kubelet.asked.clone(), kubelet.lines())
    })
}

fn whole(steps: Vec<Step>) {
    let (shown, asked, lines) = followed(steps, Begin::default());
    let all: Vec<String> = (0..lines).map(|number| format!("line {number}")).collect();
    assert_eq!(shown, all, "{asked:#?}");
}

fn step(deeds: &[Deed], breaks: Option<usize>) -> Step {
    Step { deeds: deeds.to_vec(), breaks }
}

#[test]
fn the_end_of_a_container_is_asked_for_until_it_comes() {
    whole(vec![
        step(&[], Some(1)),
        // While nobody listens.
        step(&[Deed::Write(4), Deed::Restart, Deed::Write(1), Deed::Tell], Some(0)),
        step(&[], Some(0)),
        step(&[], Some(3)),
    ]);
}

#[test]
fn a_container_that_was_replaced_before_the_watch_knew_leaves_no_hole() {
    whole(vec![
        step(&[], Some(2)),
        step(&[Deed::Write(5), Deed::Restart, Deed::Write(9)], None),
        step(&[Deed::Tell], None),
    ]);
}

#[test]
fn a_log_whose_first_connection_breaks_before_a_line_begins_once_more() {
    whole(vec![step(&[], Some(0)), step(&[Deed::Write(3)], Some(0))]);
    let begin = Begin { lines: Some(15), seconds: None };
    let (shown, asked, _) = followed(vec![step(&[], Some(0))], begin);
    assert_eq!(shown, ["line 0", "line 1"], "{asked:#?}");
    let begin = Begin { lines: None, seconds: Some(3_600) };
    let (_, asked, _) = followed(vec![step(&[], Some(0))], begin);
    assert!(asked[1].contains("sinceSeconds=36"), "{asked:#?}");
}

proptest! {
    #[test]
    fn each_line_is_shown_once_whatever_breaks(
        steps in prop::collection::vec(
            (0_usize..6, any::<bool>(), prop::option::of(0_usize..8)), 0..10
        ),
        restart in 0_usize..10,
    ) {
        let steps = steps.into_iter().enumerate().map(|(place, (write, tell, breaks))| {
            let mut deeds = vec![Deed::Write(write)];
            // A kubelet keeps one container before the newest.
            if place == restart {
                deeds.extend([Deed::Restart, Deed::Write(write)]);
            }
            if tell {
                deeds.push(Deed::Tell);
            }
            Step { deeds, breaks }
        });
        // Which container it was of which nothing was ever shown, nobody can tell.
        let first = step(&[], Some(2));
        let (shown, asked, lines) = followed([first].into_iter().chain(steps).collect(), Begin::default());
        let all: Vec<String> = (0..lines).map(|number| format!("line {number}")).collect();
        prop_assert_eq!(shown, all, "{:#?}", asked);
    }
}
