use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use super::*;
use crate::controller::desired::{Children, History, Prepared, Settings, desired};
use crate::controller::validate::validate;
use crate::crd::NodeApp;

/// An app in a cluster that is a variable: what is desired comes to be at once.
#[derive(Default)]
struct Life {
    observed: Observed,
}

fn app(args: &str, change: &Value) -> ValidatedApp {
    let mut app = json!({
        "apiVersion": "nodeapp.dev/v1alpha1",
        "kind": "NodeApp",
        "metadata": {"name": "cart", "namespace": "storefront", "uid": "u", "annotations": {}},
        "spec": {"image": "a:1", "script": "a.js", "args": [args], "instances": 2, "cwd": "/app", "port": 3000},
    });
    for (key, value) in change.as_object().into_iter().flatten() {
        match key.as_str() {
            "rollback" => app["metadata"]["annotations"][names::ROLLBACK_ANNOTATION] = value.clone(),
            key => app["spec"][key] = value.clone(),
        }
    }
    let app: NodeApp = serde_json::from_value(app).unwrap();
    validate(&app).unwrap()
}

fn migrating(args: &str) -> ValidatedApp {
    app(args, &before(&["migrate"]))
}

fn before(command: &[&str]) -> Value {
    json!({"rollout": {"before": {"command": command}}})
}

impl Life {
    /// One reconcile, with everything carried out.
    fn look(&mut self, app: &ValidatedApp) -> Children<Prepared> {
        let children = desired(
            app,
            &self.observed,
            &Settings { runner_image: "runner:1".to_owned(), ..Settings::default() },
        );
        let name = children.revision.metadata.name.clone();
        self.observed.revisions.retain(|known| known.metadata.name != name);
        self.observed.revisions.push(Arc::new(children.revision.clone()));
        let gone: Vec<_> = children.obsolete_jobs.iter().map(|job| job.name_any()).collect();
        self.observed.jobs.retain(|job| !gone.contains(&job.name_any()));
        self.observed.jobs.extend(children.job.clone().map(Arc::new));
        self.observed.running.clone_from(&children.course.running);
        self.observed.rollback.clone_from(&children.course.rollback);
        self.observed.deployment = children.deployment.clone().map(Arc::new);
        self.observed.wanted_before = children.deployment.as_ref().map_or(0, |_| replicas_of(&children));
        children
    }

    /// Gives every job this status.
    fn jobs_are(&mut self, status: &Value) {
        for job in &mut self.observed.jobs {
            let mut changed = (**job).clone();
            changed.status = serde_json::from_value(status.clone()).unwrap();
            *job = Arc::new(changed);
        }
    }
}

fn succeeded() -> Value {
    json!({"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]})
}

fn failed() -> Value {
    let message =
        "Container before-rollout for pod a/b failed with exit code 3 matching FailJob rule at index 0";
    json!({"failed": 1, "conditions": [
        {"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": message},
    ]})
}

fn args(deployment: Option<&Deployment>) -> String {
    let template = &deployment.unwrap().spec.as_ref().unwrap().template;
    let annotations = template.metadata.as_ref().unwrap().annotations.as_ref().unwrap();
    let config: Value = serde_json::from_str(&annotations["nodeapp.dev/runner-config"]).unwrap();
    config["launch"]["script"]["args"][0].as_str().unwrap().to_owned()
}

fn replicas_of(children: &Children<Prepared>) -> i32 {
    children.deployment.as_ref().unwrap().spec.as_ref().unwrap().replicas.unwrap()
}

fn stage_of<S>(children: &Children<S>) -> Option<&Stage> {
    match children.course.detour.as_ref()? {
        Detour::Before(stage) => Some(stage),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_very_first_pods_wait_for_the_job() {
    let mut life = Life::default();
    let first = life.look(&migrating("1"));
    assert!(matches!(stage_of(&first), Some(Stage::Runs { .. })));
    assert!(first.job.is_some());
    assert_eq!((replicas_of(&first), &first.course.running), (0, &None));
    let still = life.look(&migrating("1"));
    assert!(still.job.is_none(), "once is enough");
    assert_eq!(replicas_of(&still), 0);
    life.jobs_are(&succeeded());
    let then = life.look(&migrating("1"));
    assert_eq!((stage_of(&then), replicas_of(&then)), (None, 2));
    assert_eq!(then.course.running, then.revision.metadata.name);
}

#[test]
fn old_pods_run_on_and_are_scaled_while_the_job_runs() {
    let mut life = Life::default();
    let old = life.look(&app("1", &json!({})));
    let new = life.look(&migrating("2"));
    assert!(new.job.is_some());
    assert_eq!(args(new.deployment.as_ref()), "1");
    assert_eq!(new.course.running, old.revision.metadata.name);
    let mut scaled = migrating("2");
    scaled.instances = 5;
    let more = life.look(&scaled);
    assert_eq!((args(more.deployment.as_ref()).as_str(), replicas_of(&more)), ("1", 5));
    life.jobs_are(&succeeded());
    let done = life.look(&scaled);
    assert_eq!((args(done.deployment.as_ref()).as_str(), stage_of(&done)), ("2", None));
    // Whoever clears old Jobs away causes no second run.
    life.observed.jobs.clear();
    assert!(life.look(&scaled).job.is_none());
}

#[test]
fn a_failed_job_stops_the_rollout_and_only_another_spec_or_its_deletion_tries_again() {
    let mut life = Life::default();
    life.look(&app("1", &json!({})));
    life.look(&migrating("2"));
    life.jobs_are(&failed());
    let stopped = life.look(&migrating("2"));
    let Some(Stage::Failed { job, message }) = stage_of(&stopped) else { panic!("{:?}", stopped.course) };
    assert_eq!(message, "it ended with exit code 3");
    let job = job.clone();
    assert_eq!((args(stopped.deployment.as_ref()).as_str(), stopped.job.is_none()), ("1", true));

    // Another image, another try; and so is another command for the same revision.
    let next = Life { observed: life.observed.clone() }.look(&migrating("3"));
    assert!(next.job.is_some_and(|next| next.name_any() != job));
    assert_eq!(
        next.obsolete_jobs.iter().map(|job| job.name_any()).collect::<Vec<_>>(),
        std::slice::from_ref(&job)
    );
    let again = Life { observed: life.observed.clone() }.look(&app("2", &before(&["migrate", "--force"])));
    assert!(again.job.is_some_and(|again| again.name_any() != job));
    assert_eq!(again.revision.metadata.name, stopped.revision.metadata.name, "no other revision");
    // Without a job there is nothing to wait for.
    let without = Life { observed: life.observed.clone() }.look(&app("2", &json!({})));
    assert_eq!((args(without.deployment.as_ref()).as_str(), without.course.detour), ("2", None));
    life.observed.jobs.clear();
    assert!(life.look(&migrating("2")).job.is_some(), "its deletion is another try");
}

#[test]
fn the_log_of_a_job_is_kept_until_another_one_is_needed() {
    for end in [failed(), succeeded()] {
        let mut life = Life::default();
        life.look(&app("1", &json!({})));
        life.look(&migrating("2"));
        life.jobs_are(&end);
        life.look(&migrating("2"));
        for reverted in [app("1", &before(&["migrate"])), app("1", &json!({})), app("2", &json!({}))] {
            let looked = Life { observed: life.observed.clone() }.look(&reverted);
            assert!(looked.obsolete_jobs.is_empty(), "{end}");
        }
        assert_eq!(life.look(&migrating("3")).obsolete_jobs.len(), 1, "{end}");
    }
}

#[test]
fn instances_that_someone_takes_away_while_the_job_runs_come_back() {
    for status in [json!({"active": 1, "ready": 1}), failed()] {
        let mut life = Life::default();
        life.look(&app("1", &json!({})));
        life.look(&migrating("2"));
        life.jobs_are(&status);
        let mut deleted = Life { observed: life.observed.clone() };
        deleted.observed.deployment = None;
        let mut scaled = Life { observed: life.observed.clone() };
        let mut none = (**scaled.observed.deployment.as_ref().unwrap()).clone();
        none.spec.as_mut().unwrap().replicas = Some(0);
        scaled.observed.deployment = Some(Arc::new(none));
        for mut life in [deleted, scaled] {
            // What runs is known by the status then.
            let back = life.look(&migrating("2"));
            assert_eq!((args(back.deployment.as_ref()).as_str(), replicas_of(&back)), ("1", 2), "{status}");
        }
    }
}

/// The same app as a job.
fn scheduled(args: &str, rollback: &Value) -> ValidatedApp {
    let job = json!({
        "autorestart": false, "cronRestart": "@daily", "port": null, "instances": 1, "rollback": rollback,
    });
    app(args, &job)
}

#[test]
fn an_app_that_was_a_job_starts_from_nothing_and_so_does_one_that_becomes_one() {
    let mut life = Life::default();
    let as_a_job = life.look(&scheduled("1", &json!(""))).revision.name_any();
    let serves = life.look(&migrating("1"));
    let restart_policy = |children: &Children<Prepared>| {
        let template = &children.deployment.as_ref().unwrap().spec.as_ref().unwrap().template;
        template.spec.as_ref().unwrap().restart_policy.clone()
    };
    assert_ne!(restart_policy(&serves).as_deref(), Some("Never"), "the API server refuses it");
    assert_eq!((&serves.course.running, replicas_of(&serves)), (&None, 0));
    life.jobs_are(&succeeded());
    let up = life.look(&migrating("1"));
    assert_eq!((replicas_of(&up), stage_of(&up)), (2, None));
    let serving = up.revision.name_any();

    let mut back = before(&["migrate"]);
    back["rollback"] = json!(as_a_job);
    let refused = life.look(&app("1", &back));
    assert_eq!(refused.course.unknown, Some(vec![serving.clone()]));
    assert_ne!(restart_policy(&refused).as_deref(), Some("Never"));
    let job = life.look(&scheduled("1", &json!(serving)));
    assert_eq!((job.course.unknown, job.course.detour), (Some(vec![as_a_job]), None));
}

#[test]
fn two_jobs_never_run_at_once() {
    let mut life = Life::default();
    life.look(&app("1", &json!({})));
    life.look(&migrating("2"));
    life.jobs_are(&json!({"active": 1, "ready": 1}));
    let waits = life.look(&migrating("3"));
    assert!(waits.job.is_none() && waits.obsolete_jobs.is_empty(), "a started one is left to end");
    assert!(matches!(stage_of(&waits), Some(Stage::Waits { .. })));
    life.jobs_are(&succeeded());
    assert!(life.look(&migrating("3")).job.is_some());

    // One whose pod has not started, as for an image that there is not, is in nobody's way.
    let mut life = Life::default();
    life.look(&app("1", &json!({})));
    life.look(&migrating("2"));
    life.observed.now = "2026-01-01T00:00:20Z".parse().unwrap();
    let begun = |at: &str| json!({"active": 1, "ready": 0, "startTime": at});
    for lately in [begun("2026-01-01T00:00:10Z"), json!({})] {
        life.jobs_are(&lately);
        let unknown = Life { observed: life.observed.clone() }.look(&migrating("3"));
        assert!(unknown.obsolete_jobs.is_empty(), "its status may be older than its pod: {lately}");
        assert!(matches!(stage_of(&unknown), Some(Stage::Waits { .. })));
    }
    life.jobs_are(&begun("2026-01-01T00:00:09Z"));
    let observed = life.observed.clone();
    let replaced = life.look(&migrating("3"));
    assert_eq!(replaced.obsolete_jobs.len(), 1);
    assert!(replaced.job.is_none(), "not before the other is gone");
    // Deleted, but its pod still ends.
    life.observed = observed;
    let mut ending = (*life.observed.jobs[0]).clone();
    ending.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    life.observed.jobs = vec![Arc::new(ending)];
    let waits = life.look(&migrating("3"));
    assert!(waits.job.is_none() && waits.obsolete_jobs.is_empty());
    life.observed.jobs.clear();
    assert!(life.look(&migrating("3")).job.is_some());
}

#[test]
fn a_paused_rollout_and_a_stopped_app_start_no_job() {
    for (change, expected) in [
        (json!({"rollout": {"paused": true, "before": {"command": ["m"]}}}), Stage::Paused),
        (json!({"stopped": true, "rollout": {"before": {"command": ["m"]}}}), Stage::Stopped),
    ] {
        let mut life = Life::default();
        life.look(&app("1", &json!({})));
        let waits = life.look(&app("2", &change));
        assert_eq!(stage_of(&waits), Some(&expected));
        assert!(waits.job.is_none());
        assert_eq!(args(waits.deployment.as_ref()), "1");
        assert!(life.look(&app("2", &before(&["m"]))).job.is_some());
    }
}

#[test]
fn an_app_that_was_stopped_comes_back_with_its_new_revision_only() {
    let mut life = Life::default();
    life.look(&app("1", &json!({})));
    life.look(&app("1", &json!({"stopped": true})));
    let started = life.look(&migrating("2"));
    assert!(started.job.is_some());
    assert_eq!(replicas_of(&started), 0, "the old one was stopped on purpose");
    life.jobs_are(&succeeded());
    let up = life.look(&migrating("2"));
    assert_eq!((replicas_of(&up), args(up.deployment.as_ref()).as_str()), (2, "2"));
}

#[test]
fn neither_a_rollback_nor_another_before_runs_a_job() {
    let mut life = Life::default();
    life.look(&app("1", &json!({})));
    life.look(&migrating("2"));
    life.jobs_are(&succeeded());
    life.look(&migrating("2"));
    let back = life.look(&migrating("1"));
    assert!(back.job.is_none());
    assert_eq!((args(back.deployment.as_ref()).as_str(), back.course.detour), ("1", None));
    let forth = life.look(&migrating("2"));
    assert!(forth.job.is_none());
    let other = life.look(&app("2", &before(&["something", "else"])));
    assert!(other.job.is_none(), "what runs needs no job");
}

#[test]
fn a_job_is_the_new_pod_without_what_serves() {
    let mut life = Life::default();
    let env = json!([{"name": "DB", "valueFrom": {"secretKeyRef": {"name": "db", "key": "url"}}}]);
    let change = json!({
        "env": env, "envFrom": [{"configMapRef": {"name": "c"}}], "writablePaths": ["/app/cache"],
        "rollout": {"before": {"script": "migrate.js", "args": ["up"], "timeout": "90s", "retries": 2}},
    });
    let job = serde_json::to_value(life.look(&app("1", &change)).job.unwrap()).unwrap();
    let spec = &job["spec"];
    assert_eq!((&spec["backoffLimit"], &spec["activeDeadlineSeconds"]), (&json!(2), &json!(90)));
    assert_eq!(spec["podReplacementPolicy"], "Failed");
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["restartPolicy"], "Never");
    assert!(pod["initContainers"].is_null());
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["automountServiceAccountToken"], false);
    let container = &pod["containers"][0];
    assert_eq!(container["command"], json!(["node", "migrate.js", "up"]));
    assert_eq!((&container["image"], &container["workingDir"]), (&json!("a:1"), &json!("/app")));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    for absent in ["ports", "readinessProbe", "lifecycle", "args"] {
        assert!(container[absent].is_null(), "{absent}");
    }
    assert_eq!(container["env"], json!([env[0], {"name": "HOME", "value": "/tmp"}]));
    assert_eq!(container["envFrom"][0]["configMapRef"]["name"], "c");
    let mounts: Vec<_> =
        container["volumeMounts"].as_array().unwrap().iter().map(|m| &m["mountPath"]).collect();
    assert_eq!(mounts, ["/tmp", "/app/cache"]);
    assert_eq!(pod["volumes"].as_array().unwrap().len(), 2);
    assert!(spec["template"]["metadata"]["labels"]["nodeapp.dev/app"].is_null(), "it would get requests");
    assert_eq!(job["metadata"]["labels"]["nodeapp.dev/app"], "cart");
}

#[test]
fn a_revision_that_is_asked_for_by_hand_runs_until_the_spec_changes() {
    let mut life = Life::default();
    let first = life.look(&app("1", &json!({}))).revision.name_any();
    let second = life.look(&app("2", &json!({}))).revision.name_any();
    let asks = json!({"rollback": first});
    let back = life.look(&app("2", &asks));
    assert_eq!(back.course.detour, Some(Detour::ByHand));
    assert_eq!((args(back.deployment.as_ref()), back.course.running), ("1".to_owned(), Some(first.clone())));
    assert_eq!(back.course.rollback, Some(RollbackByHand { to: first.clone(), from: second.clone() }));
    assert_eq!(life.look(&app("2", &asks)).course.detour, Some(Detour::ByHand), "and stays");

    let third = life.look(&app("3", &asks));
    assert_eq!(
        (args(third.deployment.as_ref()).as_str(), third.course.detour),
        ("3", None),
        "a forgotten pin"
    );
    // Git takes the third back: what the forgotten one once led away from is deployed anew.
    let anew = life.look(&app("2", &asks));
    assert_eq!((args(anew.deployment.as_ref()).as_str(), anew.course.detour), ("2", None));
    life.look(&app("3", &asks));
    // Another value is another order.
    let again = life.look(&app("3", &json!({"rollback": second})));
    assert_eq!((args(again.deployment.as_ref()).as_str(), again.course.detour), ("2", Some(Detour::ByHand)));
    let freed = life.look(&app("3", &json!({})));
    assert_eq!((args(freed.deployment.as_ref()).as_str(), freed.course.rollback), ("3", None));
}

#[test]
fn a_revision_that_there_is_not_is_named_with_those_there_are() {
    let mut life = Life::default();
    let first = life.look(&app("1", &json!({}))).revision.name_any();
    let second = life.look(&app("2", &json!({}))).revision.name_any();
    let lost = life.look(&app("2", &json!({"rollback": "cart-gone"})));
    assert_eq!((args(lost.deployment.as_ref()).as_str(), &lost.course.detour), ("2", &None));
    assert_eq!(lost.course.unknown, Some(vec![second.clone(), first.clone()]));
    // One that never passed its job has never run.
    let third = life.look(&migrating("3")).revision.name_any();
    let never_ran = life.look(&app("2", &json!({"rollback": third})));
    assert_eq!(never_ran.course.unknown, Some(vec![second, first]));
}

#[test]
fn a_failed_rollout_runs_the_last_good_template_until_the_spec_changes() {
    let mut life = Life::default();
    let good = life.look(&app("a", &json!({}))).revision.name_any();
    let bad = life.look(&app("b", &json!({}))).revision.name_any();
    life.observed.history = History { stable: Some(good.clone()), failed: Some(bad.clone()) };
    let asks = json!({"rollout": {"autoRollback": true}});
    let stays = life.look(&app("b", &json!({})));
    assert_eq!(stays.course.running.as_ref(), Some(&bad), "nobody asked for a rollback");
    let back = life.look(&app("b", &asks));
    assert_eq!((back.course.running.as_ref(), back.course.detour), (Some(&good), Some(Detour::Failed)));
    assert_eq!(args(back.deployment.as_ref()), "a");
    assert_eq!(back.revision.name_any(), bad, "the revision that the spec asks for stays in the history");
    let next = life.look(&app("c", &asks));
    assert_eq!(next.course.running, next.revision.metadata.name, "another spec gets its chance");
    life.observed.history.stable = Some("cart-gone".into());
    assert_eq!(life.look(&app("b", &asks)).course.running, Some(bad), "there is no way back");
}

#[test]
fn what_runs_is_kept_even_if_its_revision_was_deleted() {
    let mut life = Life::default();
    let first = life.look(&app("1", &json!({}))).revision.name_any();
    life.observed.revisions.clear();
    let waits = life.look(&migrating("2"));
    assert_eq!((args(waits.deployment.as_ref()).as_str(), waits.course.running), ("1", Some(first)));
}
