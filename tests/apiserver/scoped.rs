//! An operator that looks after a list of namespaces, with Roles and no
//! `ClusterRole`.

use anyhow::{Result, ensure};
use kube::Client;
use kube::api::{Api, DeleteParams};
use nodeapp_operator::generated;
use nodeapp_operator::health::Health;
use nodeapp_operator::startup::{self, Needs};
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::support::{Operator, SOON, Tap, admin, app, apply, client_of, grant_role, install};

/// The operator's rules as a Role in one namespace, for one user.
pub(crate) async fn grant(admin: &Client, namespace: &str, user: &str) -> Result<()> {
    grant_role(admin, namespace, "nodeapp-operator", &generated::rbac_yaml(), user).await
}

async fn deployment(client: &Client, namespace: &str) -> Result<Option<Value>> {
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/shop");
    match client.request(http::Request::get(path).body(Vec::new())?).await {
        Ok(deployment) => Ok(Some(deployment)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[test]
fn an_operator_of_two_namespaces_needs_roles_only_and_leaves_a_third_alone() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        let admin = admin(&Tap::default()).await?;
        let others = [format!("{}-b", namespace.name()), format!("{}-c", namespace.name())];
        for other in &others {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}});
            apply(&admin, &format!("/api/v1/namespaces/{other}"), &object).await?;
        }
        let outcome = look_after_two(&namespace, &admin, &others).await;
        for other in &others {
            Api::<k8s_openapi::api::core::v1::Namespace>::all(admin.clone())
                .delete(other, &DeleteParams::default())
                .await?;
        }
        outcome
    });
}

async fn look_after_two(namespace: &Namespace, admin: &Client, others: &[String; 2]) -> Result<()> {
    let user = format!("operator-of-{}", namespace.name());
    let poor = client_of(&user, &Tap::default()).await?;
    let named = vec![namespace.name().to_owned(), others[0].clone()];

    grant(admin, &named[0], &user).await?;
    let health = Health::new(&[]);
    let needs = Needs { namespaces: &named, secrets: false };
    let both_are_looked_at = startup::wait_until_ready(&poor, needs, &health);
    let given = namespace.eventually("what is missing is named with its namespace", SOON, async || {
        let missing = health.missing();
        let words = format!("in the namespace {}: the right to", named[1]);
        ensure!(missing.iter().any(|missing| missing.starts_with(&words)), "{missing:?}");
        grant(admin, &named[1], &user).await
    });
    tokio::join!(both_are_looked_at, given).1?;

    let _operator = Operator::start_as(poor.clone(), named.clone(), "registry.example/nodeapp-runner:1");
    for name in named.iter().chain([&others[1]]) {
        let path = format!("/apis/nodeapp.dev/v1alpha1/namespaces/{name}/nodeapps/shop");
        apply(admin, &path, &app("shop", &json!({}))).await?;
    }
    for name in &named {
        namespace
            .eventually("the Deployment is there", SOON, async || {
                deployment(admin, name).await?.ok_or_else(|| anyhow::anyhow!("not yet in {name}"))
            })
            .await?;
    }
    assert!(deployment(admin, &others[1]).await?.is_none(), "nobody asked for the third one");
    Ok(())
}
