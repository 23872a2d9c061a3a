//! `waitReady`: PM2's promise, kept.

use anyhow::{Context, ensure};
use nodeapp_testkit::{Load, LoadPlan};
use serde_json::json;

use crate::app::{App, PORT, SOON, ctl};
use crate::{e2e, e2e_alone};

#[test]
fn never_ready_app_gets_no_traffic_and_the_old_pods_stay() {
    e2e_alone(|namespace| async move {
        let fields = json!({"instances": 2, "waitReady": true, "listenTimeout": 2000});
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&fields);
        shop.clone().env(&[("VERSION", "v1"), ("READY", "0")]).apply(&namespace).await?;
        let old = shop.ready(&namespace, 2).await?;
        let load = Load::start(&namespace, &LoadPlan::on("shop", PORT, "/")).await?;

        shop.clone().env(&[("VERSION", "v2"), ("READY", "never")]).apply(&namespace).await?;
        let listens_unready = async || {
            let pods = namespace.pods("shop").await?;
            let names = pods.iter().filter_map(|pod| pod.metadata.name.clone());
            let new = names.into_iter().find(|name| !old.contains(name)).context("no new pod")?;
            // It listens, so that only the missing `ready` keeps it out.
            ensure!(namespace.logs(&new).await?.contains("v2 listens on"), "{new} does not listen yet");
            let status = namespace.runner_status(&new).await?;
            ensure!(status["ready"] == false, "{new}: {status}");
            let reason = status["notReadyReason"].as_str().unwrap_or_default();
            ensure!(!reason.is_empty(), "{new} does not say why it is not ready: {status}");
            Ok(())
        };
        namespace.eventually("a new pod that listens and is not ready", SOON, listens_unready).await?;
        // Well beyond listenTimeout: the time-out makes nothing ready either.
        let report = load.answered(2_000).await?;
        ensure!(report.tokens.keys().eq(["v1"]), "answers come from {:?}", report.tokens);
        let serving = namespace.ready_pods("shop").await?;
        ensure!(serving == old, "{old:?} should serve on, {serving:?} do");

        shop.clone().env(&[("VERSION", "v3"), ("READY", "100")]).apply(&namespace).await?;
        shop.ready(&namespace, 2).await?;
        load.answered_by("v3", SOON).await?;
        let report = load.stop().await?;
        ensure!(report.failed() == 0 && report.idle_close_race() == 0, "{report:#?}");
        ensure!(!report.tokens.contains_key("v2"), "v2 never said ready: {:?}", report.tokens);
        Ok(())
    });
}

#[test]
fn ready_is_when_the_app_says_so_and_not_when_it_listens() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&json!({"waitReady": true}));
        shop.clone().env(&[("READY", "4000")]).apply(&namespace).await?;
        let listens_unready = async || {
            let status = shop.runner(&namespace).await?;
            let pods = namespace.pods("shop").await?;
            let name = pods[0].metadata.name.clone().unwrap_or_default();
            ensure!(namespace.logs(&name).await?.contains("listens on"), "it does not listen yet");
            ensure!(status["ready"] == false && status["state"] == "launching", "{status}");
            ensure!(namespace.ready_pods("shop").await?.is_empty(), "the pod is ready already");
            Ok(())
        };
        namespace.eventually("a pod that listens and is not ready", SOON, listens_unready).await?;
        shop.ready(&namespace, 1).await?;
        let status = shop.runner(&namespace).await?;
        ensure!(status["ready"] == true && status["state"] == "online", "{status}");
        Ok(())
    });
}

#[test]
fn without_wait_ready_an_app_is_ready_when_it_listens() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?.env(&[("READY", "never")]);
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 1).await?;
        ensure!(namespace.logs(&pods[0]).await?.contains("listens on"), "ready before it listened");
        Ok(())
    });
}

#[test]
fn a_grpc_probe_takes_traffic_away_and_gives_it_back() {
    e2e(|namespace| async move {
        let probe = json!({"grpc": {}, "period": "500ms", "timeout": "2s", "failureThreshold": 1});
        let shop = App::serving(&namespace, "shop", "grpc-health.js")?
            .with(&json!({"probes": {"readiness": probe}}));
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 1).await?;
        ctl(&namespace, &pods[0], &["signal", "SIGUSR2"]).await?;
        let unready = async || {
            let ready = namespace.ready_pods("shop").await?;
            ensure!(ready.is_empty(), "{ready:?}");
            let log = namespace.logs(&pods[0]).await?;
            ensure!(log.contains("the readiness probe fails: the service is NOT_SERVING"), "{log}");
            Ok(())
        };
        namespace.eventually("the pod is unready, and the log says why", SOON, unready).await?;
        ctl(&namespace, &pods[0], &["signal", "SIGUSR2"]).await?;
        ensure!(shop.ready(&namespace, 1).await? == pods, "another pod");
        let status = shop.runner(&namespace).await?;
        ensure!(status["restarts"] == 0, "{status}");
        Ok(())
    });
}
