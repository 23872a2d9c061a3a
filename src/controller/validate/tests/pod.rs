//! What the pods have around the app.

use serde_json::{Value, json};

use super::{app, problem};
use crate::controller::desired::{Settings, desired};
use crate::controller::observe::Observed;
use crate::controller::validate::validate;

/// The template's pod of a spec.
fn pod(change: &Value) -> Value {
    let settings = Settings { image_pull_secrets: vec!["mirror".into()], ..Settings::default() };
    let valid = validate(&app(change)).unwrap_or_else(|problems| panic!("{problems}"));
    let children = desired(&valid, &Observed::default(), &settings);
    serde_json::to_value(children.template().unwrap()).unwrap()
}

#[test]
#[allow(clippy::too_many_lines)] // A table.
fn what_does_not_fit_is_named_with_the_way_out() {
    let volume = json!([{"name": "data", "emptyDir": {}}]);
    let mount = |path: &str| json!({"volumeMounts": [{"name": "data", "mountPath": path}], "pod": {"volumes": volume}});
    let beside = |container: Value| json!({"port": 3000, "pod": {"sidecars": [container]}});
    let overlay = |spec: Value| json!({"podTemplate": {"spec": spec}});
    for (change, words) in [
        (mount("data"), "spec.volumeMounts[0].mountPath: must be an absolute path"),
        (mount("/nodeapp/bin"), "is the runner's"),
        (mount("/tmp"), "mount below it, or elsewhere"),
        (
            json!({"writablePaths": ["/data"], "volumeMounts": [{"name": "data", "mountPath": "/data"}], "pod": {"volumes": volume}}),
            "is in spec.writablePaths too; take it out there",
        ),
        (
            json!({"volumeMounts": [{"name": "dta", "mountPath": "/data"}], "pod": {"volumes": volume}}),
            "there is no volume dta: spec.pod.volumes has data",
        ),
        (json!({"pod": {"volumes": [{"name": "tmp", "emptyDir": {}}]}}), "tmp is a volume of the operator"),
        (
            json!({"pod": {"volumes": [{"name": "a", "emptydir": {}}]}}),
            "spec.pod.volumes[0].emptydir: is no field",
        ),
        (json!({"pod": {"volumes": [{"name": "a"}, {"name": "a"}]}}), "a is there twice"),
        (json!({"pod": {"labels": {"nodeapp.dev/app": "x"}}}), "nodeapp.dev/app is set by the operator"),
        (json!({"pod": {"labels": {"pod-template-hash": "x"}}}), "set by the operator or by Kubernetes"),
        (json!({"pod": {"annotations": {"nodeapp.dev/runner-config": "x"}}}), "belongs to the operator"),
        (beside(json!({"name": "install-runner", "image": "a"})), "is a container of the operator"),
        (beside(json!({"name": "a"})), "spec.pod.sidecars[0].image: must name a container image"),
        (
            beside(json!({"name": "a", "image": "a", "ports": [{"containerPort": 3000}]})),
            "the app's (spec.port)",
        ),
        (beside(json!({"name": "a", "image": "a", "ports": [{"containerPort": 9615}]})), "the runner's"),
        (beside(json!({"name": "a", "image": "a", "restartPolicy": "Never"})), "is Always for a sidecar"),
        (
            beside(json!({"name": "a", "image": "a", "volumeMounts": [{"name": "x", "mountPath": "/x"}]})),
            "has none; add it there",
        ),
        (
            json!({"pod": {"sidecars": [{"name": "a", "image": "a"}], "initContainers": [{"name": "a", "image": "a"}]}}),
            "spec.pod.initContainers[0].name: a is there twice",
        ),
        (json!({"pod": {"securityContext": {"runAsUser": 0}}}), "set runAsNonRoot: false too"),
        (json!({"pod": {"affinity": {"nodeAfinity": {}}}}), "spec.pod.affinity.nodeAfinity: is no field"),
        (json!({"pod": {"dnsPolicy": "None"}}), "needs spec.pod.dnsConfig.nameservers"),
        (json!({"securityContext": {"runAsUser": "root"}}), "spec.securityContext.runAsUser: cannot be read"),
        (overlay(json!({"nodeSelector": {"a": "b"}})), "say it in spec.pod.nodeSelector"),
        (overlay(json!({"terminationGracePeriodSeconds": 1})), "sum of spec.drainDelay"),
        (overlay(json!({"volumes": []})), "add them to spec.pod.volumes"),
        (
            json!({"podTemplate": {"spec": {"hostNetwork": true}}, "redis": {"mode": "Sidecar"}}),
            "spec.podTemplate.spec.hostNetwork: localhost is the node's then",
        ),
        (overlay(json!({"hostnetwork": true})), "spec.podTemplate.spec.hostnetwork: is no field"),
        (
            overlay(json!({"containers": [{"name": "app", "command": ["sh"]}]})),
            "say it in spec.script or spec.command",
        ),
        (overlay(json!({"containers": [{"name": "app", "readinessProbe": {}}]})), "spec.probes.readiness"),
        (overlay(json!({"containers": [{"name": "web"}]})), "only the container app can be laid over"),
        (
            overlay(json!({"containers": [{"name": "app", "ports": [{"containerPort": 9615}]}]})),
            "the runner's",
        ),
        (
            json!({"podTemplate": {"metadata": {"name": "x"}}}),
            "spec.podTemplate.metadata.name: cannot be laid over",
        ),
        (json!({"podTemplate": {"metadata": {"labels": {"nodeapp.dev/x": "y"}}}}), "take another key"),
        (json!({"podTemplate": {"kind": "Pod"}}), "there are metadata and spec"),
    ] {
        let problems = problem(&change);
        assert!(problems.contains(words), "{change}: `{words}` is not in: {problems}");
    }
}

#[test]
fn log_files_may_lie_on_a_volume_where_each_pod_has_a_folder_of_its_own() {
    let of = |mount: Value, volume: Value| {
        let (mut mount, mut volume) = (mount, volume);
        (mount["name"], mount["mountPath"], volume["name"]) = (json!("v"), json!("/kept"), json!("v"));
        json!({"outFile": "/kept/out.log", "volumeMounts": [mount], "pod": {"volumes": [volume]}})
    };
    let claim = json!({"persistentVolumeClaim": {"claimName": "logs"}});
    assert!(problem(&of(json!({}), claim.clone())).contains("subPathExpr: $(NODEAPP_POD_NAME)"));
    assert!(problem(&of(json!({"readOnly": true}), claim.clone())).contains("mounted readOnly"));
    for good in
        [of(json!({"subPathExpr": "$(NODEAPP_POD_NAME)"}), claim), of(json!({}), json!({"emptyDir": {}}))]
    {
        pod(&good);
    }
}

#[test]
fn instances_are_spread_over_hosts_and_zones_unless_it_is_said_otherwise() {
    let spread = |change: &Value| pod(change)["spec"]["topologySpreadConstraints"].clone();
    let default = spread(&json!({}));
    let keys: Vec<_> = default.as_array().unwrap().iter().map(|it| it["topologyKey"].clone()).collect();
    assert_eq!(keys, ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]);
    assert!(default.as_array().unwrap().iter().all(|it| it["whenUnsatisfiable"] == "ScheduleAnyway"));
    assert_eq!(spread(&json!({"pod": {"topologySpreadConstraints": []}})), Value::Null);
    let own = json!({"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"});
    let own = spread(&json!({"pod": {"topologySpreadConstraints": [own]}}));
    assert_eq!(own[0]["labelSelector"]["matchLabels"], default[0]["labelSelector"]["matchLabels"]);
    assert_eq!(own.as_array().unwrap().len(), 1);
}

#[test]
fn every_container_has_requests_and_limits_that_fit_each_other() {
    let resources = |given: Value| {
        let sidecar = json!({"name": "a", "image": "a", "resources": given});
        pod(&json!({"pod": {"sidecars": [sidecar]}}))["spec"]["initContainers"][1]["resources"].clone()
    };
    let (requests, limits) =
        (json!({"cpu": "10m", "memory": "32Mi"}), json!({"cpu": "500m", "memory": "256Mi"}));
    assert_eq!(resources(json!({})), json!({"requests": requests, "limits": limits}));
    let large = resources(json!({"requests": {"memory": "1Gi"}}));
    assert_eq!((&large["requests"]["memory"], &large["limits"]["memory"]), (&json!("1Gi"), &json!("1Gi")));
    let small = resources(json!({"limits": {"memory": "16Mi", "cpu": 1}}));
    assert_eq!((&small["requests"]["memory"], &small["limits"]["cpu"]), (&json!("16Mi"), &json!("1")));
}

#[test]
fn sidecars_start_before_the_init_containers_and_have_time_to_end() {
    let change = json!({"pod": {
        "sidecars": [{"name": "proxy", "image": "p"}], "initContainers": [{"name": "wait", "image": "w"}],
    }});
    let with = pod(&change)["spec"].clone();
    let order: Vec<_> =
        with["initContainers"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
    assert_eq!(order, ["install-runner", "proxy", "wait"]);
    assert_eq!(with["initContainers"][1]["restartPolicy"], "Always");
    assert_eq!(with["initContainers"][2]["restartPolicy"], Value::Null);
    let grace = |pod: &Value| pod["terminationGracePeriodSeconds"].as_i64().unwrap();
    assert_eq!(grace(&with), grace(&pod(&json!({}))["spec"]) + 5);
}

#[test]
fn the_users_fields_replace_single_defaults_and_pull_secrets_add_up() {
    let change = json!({
        "securityContext": {"readOnlyRootFilesystem": false},
        "pod": {"securityContext": {"runAsUser": 7}, "imagePullSecrets": [{"name": "own"}, {"name": "mirror"}]},
    });
    let spec = &pod(&change)["spec"];
    assert_eq!(
        (&spec["securityContext"]["runAsUser"], &spec["securityContext"]["fsGroup"]),
        (&json!(7), &json!(1000))
    );
    let container = &spec["containers"][0]["securityContext"];
    assert_eq!(container["readOnlyRootFilesystem"], false);
    assert_eq!(container["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!(spec["imagePullSecrets"], json!([{"name": "own"}, {"name": "mirror"}]));
    assert_eq!(pod(&json!({}))["spec"]["imagePullSecrets"], json!([{"name": "mirror"}]));
}

#[test]
fn the_overlay_comes_last_and_takes_nothing_away() {
    let overlay = json!({
        "metadata": {"annotations": {"a": "b"}},
        "spec": {"enableServiceLinks": true, "containers": [
            {"name": "app", "imagePullPolicy": "Always", "ports": [{"containerPort": 9229}]},
        ]},
    });
    let (plain, laid) = (pod(&json!({"port": 3000})), pod(&json!({"port": 3000, "podTemplate": overlay})));
    assert_eq!(laid["metadata"]["annotations"]["a"], "b");
    assert_eq!(laid["metadata"]["labels"], plain["metadata"]["labels"]);
    assert_eq!(laid["spec"]["enableServiceLinks"], true);
    let (before, after) = (&plain["spec"]["containers"][0], &laid["spec"]["containers"][0]);
    assert_eq!(after["imagePullPolicy"], "Always");
    assert_eq!((&after["command"], &after["env"]), (&before["command"], &before["env"]));
    let ports = |container: &Value| container["ports"].as_array().unwrap().len();
    assert_eq!(ports(after), ports(before) + 1);
}

#[test]
fn what_fills_the_cluster_counts_what_runs_beside_the_app() {
    let needs = |pod: Value| {
        let change = json!({"fillCluster": {}, "resources": {"requests": {"cpu": "1"}}, "pod": pod});
        validate(&app(&change)).unwrap().fill.unwrap().needs
    };
    let requests = json!({"requests": {"cpu": "250m", "memory": "64Mi"}});
    let container = |more: Value| {
        let mut container = json!({"name": "a", "image": "a", "resources": requests});
        container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        container
    };
    let alone = needs(json!({}));
    let with = needs(json!({"sidecars": [container(json!({}))]}));
    assert_eq!((with.cpu - alone.cpu, with.memory - alone.memory, with.pods), (250, 64 << 20, 1));
    assert_eq!(needs(json!({"initContainers": [container(json!({"restartPolicy": "Always"}))]})), with);
    assert_eq!(
        needs(json!({"initContainers": [container(json!({}))]})),
        alone,
        "it ends before the app starts"
    );
}
