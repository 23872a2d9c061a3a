//! AUTH, before anything of the app's.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::problem::{self, Problem};
use crate::say::Kind;

/// Longer than any line with which a server answers AUTH.
const LONGEST_LINE: usize = 4_096;

/// The command AUTH with what the files hold now.
pub(crate) fn command(username_file: Option<&str>, password_file: &str) -> Result<Vec<u8>, Problem> {
    let mut words = vec![b"AUTH".to_vec()];
    for file in username_file.into_iter().chain([password_file]) {
        words.push(word(file)?);
    }
    let mut command = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        command.extend(format!("${}\r\n", word.len()).into_bytes());
        command.extend(word);
        command.extend(b"\r\n");
    }
    Ok(command)
}

/// The content of a file without one line break at its end, which an editor or `echo` has put there.
fn word(file: &str) -> Result<Vec<u8>, Problem> {
    let mut word = problem::read(file)?;
    if word.last() == Some(&b'\n') {
        word.pop();
        if word.last() == Some(&b'\r') {
            word.pop();
        }
    }
    if word.is_empty() {
        return Err(Problem::file(format!(
            "{file} is empty; the Secret that is mounted there must hold a value"
        )));
    }
    Ok(word)
}

/// Sends AUTH and reads its answer; what came behind it belongs to the app.
pub(crate) async fn authenticate<S>(stream: &mut S, command: &[u8], redis: &str) -> Result<Vec<u8>, Problem>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let sent = async {
        stream.write_all(command).await?;
        stream.flush().await
    };
    // A server that has closed may have said why, which the next read tells.
    let sent = sent.await;
    let mut answer = Vec::new();
    let end = loop {
        if let Some(end) = answer.windows(2).position(|pair| pair == b"\r\n") {
            break end;
        }
        let read = if answer.len() > LONGEST_LINE { Ok(0) } else { stream.read_buf(&mut answer).await };
        match read.and_then(|read| sent.as_ref().map(|()| read).map_err(|error| error.kind().into())) {
            Ok(0) => return Err(Problem::away(no_answer(redis, &answer))),
            Ok(_) => {}
            Err(error) => {
                return Err(Problem::away(unclear(redis, &format!("answered by the error `{error}`"))));
            }
        }
    };
    let rest = answer.split_off(end + 2);
    answer.truncate(end);
    if answer.first() == Some(&b'+') {
        return Ok(rest);
    }
    let line = String::from_utf8_lossy(&answer).into_owned();
    match line.strip_prefix('-') {
        Some(words) => Err(refused(words, redis)),
        None => Err(Problem::away(no_answer(redis, &answer))),
    }
}

fn no_answer(redis: &str, answer: &[u8]) -> String {
    let empty = answer.is_empty();
    let what = if empty { "closed the connection without an answer" } else { "gave no answer of Redis" };
    unclear(redis, what)
}

fn unclear(redis: &str, what: &str) -> String {
    format!("{redis} {what} to AUTH: is it Redis, does it want TLS, and is the port the right one?")
}

/// Redis' own words for the app; for the log also what to do.
fn refused(words: &str, redis: &str) -> Problem {
    let advice = match words.split_whitespace().next() {
        Some("WRONGPASS") => "put the right user name and password into the Secret",
        Some("ERR") if words.contains("without any password") => {
            "Redis has no password: give it one, or take the credentials out of the app's spec"
        }
        Some("ERR") if words.contains("max number of clients") => {
            "raise `maxclients` of Redis, or run fewer instances"
        }
        Some("DENIED") => "Redis is in protected mode: give it a password",
        _ => "see what Redis wants",
    };
    let text = format!(
        "Redis at {redis} refused the connection: {words}. Way out: {advice}; it is read anew for each connection, \
         nothing needs a restart"
    );
    Problem { kind: Kind::Refused, text, reply: Some(format!("-{words}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dir: &tempfile::TempDir, name: &str, content: &[u8]) -> String {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_string_lossy().into_owned()
    }

    #[test]
    fn the_command_is_resp_so_that_any_byte_may_be_in_a_password() {
        let dir = tempfile::tempdir().unwrap();
        let password = file(&dir, "password", b"a b\r\n$1\xff\r\n");
        let username = file(&dir, "username", b"app\n");
        assert_eq!(command(None, &password).unwrap(), b"*2\r\n$4\r\nAUTH\r\n$8\r\na b\r\n$1\xff\r\n");
        let both = command(Some(&username), &password).unwrap();
        assert_eq!(both, b"*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$8\r\na b\r\n$1\xff\r\n");
    }

    #[test]
    fn a_missing_or_empty_file_is_told_to_the_app_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let empty = file(&dir, "password", b"\n");
        for path in [empty, dir.path().join("none").to_string_lossy().into_owned()] {
            let problem = command(None, &path).unwrap_err();
            let reply = problem.reply.unwrap();
            assert!(reply.starts_with("-ERR nodeapp-forwarder: ") && reply.contains(&path), "{reply}");
        }
    }

    async fn answered(answer: &[u8]) -> Result<Vec<u8>, Problem> {
        let (mut ours, mut theirs) = tokio::io::duplex(64 * 1_024);
        theirs.write_all(answer).await.unwrap();
        theirs.shutdown().await.unwrap();
        authenticate(&mut ours, b"*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n", "redis:1").await
    }

    #[tokio::test]
    async fn what_comes_behind_the_answer_belongs_to_the_app() {
        assert_eq!(answered(b"+OK\r\n").await, Ok(vec![]));
        assert_eq!(answered(b"+OK\r\n>2\r\n").await, Ok(b">2\r\n".to_vec()));
    }

    #[tokio::test]
    async fn a_refusal_keeps_the_words_of_redis_and_anything_else_is_no_redis() {
        let refused = answered(b"-WRONGPASS invalid username-password pair\r\n").await.unwrap_err();
        assert_eq!(refused.reply.as_deref(), Some("-WRONGPASS invalid username-password pair"));
        assert_eq!(refused.kind, Kind::Refused);
        for answer in [&b""[..], b"+OK", b"HTTP/1.1 400 Bad Request\r\n", &[b'x'; 10_000]] {
            let away = answered(answer).await.unwrap_err();
            assert_eq!((away.kind, away.reply), (Kind::Away, None), "{}", away.text);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_answer_makes_it_panic(answer in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(answered(&answer));
        }
    }
}
