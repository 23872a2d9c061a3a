//! What the user may do.

use futures::stream;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;

use super::facts::{Rights, Seen};
use crate::cluster::{Attempt, Cluster, told};
use crate::rights::{Right, TABLE, needed};

/// Questions at a time.
const AT_ONCE: usize = 8;

/// Asks for every right that the verbs of this program need in a namespace.
pub(super) async fn rights(cluster: &Cluster, namespace: &str) -> Seen<Rights> {
    let ask = |(right, verbs): (Right, Vec<&'static str>)| async move {
        let allowed = is_allowed(cluster, namespace, right).await?;
        Ok::<_, String>((!allowed).then(|| (named(right), verbs)))
    };
    let answers: Vec<Option<(String, Vec<&'static str>)>> =
        stream::iter(needed(TABLE)).map(ask).buffered(AT_ONCE).try_collect().await?;
    let user = who(cluster).await.unwrap_or_else(|| "you".to_owned());
    Ok(Rights { user, denied: answers.into_iter().flatten().collect() })
}

fn named((group, resource, verb): Right) -> String {
    if group.is_empty() { format!("{verb} {resource}") } else { format!("{verb} {resource} of {group}") }
}

async fn is_allowed(cluster: &Cluster, namespace: &str, right: Right) -> Result<bool, String> {
    let (group, resource, verb) = right;
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, sub)) => (resource, Some(sub.to_owned())),
        None => (resource, None),
    };
    let attributes = ResourceAttributes {
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        verb: Some(verb.to_owned()),
        namespace: Some(namespace.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec =
        SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), non_resource_attributes: None };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let attempt = Attempt {
        verb: "create",
        resource: "selfsubjectaccessreviews.authorization.k8s.io",
        namespace: None,
    };
    let answer = Api::all(cluster.client.clone()).create(&PostParams::default(), &review).await;
    let answer = answer.map_err(|error| told(&attempt, &error))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// Who the API server takes the user for.
async fn who(cluster: &Cluster) -> Option<String> {
    let api: Api<SelfSubjectReview> = Api::all(cluster.client.clone());
    let review = api.create(&PostParams::default(), &SelfSubjectReview::default()).await.ok()?;
    review.status?.user_info?.username
}
