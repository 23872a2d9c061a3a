//! `render`: from files and streams, with and without what the cluster has.

use std::path::Path;

use crate::{folder, run, run_with_input};

const OBSERVED: &str = "apiVersion: v1
kind: List
items:
- apiVersion: nodeapp.dev/v1alpha1
  kind: NodeApp
  metadata: {name: shop, namespace: team, uid: u-1, generation: 1}
  spec: {image: 'a:1', script: a.js, port: 3000, envFrom: [{configMapRef: {name: common}}]}
  status: {runnerImage: 'runner:of-the-app', observedGeneration: 1}
- apiVersion: nodeapp.dev/v1alpha1
  kind: NodeApp
  metadata: {name: shop, namespace: other, uid: u-2}
  spec: {image: 'a:1', script: a.js}
  status: {runnerImage: 'runner:of-another'}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: common, namespace: team}
  data: {A: '1'}
";

#[test]
fn render_takes_what_the_cluster_has_from_a_file_of_kubectl() {
    let app = "apiVersion: nodeapp.dev/v1alpha1\nkind: NodeApp\nmetadata: {name: shop, namespace: team}\n\
        spec: {image: 'a:1', script: a.js, port: 3000, envFrom: [{configMapRef: {name: common}}]}\n";
    let json = serde_saphyr::from_str::<serde_json::Value>(OBSERVED).unwrap().to_string();
    let taken = OBSERVED.to_owned()
        + "- apiVersion: v1\n  kind: Service\n  metadata: {name: shop, namespace: team, labels: {nodeapp.dev/app: shop}}\n";
    let folder =
        folder(&[("app.yaml", app), ("now.yaml", OBSERVED), ("now.json", &json), ("taken.yaml", &taken)]);
    let render = |args: &[&str]| run(&folder, &[&["render", "app.yaml"], args].concat());
    let new = render(&[]);
    assert!(!new.out.contains("ownerReferences") && !new.out.contains("nodeapp.dev/config:"), "{}", new.out);
    let (yaml, json) = (render(&["--observed", "now.yaml"]), render(&["--observed", "now.json"]));
    assert_eq!((yaml.code, &yaml.out), (Some(0), &json.out), "{}", yaml.err);
    for part in ["uid: u-1", "runner:of-the-app", "nodeapp.dev/config:"] {
        assert!(yaml.out.contains(part), "{part} is not in\n{}", yaml.out);
    }
    let given = render(&["--observed", "now.yaml", "--runner-image", "runner:given"]);
    assert!(given.out.contains("runner:given") && !given.out.contains("runner:of-the-app"), "{}", given.out);
    let taken = render(&["--observed", "taken.yaml"]);
    assert!(taken.code == Some(1) && taken.err.contains("Service shop exists"), "{}", taken.err);
    let missing = render(&["--observed", "absent.yaml"]);
    assert!(missing.code == Some(1) && missing.err.contains("absent.yaml"), "{}", missing.err);
}

#[test]
fn render_takes_a_stream_with_other_objects_in_it() {
    let stream = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n---\napiVersion: nodeapp.dev/v1alpha1\nkind: NodeApp\n\
        metadata: {name: shop}\nspec: {image: 'a:1', script: a.js, port: 3000}\n";
    let folder = folder(&[]);
    let ran = run_with_input(&folder, &["render", "-", "--runner-image", "runner:9", "-n", "team"], stream);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let kinds: Vec<_> = ran.out.lines().filter_map(|line| line.strip_prefix("kind: ")).collect();
    assert_eq!(kinds, ["ServiceAccount", "ControllerRevision", "Service", "Deployment"], "{}", ran.out);
    assert!(
        ran.out.contains("runner:9")
            && ran.out.contains("namespace: team")
            && !ran.out.contains("ownerReferences")
    );
    let bad = run_with_input(&folder, &["render", "-"], &stream.replace("port: 3000", "killTimeout: 5 s"));
    assert!(bad.code == Some(1) && bad.err.contains("spec.killTimeout"), "{}", bad.err);
    let none = run_with_input(&folder, &["render", "-"], "kind: ConfigMap\n");
    assert!(none.code == Some(1) && none.err.contains("no NodeApp"), "{}", none.err);
}

#[test]
fn secrets_for_pulling_images_are_in_what_is_rendered_as_the_operator_adds_them() {
    let app = "apiVersion: nodeapp.dev/v1alpha1\nkind: NodeApp\nmetadata: {name: shop}\nspec: {image: 'a:1', script: a.js}\n";
    let folder = folder(&[]);
    let render = |options: &[&str]| run_with_input(&folder, &[&["render", "-"], options].concat(), app);
    let ran = render(&["--image-pull-secret", "mirror,second"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let names: Vec<_> =
        ran.out.lines().filter_map(|line| line.trim_start().strip_prefix("- name: ")).collect();
    assert!(ran.out.contains("imagePullSecrets:"), "{}", ran.out);
    assert!(names.contains(&"mirror") && names.contains(&"second"), "{names:?}");
    assert!(!render(&[]).out.contains("imagePullSecrets"), "none unless asked for");
}

#[test]
fn the_manual_takes_the_same_snapshot_as_the_help() {
    let help = run(&folder(&[]), &["render", "--help"]).out;
    let command = help.lines().map(str::trim).find(|line| line.starts_with("kubectl get ")).unwrap();
    for kind in ["nodeapp", "sts", "pvc", "deploy", "controllerrevision"] {
        assert!(command.contains(kind), "{kind} is not in {command}");
    }
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/from-pm2.md");
    let manual = std::fs::read_to_string(manual).unwrap();
    assert!(manual.lines().any(|line| line == command), "docs/from-pm2.md does not have: {command}");
}
