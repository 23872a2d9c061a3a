//! Whatever others write, the API server takes the status: a text that is too long
//! would keep it as it is for ever.

use super::*;
use crate::crd::definition;

/// Where a value breaks the limits of a schema.
fn broken(value: &Value, schema: &Value, path: &str, found: &mut Vec<String>) {
    let beyond = |limit: &str, size: usize| schema[limit].as_u64().is_some_and(|most| size as u64 > most);
    match value {
        Value::String(text) if beyond("maxLength", text.chars().count()) => found.push(path.to_owned()),
        Value::Array(items) => {
            if beyond("maxItems", items.len()) {
                found.push(path.to_owned());
            }
            for item in items {
                broken(item, &schema["items"], &format!("{path}[]"), found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                assert!(!schema["properties"][name].is_null(), "{path}.{name} is no field");
                broken(field, &schema["properties"][name], &format!("{path}.{name}"), found);
            }
        }
        _ => {}
    }
}

fn assert_taken(status: &NodeAppStatus, what: &str) {
    let definition = serde_json::to_value(definition()).unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
    let mut found = Vec::new();
    broken(&serde_json::to_value(status).unwrap(), schema, "status", &mut found);
    assert!(found.is_empty(), "{what}: {found:?}");
}

#[test]
fn a_webhook_that_says_a_lot_does_not_make_the_status_unwritable() {
    let mut refused = deployment(&Pods(3, 3, 0, 3), &[STUCK, ("ReplicaFailure", "True", "FailedCreate")]);
    for condition in refused.status.as_mut().unwrap().conditions.as_mut().unwrap() {
        condition.message = Some("ä".repeat(50_000));
    }
    let stuck = carried_out(refused, &NodeAppStatus::default(), 60);
    assert_eq!(stuck.failed_revision.as_deref(), Some("cart-1"), "so that it can be taken back");
    assert!(stuck.failed_reason.is_some());
    assert_taken(&stuck, "pods refused");
    let back = running("cart-0", deployment(&Pods(3, 3, 3, 3), &[ROLLED]), &stuck, 70);
    assert_taken(&back, "taken back");
}

#[test]
fn what_others_say_is_cut_to_what_the_schema_takes() {
    let long = "x".repeat(200_000);
    let live = Live::default();
    let mut problems = Problems::default();
    problems.add("spec.env", &long);
    let taken = [Taken { kind: "Service", name: "cart".into(), holder: long.clone() }];
    for findings in [
        Findings::Refused { message: &long, spec_is_to_blame: true, live },
        Findings::Failing { message: &long, live },
        Findings::Invalid(&problems, live),
        Findings::Taken(&taken, live),
    ] {
        let status = compute(&app(7), &NodeAppStatus::default(), findings, at(0));
        assert_taken(&status, of(&status, ConditionType::Ready).1);
    }
    let course = Course { unknown: Some(vec![long.clone(); 10]), ..Course::default() };
    assert_taken(&on_course(course, deployment(&Pods(2, 2, 2, 2), &[ROLLED])), "unknown revision");
}
