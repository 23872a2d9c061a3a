//! Whether what an app refers to has changed, so that its pods are to be replaced.
//!
//! What the pods are believed to have is written down on the Deployment, object by
//! object; the first look only writes. A later difference goes into the pod template,
//! which replaces the pods. What is gone or cannot be read changes nothing.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PodTemplateSpec;

use crate::controller::names::{self, annotation, hash};
use crate::controller::observe::Observed;
use crate::controller::references::Content;
use crate::controller::validate::{Reference, ValidatedApp};

/// Hashes by object.
type Seen = BTreeMap<String, String>;

/// What is written down for an object that an app starts without.
const ABSENT: &str = "-";

/// What is to be written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Config {
    /// What the pods have, for the Deployment.
    pub seen: Option<String>,
    /// What has changed last, for the Deployment.
    pub changed: Option<String>,
    /// The mark in the pod template, if there was a change ever.
    pub mark: Option<String>,
}

/// Compares what there is with what was written down. It is about the pods' template,
/// which may be that of an earlier revision and refer to other objects than the spec.
pub(super) fn config(
    app: &ValidatedApp,
    template: &PodTemplateSpec,
    observed: &Observed,
    secrets: bool,
) -> Config {
    let deployment = observed.deployment.as_deref();
    let noted = |name| deployment.and_then(|deployment| annotation(&deployment.metadata, name));
    let mut config = Config { mark: mark(deployment), ..Config::default() };
    let references = app.references_of(template, secrets);
    if references.is_empty() {
        return config;
    }
    let under_way = deployment.is_some_and(|deployment| !is_rolled_out(deployment));
    config.changed = noted(names::CONFIG_CHANGED_ANNOTATION).filter(|_| under_way).map(str::to_owned);
    let known: Seen =
        noted(names::CONFIG_ANNOTATION).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let (mut seen, mut changed) = (Seen::new(), Vec::new());
    for reference in &references {
        let name = reference.referent.to_string();
        let before = known.get(&name);
        let content = observed.contents.get(&reference.referent).unwrap_or(&Content::Unknown);
        let now = now(reference, content, before);
        if before.is_some_and(|before| now.as_ref().is_some_and(|now| now != before)) {
            changed.push(name.clone());
        }
        seen.extend(now.or_else(|| before.cloned()).map(|now| (name, now)));
    }
    let text = serde_json::to_string(&seen).expect("a map of text is JSON");
    if !changed.is_empty() {
        config.mark = Some(hash(&text));
        config.changed = Some(changed.join(", "));
    }
    config.seen = Some(text).filter(|_| !seen.is_empty());
    config
}

/// Whether all pods are of the template. Until then it is of interest what has
/// changed.
fn is_rolled_out(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else { return false };
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let all = |number: Option<i32>| number.unwrap_or(0) == wanted;
    status.observed_generation >= deployment.metadata.generation
        && all(status.replicas)
        && all(status.updated_replicas)
        && all(status.available_replicas)
}

fn mark(deployment: Option<&Deployment>) -> Option<String> {
    let template = &deployment?.spec.as_ref()?.template;
    annotation(template.metadata.as_ref()?, names::CONFIG_HASH_ANNOTATION).map(str::to_owned)
}

/// What a reference comes to; none where there is nothing to compare: the pods keep
/// what they have, or wait for it.
fn now(reference: &Reference, content: &Content, before: Option<&String>) -> Option<String> {
    match content {
        Content::Unknown => None,
        Content::Missing => (reference.optional && before.is_none()).then(|| ABSENT.to_owned()),
        Content::Version(version) => Some(version.clone()),
        Content::Values(values) => {
            if reference.keys.iter().any(|(key, optional)| !optional && !values.contains_key(key)) {
                return None;
            }
            let used = values.iter().filter(|(key, _)| reference.all || reference.keys.contains_key(*key));
            let text: Vec<_> = used.map(|(key, value)| format!("{key}={value}")).collect();
            Some(hash(&text.join("\n")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::controller::validate::{Referent, validate};

    /// An app whose Deployment is what was desired last.
    #[derive(Default)]
    struct Life {
        observed: Observed,
    }

    fn app(on: bool, env_from: &Value, env: &Value) -> ValidatedApp {
        let app = serde_json::from_value(json!({
            "apiVersion": "nodeapp.dev/v1alpha1",
            "kind": "NodeApp",
            "metadata": {"name": "cart", "namespace": "storefront", "uid": "u"},
            "spec": {
                "image": "a:1", "script": "a.js", "envFrom": env_from, "env": env,
                "rollout": {"onConfigChange": on},
            },
        }));
        validate(&app.unwrap()).unwrap()
    }

    fn whole(optional: bool) -> ValidatedApp {
        app(true, &json!([{"configMapRef": {"name": "c", "optional": optional}}]), &json!([]))
    }

    fn values(values: &[(&str, &str)]) -> Content {
        Content::Values(values.iter().map(|(key, value)| ((*key).to_owned(), hash(value))).collect())
    }

    impl Life {
        /// One look with this content; returns whether the pods are replaced for it.
        fn look(&mut self, app: &ValidatedApp, content: Content) -> bool {
            self.look_at(app, app, content)
        }

        /// The same while the pods are those of another spec.
        fn look_at(&mut self, app: &ValidatedApp, pods: &ValidatedApp, content: Content) -> bool {
            let referent = pods.references(true).into_iter().next().map(|reference| reference.referent);
            let referent = referent.unwrap_or(Referent::ConfigMap("c".into()));
            self.observed.contents = [(referent, content)].into();
            let before = mark(self.observed.deployment.as_deref());
            let container = json!({"name": "app", "env": pods.env, "envFrom": pods.env_from});
            let template = json!({"spec": {"containers": [container]}});
            let config = config(app, &serde_json::from_value(template).unwrap(), &self.observed, true);
            let annotations =
                [(names::CONFIG_ANNOTATION, config.seen), (names::CONFIG_CHANGED_ANNOTATION, config.changed)];
            let annotations: BTreeMap<_, _> =
                annotations.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            let mark: BTreeMap<_, _> =
                config.mark.iter().map(|mark| (names::CONFIG_HASH_ANNOTATION, mark)).collect();
            let deployment = json!({
                "metadata": {"annotations": annotations},
                "spec": {"selector": {}, "template": {"metadata": {"annotations": mark}}},
            });
            self.observed.deployment = Some(Arc::new(serde_json::from_value(deployment).unwrap()));
            config.mark != before
        }
    }

    #[test]
    fn the_first_look_restarts_nothing_and_every_change_does_once() {
        let (mut life, app) = (Life::default(), whole(false));
        assert!(!life.look(&app, values(&[("a", "1")])), "an upgrade of the operator");
        assert!(!life.look(&app, values(&[("a", "1")])));
        assert!(life.look(&app, values(&[("a", "2")])));
        assert!(!life.look(&app, values(&[("a", "2")])));
        assert!(life.look(&app, values(&[("a", "2"), ("b", "")])), "one more variable");
        let changed =
            annotation(&life.observed.deployment.unwrap().metadata, names::CONFIG_CHANGED_ANNOTATION)
                .map(str::to_owned);
        assert_eq!(changed.as_deref(), Some("ConfigMap/c"));
    }

    #[test]
    fn what_is_gone_or_unreadable_restarts_nothing_not_even_when_it_returns() {
        let (mut life, app) = (Life::default(), whole(false));
        assert!(!life.look(&app, Content::Missing), "the kubelet waits for it");
        assert!(!life.look(&app, values(&[("a", "1")])), "and starts the pods");
        for gone in [Content::Missing, Content::Unknown] {
            assert!(!life.look(&app, gone));
            assert!(!life.look(&app, values(&[("a", "1")])));
        }
        assert!(!life.look(&app, Content::Missing));
        assert!(life.look(&app, values(&[("a", "2")])), "it came back as another");
    }

    #[test]
    fn what_pods_have_started_without_restarts_them_when_it_comes() {
        let (mut life, app) = (Life::default(), whole(true));
        assert!(!life.look(&app, Content::Missing));
        assert!(life.look(&app, values(&[("a", "1")])));
        assert!(!life.look(&app, Content::Missing), "it was deleted");
    }

    #[test]
    fn only_keys_that_are_used_count() {
        let env = json!([{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "a"}}}]);
        let (mut life, app) = (Life::default(), app(true, &json!([]), &env));
        assert!(!life.look(&app, values(&[("a", "1"), ("b", "1")])));
        assert!(!life.look(&app, values(&[("a", "1"), ("b", "2")])));
        assert!(!life.look(&app, values(&[("b", "2")])), "new pods would wait for it");
        assert!(life.look(&app, values(&[("a", "2")])));
    }

    #[test]
    fn a_secret_counts_by_its_version_where_it_may_be_looked_after() {
        let secret = app(true, &json!([{"secretRef": {"name": "s"}}]), &json!([]));
        assert!(secret.references(false).is_empty());
        let mut life = Life::default();
        assert!(!life.look(&secret, Content::Version("1".into())));
        assert!(life.look(&secret, Content::Version("2".into())));
    }

    #[test]
    fn what_is_switched_off_restarts_nothing_and_neither_does_the_switch() {
        let from = json!([{"configMapRef": {"name": "c"}}]);
        let (mut life, on, off) =
            (Life::default(), app(true, &from, &json!([])), app(false, &from, &json!([])));
        assert!(!life.look(&on, values(&[("a", "1")])));
        assert!(life.look(&on, values(&[("a", "2")])));
        assert!(!life.look(&off, values(&[("a", "2")])), "the mark stays");
        assert!(!life.look(&off, values(&[("a", "3")])));
        assert!(!life.look(&on, values(&[("a", "4")])), "what happened meanwhile is unknown");
        assert!(life.look(&on, values(&[("a", "5")])));
    }

    #[test]
    fn only_what_the_pods_have_counts_whatever_the_spec_refers_to() {
        let (refers, without) = (whole(false), app(true, &json!([]), &json!([])));
        // The spec refers to it, but a template from before runs on.
        let mut life = Life::default();
        assert!(!life.look_at(&refers, &without, values(&[("a", "1")])));
        assert!(!life.look_at(&refers, &without, values(&[("a", "2")])), "no pod has it");
        // The spec does not any more, but a template from before runs again.
        let mut life = Life::default();
        assert!(!life.look_at(&without, &refers, values(&[("a", "1")])));
        assert!(life.look_at(&without, &refers, values(&[("a", "2")])));
    }
}
