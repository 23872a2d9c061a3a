//! What the operator may do: one table, rendered into chart and manifests and
//! compared with the calls it really makes.

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Name of the `ClusterRole`.
pub const ROLE_NAME: &str = "nodeapp-operator";

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Permission {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Plural name of the resource, with its subresource if it is about one.
    pub resource: &'static str,
    /// What is done with it.
    pub verbs: &'static [&'static str],
    /// What breaks without it.
    pub why: &'static str,
    /// Verbs that no test run can be expected to use, with the reason.
    pub unproved: &'static [(&'static str, &'static str)],
}

/// Verbs of a child: watched, applied, and read once when its name is found taken.
const CHILD: &[&str] = &["create", "get", "list", "patch", "watch"];

/// The whole table, sorted by group and resource.
pub const TABLE: &[Permission] = &[
    Permission {
        group: "",
        resource: "configmaps",
        verbs: &["get", "list", "watch"],
        why: "pods are replaced when a ConfigMap that their app refers to has changed",
        unproved: &[],
    },
    Permission {
        group: "",
        resource: "persistentvolumeclaims",
        verbs: &["create", "delete", "get", "list", "patch", "watch"],
        why: "the data of a Redis that an app's instances share lies on one; it is deleted only where the app \
              says so",
        unproved: &[],
    },
    Permission {
        group: "",
        resource: "pods",
        verbs: &["delete", "list", "patch", "watch"],
        why: "how the instances of an app are is seen in its pods; those that want a number get one, and one \
              with a number beyond those that are wanted makes room for the one that is missing",
        unproved: &[(
            "delete",
            "only after a scale-down of pods that are not ready, which has a test of its own",
        )],
    },
    Permission {
        group: "",
        resource: "secrets",
        verbs: &["create"],
        why: "a Redis that an app's instances share gets a password, which is made up once; the operator cannot \
              read it, nor any other Secret",
        unproved: &[],
    },
    Permission {
        group: "",
        resource: "serviceaccounts",
        verbs: CHILD,
        why: "every app runs under an account of its own, which has no token",
        unproved: &[],
    },
    Permission {
        group: "",
        resource: "services",
        verbs: &["create", "delete", "get", "list", "patch", "watch"],
        why: "an app with a port is reached by its Service; one without a port loses it",
        unproved: &[],
    },
    Permission {
        group: "apps",
        resource: "controllerrevisions",
        verbs: &["create", "delete", "get", "list", "patch", "watch"],
        why: "they hold the pod templates, so that an upgrade of the operator restarts no app",
        unproved: &[],
    },
    Permission {
        group: "apps",
        resource: "deployments",
        verbs: &["create", "delete", "get", "list", "patch", "watch"],
        why: "it runs the pods of an app; one that becomes a job loses it",
        unproved: &[],
    },
    Permission {
        group: "apps",
        resource: "statefulsets",
        verbs: &["create", "delete", "get", "list", "patch", "watch"],
        why: "it runs a Redis that an app's instances share; one that is not asked for any more goes",
        unproved: &[],
    },
    Permission {
        group: "autoscaling",
        resource: "horizontalpodautoscalers",
        verbs: &["create", "delete", "get", "list", "patch", "watch"],
        why: "it makes the number of instances follow the load; one of someone else that would scale an \
              app's Deployment is told",
        unproved: &[],
    },
    Permission {
        group: "batch",
        resource: "cronjobs",
        verbs: &["create", "delete", "get", "list", "patch", "watch"],
        why: "it runs the pods of an app that is a job; one that is none any more loses it",
        unproved: &[],
    },
    Permission {
        group: "batch",
        resource: "jobs",
        verbs: &["create", "delete", "get", "list", "patch", "watch"],
        why: "what rollout.before asks for is run as a Job, and cleared away afterwards; how the last run of \
              an app that is a job has ended is seen in its Job",
        unproved: &[],
    },
    Permission {
        group: "events.k8s.io",
        resource: "events",
        verbs: &["create", "patch"],
        why: "what happens to an app is told by Events; a repeated one is counted up",
        unproved: &[],
    },
    Permission {
        group: "gateway.networking.k8s.io",
        resource: "httproutes",
        verbs: &["create", "delete", "get", "list", "patch", "watch"],
        why: "an app with httpRoute is reached through a Gateway, where the cluster has the Gateway API",
        unproved: &[],
    },
    Permission {
        group: "networking.k8s.io",
        resource: "ingresses",
        verbs: &["create", "delete", "get", "list", "patch", "watch"],
        why: "an app with ingress is reached from outside by an ingress controller",
        unproved: &[],
    },
    Permission {
        group: "networking.k8s.io",
        resource: "networkpolicies",
        verbs: &["create", "delete", "get", "list", "patch", "watch"],
        why: "an app with networkPolicy, its runner and its Redis are reached only by whom it says",
        unproved: &[],
    },
    Permission {
        group: "nodeapp.dev",
        resource: "nodeapps",
        verbs: &["list", "watch"],
        why: "they are what the operator works on",
        unproved: &[],
    },
    Permission {
        group: "nodeapp.dev",
        resource: "nodeapps/finalizers",
        verbs: &["update"],
        why: "owner references that block the owner's deletion are refused without it where the \
              admission plugin OwnerReferencesPermissionEnforcement is on",
        unproved: &[("update", "it is checked by an admission plugin, never called")],
    },
    Permission {
        group: "nodeapp.dev",
        resource: "nodeapps/status",
        verbs: &["patch"],
        why: "the state of an app is told there",
        unproved: &[],
    },
    Permission {
        group: "policy",
        resource: "poddisruptionbudgets",
        verbs: &["create", "delete", "get", "list", "patch", "watch"],
        why: "an app with two or more instances keeps serving while a node is drained",
        unproved: &[],
    },
];

/// What the operator may do beyond any namespace. It works without: only apps with
/// `fillCluster` miss it, and say so.
pub const CLUSTER: &[Permission] = &[Permission {
    group: "",
    resource: "nodes",
    verbs: &["list", "watch"],
    why: "an app with fillCluster gets as many instances as the nodes have room for",
    unproved: &[],
}];

/// What the operator may do in addition where pods are to be replaced when a Secret
/// changes. The right to list Secrets is the right to read them; the operator asks
/// for their metadata only.
pub const SECRETS: &[Permission] = &[Permission {
    group: "",
    resource: "secrets",
    verbs: &["get", "list", "watch"],
    why: "pods are replaced when a Secret that their app refers to has changed",
    unproved: &[],
}];

/// What the operator may do in its own namespace, and only there.
pub const OWN_NAMESPACE: &[Permission] = &[Permission {
    group: "coordination.k8s.io",
    resource: "leases",
    verbs: &["create", "get", "update"],
    why: "one operator works at a time: the one that holds the Lease",
    unproved: &[],
}];

/// The tables as a `ClusterRole`, one rule per row. As a `Role` in single namespaces
/// it gives nothing about nodes, which are in none.
pub fn cluster_role() -> ClusterRole {
    let rules = [rules(TABLE), rules(CLUSTER)].concat();
    ClusterRole { metadata: named(ROLE_NAME), rules: Some(rules), aggregation_rule: None }
}

/// The same with the rights for Secrets.
pub fn cluster_role_with_secrets() -> ClusterRole {
    let role = cluster_role();
    let rules = [role.rules.unwrap_or_default(), rules(SECRETS)].concat();
    ClusterRole { rules: Some(rules), ..role }
}

/// The rights in the operator's own namespace as a `Role`.
pub fn own_role() -> Role {
    Role { metadata: named(ROLE_NAME), rules: Some(rules(OWN_NAMESPACE)) }
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

fn rules(table: &[Permission]) -> Vec<PolicyRule> {
    let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let rule = |row: &Permission| PolicyRule {
        api_groups: Some(owned(&[row.group])),
        resources: Some(owned(&[row.resource])),
        verbs: owned(row.verbs),
        ..PolicyRule::default()
    };
    table.iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_says_why() {
        let keys: Vec<_> = TABLE.iter().map(|row| (row.group, row.resource)).collect();
        assert!(keys.is_sorted(), "{keys:?}");
        for row in TABLE {
            assert!(row.verbs.is_sorted(), "{} {:?}", row.resource, row.verbs);
            assert!(row.why.len() > 20, "{}", row.resource);
        }
    }

    #[test]
    fn no_row_is_a_wildcard_or_reads_secrets() {
        for row in TABLE {
            assert!(row.group != "*" && row.resource != "*" && !row.verbs.contains(&"*"));
            assert!(row.resource != "secrets" || row.verbs == ["create"], "to patch one is to read it too");
        }
    }

    #[test]
    fn what_is_watched_can_be_listed_and_what_is_applied_can_be_created() {
        for row in TABLE {
            let can = |verb| row.verbs.contains(&verb);
            assert_eq!(can("watch"), can("list"), "{}", row.resource);
            assert!(!can("create") || can("patch") || row.resource == "secrets", "{}", row.resource);
        }
    }
}
