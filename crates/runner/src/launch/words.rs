//! Commands as package scripts have them, as far as they need no shell.

/// A command that can be executed without a shell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Simple {
    /// Variables in front of it.
    pub(super) vars: Vec<(String, String)>,
    /// The program and its arguments.
    pub(super) words: Vec<String>,
}

/// Characters that mean something to a shell wherever they are outside of quotes.
const SPECIAL: &str = "|&;<>()$`\\*?[]{}~#!\n";
/// Characters that mean something to a shell within double quotes.
const SPECIAL_QUOTED: &str = "$`\\!";

/// Splits a command at its blanks; `None` if it takes a shell to understand it.
pub(super) fn split(command: &str) -> Option<Vec<String>> {
    let mut words = vec![];
    let mut word: Option<String> = None;
    let mut chars = command.trim().chars();
    while let Some(char) = chars.next() {
        match char {
            ' ' | '\t' => words.extend(word.take()),
            '\'' | '"' => {
                let text = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        end if end == char => break,
                        inner if char == '"' && SPECIAL_QUOTED.contains(inner) => return None,
                        inner => text.push(inner),
                    }
                }
            }
            _ if SPECIAL.contains(char) => return None,
            _ => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    Some(words)
}

/// A command without its lead of variables, `exec` and `cross-env`, which say
/// what the runner does anyway; `None` if it takes a shell.
pub(super) fn simple(command: &str) -> Option<Simple> {
    let mut it = Simple::default();
    for word in split(command)? {
        if !it.words.is_empty() {
            it.words.push(word);
        } else if let Some((name, value)) = assignment(&word) {
            it.vars.push((name.to_owned(), value.to_owned()));
        } else if !matches!(word.as_str(), "exec" | "cross-env") {
            it.words.push(word);
        }
    }
    // Quoted, an assignment is none to a shell.
    let quoted = command.contains(['\'', '"']) && !it.vars.is_empty();
    (!it.words.is_empty() && !quoted).then_some(it)
}

fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let first = name.chars().next()?;
    let is_name = name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
    (is_name && !first.is_ascii_digit()).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(command: &str) -> Option<Vec<String>> {
        simple(command).map(|it| it.words)
    }

    #[test]
    fn a_plain_command_is_split_as_a_shell_would() {
        assert_eq!(words("node server.js").unwrap(), ["node", "server.js"]);
        assert_eq!(
            words("  node\t--import tsx  src/a.ts ").unwrap(),
            ["node", "--import", "tsx", "src/a.ts"]
        );
        assert_eq!(
            words(r#"node "my app.js" --name='a b'c """#).unwrap(),
            ["node", "my app.js", "--name=a bc", ""]
        );
        assert_eq!(words("exec node a.js").unwrap(), ["node", "a.js"]);
    }

    #[test]
    fn variables_in_front_are_taken_off() {
        let it = simple("cross-env NODE_ENV=production A=b=c node a.js X=1").unwrap();
        let vars = [("NODE_ENV", "production"), ("A", "b=c")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(it.vars, vars);
        assert_eq!(it.words, ["node", "a.js", "X=1"]);
    }

    #[test]
    fn what_takes_a_shell_is_left_to_one() {
        for command in [
            "node a.js | pino-pretty",
            "npm run build && node a.js",
            "node $APP",
            "node a.js > log",
            "node `x`",
            "node \"$APP\"",
            "node src/*.js",
            "node a.js &",
            "(node a.js)",
            "node 'a.js",
            "node a\\ b.js",
            "node ~/a.js",
            "",
            "A=1",
            "node a.js # no",
            "A=\"b c\" node a.js",
            "node {a,b}.js",
        ] {
            assert_eq!(simple(command), None, "{command}");
        }
    }

    proptest! {
        #[test]
        fn a_shell_agrees_with_every_split(command in r#"[a-z=/.'" $*;-]{0,24}"#) {
            let Some(words) = split(&command) else { return Ok(()) };
            let script = format!("for word in {command}; do printf '%s\\0' \"$word\"; done");
            let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
            let expected = words.iter().fold(String::new(), |all, word| all + word + "\0");
            prop_assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
        }
    }
}
