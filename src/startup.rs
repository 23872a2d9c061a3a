//! What must be there before any work: the API server, the API, the rights.
//! Looked at before the controller starts and now and then afterwards; what is
//! missing is said once and shown by `/readyz`, and looked for again.

use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceRule, SelfSubjectRulesReview, SelfSubjectRulesReviewSpec};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};

use crate::controller::error::chain;
use crate::crd::NodeApp;
use crate::health::Health;
use crate::permissions::{SECRETS, TABLE};
use crate::served;

/// Waits between two looks while something is missing.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Wait between two looks while all is well.
const CHECK_EVERY: Duration = Duration::from_mins(1);
/// A look that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What an installation needs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs<'a> {
    /// The namespaces that are watched; all of them if none is named.
    pub namespaces: &'a [String],
    /// Whether Secrets are looked after.
    pub secrets: bool,
}

/// Returns when everything is there, and the API is as new as this operator.
pub async fn wait_until_ready(client: &Client, needs: Needs<'_>, health: &Health) {
    wait(client, needs, health, true).await;
}

async fn wait(client: &Client, needs: Needs<'_>, health: &Health, schema: bool) {
    let mut wait = FIRST_WAIT;
    while !look(client, needs, health, schema).await {
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Keeps looking, for `/readyz` and the logs.
pub async fn keep_looking(client: &Client, needs: Needs<'_>, health: &Health) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(CHECK_EVERY) => {}
            () = health.suspected() => {}
        }
        wait(client, needs, health, false).await;
    }
}

/// Looks once. Returns whether everything is there.
/// `schema`: whether to look at the schema too, which is large.
async fn look(client: &Client, needs: Needs<'_>, health: &Health, schema: bool) -> bool {
    let all = async {
        let mut missing = missing(client, needs).await;
        if schema && missing.is_empty() {
            missing.extend(served::is_older(client).await);
        }
        missing
    };
    let missing = match tokio::time::timeout(PATIENCE, all).await {
        Ok(missing) => missing,
        Err(_) => vec![format!("an answer of the API server within {} s", PATIENCE.as_secs())],
    };
    let complete = missing.is_empty();
    if health.found_missing(missing.clone()) {
        if complete {
            tracing::info!("the API server, the NodeApp API and all rights are there");
        } else {
            tracing::warn!(missing = missing.join("; "), "cannot work yet; looking again until it is there");
        }
    }
    complete
}

/// Why apps cannot be listed.
enum Unlisted {
    NoApi,
    Forbidden(String),
    Away(String),
}

/// What is missing in the namespaces that are watched; in any, where all are.
async fn missing(client: &Client, needs: Needs<'_>) -> Vec<String> {
    let mut missing = Vec::new();
    let namespaces = needs.namespaces;
    let every = namespaces.is_empty().then_some(None);
    for namespace in every.into_iter().chain(namespaces.iter().map(|name| Some(name.as_str()))) {
        let mut forbidden = None;
        match list_apps(client, namespace).await {
            Ok(()) => {}
            Err(Unlisted::Away(text)) => return vec![text],
            Err(Unlisted::Forbidden(words)) => forbidden = Some(words),
            Err(Unlisted::NoApi) if missing.iter().any(|known| known == NO_API) => {}
            Err(Unlisted::NoApi) => missing.push(NO_API.to_owned()),
        }
        let rights = rights_lacking(client, namespace, needs.secrets, forbidden).await;
        let place = namespace.map(|name| format!("in the namespace {name}: ")).unwrap_or_default();
        missing.extend(rights.into_iter().map(|right| format!("{place}{right}")));
    }
    missing
}

/// What is said where the API is not installed.
const NO_API: &str = "the CustomResourceDefinition nodeapps.nodeapp.dev (install the chart \
                      nodeapp-operator-crds, or kubectl apply --server-side -f manifests/crds.yaml)";

async fn list_apps(client: &Client, namespace: Option<&str>) -> Result<(), Unlisted> {
    let apps = match namespace {
        Some(namespace) => Api::<NodeApp>::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    match apps.list_metadata(&ListParams::default().limit(1)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Err(Unlisted::NoApi),
        // The review of the rights says more, if it says anything.
        Err(kube::Error::Api(status)) if status.code == 403 => Err(Unlisted::Forbidden(status.message)),
        Err(error) => Err(Unlisted::Away(format!("the API server: {}", chain(&error)))),
    }
}

async fn rights_lacking(
    client: &Client,
    namespace: Option<&str>,
    secrets: bool,
    forbidden: Option<String>,
) -> Vec<String> {
    match missing_rights(client, namespace.unwrap_or("default"), secrets).await {
        Ok(rights) => with_remedy(rights, forbidden, namespace),
        Err(error) => {
            let mut missing = with_remedy(Vec::new(), forbidden, namespace);
            missing.push(format!("the review of the operator's rights: {}", chain(&error)));
            missing
        }
    }
}

/// What to do about a missing right: an operator that looks after a list of
/// namespaces is given a Role in each, and no `ClusterRole`.
fn remedy(namespace: Option<&str>) -> String {
    match namespace {
        None => "`nodeapp-operator rbac` prints the ClusterRole that has them all".to_owned(),
        Some(namespace) => format!(
            "a Role in the namespace {namespace} must give it: the chart makes one in each of its `namespaces`, \
             with the rules of the ClusterRole that `nodeapp-operator rbac` prints"
        ),
    }
}

/// The missing rights, or the API server's own words where the review names none
/// (another authorizer than RBAC cannot list what it allows); at the end, once,
/// what to do.
fn with_remedy(mut rights: Vec<String>, forbidden: Option<String>, namespace: Option<&str>) -> Vec<String> {
    if rights.is_empty() {
        rights.extend(forbidden.map(|words| format!("a right to work on NodeApps: {words}")));
    }
    if let Some(last) = rights.last_mut() {
        *last = format!("{last} ({})", remedy(namespace));
    }
    rights
}

async fn missing_rights(client: &Client, namespace: &str, secrets: bool) -> Result<Vec<String>, kube::Error> {
    let review = SelfSubjectRulesReview {
        spec: SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) },
        ..SelfSubjectRulesReview::default()
    };
    let answer =
        Api::<SelfSubjectRulesReview>::all(client.clone()).create(&PostParams::default(), &review).await?;
    let Some(rules) = answer.status.filter(|status| !status.incomplete) else {
        // Another authorizer than RBAC: it cannot list what it allows.
        return Ok(Vec::new());
    };
    Ok(lacking(&rules.resource_rules, secrets))
}

/// The rights of the table that the rules do not give, one line per resource.
fn lacking(rules: &[ResourceRule], secrets: bool) -> Vec<String> {
    let holds = |words: Option<&Vec<String>>, word: &str| {
        words.is_some_and(|words| words.iter().any(|given| given == word || given == "*"))
    };
    let given = |group: &str, resource: &str, verb: &str| {
        rules.iter().any(|rule| {
            holds(rule.api_groups.as_ref(), group)
                && holds(rule.resources.as_ref(), resource)
                && holds(Some(&rule.verbs), verb)
                && rule.resource_names.as_ref().is_none_or(Vec::is_empty)
        })
    };
    let of_secrets = if secrets { SECRETS } else { &[] };
    TABLE
        .iter()
        .map(|row| (row, ""))
        .chain(of_secrets.iter().map(|row| (row, ", which --watch-secrets needs")))
        .filter_map(|(row, why)| {
            let verbs: Vec<_> =
                row.verbs.iter().copied().filter(|verb| !given(row.group, row.resource, verb)).collect();
            let group = if row.group.is_empty() { String::new() } else { format!(".{}", row.group) };
            (!verbs.is_empty())
                .then(|| format!("the right to {} {}{group}{why}", verbs.join(", "), row.resource))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permissions;

    fn rules_of_the_role() -> Vec<ResourceRule> {
        let rules = permissions::cluster_role().rules.unwrap();
        let rule = |rule: k8s_openapi::api::rbac::v1::PolicyRule| ResourceRule {
            api_groups: rule.api_groups,
            resources: rule.resources,
            verbs: rule.verbs,
            resource_names: None,
        };
        rules.into_iter().map(rule).collect()
    }

    #[test]
    fn the_role_gives_everything_that_is_needed() {
        assert!(lacking(&rules_of_the_role(), false).is_empty());
    }

    #[test]
    fn the_rights_for_secrets_are_missed_where_they_are_to_be_looked_after() {
        let told = lacking(&rules_of_the_role(), true);
        assert_eq!(told, ["the right to get, list, watch secrets, which --watch-secrets needs"]);
    }

    #[test]
    fn a_missing_verb_is_named() {
        let mut rules = rules_of_the_role();
        for rule in &mut rules {
            if rule.resources.as_deref() == Some(&["deployments".to_owned()]) {
                rule.verbs.retain(|verb| verb != "patch");
            }
        }
        assert_eq!(lacking(&rules, false), ["the right to patch deployments.apps"]);
    }

    #[test]
    fn a_refusal_is_told_only_where_the_review_names_nothing() {
        let refusal = || Some("nodeapps is forbidden".to_owned());
        let remedy = remedy(None);
        let told = with_remedy(Vec::new(), refusal(), None);
        assert_eq!(told, [format!("a right to work on NodeApps: nodeapps is forbidden ({remedy})")]);
        let named = || vec!["the right to list a".to_owned(), "the right to list b".to_owned()];
        let told = with_remedy(named(), refusal(), None);
        assert_eq!(told, ["the right to list a".to_owned(), format!("the right to list b ({remedy})")]);
        assert!(with_remedy(Vec::new(), None, None).is_empty());
    }

    #[test]
    fn where_only_roles_are_installed_a_missing_right_is_mended_in_a_role() {
        let told = with_remedy(vec!["the right to list a".to_owned()], None, Some("shop"));
        assert!(told[0].contains("a Role in the namespace shop must give it"), "{}", told[0]);
    }

    #[test]
    fn an_administrator_lacks_nothing() {
        let all = || Some(vec!["*".to_owned()]);
        let rule = ResourceRule {
            api_groups: all(),
            resources: all(),
            verbs: vec!["*".to_owned()],
            resource_names: None,
        };
        assert!(lacking(&[rule], true).is_empty());
    }
}
