//! `monit`: a dashboard on the terminal.

mod draw;
mod feed;
mod figures;
mod model;

use std::collections::HashSet;
use std::io::IsTerminal as _;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::Event;
use ratatui::DefaultTerminal;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::Outcome;
use crate::cluster::{Scope, wait_for};
use crate::ended::ended;
use crate::select::Selector;
use feed::{Feed, News};
use model::{Key, Model, Wish};

/// At most so often the screen is drawn.
const FRAME: Duration = Duration::from_millis(100);

/// Watch instances on a dashboard: CPU, memory, event loop, restarts, log and Events.
///
/// Keys: arrows, Page Up and Page Down choose an instance; r restarts it in place, after a y; q ends it.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  kubectl nodeapp monit\n  kubectl nodeapp monit web -n shop")]
pub(crate) struct Args {
    /// Names, `all` or /regex/; all apps of the namespace if none.
    #[arg(value_name = "APP")]
    apps: Vec<Selector>,
    #[command(flatten)]
    scope: Scope,
}

pub(crate) fn run(args: &Args) -> Outcome {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(
            "monit draws on a terminal, and this is none; `logs` and `ls -o json` write text".to_owned()
        );
    }
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let several = cluster.namespace.is_none();
        let apps = if args.apps.is_empty() { Vec::new() } else { cluster.meant(&args.apps).await? };
        let names: Option<Vec<&str>> = apps
            .iter()
            .map(|selector| if let Selector::Name(name) = selector { Some(&**name) } else { None })
            .collect();
        let (sender, news) = mpsc::unbounded_channel();
        let feed = Feed::new(cluster, sender);
        feed.pods(&feed::labels(names.as_deref().filter(|names| !names.is_empty())));
        let mut terminal = ratatui::try_init().map_err(|error| format!("cannot draw: {error}"))?;
        feed.keys();
        let shown = Dashboard { apps: &apps, several, model: Model::default(), feed, listed: HashSet::new() };
        let ended = shown.show(&mut terminal, news).await;
        ratatui::restore();
        ended.map(|()| ExitCode::SUCCESS)
    })
}

struct Dashboard<'a> {
    apps: &'a [Selector],
    /// Whether there are several namespaces to tell apart.
    several: bool,
    model: Model,
    feed: Feed,
    /// The pods of a list that has not ended yet.
    listed: HashSet<Key>,
}

impl Dashboard<'_> {
    async fn show(
        mut self,
        terminal: &mut DefaultTerminal,
        mut news: mpsc::UnboundedReceiver<News>,
    ) -> Result<(), String> {
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut changed, mut drawn) = (true, Instant::now());
        let mut stopped = pin!(ended());
        loop {
            tokio::select! {
                // The terminal is left as it was.
                () = &mut stopped => return Ok(()),
                _ = frames.tick() => {
                    // Ages grow though nothing happens.
                    if changed || drawn.elapsed() >= Duration::from_secs(1) {
                        let (model, several) = (&mut self.model, self.several);
                        terminal
                            .draw(|frame| draw::draw(frame, model, several, Timestamp::now()))
                            .map_err(|error| format!("cannot draw: {error}"))?;
                        (changed, drawn) = (false, Instant::now());
                    }
                    self.ask();
                }
                piece = news.recv() => {
                    let Some(piece) = piece else { return Ok(()) };
                    changed = true;
                    if self.take(piece)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Asks for the figures of what is on the screen.
    fn ask(&mut self) {
        let rows = self.model.visible().filter(|(_, row)| row.runs()).map(|(key, _)| key.clone());
        let chosen = self.model.chosen().map(|(key, _)| key.clone());
        self.feed.figures(rows.collect());
        self.feed.follow(chosen.as_ref());
    }

    /// Takes news in; whether it is the end.
    fn take(&mut self, piece: News) -> Result<bool, String> {
        let is_chosen = |model: &Model, key: &Key| model.selected.as_ref() == Some(key);
        match piece {
            News::Pod(event) => self.pod(*event),
            News::NoPods(why) if !self.model.listed => return Err(why),
            News::NoPods(why) | News::Note(why) => self.model.note = why,
            News::Figures(key, figures) => {
                self.feed.answered(&key);
                match figures {
                    Ok(figures) => self.model.learn(&key, figures, Timestamp::now()),
                    Err(why) if self.model.note.is_empty() => self.model.note = why,
                    Err(_) => {}
                }
            }
            News::Lines(key, lines) if is_chosen(&self.model, &key) => {
                lines.lines().for_each(|line| self.model.hear(line));
            }
            News::Events(key, lines) if is_chosen(&self.model, &key) => self.model.events = lines,
            News::Lines(..) | News::Events(..) | News::Resize => {}
            News::Quit => return Ok(true),
            News::Press(press) => {
                let before = self.model.selected.clone();
                if self.model.asked.is_none() {
                    self.model.note.clear();
                }
                match self.model.press(press) {
                    Some(Wish::Quit) => return Ok(true),
                    Some(Wish::Restart(key)) => self.feed.restart(key),
                    None => {}
                }
                self.turn(before.as_ref());
            }
        }
        Ok(false)
    }

    /// The log and the Events on the screen are those of the chosen instance.
    fn turn(&mut self, before: Option<&Key>) {
        if self.model.selected.as_ref() != before {
            self.model.lines.clear();
            self.model.events.clear();
        }
    }

    fn pod(&mut self, event: Event<Pod>) {
        let before = self.model.selected.clone();
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(pod) | Event::Apply(pod) => {
                let key = Key::of(&pod);
                if self.apps.is_empty() || self.apps.iter().any(|selector| selector.takes(&key.app)) {
                    self.listed.insert(key);
                    self.model.meet(&pod);
                    self.feed.meet(&pod);
                }
            }
            Event::InitDone => {
                self.model.listed = true;
                let gone: Vec<Key> =
                    self.model.rows.keys().filter(|key| !self.listed.contains(key)).cloned().collect();
                for key in &gone {
                    self.part(key);
                }
            }
            Event::Delete(pod) => self.part(&Key::of(&pod)),
        }
        self.turn(before.as_ref());
    }

    fn part(&mut self, key: &Key) {
        self.model.part(key);
        self.feed.forget(key);
    }
}
