//! A client of Redis that does nothing by itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};

use super::PATIENCE;

/// What Redis answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Text(String),
    Error(String),
    Number(i64),
    Nothing,
    List(Vec<Answer>),
    /// RESP3: a map, as keys and values in turn.
    Map(Vec<Answer>),
    /// RESP3: a message that is no answer.
    Push(Vec<Answer>),
    /// The connection has ended.
    End,
}

impl Answer {
    /// The text of an error.
    pub(crate) fn error(self) -> String {
        match self {
            Self::Error(text) => text,
            other => panic!("wanted an error, got {other:?}"),
        }
    }
}

pub(crate) fn text(text: &str) -> Answer {
    Answer::Text(text.to_owned())
}

pub(crate) struct Client {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

/// A command in Redis' protocol.
pub(crate) fn command(words: &[&str]) -> Vec<u8> {
    let words_of_it = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), words_of_it.collect::<String>()).into_bytes()
}

impl Client {
    pub(crate) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Self { stream, reader }
    }

    /// Sends a command and reads its answer.
    pub(crate) fn ask(&mut self, words: &[&str]) -> Answer {
        self.send(words);
        self.answer()
    }

    pub(crate) fn send(&mut self, words: &[&str]) {
        self.write(&command(words));
    }

    /// Whether all of it was taken.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Says that nothing more will come.
    pub(crate) fn end_writing(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// A second handle for a thread that writes.
    pub(crate) fn writer(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    pub(crate) fn answer(&mut self) -> Answer {
        let mut line = vec![];
        match self.reader.read_until(b'\n', &mut line) {
            Ok(0) => return Answer::End,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Answer::End,
            read => drop(read.unwrap()),
        }
        let line = String::from_utf8(line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        let count = || rest.parse::<i64>().unwrap();
        match kind {
            "+" => text(rest),
            "-" => Answer::Error(rest.to_owned()),
            ":" => Answer::Number(count()),
            "_" | "$" | "*" if rest.is_empty() || rest == "-1" => Answer::Nothing,
            "$" => {
                let mut bytes = vec![0; usize::try_from(count()).unwrap() + 2];
                self.reader.read_exact(&mut bytes).unwrap();
                text(&String::from_utf8_lossy(&bytes[..bytes.len() - 2]))
            }
            "*" => Answer::List((0..count()).map(|_| self.answer()).collect()),
            ">" => Answer::Push((0..count()).map(|_| self.answer()).collect()),
            "%" => Answer::Map((0..count() * 2).map(|_| self.answer()).collect()),
            _ => panic!("no answer of Redis: {line}"),
        }
    }
}
