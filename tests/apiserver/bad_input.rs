//! What the API server itself refuses, and with which words; and what only the
//! operator can see.

use nodeapp_testkit::{Tier, story};
use serde_json::{Value, json};

use crate::support::{Operator, Tap, app, condition, create, install, reported, settled, versions};

/// A change to a good spec, and what the answer must hold: the field and the
/// right form.
#[allow(clippy::too_many_lines)] // A table.
fn refusals() -> Vec<(Value, [&'static str; 2])> {
    vec![
        (json!({"killTimeout": "8 s"}), ["spec.killTimeout", "must be whole milliseconds such as 8000"]),
        (json!({"listenTimeout": "8d"}), ["spec.listenTimeout", "ms, s, m or h such as 8s"]),
        (json!({"minUptime": -1}), ["spec.minUptime", "must be whole milliseconds"]),
        (json!({"restartDelay": "1.5s"}), ["spec.restartDelay", "must be whole milliseconds"]),
        (json!({"drainDelay": 5}), ["spec.drainDelay", "must be a whole number with its unit"]),
        (json!({"drainTimeout": "5"}), ["spec.drainTimeout", "must be a whole number with its unit"]),
        (
            json!({"maxMemoryRestart": "512Mi"}),
            ["spec.maxMemoryRestart", "binary unit K, M or G such as 512M"],
        ),
        (json!({"maxMemoryRestart": 0}), ["spec.maxMemoryRestart", "must be whole bytes"]),
        (json!({"logRotate": {"maxSize": "10MB"}}), ["spec.logRotate.maxSize", "such as 512M"]),
        (json!({"instances": -1}), ["spec.instances", "greater than or equal to 0"]),
        (json!({"fillCluster": {}}), ["spec", "leave instances out: fillCluster decides how many"]),
        (
            json!({"instances": null, "fillCluster": {"leave": -1}}),
            ["spec.fillCluster.leave", "greater than or equal to 0"],
        ),
        (
            json!({"instances": null, "fillCluster": {"maxInstances": 0}}),
            ["spec.fillCluster.maxInstances", "greater than or equal to 1"],
        ),
        (json!({"instanceVar": "WORKER"}), ["spec", "set instanceIndex: true"]),
        (json!({"incrementVar": "X", "instanceIndex": false}), ["spec", "set instanceIndex: true"]),
        (
            json!({"instanceIndex": true, "instanceVar": "1A"}),
            ["spec.instanceVar", "must be the name of a variable"],
        ),
        (json!({"instanceIndex": true, "incrementVar": "PORT"}), ["spec", "leave incrementVar out"]),
        (json!({"image": ""}), ["spec.image", "must name a container image, without blanks"]),
        (json!({"image": "a b"}), ["spec.image", "must name a container image, without blanks"]),
        (json!({"cwd": "app"}), ["spec.cwd", "must be an absolute path such as /app"]),
        (json!({"cwd": ""}), ["spec.cwd", "must be an absolute path such as /app"]),
        (json!({"script": null}), ["spec", "set exactly one of script"]),
        (json!({"command": ["npm", "start"]}), ["spec", "set exactly one of script"]),
        (
            json!({"script": null, "command": ["a"], "nodeArgs": ["--inspect"]}),
            ["spec", "nodeArgs needs script"],
        ),
        (json!({"port": 0}), ["spec.port", "greater than or equal to 1"]),
        (json!({"port": 65536}), ["spec.port", "less than or equal to 65535"]),
        (json!({"port": 9615}), ["spec.port", "belongs to the runner"]),
        (json!({"port": "http"}), ["spec.port", "must be of type integer"]),
        (json!({"env": [{"name": "1A"}]}), ["spec.env[0].name", "does not start with a digit"]),
        (json!({"env": [{"name": "A B"}]}), ["spec.env[0].name", "letters, digits"]),
        (json!({"env": [{"name": "NODEAPP_X"}]}), ["spec.env[0].name", "belong to the operator"]),
        (json!({"env": [{"name": "A"}, {"name": "A"}]}), ["spec.env", "Duplicate value"]),
        (
            json!({"env": [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}),
            ["spec.env[0]", "either value or valueFrom"],
        ),
        (
            json!({"env": [{"name": "A", "valueFrom": {}}]}),
            ["spec.env[0].valueFrom", "exactly one of secretKeyRef"],
        ),
        (
            json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}]}),
            ["spec.env[0].valueFrom.fieldRef.fieldPath", "must be metadata.name"],
        ),
        (
            json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['-a/b']"}}}]}),
            ["spec.env[0].valueFrom.fieldRef.fieldPath", "KEY the key of a label"],
        ),
        (
            json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "Shop_DB", "key": "k"}}}]}),
            ["spec.env[0].valueFrom.secretKeyRef.name", "starts and ends with a letter or digit"],
        ),
        (
            json!({"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "..k"}}}]}),
            ["spec.env[0].valueFrom.configMapKeyRef.key", "does not start with '..'"],
        ),
        (
            json!({"envFrom": [{"secretRef": {"name": "shop..db"}}]}),
            ["spec.envFrom[0].secretRef.name", "small letters, digits, '-' and '.'"],
        ),
        (
            json!({"envFrom": [{"configMapRef": {"name": "/"}}]}),
            ["spec.envFrom[0].configMapRef.name", "small letters, digits, '-' and '.'"],
        ),
        (json!({"envFrom": [{}]}), ["spec.envFrom[0]", "exactly one of secretRef and configMapRef"]),
        (json!({"killSignal": "SIGFOO"}), ["spec.killSignal", "supported values: \"SIGINT\""]),
        (
            json!({"probes": {"liveness": {}}}),
            ["spec.probes.liveness", "exactly one of http, tcp, exec and grpc"],
        ),
        (
            json!({"probes": {"startup": {"tcp": {}, "successThreshold": 2}}}),
            ["spec.probes", "startup.successThreshold must be 1"],
        ),
        (
            json!({"probes": {"readiness": {"tcp": {}, "period": 10}}}),
            ["spec.probes.readiness.period", "must be a whole number with its unit"],
        ),
        (
            json!({"resources": {"limits": {"memory": "1 Gi"}}}),
            ["spec.resources.limits.memory", "should match"],
        ),
        (
            json!({"writablePaths": ["cache"]}),
            ["spec.writablePaths[0]", "must be absolute paths such as /app/cache"],
        ),
        (json!({"writablePaths": ["/a", "/b/../c"]}), ["spec.writablePaths[1]", "without . and .."]),
        (json!({"writablePaths": ["/a:b"]}), ["spec.writablePaths[0]", "without . and .. and ':'"]),
        (json!({"writablePaths": ["/a/"]}), ["spec.writablePaths[0]", "without / at the end"]),
        (json!({"instance": 3}), ["spec.instance", "unknown field"]),
    ]
}

/// As [`refusals`], of the fields that say how the process is run and what becomes
/// of its output.
#[allow(clippy::too_many_lines)] // A table.
fn refusals_of_the_runners_fields() -> Vec<(Value, [&'static str; 2])> {
    let command = json!({"script": null, "command": ["a"], "interpreter": "node"});
    let date = "must be one line of Day.js tokens";
    let path = "must be the path of a file such as app-out.log";
    vec![
        (command, ["spec", "interpreter needs script"]),
        (json!({"interpreter": "node --inspect"}), ["spec.interpreter", "without blanks"]),
        (json!({"interpreter": "none", "nodeArgs": ["-v"]}), ["spec", "write them into args"]),
        (json!({"expBackoffResetTime": "1m"}), ["spec", "needs expBackoffRestartDelay"]),
        (json!({"pmx": false, "holdSocket": true}), ["spec", "need the preload"]),
        (json!({"pmx": false, "hangTimeout": "5s"}), ["spec", "need the preload"]),
        (
            json!({"pmx": false, "heapSnapshot": true, "maxMemoryRestart": "100M"}),
            ["spec", "need the preload"],
        ),
        (json!({"heapSnapshot": true}), ["spec", "needs maxMemoryRestart"]),
        (json!({"hangTimeout": 5}), ["spec.hangTimeout", "must be a whole number with its unit"]),
        (
            json!({"erroredRetryDelay": "5"}),
            ["spec.erroredRetryDelay", "must be a whole number with its unit"],
        ),
        (json!({"stopExitCodes": [256]}), ["spec.stopExitCodes[0]", "less than or equal to 255"]),
        (json!({"stopExitCodes": [1, 1]}), ["spec.stopExitCodes[1]", "Duplicate value"]),
        (json!({"autorestart": "false"}), ["spec.autorestart", "must be of type boolean"]),
        (
            json!({"unhandledRejections": "ignore"}),
            ["spec.unhandledRejections", "supported values: \"throw\""],
        ),
        (json!({"logType": "xml"}), ["spec.logType", "supported values: \"raw\", \"json\""]),
        (json!({"logDateFormat": "HH\nmm"}), ["spec.logDateFormat", date]),
        (json!({"logDateFormat": ""}), ["spec.logDateFormat", date]),
        (
            json!({"logRotate": {"dateFormat": "YYYY/MM"}}),
            ["spec.logRotate.dateFormat", "one line without /"],
        ),
        (
            json!({"logRotate": {"rotateInterval": "0 0 * *"}}),
            ["spec.logRotate.rotateInterval", "five or six"],
        ),
        (json!({"outFile": "../a.log"}), ["spec.outFile", path]),
        (json!({"errorFile": "logs/"}), ["spec.errorFile", path]),
        (json!({"logFile": ""}), ["spec.logFile", path]),
        (json!({"timeZone": ""}), ["spec.timeZone", "at least 1 chars"]),
        (
            json!({"probes": {"liveness": {"grpc": {}, "tcp": {}}}}),
            ["spec.probes.liveness", "exactly one of http, tcp, exec and grpc"],
        ),
        (
            json!({"probes": {"liveness": {"grpc": {"port": 0}}}}),
            ["spec.probes.liveness.grpc.port", "equal to 1"],
        ),
    ]
}

#[test]
fn every_field_of_the_runner_is_taken() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        for (index, change) in [
            json!({
                "interpreter": "node", "nodeArgs": ["--no-deprecation"], "unhandledRejections": "warn-with-error-code",
                "sourceMapSupport": true, "pmx": true, "holdSocket": true, "hangTimeout": "30s",
                "killSignal": "SIGTERM", "shutdownWithMessage": true, "treekill": false,
                "autorestart": true, "stopExitCodes": [0, 255], "erroredRetryDelay": "0s",
                "expBackoffRestartDelay": 100, "expBackoffResetTime": "1m",
                "maxMemoryRestart": "100M", "heapSnapshot": true,
                "logDateFormat": "[at] YYYY-MM-DD HH:mm:ss.SSS Z", "logType": "json", "mergeLogs": true,
                "outFile": "/dev/null", "errorFile": "/nodeapp/logs/a/b.log", "logFile": "..shop all.log",
                "logRotate": {"rotateInterval": "@daily", "dateFormat": "YYYY-MM-DD_HH-mm-ss"},
                "timeZone": "America/Argentina/Buenos_Aires",
                "probes": {"readiness": {"grpc": {"port": 50051, "service": "shop.Cart"}}},
            }),
            json!({
                "pmx": false, "holdSocket": false, "interpreter": "none", "shutdownWithMessage": true,
                "heapSnapshot": false, "logRotate": {"rotateInterval": "*/30 0 0 1,15 * MON-FRI"},
            }),
        ]
        .iter()
        .enumerate()
        {
            create(&namespace, &app(&format!("shop-{index}"), change)).await?;
        }
        Ok(())
    });
}

#[test]
fn a_bad_spec_is_refused_with_the_field_and_the_right_form() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        for (change, words) in refusals().into_iter().chain(refusals_of_the_runners_fields()) {
            let answer = create(&namespace, &app("shop", &change)).await;
            let Err(error) = answer else { panic!("{change} was taken") };
            let text = format!("{error:#}");
            for word in words {
                assert!(text.contains(word), "{change}: `{word}` is not in: {text}");
            }
        }
        Ok(())
    });
}

#[test]
fn a_name_that_cannot_be_a_service_is_refused() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        for name in ["1shop", "a.b", &"a".repeat(64)] {
            let Err(error) = create(&namespace, &app(name, &json!({}))).await else {
                panic!("{name} was taken")
            };
            let text = format!("{error:#}");
            assert!(text.contains("metadata.name names the Service too"), "{text}");
        }
        Ok(())
    });
}

#[test]
fn the_name_of_every_namespaces_account_is_refused() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        let Err(error) = create(&namespace, &app("default", &json!({}))).await else {
            panic!("default was taken")
        };
        let text = format!("{error:#}");
        assert!(text.contains("metadata.name names the ServiceAccount too"), "{text}");
        Ok(())
    });
}

#[test]
fn an_invalid_spec_says_everything_at_once_and_what_runs_is_left_as_it_is() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        let mut before = settled(&namespace, "shop").await?;
        // All things that the rules of the schema cannot see.
        let change = json!({
            "image": "registry.example/shop:2",
            "instances": 7,
            "maxMemoryRestart": "512M",
            "resources": {"limits": {"memory": "512Mi"}, "requests": {"memory": "1Gi"}},
            "env": [{"name": "PORT", "value": "8080"}],
            "writablePaths": ["/nodeapp/bin"],
        });
        namespace.apply(&app("shop", &change)).await?;
        let app = reported(&namespace, "shop", "False").await?;
        let valid = condition(&app, "Valid");
        assert_eq!(valid["reason"], "InvalidSpec");
        let message = valid["message"].as_str().unwrap_or_default();
        for words in [
            "spec.maxMemoryRestart: 512M is above 90 %",
            "spec.resources.requests.memory: 1Gi is more than the limit 512Mi",
            "spec.env[0].value: PORT is 8080 here but spec.port is 3000",
            "spec.writablePaths[0]: must not lie under /nodeapp",
            "What runs is left as it is",
        ] {
            assert!(message.contains(words), "`{words}` is not in: {message}");
        }
        assert_eq!(condition(&app, "Ready")["status"], "False");
        let mut after = versions(&namespace, "shop").await?;
        before.remove("NodeApp");
        after.remove("NodeApp");
        assert_eq!(before, after);
        let events = namespace
            .eventually("an Event tells of it", crate::support::SOON, async || {
                let events = namespace.list("Event").await?;
                let told: Vec<_> =
                    events.into_iter().filter(|event| event["reason"] == "InvalidSpec").collect();
                anyhow::ensure!(!told.is_empty(), "no Event");
                Ok(told)
            })
            .await?;
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0]["type"], "Warning");
        Ok(())
    });
}

#[test]
fn a_corrected_spec_is_carried_out() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({"env": [{"name": "PORT", "value": "1"}]}))).await?;
        reported(&namespace, "shop", "False").await?;
        assert!(namespace.list("Deployment").await?.is_empty());
        namespace.apply(&app("shop", &json!({}))).await?;
        reported(&namespace, "shop", "True").await?;
        settled(&namespace, "shop").await.map(drop)
    });
}
