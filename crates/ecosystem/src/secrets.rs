//! What looks like a secret, and how it is kept out of every output.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::normalise::split;

/// Words in the names of variables whose values are secret.
const WORDS: [&str; 26] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PASS",
    "PWD",
    "SECRET",
    "SECRETS",
    "TOKEN",
    "TOKENS",
    "APIKEY",
    "CREDENTIAL",
    "CREDENTIALS",
    "CREDS",
    "PRIVATE",
    "DSN",
    "SALT",
    "PEPPER",
    "AUTH",
    "BEARER",
    "JWT",
    "SIGNATURE",
    "OTP",
    "PAT",
    "COOKIE",
    "AUTHORIZATION",
    "PRIVATEKEY",
];

/// Words before `KEY` that make it secret; a KEY alone, or after another word, may be one too.
const HARMLESS_KEYS: [&str; 8] =
    ["PUBLIC", "PUBLISHABLE", "PARTITION", "SORT", "PRIMARY", "CACHE", "PREFIX", "HOT"];

/// Words that say how a secret is used and not what it is.
const ABOUT: [&str; 20] = [
    "TTL",
    "EXPIRY",
    "EXPIRES",
    "EXPIRATION",
    "TIMEOUT",
    "LENGTH",
    "ROUNDS",
    "NAME",
    "HEADER",
    "TYPE",
    "ENABLED",
    "ISSUER",
    "AUDIENCE",
    "ALGORITHM",
    "PATH",
    "FILE",
    "DOMAIN",
    "MODE",
    "PREFIX",
    "AGE",
];

/// Beginnings of the keys of well-known services.
const BEGINNINGS: [&str; 23] = [
    "eyJ",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "sk-",
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "whsec_",
    "xoxb-",
    "xoxp-",
    "xapp-",
    "AKIA",
    "ASIA",
    "AIza",
    "npm_",
    "SG.",
    "dop_v1_",
    "hvs.",
    "Bearer ",
    "Basic ",
];

/// Values that are no secret whatever their name.
fn is_plain(value: &str) -> bool {
    let words = ["", "true", "false", "null", "undefined", "yes", "no", "on", "off", "none"];
    words.contains(&value.to_ascii_lowercase().as_str())
}

/// Whether a variable holds a secret.
pub fn is_secret(name: &str, value: &str) -> bool {
    !hidden(name, value).is_empty()
}

/// What must not be shown of a variable: its value, and the secrets inside of it.
/// Empty if it holds none.
pub fn hidden(name: &str, value: &str) -> Vec<String> {
    if is_plain(value) {
        return Vec::new();
    }
    let inside = inside(value);
    let whole = looks_secret(value) || (name_says_so(name) && !is_about(name, value));
    if whole || !inside.is_empty() {
        std::iter::once(value.to_owned()).chain(inside).collect()
    } else {
        Vec::new()
    }
}

/// Whether the name of a variable says that its value is secret.
pub fn name_says_so(name: &str) -> bool {
    let words = words(name);
    let is_key = |index: usize| {
        words[index] == "KEY" && (index == 0 || !HARMLESS_KEYS.contains(&words[index - 1].as_str()))
    };
    let public = words.first().is_some_and(|word| word == "PUBLIC")
        || words.windows(2).any(|pair| pair[0] == "NEXT" && pair[1] == "PUBLIC");
    let directory = words.as_slice() == ["PWD"] || words.as_slice() == ["OLD", "PWD"] || name == "OLDPWD";
    !public
        && !directory
        && words.iter().enumerate().any(|(index, word)| WORDS.contains(&word.as_str()) || is_key(index))
}

/// Whether a name with a secret word in it is about how the secret is used.
fn is_about(name: &str, value: &str) -> bool {
    let words = words(name);
    let last = words.last().map_or("", String::as_str);
    let number =
        value.len() <= 12 && value.chars().all(|letter| letter.is_ascii_digit() || "smhd. ".contains(letter));
    // SSH_AUTH_SOCK and the like: a path of a machine.
    let path = value.starts_with('/') && ["SOCK", "DIR", "FOLDER"].contains(&last);
    ABOUT.contains(&last)
        || path
        || (number && !words.iter().any(|word| word.starts_with("PASS") || word == "PIN" || word == "PWD"))
}

/// `dbPassword`, `DB_PASSWORD` and `db-password` as DB and PASSWORD.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for letter in name.chars() {
        if !letter.is_ascii_alphanumeric() || (small && letter.is_ascii_uppercase()) {
            words.push(String::new());
        }
        if letter.is_ascii_alphanumeric() {
            words.last_mut().expect("there is one").push(letter.to_ascii_uppercase());
        }
        small = letter.is_ascii_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a value is secret whatever it is called: the key of a known service,
/// an address with a password in it.
fn looks_secret(value: &str) -> bool {
    let begins = BEGINNINGS.iter().any(|start| value.starts_with(start));
    let header = [": Bearer ", ": Basic "].iter().any(|word| value.contains(word));
    (value.len() >= 16 && (begins || header))
        || value.contains("-----BEGIN")
        || has_password(value)
        || is_random(value)
}

/// Secrets inside of a text that has names and values in it.
fn inside(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    match serde_json::from_str(text) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => in_json("", &value, &mut found),
        _ => in_pairs(text, &mut found),
    }
    found
}

/// `{"password": "…"}`, which PM2 makes of an object.
fn in_json(name: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| in_json(name, value, found)),
        Value::Array(items) => items.iter().for_each(|item| in_json(name, item, found)),
        Value::Null | Value::Bool(_) => {}
        Value::String(text) => found.extend(hidden(name, text)),
        Value::Number(number) => found.extend(hidden(name, &number.to_string())),
    }
}

/// `Server=db;Password=…`, `host=db password=…`, `https://host/?token=…`.
fn in_pairs(text: &str, found: &mut Vec<String>) {
    let parts = text.split(|letter: char| ";&?,".contains(letter) || letter.is_whitespace());
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.trim_matches(['"', '\'']);
        if is_word(name) && !is_path(value) {
            let bare =
                !is_plain(value) && (looks_secret(value) || (name_says_so(name) && !is_about(name, value)));
            found.extend(bare.then(|| value.to_owned()));
        }
    }
}

/// Whether it can be the name of a variable or of a flag.
fn is_word(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn is_path(value: &str) -> bool {
    value.starts_with(['.', '/'])
}

/// `scheme://user:password@host`, anywhere in the text.
fn has_password(value: &str) -> bool {
    value.match_indices("://").any(|(at, _)| {
        let rest = &value[at + 3..];
        let authority = rest.split(['/', '?', '#', ' ', ',']).next().unwrap_or_default();
        // The password itself may have a slash in it.
        let until = rest.split([' ', '?']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').or_else(|| until.rsplit_once('@')).map(|(user, _)| user);
        user.and_then(|user| user.split_once(':')).is_some_and(|(_, password)| !password.is_empty())
    })
}

/// 32 and more letters of the kind that only a generator writes.
fn is_random(value: &str) -> bool {
    let letters = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte));
    let kinds = [
        value.bytes().any(|byte| byte.is_ascii_digit()),
        value.bytes().any(|byte| byte.is_ascii_lowercase()),
        value.bytes().any(|byte| byte.is_ascii_uppercase()),
    ];
    let hex = value.bytes().all(|byte| byte.is_ascii_hexdigit());
    let distinct = value.bytes().collect::<BTreeSet<_>>().len();
    let path = value.contains('/') && value.split('/').all(|part| part.len() < 20);
    letters
        && !path
        && value.len() >= 32
        && kinds[0]
        && (hex || kinds[1] && kinds[2])
        && distinct >= 10
        && !is_uuid(value)
}

fn is_uuid(value: &str) -> bool {
    let parts: Vec<_> = value.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12]
}

/// What must not be shown of arguments, or of the words of a line: `--token=…`,
/// `--token …`, `TOKEN=… node app.js`. Empty if there is nothing.
pub fn in_arguments(arguments: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut before = "";
    for argument in arguments {
        let bare = argument.trim_start_matches('-');
        let pair = bare.split_once('=').filter(|(name, _)| is_word(name));
        let (name, value) = pair.unwrap_or((if bare == argument { before } else { "" }, argument));
        found.extend(hidden(if is_path(value) { "" } else { name }, value));
        if argument.contains(char::is_whitespace) {
            // sh -c 'TOKEN=… node app.js'
            found.extend(in_arguments(&split(argument)));
        }
        before = if pair.is_none() && bare != argument { bare } else { "" };
    }
    found
}

/// Values that must not appear in any output.
#[derive(Clone, Debug, Default)]
pub struct Masks(BTreeSet<String>);

/// Shorter values are words that would be masked everywhere.
const SHORTEST_MASK: usize = 4;
/// From this length on a secret is looked for inside of other texts too.
const LONG_ENOUGH: usize = 8;

/// Words and small numbers that stand in many texts, so that to take them out
/// would tell the secret rather than hide it.
fn is_ordinary(value: &str) -> bool {
    let letters = value.len() <= 12 && value.bytes().all(|byte| byte.is_ascii_lowercase());
    let digits = value.len() <= 5 && value.bytes().all(|byte| byte.is_ascii_digit());
    letters || digits
}

impl Masks {
    /// The secrets of an environment.
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        let mut masks = Self::default();
        for (name, value) in variables {
            masks.extend(hidden(name, value));
        }
        masks
    }

    /// Adds some.
    pub fn extend(&mut self, values: impl IntoIterator<Item = String>) {
        for value in values {
            for part in value.lines().map(str::trim).chain([value.as_str()]) {
                if part.len() >= SHORTEST_MASK && !is_plain(part) {
                    self.0.insert(part.to_owned());
                }
            }
        }
    }

    /// Whether a text that is to be written down is one of them, or holds one.
    pub fn are_in(&self, text: &str) -> bool {
        let held =
            |mask: &String| text == mask || (mask.len() >= LONG_ENOUGH && text.contains(mask.as_str()));
        self.0.iter().any(|mask| !is_ordinary(mask) && held(mask))
    }

    /// A text of somebody else without any of them.
    pub fn apply(&self, text: &str) -> String {
        self.without(text, |_| true)
    }

    /// A text of ours, with words of somebody else in it: ordinary words stay.
    pub fn apply_to_ours(&self, text: &str) -> String {
        self.without(text, |mask| !is_ordinary(mask))
    }

    fn without(&self, text: &str, counts: impl Fn(&str) -> bool) -> String {
        let mut longest: Vec<&String> =
            self.0.iter().filter(|mask| counts(mask) && text.contains(mask.as_str())).collect();
        longest.sort_by_key(|mask| std::cmp::Reverse(mask.len()));
        longest.into_iter().fold(text.to_owned(), |text, mask| text.replace(mask.as_str(), "********"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name_or_by_what_they_look_like() {
        for (name, value) in [
            ("DB_PASSWORD", "hunter2"),
            ("dbPassword", "hunter2"),
            ("MYSQL_PWD", "12345"),
            ("SESSION_SECRET", "keyboard cat"),
            ("API_KEY", "abc"),
            ("STRIPE_KEY", "abc"),
            ("GITHUB_TOKEN", "x1"),
            ("DATABASE_URL", "postgres://app:p@ss/word@db:5432/shop"),
            ("REDIS", "redis://:pw@cache:6379"),
            ("ANYTHING", "sk_live_51HxxxxxxxxxxxxxxxxABCdef"),
            ("CERT", "-----BEGIN PRIVATE KEY-----\nabc"),
            ("X", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
            ("SENTRY_DSN", "https://abc@o1.ingest.sentry.io/1"),
        ] {
            assert!(is_secret(name, value), "{name}={value}");
        }
    }

    #[test]
    fn what_only_sounds_like_one_is_none() {
        for (name, value) in [
            ("PORT", "3000"),
            ("PWD", "/home/app"),
            ("TOKEN_TTL", "3600"),
            ("JWT_EXPIRES", "7d"),
            ("PASSWORD_MIN_LENGTH", "12"),
            ("AUTH_ENABLED", "true"),
            ("API_KEY", ""),
            ("PUBLIC_KEY", "abc"),
            ("NEXT_PUBLIC_API_KEY", "abc"),
            ("KEYBOARD", "qwerty"),
            ("AUTHOR", "me"),
            ("COMPASS", "north"),
            ("PRIVATE_KEY_PATH", "/run/secrets/key.pem"),
            ("API_URL", "https://api.example.com:8443/v1"),
            ("REQUEST_ID", "123e4567-e89b-12d3-a456-426614174000"),
            ("NODE_PATH", "/usr/local/lib/node_modules/something/very/long/Path1"),
        ] {
            assert!(!is_secret(name, value), "{name}={value}");
        }
    }

    #[test]
    fn secrets_are_found_inside_of_values_that_have_names_in_them() {
        for (name, value, secret) in [
            ("DB", r#"{"host":"db","auth":{"password":"hunter2"}}"#, "hunter2"),
            (
                "GCP",
                r#"{"private_key":"-----BEGIN PRIVATE KEY-----\nabc"}"#,
                "-----BEGIN PRIVATE KEY-----\nabc",
            ),
            ("USERS", r#"[{"name":"a","token":"hunter2"}]"#, "hunter2"),
            ("DB_CONNECTION", "Server=db;User Id=sa;Password=hunter2;Encrypt=true", "hunter2"),
            ("STORAGE", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=hunter2==", "hunter2=="),
            ("PG", "host=db user=app password='hunter2'", "hunter2"),
            ("HOOK", "https://hooks.example.com/in?room=1&token=hunter2", "hunter2"),
        ] {
            assert!(hidden(name, value).iter().any(|it| it == secret), "{name}: {:?}", hidden(name, value));
        }
        for (name, value) in [
            ("CONFIG", r#"{"port":3000,"auth":true,"tokenTtl":60}"#),
            ("NODE_OPTIONS", "--max-old-space-size=4096 --require=./token.js"),
            ("CALLBACK", "https://app.example.com/login?response_type=token&page=2"),
            ("KEYS", "--key=./certs/key.pem"),
        ] {
            assert_eq!(hidden(name, value), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn arguments_give_secrets_away_too() {
        let at = |line: &str| in_arguments(&split(line)).into_iter().next();
        for (line, secret) in [
            ("--port 3000 --token abc123x", "abc123x"),
            ("--api-key=abc123x", "abc123x"),
            ("worker postgres://a:b@c/d", "postgres://a:b@c/d"),
            ("DB_PASSWORD=hunter2 node app.js", "hunter2"),
            ("env API_TOKEN=hunter2 node app.js", "hunter2"),
            ("sh -c 'SECRET=hunter2 node app.js'", "hunter2 node app.js"),
            ("-H 'Authorization: Bearer abcdefgh'", "Authorization: Bearer abcdefgh"),
        ] {
            assert_eq!(at(line).as_deref(), Some(secret), "{line}");
        }
        for line in [
            "--port 3000",
            "--token-file ./token",
            "--token ./token",
            "--private-key=/run/secrets/key.pem",
            "--auth true",
            "--secret --verbose",
            "NODE_ENV=production node app.js",
            "start",
        ] {
            assert_eq!(at(line), None, "{line}");
        }
    }

    #[test]
    fn ordinary_words_are_taken_out_of_what_a_file_prints_and_not_of_what_we_write() {
        let mut masks = Masks::default();
        masks.extend(["secret", "hunter2", "correct horse battery"].map(str::to_owned));
        let text = "the secret is hunter2, correct horse battery";
        assert_eq!(masks.apply(text), "the ******** is ********, ********");
        assert_eq!(masks.apply_to_ours(text), "the secret is ********, ********");
        assert!(masks.are_in("hunter2") && masks.are_in("--x=correct horse battery"));
        assert!(!masks.are_in("secret") && !masks.are_in("my-hunter2-app"));
    }

    #[test]
    fn a_masked_text_has_no_secret_left() {
        let variables = [
            ("A_TOKEN".to_owned(), "hunter2hunter2".to_owned()),
            ("B_TOKEN".to_owned(), "hunter2".to_owned()),
        ];
        let masks = Masks::of(variables.iter().map(|(name, value)| (name, value)));
        assert_eq!(masks.apply("x hunter2hunter2 y hunter2 z"), "x ******** y ******** z");
    }
}
