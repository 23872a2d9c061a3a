//! Names of PM2 as names of Kubernetes.

use sha2::{Digest, Sha256};

/// The longest DNS label.
const LONGEST: usize = 63;
/// The longest name of a job, whose runs add to it.
pub const LONGEST_JOB: usize = 52;

/// A name as a DNS label that begins with a letter, and never the one of the
/// `ServiceAccount` that every namespace has.
pub fn label(name: &str) -> String {
    let mut label = String::new();
    let mut small = false;
    for letter in name.chars() {
        if letter.is_ascii_alphanumeric() {
            // myApp reads as my-app.
            if small && letter.is_ascii_uppercase() {
                label.push('-');
            }
            label.push(letter.to_ascii_lowercase());
        } else if !label.ends_with('-') {
            label.push('-');
        }
        small = letter.is_ascii_lowercase();
    }
    let label = label.trim_matches('-');
    let label = match label.chars().next() {
        None => "app".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("app-{label}"),
        Some(_) if label == "default" => "default-app".to_owned(),
        Some(_) => label.to_owned(),
    };
    within(LONGEST, &label, name)
}

/// A label that is not longer than this, and still tells names apart.
pub fn within(longest: usize, label: &str, name: &str) -> String {
    if label.len() <= longest {
        return label.to_owned();
    }
    let hash = Sha256::digest(name.as_bytes());
    let hash = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    format!("{}-{hash:08x}", label[..longest - 9].trim_end_matches('-'))
}

/// A name that is not among those taken, made by a number at its end.
pub fn free(wanted: &str, is_taken: impl Fn(&str) -> bool) -> String {
    if !is_taken(wanted) {
        return wanted.to_owned();
    }
    (2..=u32::MAX)
        .map(|number| {
            let end = format!("-{number}");
            let start = &wanted[..wanted.len().min(LONGEST - end.len())];
            format!("{}{end}", start.trim_end_matches('-'))
        })
        .find(|name| !is_taken(name))
        .expect("there are not as many apps")
}

/// A text as the value of a label, if it can be one.
pub fn label_value(text: &str) -> Option<&str> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let ends = [text.bytes().next()?, text.bytes().last()?];
    let fits = text.len() <= LONGEST && text.bytes().all(inner) && ends.iter().all(u8::is_ascii_alphanumeric);
    fits.then_some(text)
}

/// PM2's name for a script without one: its file name up to the last dot.
pub fn of_script(script: &str) -> &str {
    let base = script.trim_end_matches('/').rsplit('/').next().unwrap_or(script);
    match base.rfind('.') {
        Some(dot) if dot > 0 => &base[..dot],
        _ => base,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_become_labels_that_read_the_same() {
        for (name, expected) in [
            ("api", "api"),
            ("My API_server.v2", "my-api-server-v2"),
            ("myApp", "my-app"),
            ("@acme/web", "acme-web"),
            ("2fa", "app-2fa"),
            ("default", "default-app"),
            ("---", "app"),
            ("käse", "k-se"),
            ("Ünïcödé 🚀", "n-c-d"),
        ] {
            assert_eq!(label(name), expected, "{name}");
        }
        let long = "a-very-long-name-".repeat(8);
        assert_eq!(label(&long).len(), 63);
        assert_ne!(label(&long), label(&format!("{long}x")));
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        let taken = ["api", "api-2"];
        assert_eq!(free("api", |name| taken.contains(&name)), "api-3");
        assert_eq!(free("web", |name| taken.contains(&name)), "web");
        assert_eq!(free(&"a".repeat(63), |name| name.len() == 63 && !name.contains('-')).len(), 63);
    }

    #[test]
    fn a_script_names_its_app() {
        for (script, expected) in
            [("./dist/server.js", "server"), ("npm", "npm"), ("a.b.ts", "a.b"), (".hidden", ".hidden")]
        {
            assert_eq!(of_script(script), expected);
        }
    }

    proptest! {
        #[test]
        fn every_name_becomes_a_label(name in ".{0,200}") {
            let label = label(&name);
            prop_assert!(label.len() <= 63 && !label.is_empty());
            prop_assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
            prop_assert!(label.starts_with(|letter: char| letter.is_ascii_lowercase()) && !label.ends_with('-'), "{}", label);
        }
    }
}
