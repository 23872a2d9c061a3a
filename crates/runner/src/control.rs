//! The control socket: one line asks, one line answers.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use crate::lines::LineReader;

const MAX_CONNECTIONS: usize = 32;
const MAX_LINE: usize = 1024;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Drain; answered when that is over.
    Drain,
    /// Restart the process in place; answered at once.
    Restart,
    /// The state as JSON.
    Status,
}

impl Command {
    /// The command of a line.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        match line.trim_ascii() {
            b"drain" => Some(Self::Drain),
            b"restart" => Some(Self::Restart),
            b"status" => Some(Self::Status),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    reader: LineReader,
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

    pub(crate) fn streams(&self) -> impl Iterator<Item = (u64, &UnixStream)> {
        self.clients.iter().map(|(id, client)| (*id, &client.stream))
    }

    pub(crate) fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.clients.len() < MAX_CONNECTIONS && stream.set_nonblocking(true).is_ok() {
                self.clients.insert(self.next, Client { stream, reader: LineReader::new(MAX_LINE) });
                self.next += 1;
            }
        }
    }

    /// Reads a client's commands; what is none is answered here.
    pub(crate) fn read(&mut self, id: u64) -> Vec<Command> {
        let Some(client) = self.clients.get_mut(&id) else { return vec![] };
        let mut commands = vec![];
        let mut unknown = false;
        let open = client.reader.read(&client.stream, |line| match Command::parse(line) {
            Some(command) => commands.push(command),
            None => unknown = true,
        });
        if unknown {
            self.answer(id, "error: unknown command; known are drain, restart, status");
        }
        if !matches!(open, Ok(true)) {
            self.clients.remove(&id);
        }
        commands
    }

    /// Answers one line.
    pub(crate) fn answer(&mut self, id: u64, line: &str) {
        if let Some(client) = self.clients.get(&id) {
            let _ = rustix::io::write(&client.stream, format!("{line}\n").as_bytes());
        }
    }
}

/// The other end: sends a command and waits for its answer. An empty answer
/// means that the runner ended meanwhile.
pub(crate) fn ask(path: &Path, command: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.write_all(format!("{command}\n").as_bytes())?;
    let mut answer = String::new();
    let mut byte = [0_u8; 512];
    while !answer.ends_with('\n') {
        match stream.read(&mut byte) {
            Ok(0) => break,
            Ok(n) => answer.push_str(&String::from_utf8_lossy(&byte[..n])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error),
        }
    }
    Ok(answer.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_word() {
        assert_eq!(Command::parse(b" drain\r"), Some(Command::Drain));
        assert_eq!(Command::parse(b"restart"), Some(Command::Restart));
        assert_eq!(Command::parse(b"drain now"), None);
        assert_eq!(Command::parse(b"\xff"), None);
    }

    #[test]
    fn what_is_no_command_gets_an_answer_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let mut control = Control::bind(&path).unwrap();
        let client = std::thread::spawn(move || ask(&path, "dance").unwrap());
        while control.clients.is_empty() {
            control.accept();
        }
        while !client.is_finished() {
            assert!(control.read(0).is_empty());
        }
        assert!(client.join().unwrap().starts_with("error: unknown command"));
    }
}
