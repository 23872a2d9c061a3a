//! `scale`: how many instances, or how many more or fewer.

use std::str::FromStr;

use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use nodeapp_operator::crd::NodeApp;
use serde_json::json;

use crate::Outcome;
use crate::change::{MANAGER, Step};
use crate::cluster::{Attempt, Cluster, Scope, told, wait_for};
use crate::select::{RESOURCE, Selector};
use crate::state::{counted_by, is_job};
use crate::waiting::{Goal, Waiting};

/// The most that the API takes.
const MOST: i32 = 10_000;
/// Someone else may change the number at the same time; then it is read again.
const TRIES: usize = 5;

/// Set how many instances apps have: N, or +N and -N of what there are.
///
/// Goes through /scale, which is a right of its own, and waits until all are ready. Refused where something else decides
/// the number: fillCluster, autoscaling, or a job.
///
/// Exit code: 0 if there are as many; 1 if not, told with the reason.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl nodeapp scale shop 4\n  kubectl nodeapp scale shop +2\n  kubectl nodeapp scale shop -1 --no-wait"
)]
pub(crate) struct Args {
    /// Name, `all` or /regex/.
    #[arg(value_name = "NAME")]
    selector: Selector,
    /// N, +N or -N.
    #[arg(value_name = "N", allow_hyphen_values = true)]
    count: Count,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    scope: Scope,
}

/// A number, or a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    To(i32),
    By(i32),
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number: Result<i32, _> = text.parse();
        match number.ok().filter(|number| (-MOST..=MOST).contains(number)) {
            Some(number) if text.starts_with(['+', '-']) => Ok(Self::By(number)),
            Some(number) => Ok(Self::To(number)),
            None if text == "max" => {
                Err("`max` is no number; for as many as the nodes have room for set fillCluster in the spec"
                    .to_owned())
            }
            None => Err(format!("`{text}` is no number of instances; write 4, +2 or -1, at most {MOST}")),
        }
    }
}

impl Count {
    /// What it comes to.
    fn of(self, now: i32) -> Result<i32, String> {
        match self {
            Self::To(count) => Ok(count),
            Self::By(difference) => {
                let count = now + difference;
                let refused = || format!("has {now} instances, and {difference:+} would make {count}");
                if (0..=MOST).contains(&count) { Ok(count) } else { Err(refused()) }
            }
        }
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let apps = cluster.apps(std::slice::from_ref(&args.selector)).await?;
        cluster.carry_out(&apps, Some(&args.waiting), async |app| cluster.scale(app, args.count).await).await
    })
}

/// What decides the number instead, and where to say it.
fn refused(app: &NodeApp) -> Result<(), String> {
    if is_job(app) {
        return Err("is a job, of which one runs at a time".to_owned());
    }
    match counted_by(app) {
        Some("fillCluster") => Err(
            "fillCluster decides how many there are; to limit it set fillCluster.maxInstances, to decide yourself \
             replace it by instances"
                .to_owned(),
        ),
        Some(_) => Err(
            "autoscaling decides how many there are; set autoscaling.minInstances and maxInstances, or replace it by \
             instances"
                .to_owned(),
        ),
        None => Ok(()),
    }
}

impl Cluster {
    async fn scale(&self, app: &NodeApp, count: Count) -> Result<Step, String> {
        refused(app)?;
        let (name, namespace) = (app.name_any(), app.metadata.namespace.as_deref());
        let api = self.nodeapps_beside(app);
        let attempt = |verb| Attempt { verb, resource: "nodeapps.nodeapp.dev/scale", namespace };
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let mut tries = 0;
        loop {
            tries += 1;
            let scale = api.get_scale(&name).await.map_err(|error| told(&attempt("get"), &error))?;
            let now = scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
            let wanted = count.of(now)?;
            if wanted == now {
                return Ok(Step::Said(format!("has {now} instances already")));
            }
            // A difference holds for the number that was read, and for no other.
            let patch = json!({
                "metadata": {"resourceVersion": scale.metadata.resource_version},
                "spec": {"replicas": wanted},
            });
            match api.patch_scale(&name, &params, &Patch::Merge(&patch)).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 409 && tries < TRIES => continue,
                Err(error) => return Err(told(&attempt("patch"), &error)),
            }
            if app.spec.stopped == Some(true) {
                return Ok(Step::Said(format!(
                    "is stopped; it will have {wanted} instances, {now} before, when started"
                )));
            }
            let read = Attempt { verb: "get", resource: RESOURCE, namespace };
            let after = api.get(&name).await.map_err(|error| told(&read, &error))?;
            let generation = after.metadata.generation.unwrap_or(0);
            let goal = if wanted == 0 { Goal::Stopped(generation) } else { Goal::Ready(generation) };
            return Ok(Step::Asked { goal, done: format!("{now} → {wanted} instances") });
        }
    }
}

#[cfg(test)]
mod tests {
    use nodeapp_operator::crd::NodeAppSpec;

    use super::*;

    fn count(text: &str) -> Result<i32, String> {
        text.parse::<Count>()?.of(3)
    }

    #[test]
    fn a_sign_is_a_difference_and_none_a_number() {
        for (text, wanted) in [("5", 5), ("0", 0), ("+2", 5), ("-3", 0), ("-0", 3)] {
            assert_eq!(count(text), Ok(wanted), "{text}");
        }
        assert_eq!(count("-4").expect_err("too few"), "has 3 instances, and -4 would make -1");
        assert!(count("+10000").is_err());
        assert!(count("max").expect_err("no number").contains("fillCluster"));
        assert!(count("two").expect_err("no number").contains("4, +2 or -1"));
    }

    #[test]
    fn who_decides_the_number_is_named() {
        let app = |fields: serde_json::Value| {
            let mut spec = serde_json::json!({"image": "shop:1"});
            for (name, value) in fields.as_object().expect("an object") {
                spec[name] = value.clone();
            }
            let spec: NodeAppSpec = serde_json::from_value(spec).expect("a spec");
            NodeApp::new("shop", spec)
        };
        assert_eq!(refused(&app(json!({}))), Ok(()));
        let words = |fields| refused(&app(fields)).expect_err("refused");
        assert!(words(json!({"fillCluster": {}})).starts_with("fillCluster decides"));
        assert!(
            words(json!({"autoscaling": {"maxInstances": 3, "cpu": "70%"}}))
                .starts_with("autoscaling decides")
        );
        assert!(words(json!({"autorestart": false, "cronRestart": "@daily"})).contains("job"));
    }
}
