//! What the pods have around the app: accepted by a real API server, at rest without a write, refused
//! before anything changes.

use std::time::Duration;

use anyhow::ensure;
use nodeapp_testkit::{Tier, story};
use serde_json::{Value, json};

use crate::support::{Operator, SOON, Tap, app, condition, create, reported, settled, versions};

/// Everything that a pod can be told, also as the API server writes it otherwise: values that it leaves
/// out, quantities, defaults. What needs several zones, a class of priority or another runtime is
/// accepted here and runs nowhere in these tests.
fn everything() -> Value {
    json!({
        "volumeMounts": [{"name": "data", "mountPath": "/data", "readOnly": false}],
        "securityContext": {"readOnlyRootFilesystem": false, "privileged": false},
        "pod": {
            "labels": {"team": "web", "empty": ""},
            "annotations": {"example.com/owner": "web"},
            "nodeSelector": {"disk": "fast"},
            "affinity": {
                "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}]},
                ]}},
                "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "podAffinityTerm": {"topologyKey": "topology.kubernetes.io/zone", "namespaces": []}},
                ]},
            },
            "tolerations": [{"key": "a", "value": ""}, {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}],
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"},
            ],
            "priorityClassName": "system-cluster-critical",
            "runtimeClassName": "gvisor",
            "serviceAccountName": "other",
            "automountServiceAccountToken": false,
            "imagePullSecrets": [{"name": "registry"}, {"name": "mirror"}],
            "securityContext": {"runAsUser": 2000, "supplementalGroups": [], "fsGroupChangePolicy": "OnRootMismatch"},
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": "data", "readOnly": false}},
                {"name": "scratch", "emptyDir": {"sizeLimit": "1024Mi"}},
                {"name": "config", "configMap": {"name": "config", "optional": false, "defaultMode": 0o444}},
                {"name": "own", "ephemeral": {"volumeClaimTemplate": {"spec": {
                    "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}},
                }}}},
                {"name": "all", "projected": {"sources": [{"downwardAPI": {"items": [
                    {"path": "cpu", "resourceFieldRef": {"containerName": "app", "resource": "requests.cpu"}},
                ]}}]}},
            ],
            "initContainers": [{"name": "wait", "image": "registry.example/wait:1", "command": ["wait"], "tty": false}],
            "sidecars": [{
                "name": "proxy", "image": "registry.example/proxy:1", "args": [],
                "ports": [{"containerPort": 5432}, {"containerPort": 53, "protocol": "UDP"}],
                "env": [{"name": "EMPTY", "value": ""}],
                "resources": {"limits": {"cpu": "0.5", "memory": "1024Mi"}},
                "readinessProbe": {"tcpSocket": {"port": 5432}},
                "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
            }],
            "dnsPolicy": "None",
            "dnsConfig": {"nameservers": ["10.96.0.10"], "searches": ["example.com"], "options": [{"name": "ndots", "value": "2"}]},
            "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["legacy"]}],
        },
        "podTemplate": {
            "metadata": {"labels": {"release": "stable"}},
            "spec": {
                "hostNetwork": false, "hostname": "shop", "setHostnameAsFQDN": false,
                "containers": [{
                    "name": "app", "imagePullPolicy": "Always", "stdin": false,
                    "ports": [{"name": "debug", "containerPort": 9229}],
                }],
            },
        },
    })
}

#[test]
fn whatever_a_pod_can_have_is_carried_out_and_costs_no_write_at_rest() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let operator = Operator::start(&namespace, &tap).await?;
        namespace.apply(&app("shop", &everything())).await?;
        reported(&namespace, "shop", "True").await?;
        let deployment = namespace.get("Deployment", "shop").await?;
        let template = &deployment["spec"]["template"];
        let pod = &template["spec"];
        let given = &everything()["pod"];
        for field in
            ["nodeSelector", "priorityClassName", "runtimeClassName", "serviceAccountName", "dnsConfig"]
        {
            ensure!(pod[field] == given[field], "{field}: {}", pod[field]);
        }
        ensure!(pod["topologySpreadConstraints"].as_array().is_some_and(|all| all.len() == 1), "{pod}");
        let names = |list: &str| -> Vec<Value> {
            pod[list].as_array().into_iter().flatten().map(|it| it["name"].clone()).collect()
        };
        ensure!(
            names("initContainers") == ["install-runner", "proxy", "wait"],
            "{:?}",
            names("initContainers")
        );
        ensure!(
            pod["hostname"] == "shop" && template["metadata"]["labels"]["release"] == "stable",
            "{template}"
        );
        ensure!(pod["containers"][0]["imagePullPolicy"] == "Always", "{}", pod["containers"]);

        // Without the class and the account no pod is made, so the numbers never settle.
        let still = async |operator: &str, tap: &Tap, writes: usize, before: &_| {
            let what = format!("nothing is written by the {operator}");
            namespace
                .throughout(&what, Duration::from_secs(4), async || {
                    let now = versions(&namespace, "shop").await?;
                    ensure!(now == *before, "was {before:?}\n is {now:?}");
                    ensure!(tap.writes() == writes, "{:?}", tap.calls());
                    Ok(())
                })
                .await
        };
        let refused = async || {
            let app = namespace.get("NodeApp", "shop").await?;
            ensure!(condition(&app, "Degraded")["reason"] == "PodsRefused", "{}", app["status"]);
            Ok(())
        };
        namespace.eventually("the missing account is told", SOON, refused).await?;
        let before = versions(&namespace, "shop").await?;
        still("operator that made it", &tap, tap.writes(), &before).await?;
        operator.kill().await;
        let tap = Tap::default();
        let operator = Operator::start_with(&namespace, &tap, "registry.example/nodeapp-runner:2").await?;
        namespace
            .eventually("the operator has listed everything", SOON, async || {
                ensure!(operator.health.missing().is_empty(), "{:?}", operator.health.missing());
                Ok(())
            })
            .await?;
        still("new operator", &tap, 0, &before).await
    });
}

#[test]
fn a_template_that_the_api_server_would_refuse_changes_nothing_and_is_told_in_its_words() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let _operator = Operator::start(&namespace, &tap).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        let deployment = namespace.get("Deployment", "shop").await?;
        let revisions = namespace.list("ControllerRevision").await?.len();
        let bad = json!({
            "image": "registry.example/shop:2",
            "podTemplate": {"spec": {"hostname": "no_such_name", "subdomain": "-"}},
        });
        namespace.apply(&app("shop", &bad)).await?;
        let told = reported(&namespace, "shop", "False").await?;
        let valid = condition(&told, "Valid");
        ensure!(valid["reason"] == "TemplateRefused", "{valid}");
        let message = valid["message"].as_str().unwrap_or_default();
        for words in [
            "spec.template.spec.hostname",
            "lowercase RFC 1123",
            "What runs is left as it is",
            "spec.podTemplate",
        ] {
            ensure!(message.contains(words), "no `{words}` in {message}");
        }
        ensure!(condition(&told, "Degraded")["status"] == "False", "{}", told["status"]);
        let after = namespace.get("Deployment", "shop").await?;
        ensure!(after["spec"] == deployment["spec"], "the Deployment was changed");
        ensure!(namespace.list("ControllerRevision").await?.len() == revisions, "a revision was made");
        // The next try, which comes within twelve seconds, asks nothing that has just been answered.
        let asked = || {
            tap.calls().iter().filter(|call| call.resource == "deployments" && call.verb == "patch").count()
        };
        let once = asked();
        let unasked = async || {
            ensure!(asked() == once, "asked {} times more about a refused template", asked() - once);
            Ok(())
        };
        namespace.throughout("nobody asks again", Duration::from_secs(14), unasked).await?;
        let good = json!({"image": "registry.example/shop:2", "podTemplate": {"spec": {"hostname": "shop"}}});
        namespace.apply(&app("shop", &good)).await?;
        reported(&namespace, "shop", "True").await?;
        let template = &namespace.get("Deployment", "shop").await?["spec"]["template"]["spec"];
        ensure!(template["hostname"] == "shop", "{template}");
        Ok(())
    });
}

#[test]
fn what_is_there_twice_in_a_sidecar_is_told_in_the_words_of_the_api_server() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        let env = json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]);
        let twice = json!({"name": "proxy", "image": "registry.example/proxy:1", "env": env});
        namespace.apply(&app("shop", &json!({"pod": {"sidecars": [twice]}}))).await?;
        let told = reported(&namespace, "shop", "False").await?;
        let valid = condition(&told, "Valid");
        ensure!(valid["reason"] == "TemplateRefused", "{valid}");
        ensure!(valid["message"].to_string().contains("duplicate entries for key"), "{valid}");
        Ok(())
    });
}

#[test]
fn the_api_server_is_asked_about_a_new_template_of_the_users_own_once_and_about_no_other() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let operator = Operator::start(&namespace, &tap).await?;
        let asked = || {
            tap.calls().iter().filter(|call| call.resource == "deployments" && call.verb == "patch").count()
        };
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        let plain = asked();
        ensure!(plain == 1, "{plain} patches for an app without pod fields");
        let mut changed = json!({"pod": {"labels": {"team": "web"}}});
        namespace.apply(&app("shop", &changed)).await?;
        reported(&namespace, "shop", "True").await?;
        ensure!(asked() == plain + 2, "{} patches: one to ask, one to carry out", asked() - plain);
        // Scaled: the template is known.
        changed["instances"] = json!(3);
        namespace.apply(&app("shop", &changed)).await?;
        reported(&namespace, "shop", "True").await?;
        ensure!(asked() == plain + 3, "asked again about a known template");
        drop(operator);
        Ok(())
    });
}

#[test]
fn what_does_not_fit_together_is_named_with_the_way_out_and_what_runs_stays() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        let before = namespace.get("Deployment", "shop").await?["metadata"]["resourceVersion"].clone();
        let bad = json!({
            "volumeMounts": [{"name": "uploads", "mountPath": "/uploads"}],
            "pod": {
                "sidecars": [{"name": "app", "image": "a"}, {"name": "proxy", "image": "a"}],
                "initContainers": [
                    {"name": "proxy", "image": "b"}, {"name": "wait", "image": "a", "restartpolicy": "Always"},
                ],
            },
            "podTemplate": {"spec": {"terminationGracePeriodSeconds": 5, "containers": [{"name": "app", "image": "b"}]}},
        });
        namespace.apply(&app("shop", &bad)).await?;
        let told = reported(&namespace, "shop", "False").await?;
        let valid = condition(&told, "Valid");
        ensure!(valid["reason"] == "InvalidSpec", "{valid}");
        let message = valid["message"].as_str().unwrap_or_default();
        for words in [
            "spec.volumeMounts[0].name: there is no volume uploads",
            "spec.pod.sidecars[0].name: app is a container of the operator",
            "spec.pod.initContainers[0].name: proxy is there twice; rename one of them",
            "spec.pod.initContainers[1].restartpolicy: is no field of Kubernetes",
            "spec.podTemplate.spec.terminationGracePeriodSeconds: cannot be laid over: it is the sum of",
            "spec.podTemplate.spec.containers[0].image: cannot be laid over: say it in spec.image",
        ] {
            ensure!(message.contains(words), "no `{words}` in {message}");
        }
        let after = namespace.get("Deployment", "shop").await?["metadata"]["resourceVersion"].clone();
        ensure!(after == before, "the Deployment was changed");
        // Twice in one list, it is the API server that refuses it.
        let sidecars = json!([{"name": "proxy", "image": "a"}, {"name": "proxy", "image": "b"}]);
        let twice = create(&namespace, &app("twice", &json!({"pod": {"sidecars": sidecars}}))).await;
        let refused = twice.err().map(|error| error.to_string()).unwrap_or_default();
        ensure!(refused.contains("spec.pod.sidecars[1]") && refused.contains("Duplicate value"), "{refused}");
        Ok(())
    });
}
