//! Who works, when there are several operators.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kube::Client;
use nodeapp_operator::lease::{Election, Leader, Times, Waiting};
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::json;

use crate::support::{SOON, Tap, admin_in};

const LEASE: &str = "nodeapp-operator";

/// The real proportions, but faster.
const TIMES: Times = Times {
    duration: Duration::from_secs(3),
    renew_deadline: Duration::from_secs(2),
    period: Duration::from_millis(200),
};

async fn candidate(namespace: &Namespace, name: &str, tap: &Tap) -> Result<Election> {
    let client: Client = admin_in(namespace, tap).await?;
    Ok(Election::new(client, LEASE, name.to_owned(), TIMES))
}

async fn leader(namespace: &Namespace, name: &str) -> Result<Leader> {
    let candidate = candidate(namespace, name, &Tap::default()).await?;
    within(candidate.lead(|_| {})).await
}

async fn within<T>(future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(SOON, future).await.context("it takes too long")
}

async fn holder(namespace: &Namespace) -> Result<String> {
    let lease = namespace.get("Lease", LEASE).await?;
    Ok(lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn one_operator_works_and_another_takes_over_when_it_is_killed() {
    story(Tier::Apiserver, |namespace| async move {
        let mut first = leader(&namespace, "first").await?;
        let second = candidate(&namespace, "second", &Tap::default()).await?;
        let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let waiting = tokio::spawn(async move {
            let leader = second.lead(|why| drop(told.send(why.clone()))).await;
            (leader, Instant::now())
        });
        assert_eq!(within(hears.recv()).await?, Some(Waiting::Standby("first".into())));
        // As long as the first one renews, the second one waits, whatever the time.
        let renewing = tokio::time::timeout(TIMES.duration * 2, first.keep()).await;
        assert!(renewing.is_err(), "{renewing:?}");
        assert!(!waiting.is_finished());
        assert_eq!(holder(&namespace).await?, "first");
        drop(first);
        let killed = Instant::now();
        let (_second, leads) = within(waiting).await??;
        println!("take-over after a kill: {:?} with a Lease of {:?}", leads - killed, TIMES.duration);
        assert_eq!(holder(&namespace).await?, "second");
        let transitions = &namespace.get("Lease", LEASE).await?["spec"]["leaseTransitions"];
        assert_eq!(transitions, 1);
        Ok(())
    });
}

#[test]
fn a_lead_that_is_given_away_need_not_run_out() {
    story(Tier::Apiserver, |namespace| async move {
        let first = leader(&namespace, "first").await?;
        first.release().await;
        assert_eq!(holder(&namespace).await?, "");
        let begun = Instant::now();
        leader(&namespace, "second").await?;
        println!("take-over after a release: {:?}", begun.elapsed());
        assert_eq!(holder(&namespace).await?, "second");
        Ok(())
    });
}

#[test]
fn a_leader_ends_when_another_has_its_lease_and_only_then() {
    story(Tier::Apiserver, |namespace| async move {
        let mut first = leader(&namespace, "first").await?;
        // Someone's annotation is a conflict, not a loss.
        namespace.patch("Lease", LEASE, &json!({"metadata": {"annotations": {"a": "b"}}})).await?;
        let version = namespace.get("Lease", LEASE).await?["metadata"]["resourceVersion"].clone();
        tokio::select! {
            lost = first.keep() => anyhow::bail!("{lost}"),
            renewed = namespace.eventually("the Lease is renewed again", SOON, async || {
                let lease = namespace.get("Lease", LEASE).await?;
                ensure!(lease["metadata"]["resourceVersion"] != version, "{lease}");
                Ok(())
            }) => renewed?,
        }
        namespace.patch("Lease", LEASE, &json!({"spec": {"holderIdentity": "thief"}})).await?;
        let lost = within(first.keep()).await?.to_string();
        assert!(lost.contains("thief holds it"), "{lost}");
        Ok(())
    });
}

#[test]
fn a_leader_that_gets_no_answer_ends_before_its_lease_runs_out() {
    story(Tier::Apiserver, |namespace| async move {
        // The claim goes through, and nothing after it.
        let candidate = candidate(&namespace, "first", &Tap::cut_after(1)).await?;
        let begun = Instant::now();
        let mut first = within(candidate.lead(|_| {})).await?;
        let lost = within(first.keep()).await?.to_string();
        assert!(lost.contains("not renewed within 2 s"), "{lost}");
        let second = leader(&namespace, "second").await?;
        drop(second);
        assert!(begun.elapsed() >= TIMES.duration, "the Lease was taken before its time");
        Ok(())
    });
}

#[test]
fn a_container_that_starts_anew_goes_on_with_its_pods_lease() {
    story(Tier::Apiserver, |namespace| async move {
        drop(leader(&namespace, "pod").await?);
        let before = namespace.get("Lease", LEASE).await?;
        drop(leader(&namespace, "pod").await?);
        let after = namespace.get("Lease", LEASE).await?;
        assert_eq!(after["spec"]["leaseTransitions"], before["spec"]["leaseTransitions"]);
        assert_ne!(after["spec"]["renewTime"], before["spec"]["renewTime"]);
        Ok(())
    });
}
