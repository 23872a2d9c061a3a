//! `docs/reference.md`: every field of the API as a table, from the schema that the API server gets.
//!
//! Included by `tests/generated.rs` of the operator as well, see [`super::render`].

use std::fmt::Write as _;

use serde_json::Value;

use super::render::markdown_notice;

/// Renders the reference of the CRD's first version.
///
/// # Errors
/// When the document has no schema.
pub(crate) fn markdown(crd: &Value) -> Result<String, String> {
    let version = &crd["spec"]["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    if !schema["properties"]["spec"].is_object() {
        return Err("the operator's `crd` output has no schema of `spec`".to_owned());
    }
    let kind = text(&crd["spec"]["names"]["kind"]);
    let mut page = markdown_notice();
    let _ = writeln!(page, "\n# {kind} reference\n");
    let _ = writeln!(
        page,
        "`{}/{}`, kind `{kind}`. The same text, field by field: `kubectl explain {}.spec`.\n",
        text(&crd["spec"]["group"]),
        text(&version["name"]),
        kind.to_lowercase()
    );
    page.push_str(
        "A field marked * must be given. `[]` stands for each item of a list, `<key>` for each key of a map.\n",
    );
    for part in ["spec", "status"] {
        let schema = &schema["properties"][part];
        let _ = writeln!(page, "\n## {part}\n\n{}\n", flat(&schema["description"]));
        page.push_str("| field | type | default | meaning |\n|---|---|---|---|\n");
        fields(&mut page, schema, "");
    }
    defaults_section(&mut page, &schema["properties"]["spec"]);
    super::pm2::section(&mut page, &schema["properties"]["spec"]);
    rules_section(&mut page, schema);
    Ok(page)
}

/// What holds when a field is left out, without what PM2 does.
pub(crate) fn ours(property: &Value) -> String {
    if !property["default"].is_null() {
        return literal(&property["default"]);
    }
    let (_, told) = split_default(&flat(&property["description"]));
    told.split_once(" (PM2: ").map_or(told.clone(), |(ours, _)| ours.to_owned())
}

/// One row per property, each followed by what lies below it.
fn fields(page: &mut String, schema: &Value, prefix: &str) {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        let star = if required.contains(&Value::from(name.as_str())) { " *" } else { "" };
        let (meaning, told) = split_default(&flat(&property["description"]));
        let default = if property["default"].is_null() { told } else { literal(&property["default"]) };
        let _ = writeln!(page, "| `{path}`{star} | {} | {default} | {meaning} |", kind(property));
        let (below, path) = innermost(property, path);
        fields(page, below, &format!("{path}."));
    }
}

/// The defaults of all fields that PM2 has a counterpart of, beside PM2's own.
fn defaults_section(page: &mut String, spec: &Value) {
    page.push_str(
        "\n## Defaults beside PM2's\n\nFields that are left out, and what PM2 does without them.\n\n",
    );
    page.push_str("| field | default | PM2 |\n|---|---|---|\n");
    default_rows(page, spec, "");
}

fn default_rows(page: &mut String, schema: &Value, prefix: &str) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        let (_, told) = split_default(&flat(&property["description"]));
        if let Some((ours, pm2s)) = told.strip_suffix(')').and_then(|told| told.split_once(" (PM2: ")) {
            let _ = writeln!(page, "| `{path}` | {ours} | {pm2s} |");
        }
        let (below, path) = innermost(property, path);
        default_rows(page, below, &format!("{path}."));
    }
}

/// Steps through lists and maps down to the schema of their values.
fn innermost(schema: &Value, path: String) -> (&Value, String) {
    if schema["items"].is_object() {
        innermost(&schema["items"], format!("{path}[]"))
    } else if schema["additionalProperties"].is_object() {
        innermost(&schema["additionalProperties"], format!("{path}.<key>"))
    } else {
        (schema, path)
    }
}

/// A type with its limits, in words.
fn kind(schema: &Value) -> String {
    if schema["items"].is_object() {
        return format!("list of {}", kind(&schema["items"]));
    }
    if schema["additionalProperties"].is_object() {
        return format!("map of {}", kind(&schema["additionalProperties"]));
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> = values.iter().filter(|value| !value.is_null()).map(literal).collect();
        return values.join(", ");
    }
    let name = if text(&schema["x-kubernetes-validations"][0]["rule"]).starts_with("type(self) == string &&")
    {
        // The schema takes a number so that the rule can refuse it with its own message.
        "string".to_owned()
    } else if schema["x-kubernetes-int-or-string"] == Value::Bool(true) {
        "integer or string".to_owned()
    } else {
        text(&schema["type"])
    };
    match (bound(&schema["minimum"]), bound(&schema["maximum"])) {
        (Some(low), Some(high)) => format!("{name} {low}–{high}"),
        (Some(low), None) => format!("{name} ≥ {low}"),
        (None, Some(high)) => format!("{name} ≤ {high}"),
        (None, None) => name,
    }
}

/// A limit without the `.0` that numbers of a schema carry.
fn bound(value: &Value) -> Option<String> {
    value.as_f64().map(|number| number.to_string())
}

/// What the API server refuses beyond types: the rules' messages, each with the places it is about.
fn rules_section(page: &mut String, schema: &Value) {
    let mut rules = Vec::new();
    collect_rules(&mut rules, schema, "");
    page.push_str("\n## Rules\n\nThe API server refuses an object that breaks one of these:\n\n");
    while let Some((_, message)) = rules.first().cloned() {
        let places: Vec<_> =
            rules.iter().filter(|rule| rule.1 == message).map(|rule| format!("`{}`", rule.0)).collect();
        let places = if places == ["``"] { String::new() } else { format!("{}: ", places.join(", ")) };
        let _ = writeln!(page, "- {places}{message}");
        rules.retain(|rule| rule.1 != message);
    }
}

fn collect_rules(rules: &mut Vec<(String, String)>, schema: &Value, path: &str) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let message = if rule["message"].is_string() { flat(&rule["message"]) } else { flat(&rule["rule"]) };
        rules.push((path.to_owned(), message));
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        collect_rules(rules, property, &path);
    }
    if schema["items"].is_object() {
        collect_rules(rules, &schema["items"], &format!("{path}[]"));
    }
    if schema["additionalProperties"].is_object() {
        collect_rules(rules, &schema["additionalProperties"], &format!("{path}.<key>"));
    }
}

/// Takes the sentence "Default …" out of a description: most defaults are applied by the operator and stand in no
/// schema, so that objects stay as they were written.
fn split_default(description: &str) -> (String, String) {
    let Some(start) = description.find("Default") else { return (description.to_owned(), String::new()) };
    let told = description[start + "Default".len()..].trim_start_matches(':').trim_start();
    let end = told.find(". ").unwrap_or(told.trim_end_matches('.').len());
    let rest = told[end..].trim_start_matches('.');
    let meaning = format!("{}{rest}", description[..start].trim_end());
    (meaning.trim().to_owned(), told[..end].to_owned())
}

fn literal(value: &Value) -> String {
    let plain = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    format!("`{plain}`")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A description as one line that cannot break a table.
fn flat(value: &Value) -> String {
    text(value).split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|").replace('<', "\\<")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page() -> String {
        let spec = json!({
            "description": "What is\nwanted.",
            "required": ["image"],
            "x-kubernetes-validations": [{"rule": "x", "message": "exactly one of a | b"}],
            "properties": {
                "image": {"type": "string"},
                "instances": {"type": "integer", "minimum": 0.0, "default": 1, "description": "How many."},
                "env": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string",
                    "x-kubernetes-validations": [{"rule": "y", "message": "a name"}]}}}},
                "limits": {"type": "object", "additionalProperties": {"x-kubernetes-int-or-string": true}},
                "signal": {"type": "string", "enum": ["SIGINT", "SIGTERM"]},
            },
        });
        let crd = json!({"spec": {"group": "g", "names": {"kind": "Thing"}, "versions": [{"name": "v1",
            "schema": {"openAPIV3Schema": {"properties": {"spec": spec, "status": {"properties": {}}}}}}]}});
        markdown(&crd).expect("it has a schema")
    }

    #[test]
    fn every_field_has_a_row_with_type_default_and_meaning() {
        let page = page();
        for row in [
            "| `image` * | string |  |  |",
            "| `instances` | integer ≥ 0 | `1` | How many. |",
            "| `env[].name` | string |  |  |",
            "| `limits` | map of integer or string |  |  |",
            "| `signal` | `SIGINT`, `SIGTERM` |  |  |",
        ] {
            assert!(page.lines().any(|line| line == row), "{row} is not in\n{page}");
        }
    }

    #[test]
    fn defaults_are_taken_out_of_the_description() {
        let split = |text| split_default(text);
        assert_eq!(
            split("How long. Default 60s (PM2: 3s). More."),
            ("How long. More.".into(), "60s (PM2: 3s)".into())
        );
        assert_eq!(split("Where. Default: the image's own."), ("Where.".into(), "the image's own".into()));
        assert_eq!(split("No word of it."), ("No word of it.".into(), String::new()));
    }

    #[test]
    fn defaults_stand_beside_those_of_pm2() {
        let described = |text: &str| json!({"type": "string", "description": text});
        let spec = json!({"properties": {
            "a": described("How long. Default 60s (PM2: 3s, then online). More."),
            "b": {"type": "object", "properties": {"c": described("What. Default: off (PM2: `0 0 * * *`).")}},
            "d": described("Ours alone. Default 5s."),
        }});
        let mut page = String::new();
        defaults_section(&mut page, &spec);
        let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(rows, ["| `a` | 60s | 3s, then online |", "| `b.c` | off | `0 0 * * *` |"]);
    }

    #[test]
    fn rules_are_told_by_their_messages_and_places() {
        let page = page();
        assert!(page.contains("- `spec`: exactly one of a \\| b\n"), "{page}");
        assert!(page.contains("- `spec.env[].name`: a name\n"), "{page}");
    }

    #[test]
    fn crd_without_schema_is_refused() {
        assert!(markdown(&json!({"spec": {}})).is_err());
    }
}
