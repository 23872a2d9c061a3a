//! The committed files that `cargo xtask gen` writes are those that today's code gives.
//!
//! The same pure code renders them here and there. `manifests/install.yaml` needs Helm and is compared by
//! `cargo xtask gen --check`.

#[path = "../xtask/src/gen/pm2.rs"]
mod pm2;
#[path = "../xtask/src/gen/reference.rs"]
mod reference;
#[path = "../xtask/src/gen/render.rs"]
mod render;
#[path = "../xtask/src/gen/values.rs"]
mod values;

use nodeapp_operator::generated::{crd_yaml, own_role_yaml, rbac_with_secrets_yaml, rbac_yaml};

fn assert_committed(path: &str, expected: &str) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let committed = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("cannot read {path}: {error}; run `cargo xtask gen`"));
    let Some(line) = first_difference(&committed, expected) else { return };
    panic!(
        "{path} is not what the code gives, first in line {line}; run `cargo xtask gen` and commit the result"
    );
}

/// The number of the first line that differs, if any.
fn first_difference(committed: &str, expected: &str) -> Option<usize> {
    if committed == expected {
        return None;
    }
    let same = committed.lines().zip(expected.lines()).take_while(|(a, b)| a == b).count();
    Some(same + 1)
}

#[test]
fn committed_crds_are_those_of_the_types() {
    assert_committed("charts/nodeapp-operator-crds/templates/nodeapps.yaml", &render::chart_crd(&crd_yaml()));
    assert_committed("manifests/crds.yaml", &render::manifest_crds(&crd_yaml()));
}

#[test]
fn committed_rules_are_those_of_the_table() {
    let rules = render::chart_rules(&format!("{}---\n{}", rbac_yaml(), own_role_yaml()));
    assert_committed("charts/nodeapp-operator/templates/_rules.tpl", &rules.expect("roles with rules"));
}

#[test]
fn committed_reference_is_that_of_the_schema() {
    let crd: serde_json::Value = serde_saphyr::from_str(&crd_yaml()).expect("the CRD is YAML");
    assert_committed("docs/reference.md", &reference::markdown(&crd).expect("the CRD has a schema"));
}

#[test]
fn committed_readme_of_the_chart_has_the_values_as_they_are_commented() {
    let read = |name: &str| {
        let file =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/nodeapp-operator").join(name);
        std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("cannot read {name}: {error}"))
    };
    let readme = values::readme(&read("README.md"), &read("values.yaml"));
    assert_committed("charts/nodeapp-operator/README.md", &readme.expect("every value is commented"));
}

/// The one that needs Helm must at least be there and carry the same rules.
#[test]
fn committed_installation_carries_the_rules_of_the_table() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/install.yaml");
    let install =
        std::fs::read_to_string(file).expect("manifests/install.yaml is there; run `cargo xtask gen`");
    for role in [rbac_yaml(), own_role_yaml()] {
        let rules = role.split_once("\nrules:\n").expect("a role with rules").1.trim_end();
        assert!(install.contains(rules), "manifests/install.yaml carries other rules; run `cargo xtask gen`");
    }
}

#[test]
fn the_chart_gives_the_rights_for_secrets_as_the_table_has_them() {
    let (with, without) = (rbac_with_secrets_yaml(), rbac_yaml());
    let more = with.strip_prefix(without.trim_end()).expect("the rights for Secrets come last").trim();
    let file =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/nodeapp-operator/templates/roles.yaml");
    let roles = std::fs::read_to_string(file).expect("the chart has roles");
    assert!(more.contains("secrets") && roles.contains(more), "the chart has other rights than:\n{more}");
    assert!(
        roles.contains("{{- if $.Values.rollout.onSecretChange }}"),
        "they are given only where it is asked for"
    );
}

#[test]
fn difference_is_found_by_its_line() {
    assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
    assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some(2));
    assert_eq!(first_difference("a\n", "a\nb\n"), Some(2));
}
