//! Values that a schema allows, at random: every field of an API is tried without anyone naming it.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::string::string_regex;
use serde_json::{Map, Value, json};

/// How often an optional field of an object is there: seldom at the top, where there are many of which some
/// exclude each other, and often further down.
const TOP: f64 = 0.08;
const BELOW: f64 = 0.5;

/// Texts that have broken programs before.
const NASTY: &[&str] =
    &["", " ", "a", "$(HOME)", "$HOME", "ä€𝄞", "a\nb", "\"'`", "{}", "null", "-1", "../..", "/"];

/// Keys of maps that are looked into.
const QUANTITIES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Values of an object's schema, as it stands in a `CustomResourceDefinition`. What rules in CEL say of several
/// fields together is not looked at, but for the forms of texts.
pub fn values(schema: &Value) -> BoxedStrategy<Value> {
    object(schema, TOP)
}

fn value(schema: &Value) -> BoxedStrategy<Value> {
    if let Some(allowed) = schema["enum"].as_array() {
        return proptest::sample::select(allowed.clone()).boxed();
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return int_or_text(schema);
    }
    match schema["type"].as_str() {
        Some("object") if schema["properties"].is_object() => object(schema, BELOW),
        Some("object") => map(schema),
        Some("array") => list(schema),
        Some("integer") => integer(schema).prop_map(Value::from).boxed(),
        Some("boolean") => any::<bool>().prop_map(Value::from).boxed(),
        Some("string") => text(schema).prop_map(Value::from).boxed(),
        _ => Just(json!({})).boxed(),
    }
}

fn object(schema: &Value, share: f64) -> BoxedStrategy<Value> {
    let required = |name: &str| {
        schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name))
    };
    let mut fields = Just(Map::new()).boxed();
    for (name, of_field) in schema["properties"].as_object().into_iter().flatten() {
        let name = name.clone();
        let field = if required(&name) {
            value(of_field).prop_map(Some).boxed()
        } else {
            proptest::option::weighted(share, value(of_field)).boxed()
        };
        fields = (fields, field)
            .prop_map(move |(mut fields, field)| {
                if let Some(field) = field {
                    fields.insert(name.clone(), field);
                }
                fields
            })
            .boxed();
    }
    fields.prop_map(Value::Object).boxed()
}

fn map(schema: &Value) -> BoxedStrategy<Value> {
    let of_values = value(&schema["additionalProperties"]);
    let keys = proptest::sample::subsequence(QUANTITIES.to_vec(), 0..=QUANTITIES.len());
    (keys, vec(of_values, QUANTITIES.len()))
        .prop_map(|(keys, values)| {
            keys.into_iter().map(str::to_owned).zip(values).collect::<Map<_, _>>().into()
        })
        .boxed()
}

fn list(schema: &Value) -> BoxedStrategy<Value> {
    let limit = |name: &str, otherwise: u64| schema[name].as_u64().unwrap_or(otherwise);
    let least = usize::try_from(limit("minItems", 0)).unwrap_or(0);
    let most = usize::try_from(limit("maxItems", 4).min(4)).unwrap_or(4).max(least);
    let keys: Vec<String> = schema["x-kubernetes-list-map-keys"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|key| key.as_str().map(str::to_owned))
        .collect();
    vec(value(&schema["items"]), least..=most).prop_map(move |items| unique(items, &keys).into()).boxed()
}

/// Sets and maps hold each once; other lists lose nothing that is tried elsewhere.
fn unique(items: Vec<Value>, keys: &[String]) -> Vec<Value> {
    let identity = |item: &Value| match keys {
        [] => item.clone(),
        keys => keys.iter().map(|key| item[key].clone()).collect(),
    };
    let mut kept: Vec<Value> = Vec::new();
    for item in items {
        if kept.iter().all(|other| identity(other) != identity(&item)) {
            kept.push(item);
        }
    }
    kept
}

fn integer(schema: &Value) -> BoxedStrategy<i64> {
    #[allow(clippy::cast_possible_truncation, reason = "limits of a schema are whole numbers")]
    let limit = |name: &str, otherwise: i64| schema[name].as_f64().map_or(otherwise, |limit| limit as i64);
    let (least, most) = (limit("minimum", i64::from(i32::MIN)), limit("maximum", i64::from(i32::MAX)));
    let usual = least.max(0)..=most.min(least.max(0) + 20);
    prop_oneof![1 => Just(least), 1 => Just(most), 2 => least..=most, 8 => usual].boxed()
}

fn int_or_text(schema: &Value) -> BoxedStrategy<Value> {
    let number = prop_oneof![4 => 0..2_000_i64, 1 => any::<i64>()].prop_map(Value::from);
    let text = match form(schema).and_then(|form| string_regex(&form).ok()) {
        Some(text) => text.prop_map(Value::from).boxed(),
        None => return number.boxed(),
    };
    // What people write, so that not all of it is far beyond every limit.
    let unit = form(schema)
        .filter(|form| form.contains("ms|s|m|h"))
        .and_then(|_| string_regex("[1-9](s|00ms|m)").ok());
    let usual = unit.map_or_else(|| text.clone(), |usual| usual.prop_map(Value::from).boxed());
    if wants_text(schema) {
        return prop_oneof![1 => text, 3 => usual].boxed();
    }
    prop_oneof![1 => number, 1 => text, 3 => usual].boxed()
}

fn text(schema: &Value) -> BoxedStrategy<String> {
    let most = usize::try_from(schema["maxLength"].as_u64().unwrap_or(24)).unwrap_or(24).min(24);
    if let Some(formed) = form(schema).and_then(|form| string_regex(&form).ok()) {
        return formed
            .prop_map(move |text| if text.len() > 60 { text.chars().take(most).collect() } else { text })
            .boxed();
    }
    let word = string_regex("[a-z][a-z0-9]{0,8}").expect("a regular expression");
    let path = string_regex("/[a-z]{1,6}(/[a-z]{1,6})?").expect("a regular expression");
    let nasty = proptest::sample::select(NASTY).prop_map(str::to_owned);
    prop_oneof![6 => word, 4 => path, 1 => nasty, 1 => string_regex("\\PC{0,12}").expect("a regular expression")].boxed()
}

/// The form of a text, from its pattern or from its first rule that has one.
fn form(schema: &Value) -> Option<String> {
    let anchored = schema["pattern"].as_str().map(str::to_owned).or_else(|| {
        let rules = schema["x-kubernetes-validations"].as_array()?;
        rules.iter().find_map(|rule| {
            let rule = rule["rule"].as_str()?;
            let start = rule.find("self.matches('").filter(|at| !rule[..*at].ends_with('!'))?;
            unquoted(&rule[start + "self.matches('".len()..])
        })
    })?;
    let inner = anchored.strip_prefix('^').unwrap_or(&anchored);
    Some(inner.strip_suffix('$').unwrap_or(inner).to_owned())
}

/// What a text of CEL means that ends at the next quote.
fn unquoted(text: &str) -> Option<String> {
    let mut letters = text.chars();
    let mut meant = String::new();
    loop {
        match letters.next()? {
            '\'' => return Some(meant),
            '\\' => meant.push(letters.next()?),
            letter => meant.push(letter),
        }
    }
}

fn wants_text(schema: &Value) -> bool {
    let rules = schema["x-kubernetes-validations"].as_array();
    rules
        .into_iter()
        .flatten()
        .any(|rule| rule["rule"].as_str().is_some_and(|rule| rule.starts_with("type(self) == string")))
}

#[cfg(test)]
mod tests {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::*;

    #[test]
    fn what_is_generated_has_the_forms_that_the_schema_wants() {
        let schema = json!({"type": "object", "required": ["delay", "list"], "properties": {
            "delay": {"x-kubernetes-int-or-string": true, "x-kubernetes-validations": [
                {"rule": "type(self) == string && self.matches('^[0-9]{1,3}(ms|s|m|h)$')"},
            ]},
            "list": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"enum": ["a"]}},
            "other": {"type": "integer", "minimum": 3.0, "maximum": 5.0},
            "path": {"type": "string", "x-kubernetes-validations": [
                {"rule": r"self.matches('^labels\\[\'[a-z]\'\\]$')"},
            ]},
        }});
        let strategy = values(&schema);
        let mut runner = TestRunner::default();
        for _ in 0..200 {
            let value = strategy.new_tree(&mut runner).expect("a value").current();
            let delay = value["delay"].as_str().expect("a text");
            assert!(delay.ends_with(['s', 'm', 'h']), "{value}");
            assert_eq!(value["list"], json!(["a"]), "once, since it is the same");
            let path = value["path"].as_str();
            assert!(path.is_none_or(|path| path.starts_with("labels['") && path.ends_with("']")), "{value}");
            assert!(value["other"].as_i64().is_none_or(|other| (3..=5).contains(&other)), "{value}");
        }
    }
}
