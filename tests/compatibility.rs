//! Whoever wrote a NodeApp for the last release can apply it today: no field is gone, none has another type, and no
//! rule is stricter, but for what is listed here with its reason.
//!
//! The schema of the last release lies in `tests/fixtures`; docs/adr/0027 says what that is as long as there is none.

use std::collections::BTreeSet;

use serde_json::{Value, json};

const LAST: &str =
    "tests/fixtures/0.1.0/nodeapp-operator/charts/nodeapp-operator-crds/templates/nodeapps.yaml";

/// Where today's schema refuses what that of 0.1.0 took, by path and keyword, and why nobody is hurt.
const STRICTER: &[(&str, &str, &str)] = &[
    (".spec.env[].valueFrom.configMapKeyRef.key", "rule", NO_SUCH_POD),
    (".spec.env[].valueFrom.configMapKeyRef.name", "rule", NO_SUCH_POD),
    (
        ".spec.env[].valueFrom.fieldRef.fieldPath",
        "maxLength",
        "the longest path that a pod can have is shorter",
    ),
    (".spec.env[].valueFrom.fieldRef.fieldPath", "rule", NO_SUCH_POD),
    (".spec.env[].valueFrom.secretKeyRef.key", "rule", NO_SUCH_POD),
    (".spec.env[].valueFrom.secretKeyRef.name", "rule", NO_SUCH_POD),
    (".spec.envFrom[].configMapRef.name", "rule", NO_SUCH_POD),
    (".spec.envFrom[].secretRef.name", "rule", NO_SUCH_POD),
    (".status", "default", "what no operator has looked at yet is shown as not observed; nobody writes it"),
];

const NO_SUCH_POD: &str = "the API server refused the pods of such an app, so that none ever ran";

/// Keywords of a schema whose value may grow, and those whose value may shrink.
const LOWER_BOUNDS: &[&str] = &["minimum", "minLength", "minItems", "minProperties"];
const UPPER_BOUNDS: &[&str] = &["maximum", "maxLength", "maxItems", "maxProperties"];
/// Keywords whose value may go, but not become another.
const FORMS: &[&str] = &["format", "pattern"];
/// Keywords that mean something else when they change in any way.
const MEANINGS: &[&str] = &[
    "type",
    "default",
    "nullable",
    "additionalProperties",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-preserve-unknown-fields",
];

/// One thing that an object of the old schema may stumble over.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Breach {
    path: String,
    keyword: String,
    detail: String,
}

struct Comparison {
    breaches: Vec<Breach>,
}

impl Comparison {
    fn of(old: &Value, new: &Value) -> Vec<Breach> {
        let mut comparison = Self { breaches: Vec::new() };
        comparison.schema(old, new, "");
        comparison.breaches.sort();
        comparison.breaches
    }

    fn breach(&mut self, path: &str, keyword: &str, detail: impl Into<String>) {
        let (path, keyword) = (path.to_owned(), keyword.to_owned());
        self.breaches.push(Breach { path, keyword, detail: detail.into() });
    }

    fn schema(&mut self, old: &Value, new: &Value, path: &str) {
        self.keywords(old, new, path);
        self.lists(old, new, path);
        self.rules(old, new, path);
        for (field, was) in old["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{field}");
            match new["properties"].get(field) {
                Some(is) => self.schema(was, is, &path),
                None => self.breach(&path, "removed", "the field is gone"),
            }
        }
        for inner in ["items", "additionalProperties"] {
            if old[inner].is_object() && new[inner].is_object() {
                self.schema(&old[inner], &new[inner], &format!("{path}[]"));
            }
        }
    }

    fn keywords(&mut self, old: &Value, new: &Value, path: &str) {
        let tighter = |keyword: &str, sign: f64| {
            let (was, is) = (old[keyword].as_f64(), new[keyword].as_f64());
            is.is_some_and(|is| was.is_none_or(|was| (is - was) * sign > 0.0))
        };
        for (keywords, sign) in [(LOWER_BOUNDS, 1.0), (UPPER_BOUNDS, -1.0)] {
            for keyword in keywords.iter().filter(|keyword| tighter(keyword, sign)) {
                self.breach(path, keyword, format!("{} became {}", old[*keyword], new[*keyword]));
            }
        }
        for keyword in FORMS.iter().filter(|form| !new[**form].is_null() && old[**form] != new[**form]) {
            self.breach(path, keyword, format!("{} became {}", old[*keyword], new[*keyword]));
        }
        for keyword in MEANINGS {
            // Both objects: compared field by field.
            if old[*keyword] != new[*keyword]
                && !(*keyword == "additionalProperties" && new[*keyword].is_object())
            {
                self.breach(path, keyword, format!("{} became {}", old[*keyword], new[*keyword]));
            }
        }
    }

    fn lists(&mut self, old: &Value, new: &Value, path: &str) {
        if !new["enum"].is_null() {
            let gone: Vec<&Value> =
                items(&old["enum"]).filter(|word| !items(&new["enum"]).any(|kept| kept == *word)).collect();
            if old["enum"].is_null() || !gone.is_empty() {
                self.breach(path, "enum", format!("without {gone:?}"));
            }
        }
        let old: Vec<_> = items(&old["required"]).collect();
        for field in items(&new["required"]).filter(|field| !old.contains(field)) {
            self.breach(path, "required", field.to_string());
        }
    }

    /// A new rule may refuse an old object, unless it holds wherever a new field is absent.
    fn rules(&mut self, old: &Value, new: &Value, path: &str) {
        let rules = |schema: &Value| -> BTreeSet<String> {
            let list = items(&schema["x-kubernetes-validations"]);
            list.filter_map(|rule| Some(rule["rule"].as_str()?.to_owned())).collect()
        };
        let is_new = |field: &str| old["properties"].get(field).is_none();
        for rule in rules(new).difference(&rules(old)) {
            if !always(rule, true, &is_new) {
                self.breach(path, "rule", rule);
            }
        }
    }
}

/// Whether a rule gives `truth` for every object that has none but the old fields, as far as `has(self.NEW)` decides it.
fn always(rule: &str, truth: bool, is_new: &impl Fn(&str) -> bool) -> bool {
    let rule = rule.trim();
    // An `||` is true by one of its parts and false by all of them; an `&&` the other way round.
    for (operator, by_one) in [("||", true), ("&&", false)] {
        let parts = outside_of_parentheses(rule, operator);
        if parts.len() > 1 {
            let mut judged = parts.iter().map(|part| always(part, truth, is_new));
            return if truth == by_one { judged.any(|given| given) } else { judged.all(|given| given) };
        }
    }
    if let Some(field) = rule.strip_prefix("has(self.").and_then(|rest| rest.strip_suffix(')')) {
        return !truth && is_new(field);
    }
    if let Some(inner) = rule.strip_prefix('!') {
        return always(inner, !truth, is_new);
    }
    let inner = rule.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    inner.is_some_and(|inner| always(inner, truth, is_new))
}

/// The parts of a rule between an operator that is in no parentheses.
fn outside_of_parentheses<'a>(rule: &'a str, operator: &str) -> Vec<&'a str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0_i32, 0);
    for (at, letter) in rule.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && at >= from && rule[at..].starts_with(operator) => {
                parts.push(&rule[from..at]);
                from = at + operator.len();
            }
            _ => {}
        }
    }
    parts.push(&rule[from..]);
    parts
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn version<'a>(crd: &'a Value, name: &str) -> Option<&'a Value> {
    items(&crd["spec"]["versions"]).find(|version| version["name"] == name)
}

fn last_release() -> Value {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(LAST);
    let template =
        std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("cannot read {LAST}: {error}"));
    // The template of the chart says Helm's own braces by a template.
    serde_saphyr::from_str(&template.replace("{{ \"{{\" }}", "{{")).expect("the fixture is YAML")
}

fn today() -> Value {
    serde_saphyr::from_str(&nodeapp_operator::generated::crd_yaml()).expect("the CRD is YAML")
}

#[test]
fn what_the_last_release_took_is_taken_today() {
    let (old, new) = (last_release(), today());
    let mut listed: BTreeSet<(&str, &str)> =
        STRICTER.iter().map(|(path, keyword, _)| (*path, *keyword)).collect();
    let mut found = Vec::new();
    for was in items(&old["spec"]["versions"]) {
        let name = was["name"].as_str().expect("a version has a name");
        let is = version(&new, name).unwrap_or_else(|| panic!("{name} is not served any more"));
        for breach in Comparison::of(&was["schema"]["openAPIV3Schema"], &is["schema"]["openAPIV3Schema"]) {
            let is_of = |path: &str, keyword: &str| path == breach.path && keyword == breach.keyword;
            match STRICTER.iter().find(|(path, keyword, _)| is_of(path, keyword)) {
                Some((path, keyword, _)) => {
                    listed.remove(&(*path, *keyword));
                }
                None => found.push(breach),
            }
        }
    }
    assert!(
        found.is_empty(),
        "NodeApps of the last release may be refused or mean something else: {found:#?}"
    );
    assert!(listed.is_empty(), "exceptions that are none any more: {listed:?}");
}

#[test]
fn clients_of_the_last_release_find_the_api_where_it_was() {
    let (old, new) = (last_release(), today());
    for field in ["group", "scope"] {
        assert_eq!(old["spec"][field], new["spec"][field], "{field}");
    }
    for field in ["kind", "plural", "singular"] {
        assert_eq!(old["spec"]["names"][field], new["spec"]["names"][field], "{field}");
    }
    for list in ["shortNames", "categories"] {
        let kept: Vec<_> = items(&new["spec"]["names"][list]).collect();
        assert!(items(&old["spec"]["names"][list]).all(|name| kept.contains(&name)), "{list}: {kept:?}");
    }
    for was in items(&old["spec"]["versions"]) {
        let name = was["name"].as_str().expect("a version has a name");
        let is = version(&new, name).unwrap_or_else(|| panic!("{name} is not there any more"));
        assert_eq!(is["served"], true, "{name}");
        for (subresource, settings) in was["subresources"].as_object().into_iter().flatten() {
            assert_eq!(is["subresources"][subresource], *settings, "{name}/{subresource}");
        }
        let selectable: Vec<_> = items(&is["selectableFields"]).collect();
        assert!(items(&was["selectableFields"]).all(|field| selectable.contains(&field)), "{name}");
    }
}

/// What a change from `old` to `new` breaks, as `path keyword`.
fn broken(old: &Value, new: &Value) -> Vec<String> {
    Comparison::of(old, new).into_iter().map(|breach| format!("{} {}", breach.path, breach.keyword)).collect()
}

#[test]
fn fields_that_go_or_change_their_type_are_found_however_deep() {
    let deep = |inner: Value| {
        json!({"type": "object", "properties": {"list": {"type": "array", "items": {"type": "object",
            "additionalProperties": {"type": "object", "properties": inner}}}}})
    };
    let old = deep(json!({"a": {"type": "string"}, "b": {"type": "integer"}}));
    assert_eq!(
        broken(&old, &deep(json!({"a": {"type": "integer"}, "c": {"type": "string"}}))),
        [".list[][].a type", ".list[][].b removed"]
    );
    assert!(broken(&old, &old).is_empty());
}

#[test]
fn bounds_and_words_may_become_wider_and_not_narrower() {
    let old = json!({"minimum": 1, "maximum": 10, "enum": ["A", "B"], "pattern": "^a"});
    assert!(broken(&old, &json!({"minimum": 0, "maximum": 11, "enum": ["A", "B", "C"]})).is_empty());
    assert_eq!(
        broken(&old, &json!({"minimum": 2, "maximum": 9, "enum": ["A"], "pattern": "^b", "maxLength": 5})),
        [" enum", " maxLength", " maximum", " minimum", " pattern"]
    );
    assert_eq!(broken(&json!({}), &json!({"enum": ["A"], "required": ["x"]})), [" enum", " required"]);
    assert_eq!(broken(&json!({"default": 1}), &json!({"default": 2})), [" default"]);
    assert_eq!(
        broken(&json!({"x-kubernetes-preserve-unknown-fields": true}), &json!({})),
        [" x-kubernetes-preserve-unknown-fields"]
    );
}

#[test]
fn a_rule_is_stricter_unless_it_is_about_new_fields_alone() {
    let with = |rule: &str| {
        json!({"properties": {"old": {}, "port": {}, "instances": {}, "new": {}, "more": {}},
            "x-kubernetes-validations": [{"rule": rule}]})
    };
    let old = json!({"properties": {"old": {}, "port": {}, "instances": {}}});
    for rule in [
        "!has(self.new) || self.instances == 1",
        "(!has(self.new) && !has(self.more)) || self.old",
        "has(self.port) || !(has(self.new) || has(self.more))",
        "!has(self.new) || !has(self.old)",
    ] {
        assert!(broken(&old, &with(rule)).is_empty(), "{rule}");
    }
    for rule in [
        "self.instances == 1",
        "!has(self.old) || self.instances == 1",
        "(!has(self.new) && !has(self.old)) || self.instances == 1",
        "has(self.new)",
        "has(self.port) || !(has(self.new) || has(self.old))",
        "self.old == 'x' && !has(self.new)",
    ] {
        assert_eq!(broken(&old, &with(rule)), [" rule"], "{rule}");
    }
    assert!(broken(&with("self.old"), &with("self.old")).is_empty());
}
