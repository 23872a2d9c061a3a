//! Reads Prometheus text as strictly as a scraper does; shared with the unit tests.

use std::collections::{BTreeMap, BTreeSet};

/// Name and labels.
type Key = (String, BTreeMap<String, String>);

/// Samples by name and labels.
pub(crate) type Samples = BTreeMap<Key, f64>;

/// Panics at what a scraper would refuse: an unknown line, a family without or
/// with two heads, a sample outside of its family, the same sample twice, a bad
/// name or label, a histogram that does not add up.
pub(crate) fn parse(page: &str) -> Samples {
    assert!(page.is_empty() || page.ends_with('\n'), "no end of line at the end");
    let (mut samples, mut seen) = (Samples::new(), BTreeSet::new());
    let mut family: Option<(String, String)> = None;
    let mut help = None;
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = Some(rest.split_once(' ').expect(line).0.to_owned());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect(line);
            assert_eq!(help.take().as_deref(), Some(name), "HELP belongs to TYPE");
            assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
            assert!(seen.insert(name.to_owned()), "{name} has two heads");
            family = Some((name.to_owned(), kind.to_owned()));
        } else {
            let (key, value) = sample(line);
            let (name, kind) = family.as_ref().expect(line);
            let own = match kind.as_str() {
                "histogram" => {
                    ["_bucket", "_sum", "_count"].iter().any(|end| key.0 == format!("{name}{end}"))
                }
                _ => key.0 == *name,
            };
            assert!(own, "{line} is not of {name}");
            assert!(kind != "counter" || value >= 0.0, "{line}");
            assert!(samples.insert(key, value).is_none(), "{line} is there twice");
        }
    }
    histograms(&samples);
    samples
}

fn is_name(text: &str, colon: bool) -> bool {
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || (colon && c == ':'));
    first && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':'))
}

fn sample(line: &str) -> (Key, f64) {
    let end = line.find(['{', ' ']).expect(line);
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name, true), "{line}");
    let mut labels = BTreeMap::new();
    if rest.starts_with('{') {
        rest = &rest[1..];
        while !rest.starts_with('}') {
            let (label, tail) = rest.split_once("=\"").expect(line);
            assert!(is_name(label, false), "{line}");
            let (text, tail) = quoted(tail).expect(line);
            assert!(labels.insert(label.to_owned(), text).is_none(), "{line}");
            rest = tail.strip_prefix(',').unwrap_or(tail);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').expect(line);
    ((name.to_owned(), labels), value.parse().expect(line))
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                escaped @ ('\\' | '"') => escaped,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}

fn histograms(samples: &Samples) {
    let mut last: BTreeMap<Key, Vec<(f64, f64)>> = BTreeMap::new();
    for ((name, labels), value) in samples {
        if let Some(base) = name.strip_suffix("_bucket") {
            let mut labels = labels.clone();
            let end: f64 = labels.remove("le").expect(name).parse().expect(name);
            last.entry((base.to_owned(), labels)).or_default().push((end, *value));
        }
    }
    for ((base, labels), mut buckets) in last {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{base}: {buckets:?}");
        let count = samples[&(format!("{base}_count"), labels.clone())];
        let (end, all) = *buckets.last().expect(&base);
        assert!(end.is_infinite() && (all - count).abs() < 1e-9, "{base}: {buckets:?} of {count}");
        assert!(samples.contains_key(&(format!("{base}_sum"), labels)));
    }
}
