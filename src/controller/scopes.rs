//! One stream of events out of several: an operator that looks after a list of
//! namespaces watches each of them by itself.
//!
//! A list of one namespace must not look like a list of all, or the others' objects
//! would be taken for gone. So the first lists are joined to one, and what a later
//! list brings is told as single changes.

use std::collections::{HashMap, HashSet};

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use kube::ResourceExt;
use kube::runtime::watcher::{Error, Event};

/// A stream of events per namespace becomes one stream.
pub(super) fn merged<'a, K: ResourceExt + Clone + Send + 'a>(
    streams: Vec<BoxStream<'a, Result<Event<K>, Error>>>,
) -> impl Stream<Item = Result<Event<K>, Error>> + Send + 'a {
    let mut merge = Merge::new(streams.len());
    let numbered = streams.into_iter().enumerate();
    let numbered = numbered.map(|(scope, events)| events.map(move |event| (scope, event)).boxed());
    stream::select_all(numbered).flat_map(move |(scope, event)| {
        stream::iter(match event {
            Ok(event) => merge.take(scope, event).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        })
    })
}

struct Scope<K> {
    /// What there is, by name.
    known: HashMap<String, K>,
    /// Names in the list that is coming in.
    listing: HashSet<String>,
    listed: bool,
}

struct Merge<K> {
    scopes: Vec<Scope<K>>,
    begun: bool,
    /// Every scope has been listed once.
    complete: bool,
    /// What went before that, to be told after it.
    gone: Vec<K>,
}

impl<K: ResourceExt + Clone> Merge<K> {
    fn new(scopes: usize) -> Self {
        let scope = || Scope { known: HashMap::new(), listing: HashSet::new(), listed: false };
        let scopes = std::iter::repeat_with(scope).take(scopes).collect();
        Self { scopes, begun: false, complete: false, gone: Vec::new() }
    }

    fn take(&mut self, scope: usize, event: Event<K>) -> Vec<Event<K>> {
        match event {
            Event::Init => {
                self.scopes[scope].listing.clear();
                if std::mem::replace(&mut self.begun, true) { vec![] } else { vec![Event::Init] }
            }
            Event::InitApply(object) => {
                self.scopes[scope].listing.insert(object.name_any());
                vec![self.there(scope, object)]
            }
            Event::Apply(object) => vec![self.there(scope, object)],
            Event::Delete(object) => {
                self.scopes[scope].known.remove(&object.name_any());
                self.lost(vec![object])
            }
            Event::InitDone => {
                let Scope { known, listing, listed } = &mut self.scopes[scope];
                *listed = true;
                let gone = known.extract_if(|name, _| !listing.contains(name)).map(|(_, object)| object);
                let gone = gone.collect();
                let mut events = self.lost(gone);
                if !self.complete && self.scopes.iter().all(|scope| scope.listed) {
                    self.complete = true;
                    events.push(Event::InitDone);
                    events.extend(std::mem::take(&mut self.gone).into_iter().map(Event::Delete));
                }
                events
            }
        }
    }

    fn there(&mut self, scope: usize, object: K) -> Event<K> {
        self.scopes[scope].known.insert(object.name_any(), object.clone());
        if self.complete {
            return Event::Apply(object);
        }
        let same = |gone: &K| gone.name_any() == object.name_any() && gone.namespace() == object.namespace();
        self.gone.retain(|gone| !same(gone));
        Event::InitApply(object)
    }

    fn lost(&mut self, objects: Vec<K>) -> Vec<Event<K>> {
        if self.complete {
            return objects.into_iter().map(Event::Delete).collect();
        }
        self.gone.extend(objects);
        vec![]
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;

    use super::*;

    fn service(namespace: &str, name: &str) -> Service {
        let mut service = Service::default();
        service.metadata.namespace = Some(namespace.to_owned());
        service.metadata.name = Some(name.to_owned());
        service
    }

    fn words(events: &[Event<Service>]) -> Vec<String> {
        let name =
            |service: &Service| format!("{}/{}", service.namespace().unwrap_or_default(), service.name_any());
        let word = |event: &Event<Service>| match event {
            Event::Init => "init".to_owned(),
            Event::InitApply(service) => format!("listed {}", name(service)),
            Event::InitDone => "done".to_owned(),
            Event::Apply(service) => format!("applied {}", name(service)),
            Event::Delete(service) => format!("deleted {}", name(service)),
        };
        events.iter().map(word).collect()
    }

    /// Two scopes, `a` and `b`, fed with events.
    fn story(events: Vec<(usize, Event<Service>)>) -> Vec<String> {
        let mut merge = Merge::new(2);
        events.into_iter().flat_map(|(scope, event)| words(&merge.take(scope, event))).collect()
    }

    fn first_lists() -> Vec<(usize, Event<Service>)> {
        vec![
            (0, Event::Init),
            (0, Event::InitApply(service("a", "web"))),
            (1, Event::Init),
            (0, Event::InitDone),
            (1, Event::InitApply(service("b", "web"))),
            (1, Event::InitDone),
        ]
    }

    #[test]
    fn the_first_lists_are_one_that_is_done_when_all_are() {
        assert_eq!(story(first_lists()), ["init", "listed a/web", "listed b/web", "done"]);
    }

    #[test]
    fn a_later_list_of_one_namespace_leaves_the_others_alone() {
        let mut events = first_lists();
        events.extend([(0, Event::Init), (0, Event::InitApply(service("a", "api"))), (0, Event::InitDone)]);
        assert_eq!(story(events)[4..], ["applied a/api", "deleted a/web"]);
    }

    #[test]
    fn what_goes_before_all_is_listed_is_told_afterwards() {
        let events = vec![
            (0, Event::Init),
            (0, Event::InitApply(service("a", "web"))),
            (0, Event::InitApply(service("a", "api"))),
            (0, Event::InitDone),
            (0, Event::Delete(service("a", "web"))),
            (0, Event::Delete(service("a", "api"))),
            (0, Event::Apply(service("a", "api"))),
            (1, Event::Init),
            (1, Event::InitDone),
        ];
        let told = ["init", "listed a/web", "listed a/api", "listed a/api", "done", "deleted a/web"];
        assert_eq!(story(events), told);
    }

    #[test]
    fn single_changes_go_through() {
        let mut events = first_lists();
        events.extend([(1, Event::Apply(service("b", "api"))), (1, Event::Delete(service("b", "web")))]);
        assert_eq!(story(events)[4..], ["applied b/api", "deleted b/web"]);
    }
}
