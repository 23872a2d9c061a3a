//! The script that is loaded into each Node.js process of the app. It is written
//! in pieces with one concern each, and installed as one file.

/// The pieces share one scope; the last one begins the work.
const PIECES: &str = concat!(
    include_str!("preload/head.cjs"),
    include_str!("preload/channel.cjs"),
    include_str!("preload/requests.cjs"),
    include_str!("preload/streams.cjs"),
    include_str!("preload/close.cjs"),
    include_str!("preload/drain.cjs"),
    include_str!("preload/pool.cjs"),
    include_str!("preload/listen.cjs"),
    include_str!("preload/shutdown.cjs"),
    include_str!("preload/metrics.cjs"),
    include_str!("preload/main.cjs"),
);

/// The installed file: without the comments, since the runner is to be small and
/// each process of the app reads it.
pub(crate) static SCRIPT: &str = match std::str::from_utf8(&CODE) {
    Ok(script) => script,
    Err(_) => panic!("lines of a text are a text"),
};

static CODE: [u8; without_comments::<0>(PIECES.as_bytes()).1] = without_comments(PIECES.as_bytes()).0;

/// A text without the lines that are comments or empty, as far as there is room,
/// and its length.
const fn without_comments<const ROOM: usize>(text: &[u8]) -> ([u8; ROOM], usize) {
    let (mut kept, mut length, mut at) = ([0; ROOM], 0, 0);
    while at < text.len() {
        let mut word = at;
        while text[word] == b' ' {
            word += 1;
        }
        let keep = text[word] != b'\n' && (text[word] != b'/' || text[word + 1] != b'/');
        loop {
            if keep {
                if length < ROOM {
                    kept[length] = text[at];
                }
                length += 1;
            }
            at += 1;
            if text[at - 1] == b'\n' {
                break;
            }
        }
    }
    (kept, length)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    #[test]
    fn all_lines_of_the_pieces_but_comments_are_installed() {
        let is_code = |line: &&str| !line.is_empty() && !line.trim_start().starts_with("//");
        let code: Vec<&str> = super::PIECES.lines().filter(is_code).collect();
        assert_eq!(super::SCRIPT.lines().collect::<Vec<_>>(), code);
        assert!(super::SCRIPT.len() < super::PIECES.len());
    }

    #[test]
    fn the_pieces_make_one_script() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("preload.cjs");
        std::fs::write(&path, super::SCRIPT).unwrap();
        let Ok(check) = Command::new("node").arg("--check").arg(&path).output() else {
            assert!(std::env::var_os("CI").is_none(), "no `node` in PATH, and CI must not skip");
            println!("skipped: no `node` in PATH");
            return;
        };
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    }
}
