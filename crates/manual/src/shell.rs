//! Command lines, as a shell takes them apart. Nothing is expanded.

/// What is typed in a session: all of it, or what stands behind prompts if there are any.
pub(crate) fn typed(text: &str) -> String {
    if !text.lines().any(|line| line.starts_with("$ ")) {
        return text.to_owned();
    }
    let mut typed = String::new();
    let mut goes_on = false;
    for line in text.lines() {
        let (line, prompt) = line.strip_prefix("$ ").map_or((line, false), |line| (line, true));
        if prompt || goes_on {
            typed.push_str(line);
            typed.push('\n');
            goes_on = line.ends_with('\\');
        }
    }
    typed
}

/// The commands of a script, each as its words: without quotes, comments, redirections and assignments in front.
pub(crate) fn commands(script: &str) -> Vec<Vec<String>> {
    let mut split = Split::default();
    let mut letters = script.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('\n') => split.end_word(),
                next => split.quoted(next),
            },
            '\'' | '"' => {
                split.quoted(None);
                while let Some(next) = letters.next().filter(|next| *next != letter) {
                    let escaped = letter == '"' && next == '\\';
                    split.quoted(if escaped { letters.next() } else { Some(next) });
                }
            }
            '#' if split.word.is_none() => while letters.next_if(|next| *next != '\n').is_some() {},
            // What a command says becomes a part of another one.
            '$' if letters.peek() == Some(&'(') => split.quoted(Some('$')),
            '(' if split.word.as_deref().is_some_and(|word| word.ends_with('$')) => {
                split.quoted(Some('('));
                while let Some(next) = letters.next_if(|next| *next != ')') {
                    split.quoted(Some(next));
                }
                split.quoted(letters.next());
            }
            '\n' | ';' | '|' | '&' | '(' | ')' => split.end_command(),
            '<' | '>' => {
                while letters.next_if(|next| ['<', '>', '&'].contains(next)).is_some() {}
                split.redirect(letters.peek() == Some(&'('));
            }
            ' ' | '\t' => split.end_word(),
            _ => split.quoted(Some(letter)),
        }
    }
    split.end_command();
    split.commands
}

#[derive(Default)]
struct Split {
    commands: Vec<Vec<String>>,
    words: Vec<String>,
    word: Option<String>,
    /// The next word is the name of a file.
    redirected: bool,
}

impl Split {
    fn quoted(&mut self, letter: Option<char>) {
        self.word.get_or_insert_default().extend(letter);
    }

    fn redirect(&mut self, to_command: bool) {
        // The number of a descriptor belongs to it.
        self.word.take_if(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
        self.end_word();
        self.redirected = !to_command;
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        let assigns = self.words.is_empty()
            && word.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            });
        if !std::mem::take(&mut self.redirected) && !assigns {
            self.words.push(word);
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        self.redirected = false;
        if !self.words.is_empty() {
            self.commands.push(std::mem::take(&mut self.words));
        }
    }
}
