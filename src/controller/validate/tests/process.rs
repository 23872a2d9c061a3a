//! What is executed, stopped and started again.

use nodeapp_contract::config::{NodeOptions, Preload, RestartPolicy, StopPolicy};

use super::*;

#[test]
fn the_process_fields_reach_the_runner() {
    let app = valid(&json!({
        "interpreter": "tsx", "nodeArgs": ["--tsconfig", "a.json"],
        "unhandledRejections": "warn-with-error-code", "sourceMapSupport": true,
        "holdSocket": false, "hangTimeout": "30s",
        "shutdownWithMessage": true, "treekill": false,
        "autorestart": false, "stopExitCodes": [0, 143],
        "expBackoffRestartDelay": 100, "expBackoffResetTime": "1m", "erroredRetryDelay": "0s",
        "maxMemoryRestart": "512M", "heapSnapshot": true,
    }));
    let Launch::Script { interpreter, node_args, .. } = app.runner.launch else { panic!("no script") };
    assert_eq!((interpreter.as_deref(), node_args.len()), (Some("tsx"), 2));
    assert_eq!(
        app.runner.node,
        NodeOptions {
            max_old_space_size: Some(512),
            unhandled_rejections: Some("warn-with-error-code".to_owned()),
            source_maps: true,
        }
    );
    let preload = Preload { enabled: true, hold_socket: false, hang_timeout: Some(Millis(30_000)) };
    assert_eq!(app.runner.preload, preload);
    let StopPolicy { treekill, shutdown_with_message, .. } = app.runner.stop;
    assert_eq!((treekill, shutdown_with_message), (false, true));
    let RestartPolicy { autorestart, stop_exit_codes, exp_backoff_reset, errored_retry, .. } =
        app.runner.restart;
    assert_eq!((autorestart, stop_exit_codes), (false, vec![0, 143]));
    assert_eq!((exp_backoff_reset, errored_retry), (Millis(60_000), Millis(0)));
    assert!(app.runner.memory.unwrap().heap_snapshot);
}

#[test]
fn a_short_spec_is_told_to_the_runner_as_defaults() {
    let app = valid(&json!({}));
    assert_eq!(app.runner.node, NodeOptions::default());
    assert_eq!(app.runner.preload, Preload::default());
    assert_eq!(app.runner.restart, RestartPolicy::default());
    assert_eq!(app.runner.stop, StopPolicy::default());
}

#[test]
fn the_heap_follows_the_memory_limit_wherever_that_comes_from() {
    let heap = |spec: Value| valid(&spec).runner.node.max_old_space_size;
    assert_eq!(heap(json!({})), None);
    assert_eq!(heap(json!({"resources": {"requests": {"memory": "1Gi"}}})), None);
    assert_eq!(heap(json!({"resources": {"limits": {"memory": "1Gi"}}})), Some(768));
    assert_eq!(heap(json!({"resources": {"limits": {"memory": "100M"}}})), Some(71));
}

/// Else V8 would give up before the process could be restarted for its memory.
#[test]
fn the_heap_reaches_to_the_memory_line() {
    let heap = |spec: Value| valid(&spec).runner.node.max_old_space_size;
    assert_eq!(heap(json!({"maxMemoryRestart": "200M"})), Some(200));
    let limits = json!({"limits": {"memory": "1Gi"}});
    assert_eq!(heap(json!({"maxMemoryRestart": "900M", "resources": limits})), Some(900));
    assert_eq!(heap(json!({"maxMemoryRestart": "100M", "resources": limits})), Some(768));
}

#[test]
fn fields_that_exclude_each_other_are_named_with_the_way_out() {
    let command = |more: Value| {
        let mut spec = json!({"script": null, "command": ["npm", "start"]});
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        spec
    };
    for (spec, words) in [
        (command(json!({"interpreter": "node"})), ["spec.interpreter: needs script", "into command"]),
        (
            json!({"interpreter": "none", "nodeArgs": ["--inspect"]}),
            ["spec.nodeArgs: needs an interpreter", "into args"],
        ),
        (json!({"interpreter": "node --inspect"}), ["spec.interpreter: must be one program", "nodeArgs"]),
        (json!({"interpreter": "node@18"}), ["spec.interpreter: is node", "an image with Node.js 18"]),
        (
            json!({"interpreter": "/usr/bin/python3", "unhandledRejections": "warn"}),
            ["spec.unhandledRejections: needs Node.js", "leave it out"],
        ),
        (
            json!({"interpreter": "bun", "sourceMapSupport": true}),
            ["spec.sourceMapSupport: needs Node.js", "interpreter is bun"],
        ),
        (json!({"interpreter": "deno", "hangTimeout": "5s"}), ["spec.hangTimeout: needs Node.js", "deno"]),
        (json!({"pmx": false, "holdSocket": true}), ["spec.holdSocket: needs the preload", "pmx: false"]),
        (json!({"pmx": false, "hangTimeout": "5s"}), ["spec.hangTimeout: needs the preload", "pmx: false"]),
        (json!({"hangTimeout": "900ms"}), ["spec.hangTimeout: must be at least 1s", "leave it out"]),
        (json!({"heapSnapshot": true}), ["spec.heapSnapshot: is written before", "needs maxMemoryRestart"]),
        (
            json!({"pmx": false, "heapSnapshot": true, "maxMemoryRestart": "100M"}),
            ["spec.heapSnapshot: needs the preload", "pmx: false"],
        ),
        (
            json!({"interpreter": "bun", "heapSnapshot": true, "maxMemoryRestart": "100M"}),
            ["spec.heapSnapshot: needs Node.js", "interpreter is bun"],
        ),
        (
            json!({"expBackoffResetTime": "1m"}),
            ["spec.expBackoffResetTime: needs expBackoffRestartDelay", "set both or none"],
        ),
        (json!({"stopExitCodes": [0, 256]}), ["spec.stopExitCodes[1]: must be", "0 to 255"]),
        (json!({"stopExitCodes": [1, 1]}), ["spec.stopExitCodes[1]: 1", "twice"]),
    ] {
        let told = problem(&spec);
        for words in words {
            assert!(told.contains(words), "{spec}: `{words}` is not in: {told}");
        }
    }
    for spec in [
        json!({"pmx": false, "holdSocket": false}),
        // For what does not get the message.
        json!({"shutdownWithMessage": true, "killSignal": "SIGTERM"}),
        json!({"interpreter": "none"}),
        json!({"interpreter": "bun", "sourceMapSupport": false}),
        json!({"heapSnapshot": false}),
        command(json!({"unhandledRejections": "warn", "sourceMapSupport": true, "hangTimeout": "5s"})),
    ] {
        valid(&spec);
    }
}

#[test]
fn a_grpc_probe_takes_the_apps_port() {
    let spec = json!({"port": 3000, "probes": {"readiness": {"grpc": {"service": "shop.Cart"}}}});
    let check = valid(&spec).runner.readiness.probe.unwrap().check;
    assert_eq!(check, Check::Grpc { port: 3000, service: "shop.Cart".into() });
    assert_eq!(
        problems(&json!({"probes": {"readiness": {"grpc": {}}}})),
        ["spec.probes.readiness.grpc.port"]
    );
    let two = json!({"port": 3000, "probes": {"readiness": {"grpc": {}, "tcp": {}}}});
    assert_eq!(problem(&two), "spec.probes.readiness: has exactly one of http, tcp, exec and grpc");
}

#[test]
fn a_rollout_has_time_for_instances_to_get_ready_and_to_stay_it() {
    let deadline = |rollout: Value| {
        let spec = json!({"listenTimeout": "30s", "rollout": rollout});
        valid(&spec).rollout.progress_deadline.as_secs()
    };
    assert_eq!(deadline(json!({})), 90);
    assert_eq!(deadline(json!({"minReadySeconds": 600})), 690);
    assert_eq!(deadline(json!({"minReadySeconds": 600, "progressDeadline": "11m"})), 660);
    let told = problem(&json!({"rollout": {"minReadySeconds": 600, "progressDeadline": "5m"}}));
    assert!(told.starts_with("spec.rollout.progressDeadline: must be longer than minReadySeconds"), "{told}");
}

#[test]
fn variables_of_the_instance_index_are_checked_like_the_api_server_does() {
    let index = valid(&json!({"instanceIndex": true, "incrementVar": "DEBUG_PORT"})).index.unwrap();
    assert_eq!((index.variable, index.increment.as_deref()), (None, Some("DEBUG_PORT")));
    assert_eq!(valid(&json!({})).index, None);
    for (spec, words) in [
        (json!({"instanceVar": "A"}), "set spec.instanceIndex: true"),
        (json!({"instanceIndex": true, "instanceVar": "1A"}), "not start with a digit"),
        (json!({"instanceIndex": true, "instanceVar": "NODEAPP_X"}), "belong to the operator"),
        (json!({"instanceIndex": true, "instanceVar": "PORT"}), "take another name"),
        (json!({"instanceIndex": true, "env": [{"name": "NODE_APP_INSTANCE"}]}), "spec.instanceVar"),
        (json!({"instanceIndex": true, "port": 80, "incrementVar": "PORT"}), "the Service knows one"),
        (json!({"instanceIndex": true, "incrementVar": "NODE_APP_INSTANCE"}), "has the instance index"),
    ] {
        let problem = problem(&spec);
        assert!(problem.contains(words), "{spec}: {problem}");
    }
}
