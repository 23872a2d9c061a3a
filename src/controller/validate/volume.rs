//! The volume of a Redis whose data is kept, as it is in the cluster.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::redis::{RedisPlan, SIZE};
use super::{Problems, ValidatedApp};
use crate::crd::notation::quantity_nanos;

/// What only the cluster can tell to be wrong: a volume that would have to become
/// another one.
///
/// # Errors
/// All problems at once.
pub fn check_volume(app: &ValidatedApp, claim: Option<&PersistentVolumeClaim>) -> Result<(), Problems> {
    let mut problems = Problems::default();
    let Some((RedisPlan::Shared(wanted), claim)) = app.redis.as_ref().zip(claim) else { return Ok(()) };
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let spec = claim.spec.as_ref();
    let has = spec.and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage"));
    let bound = spec.is_some_and(|spec| spec.volume_name.is_some());
    let anew = format!("that claim holds no data yet: kubectl delete pvc {name}, and another one is made");
    let sizes = has.and_then(|has| Some((&has.0, quantity_nanos(&has.0)?, wanted.size.nanos().ok()?)));
    if let Some((has, now, then)) = sizes {
        let size = &wanted.size;
        if bound && then < now {
            problems.add(
                SIZE,
                &format!(
                    "{size} is less than the {has} of the PersistentVolumeClaim {name}, and a volume cannot shrink; give \
                     it {has} or more"
                ),
            );
        } else if !bound && then != now {
            problems.add(
                SIZE,
                &format!(
                    "{size} is not the size of the PersistentVolumeClaim {name} ({has}), which cannot be changed before \
                     it has a volume; {anew}"
                ),
            );
        }
    }
    let class = spec.and_then(|spec| spec.storage_class_name.as_deref()).filter(|class| !class.is_empty());
    if let Some(asked) = wanted.storage_class.as_deref().filter(|asked| Some(*asked) != class) {
        let way_out = if bound {
            "write that class here, or leave it out. To move, give the data to another app by another name"
        } else {
            &anew
        };
        problems.add(
            "spec.redis.storage.storageClassName",
            &format!(
                "{asked} is not the class of the PersistentVolumeClaim {name} ({}), which cannot be changed; {way_out}",
                class.unwrap_or("none")
            ),
        );
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}
