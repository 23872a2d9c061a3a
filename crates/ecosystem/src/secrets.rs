//! What looks like a secret, and how it is kept out of every output.

use std::collections::BTreeSet;

/// Words in the names of variables whose values are secret.
const WORDS: [&str; 24] = [
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
const BEGINNINGS: [&str; 24] = [
    "-----BEGIN",
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
    !is_plain(value) && (is_secret_value(value) || (name_says_so(name) && !is_about(name, value)))
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
pub fn is_secret_value(value: &str) -> bool {
    let long = value.len() >= 16;
    (long && BEGINNINGS.iter().any(|start| value.starts_with(start)))
        || has_password(value)
        || is_random(value)
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

/// The position of an argument that holds a secret, as `--token=…` or `--token …`.
pub fn in_arguments(arguments: &[String]) -> Option<usize> {
    let flag =
        |argument: &str| argument.starts_with('-').then(|| argument.trim_start_matches('-').to_owned());
    arguments.iter().enumerate().find_map(|(index, argument)| {
        let before = index.checked_sub(1).and_then(|index| flag(&arguments[index])).unwrap_or_default();
        let here =
            flag(argument).and_then(|text| text.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned())));
        let named = match &here {
            Some((name, value)) => is_secret(name, value),
            None => {
                !before.is_empty()
                    && !before.contains('=')
                    && !argument.starts_with('-')
                    && is_secret(&before, argument)
            }
        };
        let bare = here.map_or(argument.clone(), |(_, value)| value);
        let path = bare.starts_with(['.', '/']);
        ((named && !path) || is_secret_value(&bare)).then_some(index)
    })
}

/// Values that must not appear in any output.
#[derive(Clone, Debug, Default)]
pub struct Masks(BTreeSet<String>);

/// Shorter values are words that would be masked everywhere.
const SHORTEST_MASK: usize = 4;

impl Masks {
    /// The secrets of an environment.
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        let mut masks = Self::default();
        for (name, value) in variables {
            if is_secret(name, value) {
                masks.add(value);
            }
        }
        masks
    }

    /// Adds one.
    pub fn add(&mut self, value: &str) {
        for part in value.lines().map(str::trim).chain([value]) {
            if part.len() >= SHORTEST_MASK && !is_plain(part) {
                self.0.insert(part.to_owned());
            }
        }
    }

    /// A text without any of them.
    pub fn apply(&self, text: &str) -> String {
        let mut longest: Vec<&String> = self.0.iter().filter(|mask| text.contains(mask.as_str())).collect();
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
    fn arguments_give_secrets_away_too() {
        let at = |line: &str| in_arguments(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(at("--port 3000 --token abc123x"), Some(3));
        assert_eq!(at("--api-key=abc123x"), Some(0));
        assert_eq!(at("worker postgres://a:b@c/d"), Some(1));
        for line in [
            "--port 3000",
            "--token-file ./token",
            "--token ./token",
            "--auth true",
            "--secret --verbose",
            "start",
        ] {
            assert_eq!(at(line), None, "{line}");
        }
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
