//! `delete`: the app goes, with all that was made for it.

use kube::ResourceExt as _;
use kube::api::{DeleteParams, Preconditions};
use nodeapp_operator::crd::NodeApp;
use nodeapp_operator::crd::redis::{RedisMode, Retention};

use crate::change::Step;
use crate::cluster::{Attempt, Cluster, Scope, told, wait_for};
use crate::select::{RESOURCE, Selector, is_named};
use crate::targets::{Target, split};
use crate::waiting::{Goal, Waiting};
use crate::{Outcome, apps_file};

/// Delete apps with all that was made for them: pods, Service, history. It does not ask; `all` and /regex/ need --yes.
///
/// Instances drain before they end. The volume of a shared Redis stays unless `redis.storage.retention` is Delete.
///
/// Exit code: 0 if all are gone; 1 if one is not, told with the reason.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl nodeapp delete shop\n  kubectl nodeapp delete all -n review-42 --yes"
)]
pub(crate) struct Args {
    /// Names, `all`, /regex/, or files: then the apps that they have.
    #[arg(value_name = "NAME|FILE", required = true)]
    targets: Vec<Target>,
    /// Delete what `all` and /regex/ take, too.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    scope: Scope,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let (files, names) = split(&args.targets);
    let found = apps_file::named(&files)?;
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let of_files = found.iter().filter_map(|app| app.pointer("/metadata/name")?.as_str());
        let given: Vec<Selector> =
            of_files.map(|name| Selector::Name(name.to_owned())).chain(names.iter().cloned()).collect();
        let apps = cluster.targeted(&names, &found).await?;
        let everywhere = cluster.namespace.is_none();
        if !args.yes && (everywhere || !apps.iter().all(|app| is_named(&given, app))) {
            let names: Vec<String> =
                apps.iter().map(|app| crate::state::full_name(app, everywhere)).collect();
            return Err(format!("this would delete {}; say --yes to do it", names.join(", ")));
        }
        cluster.carry_out(&apps, Some(&args.waiting), async |app| cluster.delete(app).await).await
    })
}

/// What goes with it, and what stays.
fn what_goes(app: &NodeApp) -> String {
    let redis = app.spec.redis.as_ref().filter(|redis| redis.mode == RedisMode::Shared);
    let retention = redis.map(|redis| redis.storage.as_ref().and_then(|it| it.retention).unwrap_or_default());
    match retention {
        Some(Retention::Retain) => {
            "deleted; the volume of its Redis stays (redis.storage.retention is Retain)".to_owned()
        }
        Some(Retention::Delete) => "deleted, with the data of its Redis".to_owned(),
        None => "deleted".to_owned(),
    }
}

impl Cluster {
    async fn delete(&self, app: &NodeApp) -> Result<Step, String> {
        let namespace = app.metadata.namespace.as_deref();
        let attempt = Attempt { verb: "delete", resource: RESOURCE, namespace };
        // Not another one of its name that came meanwhile.
        let preconditions = Preconditions { uid: app.uid(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
        match self.nodeapps_beside(app).delete(&app.name_any(), &params).await {
            Ok(_) => Ok(Step::Asked { goal: Goal::Gone, done: what_goes(app) }),
            Err(kube::Error::Api(status)) if status.code == 404 => {
                Ok(Step::Said("is gone already".to_owned()))
            }
            Err(error) => Err(told(&attempt, &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::state::tests::app;

    #[test]
    fn what_stays_of_an_app_is_told() {
        let mut shop = app(&[], &json!({}));
        assert_eq!(what_goes(&shop), "deleted");
        shop.spec.redis = serde_json::from_value(json!({"mode": "Shared"})).expect("a Redis");
        assert!(what_goes(&shop).contains("stays"));
        let deletes = json!({"mode": "Shared", "storage": {"retention": "Delete"}});
        shop.spec.redis = serde_json::from_value(deletes).expect("a Redis");
        assert!(what_goes(&shop).contains("with the data"));
    }
}
