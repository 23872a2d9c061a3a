//! The control socket: one line asks, everything up to the end answers.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use crate::command::Command;
use crate::lines::LineReader;
use crate::machine::Now;
use crate::outbox::Outbox;

const MAX_CONNECTIONS: usize = 16;
/// Longest command: the parameters of an action are in it.
const MAX_LINE: usize = 64 * 1024;
/// Longest answer: what an action returns, see [`crate::ipc::MAX_LINE`].
const MAX_ANSWER: usize = crate::ipc::MAX_LINE + 1024;
/// A client that has not asked, or not taken its answer, by then is let go.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    reader: LineReader,
    outbox: Outbox,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Has not asked yet.
    Asking { until: Now },
    /// Waits for its answer.
    Waiting,
    /// Takes its answer.
    Answered { until: Now },
}

impl Stage {
    fn until(self) -> Option<Now> {
        match self {
            Self::Asking { until } | Self::Answered { until } => Some(until),
            Self::Waiting => None,
        }
    }
}

/// The runner's end.
#[derive(Debug)]
pub(crate) struct Control {
    listener: UnixListener,
    clients: BTreeMap<u64, Client>,
    next: u64,
}

impl Control {
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, clients: BTreeMap::new(), next: 0 })
    }

    pub(crate) fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Connections with whether they wait for room to write.
    pub(crate) fn streams(&self) -> impl Iterator<Item = (u64, &UnixStream, bool)> {
        self.clients.iter().map(|(id, client)| (*id, &client.stream, !client.outbox.is_empty()))
    }

    pub(crate) fn deadline(&self) -> Option<Now> {
        self.clients.values().filter_map(|client| client.stage.until()).min()
    }

    /// Lets those go that have had their time.
    pub(crate) fn expire(&mut self, now: Now) {
        self.clients.retain(|_, client| client.stage.until().is_none_or(|until| until > now));
    }

    pub(crate) fn accept(&mut self, now: Now) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.clients.len() >= MAX_CONNECTIONS && !self.make_room() {
                continue;
            }
            if stream.set_nonblocking(true).is_ok() {
                let stage = Stage::Asking { until: now.saturating_add(PATIENCE) };
                let client =
                    Client { stream, reader: LineReader::new(MAX_LINE), outbox: Outbox::default(), stage };
                self.clients.insert(self.next, client);
                self.next += 1;
            }
        }
    }

    /// Whoever holds a connection open without a question must not keep the
    /// preStop hook out.
    fn make_room(&mut self) -> bool {
        let idle = self.clients.iter().find(|(_, client)| client.stage != Stage::Waiting).map(|(id, _)| *id);
        idle.is_some_and(|id| self.clients.remove(&id).is_some())
    }

    /// Goes on with a connection; its command once that is there, which
    /// [`Self::answer`] then has to be called for. What is no command is answered here.
    pub(crate) fn advance(&mut self, now: Now, id: u64) -> Option<Command> {
        let client = self.clients.get_mut(&id)?;
        let mut asked = None;
        let open = client.reader.read(&client.stream, |line| {
            asked.get_or_insert_with(|| Command::parse(line));
        });
        if client.reader.take_dropped() > 0 {
            asked.get_or_insert_with(|| Err(format!("the command is longer than {MAX_LINE} bytes")));
        }
        let flushed = client.outbox.flush(&client.stream);
        let done = matches!(client.stage, Stage::Answered { .. }) && client.outbox.is_empty();
        if !matches!(open, Ok(true)) || flushed.is_err() || done {
            self.clients.remove(&id);
            return None;
        }
        if !matches!(client.stage, Stage::Asking { .. }) {
            return None;
        }
        match asked? {
            Ok(command) => {
                client.stage = Stage::Waiting;
                Some(command)
            }
            Err(problem) => {
                self.answer(now, id, &format!("error: {problem}"));
                None
            }
        }
    }

    /// Answers, and ends the connection.
    pub(crate) fn answer(&mut self, now: Now, id: u64, text: &str) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if !client.outbox.push(text.as_bytes(), MAX_ANSWER) {
            client.outbox.push(b"error: the answer is too long", MAX_ANSWER);
        }
        client.stage = Stage::Answered { until: now.saturating_add(PATIENCE) };
        if client.outbox.flush(&client.stream).is_err() || client.outbox.is_empty() {
            self.clients.remove(&id);
        }
    }
}

/// The other end: sends a command and waits for its answer. An empty answer
/// means that the runner ended meanwhile.
pub(crate) fn ask(path: &Path, words: &[&str]) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    let line = serde_json::to_string(words)? + "\n";
    stream.write_all(line.as_bytes())?;
    let mut answer = vec![];
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
        _ => Ok(String::from_utf8_lossy(&answer).trim_end().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now::ZERO;

    fn control(dir: &tempfile::TempDir) -> (Control, std::path::PathBuf) {
        let path = dir.path().join("control.sock");
        (Control::bind(&path).unwrap(), path)
    }

    /// Serves until `client` has its answer.
    fn serve(mut control: Control, client: std::thread::JoinHandle<String>, answer: &str) -> String {
        while !client.is_finished() {
            control.accept(NOW);
            for id in 0..control.next {
                if control.advance(NOW, id).is_some() {
                    control.answer(NOW, id, answer);
                }
            }
        }
        assert!(control.clients.is_empty(), "an answer ends the connection");
        client.join().unwrap()
    }

    #[test]
    fn what_is_no_command_gets_an_answer_too() {
        let dir = tempfile::tempdir().unwrap();
        let (control, path) = control(&dir);
        let client = std::thread::spawn(move || ask(&path, &["dance"]).unwrap());
        assert!(serve(control, client, "").starts_with("error: unknown verb"));
    }

    #[test]
    fn an_answer_may_have_many_lines_and_be_longer_than_a_sockets_buffer() {
        let dir = tempfile::tempdir().unwrap();
        let (control, path) = control(&dir);
        let answer = "a line\n".repeat(100_000);
        let client = std::thread::spawn(move || ask(&path, &["status"]).unwrap());
        assert_eq!(serve(control, client, &answer), answer.trim_end());
    }

    #[test]
    fn idle_clients_do_not_keep_the_prestop_hook_out_and_are_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let (mut control, path) = control(&dir);
        let idle: Vec<_> = (0..MAX_CONNECTIONS).map(|_| UnixStream::connect(&path).unwrap()).collect();
        control.accept(NOW);
        let mut hook = UnixStream::connect(&path).unwrap();
        hook.write_all(b"drain\n").unwrap();
        control.accept(NOW);
        assert_eq!(control.clients.len(), MAX_CONNECTIONS);
        let id = control.next - 1;
        assert_eq!(control.advance(NOW, id), Some(Command::Drain));
        control.expire(control.deadline().unwrap());
        assert_eq!(control.clients.keys().collect::<Vec<_>>(), [&id], "who waits for an answer stays");
        drop(idle);
    }

    #[test]
    fn a_command_without_end_takes_no_memory() {
        let dir = tempfile::tempdir().unwrap();
        let (mut control, path) = control(&dir);
        let mut client = UnixStream::connect(&path).unwrap();
        control.accept(NOW);
        for _ in 0..100 {
            client.write_all(&[b'x'; 8_192]).unwrap();
            assert_eq!(control.advance(NOW, 0), None);
        }
        client.write_all(b"\n").unwrap();
        assert_eq!(control.advance(NOW, 0), None);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("error: the command is longer"), "{answer}");
    }
}
