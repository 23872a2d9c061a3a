//! Kinds of Kubernetes of which only a part is read.

/// Makes a type with a field `metadata` stand for a kind of the core group, so that
/// it can be listed and watched in its place.
macro_rules! part_of {
    ($part:ty, $kind:literal, $plural:literal, $scope:ty) => {
        impl k8s_openapi::Resource for $part {
            const API_VERSION: &'static str = "v1";
            const GROUP: &'static str = "";
            const KIND: &'static str = $kind;
            const VERSION: &'static str = "v1";
            const URL_PATH_SEGMENT: &'static str = $plural;
            type Scope = $scope;
        }

        impl k8s_openapi::Metadata for $part {
            type Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

            fn metadata(&self) -> &Self::Ty {
                &self.metadata
            }

            fn metadata_mut(&mut self) -> &mut Self::Ty {
                &mut self.metadata
            }
        }
    };
}

pub(crate) use part_of;
