//! No `NodeApp` makes the pure steps panic, and what they make is the same again.

use std::cell::Cell;
use std::sync::Arc;

use nodeapp_operator::controller::desired::{Settings, desired};
use nodeapp_operator::controller::observe::Observed;
use nodeapp_operator::controller::validate::validate;
use nodeapp_operator::crd::{self, NodeApp};
use nodeapp_testkit::generate;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

/// Specs of the form that the schema wants, with and without what every app has.
fn specs() -> impl Strategy<Value = Value> {
    let definition = serde_json::to_value(crd::definition()).expect("a definition is JSON");
    let schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone();
    (generate::values(&schema), proptest::bool::weighted(0.8)).prop_map(|(mut spec, usual)| {
        if usual {
            spec["image"] = json!("registry.example/shop:1");
            if spec["command"].is_null() && spec["script"].is_null() {
                spec["script"] = json!("server.js");
            }
        }
        spec
    })
}

#[test]
fn no_nodeapp_makes_the_operator_panic_and_the_same_one_always_gives_the_same_children() {
    let cases = if std::env::var_os("NODEAPP_TEST_ALL").is_some() { 20_000 } else { 1_000 };
    let settings = Settings { runner_image: "registry.example/runner:1".to_owned(), ..Settings::default() };
    let (valid_ones, all) = (Cell::new(0), Cell::new(0));
    // Failures are printed as a whole, so that no file with seeds is needed.
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&specs(), |spec| {
        all.set(all.get() + 1);
        let app = json!({
            "apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp",
            "metadata": {"name": "case", "namespace": "shop", "uid": "u", "generation": 1}, "spec": spec,
        });
        // What the watch cannot read never comes here.
        let Ok(app) = serde_json::from_value::<NodeApp>(app) else { return Ok(()) };
        let Ok(valid) = validate(&app) else { return Ok(()) };
        valid_ones.set(valid_ones.get() + 1);
        let first = desired(&valid, &Observed::default(), &settings);
        let mut observed = Observed::default();
        observed.revisions.push(Arc::new(first.revision.clone()));
        let newer = Settings { runner_image: "registry.example/runner:2".to_owned(), ..Settings::default() };
        let again = desired(&valid, &observed, &newer);
        proptest::prop_assert_eq!(&first.revision, &again.revision);
        proptest::prop_assert_eq!(&first.deployment, &again.deployment);
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
    let (valid_ones, all) = (valid_ones.get(), all.get());
    assert!(valid_ones * 20 > all, "only {valid_ones} of {all} were valid: they try too little");
}
