//! The children of a shared Redis. Its password is made up here, written once, and
//! never read: who may create Secrets need not be one who may read them.

use std::fmt::Write as _;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use kube::api::PostParams;

use super::super::desired::redis::{credentials, is_owned};
use super::super::desired::{RedisChildren, SharedChildren};
use super::super::error::{Action, Error};
use super::super::names::MANAGER;
use super::super::observe::ObservedRedis;
use super::Writer;

/// Bytes of a password; it is written as hexadecimal digits, which need no escape
/// wherever it is used.
const PASSWORD_BYTES: usize = 32;

impl Writer<'_> {
    /// Brings a Redis about, or takes one away that nobody uses any more.
    pub(super) async fn redis(
        &mut self,
        wanted: RedisChildren,
        observed: &ObservedRedis,
    ) -> Result<RedisChildren, Error> {
        match wanted {
            RedisChildren::Wanted(children) => {
                Box::pin(self.shared(*children, observed)).await.map(|it| RedisChildren::Wanted(Box::new(it)))
            }
            left @ (RedisChildren::StillUsed | RedisChildren::Missing) => Ok(left),
            RedisChildren::Unwanted => Box::pin(self.without(observed)).await,
        }
    }

    /// Takes away what is left of one.
    async fn without(&mut self, observed: &ObservedRedis) -> Result<RedisChildren, Error> {
        if let Some(stateful_set) = observed.stateful_set.as_deref() {
            self.delete(stateful_set).await?;
        }
        if let Some(service) = observed.service.as_deref() {
            self.delete(service).await?;
        }
        // Data that nobody owns is to be kept; its password goes and stays with it.
        if let Some(claim) = observed.claim.as_deref().filter(|claim| is_owned(claim)) {
            self.delete(claim).await?;
        }
        Ok(RedisChildren::Unwanted)
    }

    async fn shared(
        &mut self,
        wanted: SharedChildren,
        observed: &ObservedRedis,
    ) -> Result<SharedChildren, Error> {
        let SharedChildren { claim, secret, service, stateful_set } = wanted;
        let claim = self.claim(claim, observed.claim.as_deref()).await?;
        if let Some(secret) = secret {
            self.password(secret, &claim).await?;
        }
        let service = self.one(service, observed.service.as_deref()).await?;
        let stateful_set = self.one(stateful_set, observed.stateful_set.as_deref()).await?;
        Ok(SharedChildren { claim, secret: None, service, stateful_set })
    }

    /// The volume. One that may not become what is asked for stays as it is, and keeps nothing else
    /// from being done.
    async fn claim(
        &mut self,
        desired: PersistentVolumeClaim,
        live: Option<&PersistentVolumeClaim>,
    ) -> Result<PersistentVolumeClaim, Error> {
        let asked = size(&desired).map(str::to_owned);
        match (self.one(desired, live).await, live) {
            (Err(error), Some(live)) if error.class().needs_a_person() => {
                self.volume_refused = Some(told_of_volume(&error, asked.as_deref(), size(live)));
                self.refused = Some(error);
                Ok(live.clone())
            }
            (applied, _) => applied,
        }
    }

    /// Makes up a password where there is none yet. One that is there stays.
    async fn password(&mut self, mut secret: Secret, claim: &PersistentVolumeClaim) -> Result<(), Error> {
        let name = secret.metadata.name.clone().unwrap_or_default();
        secret.metadata.owner_references = Some(vec![OwnerReference {
            api_version: "v1".to_owned(),
            kind: "PersistentVolumeClaim".to_owned(),
            name: claim.metadata.name.clone().unwrap_or_default(),
            uid: claim.metadata.uid.clone().unwrap_or_default(),
            controller: Some(true),
            block_owner_deletion: None,
        }]);
        secret.string_data = Some(credentials(&password()));
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let api = Api::<Secret>::namespaced(self.client.clone(), self.namespace);
        self.writes += 1;
        match api.create(&params, &secret).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                self.writes -= 1;
                Ok(())
            }
            Err(source) => Err(Error { action: Action::Create, kind: "Secret", name, source }),
        }
    }
}

fn size(claim: &PersistentVolumeClaim) -> Option<&str> {
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    requests.get("storage").map(|size| size.0.as_str())
}

/// What is to be told of a volume that may not become what is asked for.
fn told_of_volume(error: &Error, asked: Option<&str>, has: Option<&str>) -> String {
    let way_out = match has.filter(|has| asked != Some(has)) {
        Some(has) => format!(
            ". Write {has} into spec.redis.storage.size again, or let the storage class of that claim expand volumes \
             (allowVolumeExpansion)"
        ),
        None => String::new(),
    };
    format!("{error}{way_out}. All the rest of the spec is carried out")
}

fn password() -> String {
    let random: [u8; PASSWORD_BYTES] = rand::random();
    random.iter().fold(String::with_capacity(2 * PASSWORD_BYTES), |mut text, byte| {
        // Into a text, which takes everything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_passwords_are_alike_and_none_needs_an_escape() {
        let (one, other) = (password(), password());
        assert_ne!(one, other);
        assert_eq!(one.len(), 64);
        assert!(one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
    }
}
