//! The file for k9s calls verbs as they are, and has what k9s wants.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::{folder, run};

/// What k9s' schema allows.
const FIELDS: [&str; 7] = ["args", "background", "command", "confirm", "dangerous", "description", "scopes"];

#[test]
fn each_key_of_k9s_calls_a_verb_that_understands_its_words() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contrib/k9s/plugins.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let all: Value = serde_saphyr::from_str(&text).unwrap();
    let mut keys = BTreeSet::new();
    for (name, plugin) in all["plugins"].as_object().unwrap() {
        let unknown: Vec<&String> = plugin
            .as_object()
            .unwrap()
            .keys()
            .filter(|field| *field != "shortCut" && !FIELDS.contains(&field.as_str()))
            .collect();
        assert!(unknown.is_empty(), "{name}: {unknown:?}");
        assert!(keys.insert(plugin["shortCut"].as_str().unwrap()), "{name}: its key is there twice");
        assert_eq!(plugin["scopes"][0], "nodeapps", "{name}");
        let words: Vec<&str> = plugin["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let line = if plugin["command"] == "sh" {
            words[1].to_owned()
        } else {
            format!("kubectl {}", words.join(" "))
        };
        let line = line.split(" 2>&1").next().unwrap().replace('"', "");
        let words: Vec<&str> =
            line.strip_prefix("kubectl nodeapp ").unwrap().split(' ').filter(|word| *word != "|").collect();
        // Understood, and then there is no such cluster; monit wants a terminal first.
        let folder = folder(&[]);
        let ran = run(&folder, &words);
        assert_eq!(ran.code, Some(1), "{name}: {ran:?}");
        assert!(ran.err.contains("no cluster to ask") || words[0] == "monit", "{name}: {ran:?}");
    }
    assert!(keys.len() > 10, "{keys:?}");
}
