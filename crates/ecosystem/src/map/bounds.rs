//! How much of anything the API takes, by its own schema: what is beyond is told here,
//! and not by the API server when half of a stream is applied.

use std::sync::LazyLock;

use nodeapp_operator::crd::definition;
use serde_json::Value;

/// The schema of a spec.
static SPEC: LazyLock<Value> = LazyLock::new(|| {
    let crd = serde_json::to_value(definition()).expect("a definition is JSON");
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
});

/// What is too much or too little in a spec, as a path and what is wrong with it.
pub(super) fn problems(spec: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    look("spec", &SPEC, spec, &mut found);
    found
}

fn look(path: &str, schema: &Value, value: &Value, found: &mut Vec<(String, String)>) {
    let mut bound = |number: f64, least: &str, most: &str, what: &str| {
        if let Some(most) = schema[most].as_f64().filter(|most| number > *most) {
            found.push((path.to_owned(), format!("{number}{what}; the API takes at most {most}")));
        } else if let Some(least) = schema[least].as_f64().filter(|least| number < *least) {
            found.push((path.to_owned(), format!("{number}{what}; the API takes at least {least}")));
        }
    };
    match value {
        Value::String(text) => bound(count(text.chars().count()), "minLength", "maxLength", " letters"),
        Value::Number(number) => bound(number.as_f64().unwrap_or_default(), "minimum", "maximum", ""),
        Value::Array(items) => {
            bound(count(items.len()), "minItems", "maxItems", " items");
            for (index, item) in items.iter().enumerate() {
                look(&format!("{path}[{index}]"), &schema["items"], item, found);
            }
        }
        Value::Object(map) => {
            bound(count(map.len()), "minProperties", "maxProperties", " items");
            for (name, item) in map {
                let of_field = &schema["properties"][name];
                let schema = if of_field.is_null() { &schema["additionalProperties"] } else { of_field };
                look(&format!("{path}.{name}"), schema, item, found);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

#[allow(clippy::cast_precision_loss, reason = "nobody has 2^53 of anything")]
fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_beyond_a_bound_of_the_schema_is_named_with_the_bound() {
        let spec = json!({
            "script": "x".repeat(5000),
            "args": vec!["a"; 300],
            "env": vec![json!({"name": "A", "value": "é".repeat(60_000)}); 513],
            "envProfiles": {"p": [{"name": ""}]},
            "port": 70_000,
        });
        let paths: Vec<String> =
            problems(&spec).into_iter().map(|(path, text)| format!("{path}: {text}")).collect();
        assert_eq!(
            paths,
            [
                "spec.args: 300 items; the API takes at most 256",
                "spec.env: 513 items; the API takes at most 512",
                "spec.envProfiles.p[0].name: 0 letters; the API takes at least 1",
                "spec.port: 70000; the API takes at most 65535",
                "spec.script: 5000 letters; the API takes at most 4096",
            ]
        );
        assert_eq!(problems(&json!({"script": "a.js", "instances": 0, "killTimeout": 5})), []);
    }
}
