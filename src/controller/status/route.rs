//! The route of an app: whether its Gateways take it, and what to do if they do not. And where the app
//! is reached.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::conditions::{Standing, Verdict};
use super::seconds;
use crate::controller::desired::{Applied, Children};
use crate::controller::gateway::{HttpRoute, RouteParentStatus};
use crate::controller::text::cut;
use crate::crd::route::{HttpRouteStatus, ParentRef};
use crate::crd::{ConditionType, NodeApp, NodeAppStatus, Reason};

/// Controllers answer within seconds; who has not answered by then will not.
const LATE: SignedDuration = SignedDuration::from_mins(1);
/// How often one that is not accepted is looked at though nothing happens.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Longest message, in bytes: controllers have written parts of it.
const LONGEST_MESSAGE: usize = 4_000;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// As it is told.
    pub status: Option<HttpRouteStatus>,
    /// Why it is not accepted, if it is not.
    reason: Option<Reason>,
    /// Whether that has lasted, or somebody has said no.
    lasts: bool,
}

/// Why a route is not accepted.
struct Trouble {
    reason: Reason,
    message: String,
    /// Somebody has said no.
    refused: bool,
}

/// Looks at it.
pub(super) fn look(
    app: &NodeApp,
    previous: &NodeAppStatus,
    children: &Children<Applied>,
    now: Timestamp,
) -> Look {
    let Some(given) = &app.spec.http_route else { return Look::default() };
    let exists = children.network.route.is_some();
    let trouble = match &children.network.route {
        None => Some(missing(app)),
        Some(route) => given.parent_refs.iter().find_map(|parent| refusal(app, route, parent)),
    };
    let Some(Trouble { reason, message, refused }) = trouble else {
        let status = HttpRouteStatus { exists, accepted: true, ..HttpRouteStatus::default() };
        return Look { status: Some(status), reason: None, lasts: false };
    };
    let before = previous.http_route.as_ref().and_then(|before| before.not_accepted_since.clone());
    let since = before.unwrap_or_else(|| seconds(now));
    let late = since.parse::<Timestamp>().is_ok_and(|since| now.duration_since(since) >= LATE);
    let status = HttpRouteStatus {
        exists,
        accepted: false,
        not_accepted_since: Some(since),
        message: Some(cut(&message, LONGEST_MESSAGE)),
    };
    Look { status: Some(status), reason: Some(reason), lasts: refused || late }
}

fn missing(app: &NodeApp) -> Trouble {
    let name = app.metadata.name.as_deref().unwrap_or_default();
    Trouble {
        reason: Reason::GatewayApiMissing,
        message: format!(
            "the cluster does not have the Gateway API in version v1, and so there is no HTTPRoute {name} yet. It is \
             made within seconds once that API is installed (https://gateway-api.sigs.k8s.io); otherwise take \
             spec.httpRoute out. Everything else is carried out"
        ),
        refused: false,
    }
}

/// Why a parent does not take a route, if it does not.
fn refusal(app: &NodeApp, route: &HttpRoute, parent: &ParentRef) -> Option<Trouble> {
    let home = app.metadata.namespace.as_deref().unwrap_or_default();
    let namespace = parent.namespace.as_deref().unwrap_or(home);
    let gateway = format!("the Gateway {} of the namespace {namespace}", parent.name);
    let told = |message, refused| Trouble { reason: Reason::RouteNotAccepted, message, refused };
    let is_it = |said: &&RouteParentStatus| {
        let reference = &said.parent_ref;
        reference.name == parent.name
            && reference.namespace.as_deref().unwrap_or(home) == namespace
            && reference.section_name == parent.section_name
            && reference.port == parent.port
    };
    let said: Vec<_> = route.status.iter().flat_map(|status| &status.parents).filter(is_it).collect();
    for type_ in ["Accepted", "ResolvedRefs"] {
        let of_type = |said: &&RouteParentStatus| {
            let mut known = said.conditions.iter().filter(|condition| is_about(condition, route));
            known.find(|condition| condition.type_ == type_).cloned()
        };
        let all: Vec<Condition> = said.iter().filter_map(of_type).collect();
        if let Some(no) = all.iter().find(|condition| condition.status == "False") {
            let hint = hint(&no.reason, home);
            let Condition { reason, message, .. } = no;
            return Some(told(
                format!(
                    "{gateway} does not take the HTTPRoute: {reason}: {}{hint}",
                    message.trim_end_matches('.')
                ),
                true,
            ));
        }
        if type_ == "Accepted" && all.iter().all(|condition| condition.status != "True") {
            return Some(told(
                format!(
                    "no controller has answered for {gateway}. kubectl get gateway {} -n {namespace} says whether it is \
                     there, and kubectl get gatewayclass whether its class has a controller; if it has another name, \
                     correct spec.httpRoute.parentRefs",
                    parent.name
                ),
                false,
            ));
        }
    }
    None
}

/// Whether it is about the route as it is now.
fn is_about(condition: &Condition, route: &HttpRoute) -> bool {
    condition.observed_generation.is_none_or(|seen| route.metadata.generation.is_none_or(|now| seen >= now))
}

/// What to do about it, where the API says what a reason means.
fn hint(reason: &str, namespace: &str) -> String {
    match reason {
        "NotAllowedByListeners" => format!(
            ". Its listeners have to allow routes from the namespace {namespace} (allowedRoutes.namespaces)"
        ),
        "NoMatchingListenerHostname" => {
            ". None of its listeners has a host of spec.httpRoute.hostnames; correct one of them".to_owned()
        }
        "NoMatchingParent" => {
            ". It has no such listener; correct sectionName and port in spec.httpRoute.parentRefs".to_owned()
        }
        _ => ". Correct spec.httpRoute or the Gateway".to_owned(),
    }
}

/// How an app stands with it: not everything that is asked for is there.
pub(super) fn beside(standing: Standing, look: &Look) -> Standing {
    let Some(reason) = look.reason else { return standing };
    let message = look.status.as_ref().and_then(|status| status.message.clone()).unwrap_or_default();
    let says = |type_, holds| Verdict::new(type_, holds, reason, &message);
    let Standing { ready, degraded, .. } = &standing;
    // While instances are still to come, that is told first.
    let ready = if ready.holds { says(ConditionType::Ready, false) } else { ready.clone() };
    let degraded =
        if look.lasts && !degraded.holds { says(ConditionType::Degraded, true) } else { degraded.clone() };
    Standing { ready, degraded, ..standing }
}

/// When to look again.
pub(super) fn look_again(status: &NodeAppStatus) -> Option<Duration> {
    let route = status.http_route.as_ref()?;
    (!route.accepted).then_some(LOOK_AGAIN)
}

/// Where the app is reached: from outside, if it is, or from inside the cluster.
pub(super) fn url(children: &Children<Applied>, route: Option<&HttpRouteStatus>) -> Option<String> {
    let accepted = children.network.route.as_ref().filter(|_| route.is_some_and(|route| route.accepted));
    let outside = children.network.ingress.as_ref().and_then(of_ingress);
    outside.or_else(|| accepted.and_then(of_route)).or_else(|| children.service.as_ref().and_then(of_service))
}

/// At the first host that has a name of its own.
fn of_ingress(ingress: &Ingress) -> Option<String> {
    let spec = ingress.spec.as_ref()?;
    let mut hosts = spec.rules.iter().flatten().filter_map(|rule| Some((rule.host.as_deref()?, rule)));
    let (host, rule) = hosts.find(|(host, _)| !host.starts_with('*'))?;
    let secured = spec.tls.iter().flatten().any(|tls| {
        let hosts = tls.hosts.as_deref().unwrap_or_default();
        hosts.is_empty() || hosts.iter().any(|secured| covers(secured, host))
    });
    let path = rule.http.as_ref().and_then(|http| http.paths.first()?.path.as_deref()).unwrap_or("/");
    Some(format!("{}://{host}{}", if secured { "https" } else { "http" }, path.trim_end_matches('/')))
}

/// Whether a name, perhaps with a wildcard for its first label, is that of a host.
fn covers(name: &str, host: &str) -> bool {
    let below =
        name.strip_prefix("*.").and_then(|rest| host.split_once('.').map(|(_, parent)| parent == rest));
    name == host || below == Some(true)
}

/// What its listener speaks is not known here; by its name or its port it is.
fn of_route(route: &HttpRoute) -> Option<String> {
    let hosts = route.spec["hostnames"].as_array()?;
    let host = hosts.iter().filter_map(|host| host.as_str()).find(|host| !host.starts_with('*'))?;
    let parents = route.spec["parentRefs"].as_array();
    let secured = parents.into_iter().flatten().any(|parent| {
        parent["port"] == 443 || parent["sectionName"].as_str().is_some_and(|name| name.contains("https"))
    });
    let first = &route.spec["rules"][0]["matches"][0]["path"];
    let path = first["value"].as_str().filter(|_| first["type"] != "RegularExpression").unwrap_or("/");
    Some(format!("{}://{host}{}", if secured { "https" } else { "http" }, path.trim_end_matches('/')))
}

fn of_service(service: &Service) -> Option<String> {
    let port = service.spec.as_ref()?.ports.as_ref()?.first()?.port;
    let meta = &service.metadata;
    Some(format!("http://{}.{}.svc:{port}", meta.name.as_ref()?, meta.namespace.as_ref()?))
}

#[cfg(test)]
mod tests;
