//! What the dashboard knows, and what keys do to it. No clock, no cluster, no terminal.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, Pod};
use kube::ResourceExt as _;
use nodeapp_operator::controller::names::{APP_LABEL, INSTANCE_LABEL};

use super::figures::Figures;
use crate::instances::APP;
use crate::one::is_ready;

/// Lines of a log that are kept, as many as PM2 keeps.
const LINES: usize = 200;

/// An instance: namespace, app, pod. Rows are in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) app: String,
    pub(crate) pod: String,
}

impl Key {
    pub(crate) fn of(pod: &Pod) -> Self {
        let app = pod.labels().get(APP_LABEL).cloned().unwrap_or_default();
        Self { namespace: pod.namespace().unwrap_or_default(), app, pod: pod.name_any() }
    }
}

/// One instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Instance {
    /// Its number, or the end of its pod's name.
    pub(crate) id: String,
    pub(crate) image: String,
    pub(crate) node: String,
    pub(crate) created: Option<Timestamp>,
    /// What the cluster says of it.
    state: String,
    /// Restarts of the container; those in place are in the figures.
    restarts: i32,
    pub(crate) figures: Option<Figures>,
    /// Percents of one processor, and requests per second, since the figures before.
    pub(crate) cpu: Option<f64>,
    pub(crate) rate: Option<f64>,
    taken: Option<Timestamp>,
}

impl Instance {
    fn of(pod: &Pod) -> Self {
        let name = pod.name_any();
        let number = pod.labels().get(INSTANCE_LABEL).cloned();
        let spec = pod.spec.as_ref();
        let container = spec.and_then(|spec| spec.containers.iter().find(|container| container.name == APP));
        let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
        let status = statuses.and_then(|all| all.iter().find(|status| status.name == APP));
        Self {
            id: number.unwrap_or_else(|| name.rsplit('-').next().unwrap_or_default().to_owned()),
            image: container.and_then(|container| container.image.clone()).unwrap_or_default(),
            node: spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
            created: pod.creation_timestamp().map(|time| time.0),
            state: word(pod, status.and_then(|status| status.state.as_ref())),
            restarts: status.map_or(0, |status| status.restart_count),
            ..Self::default()
        }
    }

    /// The state in a word: the process's own where it is known.
    pub(crate) fn state(&self) -> &str {
        match &self.figures {
            Some(figures) if self.state == "launching" && figures.status > 1.0 => "errored",
            Some(figures) if self.state == "launching" && figures.status < 1.0 => "stopped",
            _ => &self.state,
        }
    }

    /// All restarts, in place and of the container.
    pub(crate) fn restarts(&self) -> f64 {
        self.figures.as_ref().map_or(0.0, |figures| figures.restarts) + f64::from(self.restarts)
    }

    /// Whether its runner can be asked.
    pub(crate) fn runs(&self) -> bool {
        ["online", "launching", "stopping"].contains(&self.state.as_str())
    }
}

fn word(pod: &Pod, state: Option<&ContainerState>) -> String {
    if pod.metadata.deletion_timestamp.is_some() {
        return "stopping".to_owned();
    }
    if is_ready(pod) {
        return "online".to_owned();
    }
    let waiting = state.and_then(|state| state.waiting.as_ref()).and_then(|waiting| waiting.reason.clone());
    let ended = state.and_then(|state| state.terminated.as_ref()).and_then(|ended| ended.reason.clone());
    match state {
        Some(state) if state.running.is_some() => "launching".to_owned(),
        _ => waiting.or(ended).unwrap_or_else(|| "pending".to_owned()),
    }
}

/// What a key asks for beyond the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Quit,
    /// Restart this instance in place; it was asked for twice.
    Restart(Key),
}

/// The keys that mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Press {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Letter(char),
    Other,
}

/// All that is shown.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) rows: BTreeMap<Key, Instance>,
    pub(crate) selected: Option<Key>,
    /// The first row that is shown, and how many fit.
    pub(crate) top: usize,
    pub(crate) height: usize,
    pub(crate) lines: VecDeque<String>,
    pub(crate) events: Vec<String>,
    /// A restart that waits for its yes.
    pub(crate) asked: Option<Key>,
    /// What happened last.
    pub(crate) note: String,
    pub(crate) listed: bool,
}

impl Model {
    /// A pod as it is now; what its runner said stays known.
    pub(crate) fn meet(&mut self, pod: &Pod) {
        let (key, mut new) = (Key::of(pod), Instance::of(pod));
        if let Some(old) = self.rows.remove(&key) {
            let Instance { figures, cpu, rate, taken, .. } = old;
            (new.figures, new.cpu, new.rate, new.taken) = (figures, cpu, rate, taken);
        }
        self.selected.get_or_insert_with(|| key.clone());
        self.rows.insert(key, new);
    }

    /// A pod is no more; the one after it is chosen if it was.
    pub(crate) fn part(&mut self, key: &Key) {
        if self.selected.as_ref() == Some(key) {
            let after = self.rows.range(key.clone()..).nth(1).map(|(key, _)| key.clone());
            self.selected =
                after.or_else(|| self.rows.range(..key.clone()).next_back().map(|(key, _)| key.clone()));
            self.asked = None;
        }
        self.rows.remove(key);
    }

    /// What a runner says now.
    pub(crate) fn learn(&mut self, key: &Key, figures: Figures, now: Timestamp) {
        let Some(row) = self.rows.get_mut(key) else { return };
        if let (Some(before), Some(taken)) = (&row.figures, row.taken) {
            let passed = now.duration_since(taken).as_secs_f64();
            if passed > 0.1 {
                // A counter that went back began anew.
                row.cpu = Some((figures.cpu_seconds - before.cpu_seconds).max(0.0) / passed * 100.0);
                row.rate = Some((figures.requests - before.requests).max(0.0) / passed);
            }
        }
        row.figures = Some(figures);
        row.taken = Some(now);
    }

    /// A line of the chosen instance's log.
    pub(crate) fn hear(&mut self, line: &str) {
        self.lines.push_back(plain(line));
        while self.lines.len() > LINES {
            self.lines.pop_front();
        }
    }

    /// The rows on the screen.
    pub(crate) fn visible(&self) -> impl Iterator<Item = (&Key, &Instance)> {
        self.rows.iter().skip(self.top).take(self.height.max(1))
    }

    /// The chosen instance.
    pub(crate) fn chosen(&self) -> Option<(&Key, &Instance)> {
        self.rows.get_key_value(self.selected.as_ref()?)
    }

    pub(crate) fn press(&mut self, press: Press) -> Option<Wish> {
        if let Some(key) = self.asked.take() {
            self.note.clear();
            return (press == Press::Letter('y')).then_some(Wish::Restart(key));
        }
        let page = isize::try_from(self.height.max(1)).unwrap_or(1);
        match press {
            Press::Letter('q') => return Some(Wish::Quit),
            Press::Letter('r') => self.ask(),
            Press::Up | Press::Letter('k') => self.go(-1),
            Press::Down | Press::Letter('j') => self.go(1),
            Press::PageUp => self.go(-page),
            Press::PageDown => self.go(page),
            Press::First | Press::Letter('g') => self.go(isize::MIN / 2),
            Press::Last | Press::Letter('G') => self.go(isize::MAX / 2),
            Press::Letter(_) | Press::Other => {}
        }
        None
    }

    fn ask(&mut self) {
        let Some(key) = self.chosen().map(|(key, _)| key.clone()) else { return };
        self.note = format!("restart {} in place? y: yes, any other key: no", key.pod);
        self.asked = Some(key);
    }

    fn go(&mut self, by: isize) {
        let Some(last) = self.rows.len().checked_sub(1) else { return };
        let at = self.place().saturating_add_signed(by).min(last);
        self.selected = self.rows.keys().nth(at).cloned();
    }

    /// Where the chosen row is.
    fn place(&self) -> usize {
        self.selected.as_ref().map_or(0, |selected| self.rows.range(..selected).count())
    }

    /// So many rows fit; the chosen one is among them.
    pub(crate) fn fit(&mut self, height: usize) {
        self.height = height.max(1);
        let place = self.place();
        self.top = self.top.min(place).max((place + 1).saturating_sub(self.height));
        self.top = self.top.min(self.rows.len().saturating_sub(self.height));
    }
}

/// A line without what would move the cursor or change its colour.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' => {
                // A control sequence ends with a letter; other escapes have one more.
                if letters.next() == Some('[') {
                    letters.by_ref().find(|letter| ('@'..='~').contains(letter));
                }
            }
            '\t' => plain.push_str("  "),
            letter if letter.is_control() => {}
            letter => plain.push(letter),
        }
    }
    plain
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn pod(app: &str, name: &str, ready: bool) -> Pod {
        serde_json::from_value(json!({
            "metadata": {
                "name": name, "namespace": "shop", "labels": {APP_LABEL: app},
                "creationTimestamp": "2026-11-23T20:00:00Z",
            },
            "spec": {"nodeName": "node-1", "containers": [{"name": "app", "image": "registry.example/shop:1.4.2"}]},
            "status": {
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
                "containerStatuses": [{
                    "name": "app", "state": {"running": {}}, "image": "", "imageID": "", "ready": ready,
                    "restartCount": 1,
                }],
            },
        }))
        .expect("a pod")
    }

    pub(crate) fn model(pods: usize) -> Model {
        let mut model = Model { listed: true, ..Model::default() };
        for number in 0..pods {
            model.meet(&pod("web", &format!("web-7d-{number:04}"), number != 1));
        }
        model.fit(10);
        model
    }

    fn selected(model: &Model) -> &str {
        model.selected.as_ref().map_or("", |key| &key.pod)
    }

    #[test]
    fn the_chosen_row_stays_on_the_screen_wherever_keys_lead() {
        let mut model = model(1_000);
        for (press, expected) in [
            (Press::Down, 1),
            (Press::PageDown, 11),
            (Press::Last, 999),
            (Press::Down, 999),
            (Press::Letter('k'), 998),
            (Press::First, 0),
            (Press::Up, 0),
        ] {
            assert_eq!(model.press(press), None);
            model.fit(10);
            let name = format!("web-7d-{expected:04}");
            assert_eq!(selected(&model), name, "{press:?}");
            assert!(model.visible().any(|(key, _)| key.pod == name), "{press:?}");
            assert_eq!(model.visible().count(), 10);
        }
    }

    #[test]
    fn a_restart_is_asked_twice_and_any_other_key_is_a_no() {
        let mut model = model(2);
        assert_eq!(model.press(Press::Letter('r')), None);
        assert!(model.note.contains("web-7d-0000"), "{}", model.note);
        assert_eq!(model.press(Press::Down), None);
        assert_eq!(selected(&model), "web-7d-0000", "the no did nothing else");
        model.press(Press::Letter('r'));
        let wish = model.press(Press::Letter('y'));
        assert!(matches!(wish, Some(Wish::Restart(key)) if key.pod == "web-7d-0000"));
        assert_eq!(model.press(Press::Letter('y')), None);
        assert_eq!(model.press(Press::Letter('q')), Some(Wish::Quit));
    }

    #[test]
    fn rates_come_from_two_looks_and_a_new_state_of_the_pod_forgets_none() {
        let mut model = model(1);
        let key = model.selected.clone().expect("a row");
        let at = |second: i64| Timestamp::from_second(second).expect("a time");
        let figures =
            |cpu_seconds: f64, requests: f64| Figures { cpu_seconds, requests, ..Figures::default() };
        model.learn(&key, figures(1.0, 100.0), at(100));
        assert_eq!(model.rows[&key].cpu, None);
        model.learn(&key, figures(1.5, 120.0), at(102));
        assert_eq!((model.rows[&key].cpu, model.rows[&key].rate), (Some(25.0), Some(10.0)));
        model.meet(&pod("web", &key.pod, false));
        assert_eq!((model.rows[&key].cpu, model.rows[&key].state()), (Some(25.0), "stopped"));
        model.learn(&key, figures(0.0, 0.0), at(104));
        assert_eq!(model.rows[&key].cpu, Some(0.0), "a new container counts from nothing");
    }

    #[test]
    fn who_goes_hands_the_choice_to_the_next() {
        let mut model = model(3);
        model.press(Press::Last);
        let last = model.selected.clone().expect("a row");
        model.part(&last);
        assert_eq!(selected(&model), "web-7d-0001");
        let keys: Vec<Key> = model.rows.keys().cloned().collect();
        model.press(Press::First);
        for key in &keys {
            model.part(key);
        }
        assert!(model.rows.is_empty() && model.selected.is_none());
        assert_eq!(model.press(Press::Down), None);
    }

    #[test]
    fn lines_bring_no_control_codes_to_the_screen_and_are_bounded() {
        let mut model = model(1);
        for _ in 0..500 {
            model.hear("\u{1b}[31mred\u{1b}[0m\tand\u{7} \u{1b}(Bplain\r");
        }
        assert_eq!(model.lines.len(), LINES);
        assert_eq!(model.lines[0], "red  and Bplain");
    }
}
