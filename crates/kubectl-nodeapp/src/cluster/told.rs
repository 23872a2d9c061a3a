//! What a cluster refused, in words that say what to do.

use kube::Error;

/// What was tried: `patch`, `nodeapps`, in which namespace.
pub(crate) struct Attempt<'a> {
    pub(crate) verb: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) namespace: Option<&'a str>,
}

/// What went wrong with it.
pub(crate) fn told(attempt: &Attempt, error: &Error) -> String {
    let Attempt { verb, resource, namespace } = attempt;
    let place =
        namespace.map_or_else(|| "in all namespaces".to_owned(), |name| format!("in namespace {name}"));
    match error {
        Error::Api(status) if status.code == 403 => format!(
            "you may not {verb} {resource} {place}; somebody who may can grant it by a Role: {}",
            status.message
        ),
        Error::Api(status) if status.code == 401 => {
            format!(
                "the cluster does not know you: {}; log in again, or see the user of the context",
                status.message
            )
        }
        Error::Api(status)
            if status.code == 404 && resource.starts_with("nodeapps") && names_nothing(status) =>
        {
            "this cluster knows no NodeApps; install the operator first (see docs/install.md)".to_owned()
        }
        Error::Api(status) => format!("cannot {verb} {resource} {place}: {}", status.message),
        Error::Auth(error) => format!(
            "the kubeconfig's way to log in does not work: {}; see the user of the context",
            chain(error)
        ),
        Error::SerdeError(error) => {
            format!("what the cluster answered to {verb} {resource} cannot be read: {error}")
        }
        error => format!("no cluster answers: {}", chain(error)),
    }
}

/// A missing object is named; a missing kind is a bare 404.
fn names_nothing(status: &kube::core::Status) -> bool {
    status.details.as_ref().is_none_or(|details| details.name.is_empty())
}

/// An error with its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn refused(code: u16, message: &str) -> String {
        let attempt = Attempt { verb: "list", resource: "nodeapps", namespace: Some("web") };
        told(&attempt, &Error::Api(Status::failure(message, "").with_code(code).boxed()))
    }

    #[test]
    fn a_missing_right_and_a_missing_operator_are_told_with_the_way_out() {
        let right = refused(403, "nodeapps.nodeapp.dev is forbidden");
        assert!(right.starts_with("you may not list nodeapps in namespace web"), "{right}");
        let operator = refused(404, "404 page not found");
        assert!(operator.contains("install the operator"), "{operator}");
        let attempt = Attempt { verb: "list", resource: "pods", namespace: Some("web") };
        let gone = Status::failure("the server could not find it", "").with_code(404).boxed();
        let other = told(&attempt, &Error::Api(gone));
        assert!(other.starts_with("cannot list pods"), "{other}");
    }
}
