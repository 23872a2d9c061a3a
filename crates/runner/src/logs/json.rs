//! Lines as JSON: text escaped, objects let through with fields added.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

/// Appends what stands between the quotes of a JSON string. Invalid UTF-8
/// becomes U+FFFD.
pub(super) fn escape(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        escape_valid(chunk.valid(), out);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// The same for text that is known to be valid.
pub(super) fn escape_valid(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(at) = special(rest) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\n' => out.extend_from_slice(b"\\n"),
            byte => {
                let digit = |four_bits: u8| b"0123456789abcdef"[usize::from(four_bits)];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Where the first byte is that cannot stand in a JSON string as it is.
fn special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    // The lowest bit that is set belongs to a byte below `n`, or to one that is
    // zero; those above it may be wrong.
    let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word & HIGH;
    let is = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let mut words = bytes.chunks_exact(8);
    let mut at = 0;
    for word in words.by_ref() {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        let found = below(word, 0x20) | is(word, b'"') | is(word, b'\\');
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let last = words.remainder().iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\'));
    last.map(|position| at + position)
}

/// A field that is added to lines.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    /// As JSON.
    pub(super) value: Vec<u8>,
}

impl Field {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(b"\":");
        out.extend_from_slice(&self.value);
    }
}

/// If the line is one JSON object, appends it as it is, with those of the fields
/// behind its own that it does not have itself, and tells so.
pub(super) fn add_fields(line: &str, fields: &[Field], out: &mut Vec<u8>) -> bool {
    let line = line.trim_matches([' ', '\t', '\r']);
    let Some(body) = line.strip_suffix('}').filter(|_| line.starts_with('{')) else { return false };
    let Some(found) = keys(line, fields) else { return false };
    out.extend_from_slice(body.as_bytes());
    let mut empty = found.empty;
    for (field, _) in fields.iter().zip(&found.own).filter(|(_, own)| !**own) {
        if !std::mem::take(&mut empty) {
            out.push(b',');
        }
        field.write(out);
    }
    out.push(b'}');
    true
}

/// What an object has.
struct Keys {
    empty: bool,
    /// Of each field, whether the object has it.
    own: Vec<bool>,
}

fn keys(line: &str, fields: &[Field]) -> Option<Keys> {
    struct Look<'a>(&'a [Field]);

    impl<'de> Visitor<'de> for Look<'_> {
        type Value = Keys;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
            let mut keys = Keys { empty: true, own: vec![false; self.0.len()] };
            while let Some(key) = map.next_key::<Key<'de>>()? {
                map.next_value::<IgnoredAny>()?;
                keys.empty = false;
                if let Some(at) = self.0.iter().position(|field| field.name == key.0) {
                    keys.own[at] = true;
                }
            }
            Ok(keys)
        }
    }

    let mut reader = serde_json::Deserializer::from_slice(line.as_bytes());
    let keys = (&mut reader).deserialize_map(Look(fields)).ok()?;
    reader.end().ok()?;
    Some(keys)
}

/// A key that is copied only where it has escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn fields() -> Vec<Field> {
        let field = |name, value: &str| Field { name, value: value.as_bytes().to_vec() };
        vec![field("pid", "17"), field("stream", "\"stdout\"")]
    }

    fn added(line: &str) -> Option<String> {
        let mut out = vec![];
        add_fields(line, &fields(), &mut out).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn an_object_keeps_its_text_and_gets_what_it_lacks() {
        for (line, expected) in [
            (r#"{"a":1}"#, r#"{"a":1,"pid":17,"stream":"stdout"}"#),
            (" {} \r", r#"{"pid":17,"stream":"stdout"}"#),
            ("{ }", r#"{ "pid":17,"stream":"stdout"}"#),
            // Numbers, their order and doubles stay as the app wrote them.
            (
                r#"{"z":1.50e+300,"a":12345678901234567890123,"z":2}"#,
                r#"{"z":1.50e+300,"a":12345678901234567890123,"z":2,"pid":17,"stream":"stdout"}"#,
            ),
            (r#"{"pid":"own"}"#, r#"{"pid":"own","stream":"stdout"}"#),
            (r#"{"p\u0069d":1,"stream":2}"#, r#"{"p\u0069d":1,"stream":2}"#),
            (r#"{"in":{"pid":1}}"#, r#"{"in":{"pid":1},"pid":17,"stream":"stdout"}"#),
        ] {
            assert_eq!(added(line).as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn what_is_no_object_is_text() {
        for line in
            ["", "{", "[1]", "1", "null", "{}{}", "{'a':1}", "{\"a\":1,}", "{\"a\":01}", "{a}", "{\"a\"}"]
        {
            assert_eq!(added(line), None, "{line}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        // Either is right; it must only not fall over.
        let _ = added(&deep);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("pid|stream|.{0,6}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn an_objects_own_fields_are_never_changed(value in json()) {
            let text = value.to_string();
            let Value::Object(own) = value else {
                prop_assert_eq!(added(&text), None);
                return Ok(());
            };
            let result = added(&text).unwrap();
            prop_assert!(result.starts_with(&text[..text.len() - 1]), "{} from {}", result, text);
            let Value::Object(all) = serde_json::from_str(&result).unwrap() else { panic!("{result}") };
            for (key, value) in &own {
                prop_assert_eq!(all.get(key), Some(value));
            }
            for field in fields() {
                let value = serde_json::from_slice::<Value>(&field.value).unwrap();
                prop_assert_eq!(all.get(field.name), Some(own.get(field.name).unwrap_or(&value)));
                let often = result.matches(&format!("\"{}\":", field.name)).count();
                prop_assert!(often >= 1);
            }
        }

        #[test]
        fn any_bytes_become_the_string_they_are(bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), Just(b'"'), Just(b'\\'), 0_u8..0x20, 0x20_u8..0x7f], 0..80,
        )) {
            let mut out = b"\"".to_vec();
            escape(&bytes, &mut out);
            out.push(b'"');
            let text: String = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn the_first_special_byte_is_found(bytes in prop::collection::vec(
            prop_oneof![40 => 0x20_u8..=0xff, 1 => any::<u8>()], 0..100,
        )) {
            let slow = bytes.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\');
            prop_assert_eq!(special(&bytes), slow);
        }

        #[test]
        fn no_line_brings_it_down(line in r#"\{[\{\}\[\]",:a0-9\\ ]{0,20}\}"#) {
            match added(&line) {
                Some(result) => prop_assert!(serde_json::from_str::<Value>(&result).is_ok()),
                None => prop_assert!(serde_json::from_str::<Value>(&line).is_err()),
            }
        }
    }
}
