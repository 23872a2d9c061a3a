//! What docs/install.md says about private registries.

use anyhow::ensure;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Patch, PatchParams};
use nodeapp_testkit::{Tier, story};
use serde_json::json;

use crate::support::{Operator, SOON, Tap, app, settled};

#[test]
fn a_pull_secret_on_an_apps_account_stays_there() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        // With a change that makes the operator write the account.
        let change = json!({
            "imagePullSecrets": [{"name": "registry"}],
            "automountServiceAccountToken": true,
        });
        let accounts = namespace.api::<ServiceAccount>();
        accounts.patch("shop", &PatchParams::default(), &Patch::Strategic(&change)).await?;
        let account = namespace
            .eventually("the operator has written the account", SOON, async || {
                let account = namespace.get("ServiceAccount", "shop").await?;
                ensure!(account["automountServiceAccountToken"] == false, "{account}");
                Ok(account)
            })
            .await?;
        assert_eq!(account["imagePullSecrets"], json!([{"name": "registry"}]));
        Ok(())
    });
}
