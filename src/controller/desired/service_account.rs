//! The account of the pods. It has no rights and its token is not mounted.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata;
use crate::controller::validate::ValidatedApp;

/// The account of an app.
pub(super) fn build(app: &ValidatedApp) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(app, app.name.clone()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
