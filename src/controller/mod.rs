//! Brings about what a `NodeApp` asks for, in five steps:
//!
//! ```text
//! NodeApp ─observe─▶ Observed ─validate─▶ ValidatedApp ─desired─▶ Children<Prepared>
//!    ▲                                                                  │ apply
//!    └── status, only if different ◀── status::compute ◀── Children<Applied>
//! ```
//!
//! [`observe`] is the only reader and [`apply`] the only writer of children;
//! [`validate`], [`desired`] and [`status`] are plain functions.

pub mod additions;
pub mod apply;
pub mod backoff;
pub mod cache;
pub mod capacity;
pub mod compare;
pub mod context;
mod debounce;
pub mod desired;
pub mod error;
pub mod events;
pub mod fights;
pub mod gateway;
pub mod names;
pub mod numbering;
pub mod observe;
pub mod outcome;
pub mod pace;
mod partial;
pub mod pods;
pub mod references;
pub mod render;
pub mod replicas;
mod report;
pub mod restarts;
pub mod runners;
pub mod runs;
mod scopes;
pub mod ssa;
pub mod status;
mod text;
pub mod validate;
mod watching;
pub mod wiring;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};

use crate::crd::NodeApp;
use apply::{Brake, Repair, Writer};
use cache::AppKey;
use context::Context;
use error::{Class, Error};
use observe::{Names, Observed, Owner, Wanted};
use outcome::{Done, Outcome};
use replicas::Autoscaled;
use status::{Findings, Live};
use validate::ValidatedApp;

pub use wiring::run;

/// An app as it comes from the watch: perhaps one that cannot be read.
pub type Guarded = DeserializeGuard<NodeApp>;

/// How long a reconcile may take. One that hangs would keep its app from being
/// looked at. It is safe to cut: every write stands for itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// One reconcile, with its bookkeeping.
async fn reconcile(app: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let _running = context.metrics.begin();
    let started = Instant::now();
    let key = key(&app);
    let steps = tokio::time::timeout(PATIENCE, Box::pin(steps(&app, &key, &context)));
    match steps.await.unwrap_or_else(|_| Err(late(&key))) {
        // What a pod's missing number has nothing to do with was carried out.
        Ok((done, Some(error))) if done.outcome != Outcome::Deleting => {
            context.metrics.failed(error.class(), started.elapsed());
            let delay = failed(&app, key, &error, &context);
            Ok(done.within(Some(delay)).next(rand::random()))
        }
        Ok((done, _)) => {
            let outcome = done.outcome;
            context.metrics.succeeded(outcome, started.elapsed());
            match outcome {
                Outcome::Deleting => context.forget(&key),
                _ => context.memory.succeeded(&key),
            }
            tracing::debug!(
                namespace = key.namespace,
                app = key.name,
                outcome = outcome.name(),
                "reconciled"
            );
            Ok(done.next(rand::random()))
        }
        Err(error) => {
            context.metrics.failed(error.class(), started.elapsed());
            Err(error)
        }
    }
}

/// A reconcile that came to no end: as good as an API server that is away.
fn late(key: &AppKey) -> Error {
    let text = format!("the API server has not answered within {} s", PATIENCE.as_secs());
    let (action, name) = (error::Action::Apply, key.name.clone());
    Error { action, kind: "NodeApp", name, source: kube::Error::Service(text.into()) }
}

/// What to do about a failed reconcile: say it once, try again later.
#[allow(clippy::needless_pass_by_value)] // The library's signature.
fn retry(app: Arc<Guarded>, error: &Error, context: Arc<Context>) -> Action {
    Action::requeue(failed(&app, key(&app), error, &context))
}

/// Counts and logs a failure; returns when to try again.
fn failed(app: &Guarded, key: AppKey, error: &Error, context: &Context) -> Duration {
    let (class, text) = (error.class(), error.to_string());
    let verdict = context.memory.failed(key.clone(), app.meta().generation, class, &text, rand::random());
    let (namespace, app, class, delay) = (key.namespace, key.name, class.name(), verdict.delay);
    if verdict.known {
        tracing::debug!(namespace, app, class, ?delay, "{text}; trying again");
    } else {
        tracing::warn!(namespace, app, class, ?delay, "{text}; trying again");
    }
    verdict.delay
}

fn key(app: &Guarded) -> AppKey {
    AppKey { namespace: app.namespace().unwrap_or_default(), name: app.name_any() }
}

/// What waits for the operator first, then the five steps. Returns why pods could not
/// be given their numbers beside what else came of it.
async fn steps(app: &Guarded, key: &AppKey, context: &Context) -> Result<(Done, Option<Error>), Error> {
    if app.meta().deletion_timestamp.is_some() {
        return Ok((Outcome::Deleting.into(), None));
    }
    // Whatever becomes of the spec: pods of the one before need their numbers too.
    let replaces = !names::is_paused(app.meta());
    let (again, unnumbered) = match numbering::assign(context, key, replaces).await {
        Ok(again) => (again, None),
        Err(error) => (None, Some(error)),
    };
    let (done, refused) = Box::pin(five_steps(app, key, context, unnumbered.as_ref())).await?;
    Ok((done.within(again), unnumbered.or(refused)))
}

/// The five steps. Returns what was refused though all the rest was done beside what came of them.
async fn five_steps(
    app: &Guarded,
    key: &AppKey,
    context: &Context,
    unnumbered: Option<&Error>,
) -> Result<(Done, Option<Error>), Error> {
    let alone = |done: Done| (done, None);
    let app = match &app.0 {
        Ok(app) => app,
        Err(unreadable) => {
            return report::unreadable(context, key, unreadable).await.map(Done::from).map(alone);
        }
    };
    let uid = app.uid().unwrap_or_default();
    let owner = Owner { key, uid: &uid };
    let last = report::last(context, app, key);
    let same_spec = last.observed_generation == app.metadata.generation;
    let observed = observe::cached(&context.caches, owner, &last);
    let (nodes, same_spec) = context.capacity.known_to(key, same_spec);
    let mut observed = observed.among(nodes, same_spec);
    observed.network.lacks_gateway_api = !context.gateway.is_served();
    observed.unnumbered = unnumbered
        .filter(|error| error.class().needs_a_person() || is_lasting(context, app, key))
        .map(|error| (error.class(), told_of_numbers(error)));
    let runs = runs::still(&observed);
    let live = Live { deployment: observed.deployment.as_deref(), runs: runs.as_ref() };
    if names::is_paused(app.meta()) {
        let findings = Findings::Paused(live);
        return report::report(context, app, key, findings, Outcome::Paused).await.map(alone);
    }
    let valid = validate::validate(app)
        .and_then(|valid| validate::check_volume(&valid, observed.redis.claim.as_deref()).map(|()| valid));
    let valid = match valid {
        Ok(valid) => valid,
        Err(problems) => {
            let findings = Findings::Invalid(&problems, live);
            return report::report(context, app, key, findings, Outcome::Invalid).await.map(alone);
        }
    };
    context.capacity.fills(key, valid.fill.is_some());
    context.gateway.wants(key, valid.network.route.is_some());
    match Box::pin(carry_out(&valid, owner, observed, context)).await {
        Ok(CarriedOut::Done { children, outcome, repairs, refused }) => {
            report::repaired(context, app, &children, &repairs).await;
            report::restarted(context, app, &children).await;
            let done = report::report(context, app, key, Findings::Applied(&children), outcome).await?;
            Ok((done, refused))
        }
        Ok(CarriedOut::Taken(observed)) => {
            let runs = runs::still(&observed);
            let live = Live { deployment: observed.deployment.as_deref(), runs: runs.as_ref() };
            let findings = Findings::Taken(&observed.taken, live);
            report::report(context, app, key, findings, Outcome::NameTaken).await.map(alone)
        }
        Err(error) if error.class() == Class::Terminating => Ok(alone(Outcome::Deleting.into())),
        Err(error) if error.class().needs_a_person() || is_lasting(context, app, key) => {
            let observed = observe::cached(&context.caches, owner, &last);
            report_failure(context, app, key, &observed, &error).await;
            // The error itself decides about the next try.
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// Tells of a failure that does not go away by itself.
async fn report_failure(context: &Context, app: &NodeApp, key: &AppKey, observed: &Observed, error: &Error) {
    let runs = runs::still(observed);
    let live = Live { deployment: observed.deployment.as_deref(), runs: runs.as_ref() };
    let text = error.to_string();
    let findings = if error.class().needs_a_person() && error.action == error::Action::TryOut {
        Findings::TemplateRefused { message: &text, live }
    } else if error.class().needs_a_person() {
        let spec_is_to_blame = error.class() == Class::Refused;
        Findings::Refused { message: &text, spec_is_to_blame, live }
    } else {
        Findings::Failing { message: &text, live }
    };
    if let Err(failed) = report::report(context, app, key, findings, Outcome::Changed).await {
        tracing::debug!(error = %failed, "cannot report the failure");
    }
}

/// What comes of pods that cannot be given their numbers.
fn told_of_numbers(error: &Error) -> String {
    let waits = "New instances do not start before they have their numbers; those that run go on";
    if error.action == error::Action::Number { format!("{error}. {waits}") } else { error.to_string() }
}

/// So many failures in a row are no hiccup any more: half a minute and more.
const LASTING: u32 = 5;

/// Whether what usually heals by itself has not, and must be told.
fn is_lasting(context: &Context, app: &NodeApp, key: &AppKey) -> bool {
    // This one is counted after it has been looked at.
    context.memory.failures(key, app.metadata.generation) + 1 >= LASTING
}

/// What came of carrying out a valid spec.
enum CarriedOut {
    Done {
        children: Box<desired::Children<desired::Applied>>,
        outcome: Outcome,
        repairs: Vec<Repair>,
        /// What was refused though all the rest was done.
        refused: Option<Error>,
    },
    Taken(Box<Observed>),
}

/// Desired and apply. A name that turns out to be taken is looked at once, since
/// only objects with our labels are watched: ours are then used as they are,
/// those of others never.
async fn carry_out(
    valid: &ValidatedApp,
    owner: Owner<'_>,
    mut observed: Observed,
    context: &Context,
) -> Result<CarriedOut, Error> {
    let secrets = context.settings.watch_secrets;
    let mut references = valid.references(secrets);
    if let Some(template) = desired::earlier_template(valid, &observed) {
        references.extend(valid.references_of(&template, secrets));
    }
    observed.contents =
        references::look(&context.references, &context.client, owner.key, &references).await?;
    let mut looked = false;
    let brake = Brake { app: owner.key, fights: &context.fights };
    loop {
        let children = desired::desired(valid, &observed, &context.settings);
        // A worker has no use for the name of a Service.
        observed.taken.retain(|taken| children.include(taken.kind, &taken.name));
        if !observed.taken.is_empty() {
            return Ok(CarriedOut::Taken(Box::new(observed)));
        }
        let mut writer = Writer::new(&context.client, &valid.namespace, brake);
        Box::pin(writer.try_out(&children, owner.key, &context.memory)).await?;
        let revision = children.revision.name_any();
        let job = children.job.as_ref().map(ResourceExt::name_any);
        let redis = children.redis.wanted().map(|redis| redis.stateful_set.name_any());
        let network = Wanted::of(&children.network);
        let applied = Box::pin(writer.apply(children, Autoscaled::of(valid), &observed)).await;
        context.metrics.wrote_children(writer.writes());
        match applied {
            Ok(applied) => {
                let outcome = if writer.writes() == 0 { Outcome::Unchanged } else { Outcome::Changed };
                if writer.writes() > 0 {
                    tracing::info!(
                        namespace = valid.namespace,
                        app = valid.name,
                        writes = writer.writes(),
                        revision,
                        "carried out"
                    );
                }
                let (children, (repairs, refused)) = (Box::new(applied), writer.ends());
                return Ok(CarriedOut::Done { children, outcome, repairs, refused });
            }
            Err(error) if error.is_taken() && !looked => {
                looked = true;
                let (job, redis) = (job.as_deref(), redis.as_deref());
                let names = Names { revision: &revision, job, redis, network };
                observed = observe::live(&context.client, owner, names, observed).await?;
            }
            Err(error) => return Err(error),
        }
    }
}
