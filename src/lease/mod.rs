//! One operator at a time: the leader holds a Lease, the others wait for it.
//!
//! The rules are those of Kubernetes' own controllers, with three made strict: a
//! Lease expires by the clock of whoever waits for it, so clocks that differ do no
//! harm; every write names the version it was decided on, so two cannot claim the
//! same; and a leader that lost it ends its process rather than work on.

mod decide;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};

use crate::controller::error::chain;
use crate::controller::names;

pub use decide::Times;
use decide::{Step, Watched, decide};

/// A leader without its Lease.
#[derive(Debug, thiserror::Error)]
#[error("the Lease {lease} is lost ({why}); the operator ends, so that two never work at once")]
pub struct Lost {
    lease: String,
    why: String,
}

/// Why a candidate does not lead yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Someone else does.
    Standby(String),
    /// The Lease cannot be had.
    Trouble(String),
}

/// The identity of this process: in a pod, the pod's name, so that a container that
/// starts anew goes on at once with the Lease of the one before it.
pub fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| names::MANAGER.to_owned());
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        return host;
    }
    format!("{host}_{:08x}", rand::random::<u32>())
}

/// What came of one try.
enum Try {
    Ours(Box<Lease>),
    Held(String),
}

/// A candidate.
#[derive(Debug)]
pub struct Election {
    leases: Api<Lease>,
    name: String,
    me: String,
    times: Times,
    watched: Watched,
}

impl Election {
    /// A candidate for the Lease of this name in the client's own namespace. Two
    /// processes that live at the same time must not share an identity.
    pub fn new(client: Client, name: &str, identity: String, times: Times) -> Self {
        let leases = Api::default_namespaced(client);
        Self { leases, name: name.to_owned(), me: identity, times, watched: Watched::default() }
    }

    /// Returns when this process leads. `waiting` is told why it does not, each time
    /// that this becomes another reason.
    pub async fn lead(mut self, waiting: impl Fn(&Waiting)) -> Leader {
        let mut told = None;
        loop {
            let renewed = Instant::now();
            let news = match self.attempt().await {
                Ok(Try::Ours(lease)) => {
                    tracing::info!(lease = self.name, identity = self.me, "this operator leads");
                    return Leader { election: self, lease: *lease, renewed };
                }
                Ok(Try::Held(holder)) => Waiting::Standby(holder),
                Err(error) => Waiting::Trouble(chain(&error)),
            };
            if told.as_ref() != Some(&news) {
                waiting(&news);
                told = Some(news);
            }
            tokio::time::sleep(self.times.period.mul_f64(rand::random_range(0.8..1.2))).await;
        }
    }

    async fn attempt(&mut self) -> Result<Try, kube::Error> {
        let Some(lease) = self.within(self.leases.get_opt(&self.name)).await? else {
            let fresh = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.claimed(None)),
            };
            let params =
                PostParams { field_manager: Some(names::MANAGER.to_owned()), ..PostParams::default() };
            return self.within(self.leases.create(&params, &fresh)).await.map(ours);
        };
        let version = lease.resource_version().unwrap_or_default();
        let unchanged_for = self.watched.unchanged_for(&version, Instant::now());
        let holder = holder(&lease).map(str::to_owned);
        match decide(holder.as_deref(), &self.me, unchanged_for, self.lasts(&lease)) {
            Step::Wait => Ok(Try::Held(holder.unwrap_or_default())),
            Step::Renew => self.write(&lease, renewed(&lease)).await.map(ours),
            Step::Claim => self.write(&lease, self.claimed(lease.spec.as_ref())).await.map(ours),
        }
    }

    /// How long a Lease holds: its holder may have other times than we.
    fn lasts(&self, lease: &Lease) -> Duration {
        let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
        seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(self.times.duration, Duration::from_secs)
    }

    fn claimed(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let transitions = before.map(|before| before.lease_transitions.unwrap_or(0).saturating_add(1));
        LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(self.times.duration.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions.unwrap_or(0)),
            ..LeaseSpec::default()
        }
    }

    /// Writes, unless somebody has written since.
    async fn write(&self, lease: &Lease, spec: LeaseSpec) -> Result<Lease, kube::Error> {
        let next = Lease { metadata: lease.metadata.clone(), spec: Some(spec) };
        let params = PostParams { field_manager: Some(names::MANAGER.to_owned()), ..PostParams::default() };
        self.within(self.leases.replace(&self.name, &params, &next)).await
    }

    /// An answer that takes longer than this comes too late to be of use.
    async fn within<T>(
        &self,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, kube::Error> {
        let patience = self.times.renew_deadline / 2;
        tokio::time::timeout(patience, request).await.unwrap_or_else(|_| {
            Err(kube::Error::Service(format!("no answer within {} ms", patience.as_millis()).into()))
        })
    }
}

fn ours(lease: Lease) -> Try {
    Try::Ours(Box::new(lease))
}

fn renewed(lease: &Lease) -> LeaseSpec {
    let spec = lease.spec.clone().unwrap_or_default();
    LeaseSpec { renew_time: Some(MicroTime(Timestamp::now())), ..spec }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

/// The one that works.
#[derive(Debug)]
pub struct Leader {
    election: Election,
    lease: Lease,
    renewed: Instant,
}

impl Leader {
    /// Renews the Lease; returns only when it is lost.
    pub async fn keep(&mut self) -> Lost {
        let times = self.election.times;
        let mut trouble = "no answer".to_owned();
        loop {
            tokio::time::sleep(times.period).await;
            let deadline = self.renewed + times.renew_deadline;
            match tokio::time::timeout_at(deadline.into(), self.renew()).await {
                Ok(Ok(())) => {}
                Ok(Err(Failure::Taken(why))) => return self.lost(why),
                Ok(Err(Failure::Trouble(why))) => {
                    tracing::debug!("the Lease could not be renewed: {why}; trying again");
                    trouble = why;
                }
                Err(_) => {
                    let limit = times.renew_deadline.as_secs_f64();
                    return self.lost(format!("not renewed within {limit} s: {trouble}"));
                }
            }
        }
    }

    /// A conflict alone is no loss: somebody may have annotated the Lease.
    async fn renew(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        let spec = renewed(&self.lease);
        let conflict = match self.election.write(&self.lease, spec).await {
            Ok(lease) => {
                self.lease = lease;
                self.renewed = begun;
                return Ok(());
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => status,
            Err(error) => return Err(Failure::Trouble(chain(&error))),
        };
        let leases = &self.election.leases;
        match self.election.within(leases.get_opt(&self.election.name)).await {
            Ok(Some(lease)) if holder(&lease) == Some(&self.election.me) => {
                self.lease = lease;
                Err(Failure::Trouble(conflict.message.clone()))
            }
            Ok(Some(lease)) => {
                let holder = holder(&lease).filter(|holder| !holder.is_empty()).unwrap_or("nobody");
                Err(Failure::Taken(format!("{holder} holds it")))
            }
            Ok(None) => Err(Failure::Taken("it was deleted".to_owned())),
            Err(error) => Err(Failure::Trouble(chain(&error))),
        }
    }

    fn lost(&self, why: String) -> Lost {
        Lost { lease: self.election.name.clone(), why }
    }

    /// Gives the lead away, so that the next one need not wait.
    pub async fn release(self) {
        let spec = LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            ..renewed(&self.lease)
        };
        match self.election.write(&self.lease, spec).await {
            Ok(_) => tracing::info!(lease = self.election.name, "the lead is given away"),
            Err(error) => tracing::warn!("the Lease was not given away, it runs out: {}", chain(&error)),
        }
    }
}

enum Failure {
    /// It is another's now.
    Taken(String),
    /// Not renewed this time.
    Trouble(String),
}
