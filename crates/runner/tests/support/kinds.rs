//! Servers of every kind that Node.js has, and a client for each.

use std::process::{Output, Stdio};

use super::{Setup, node_command};

impl Setup {
    /// A server of a kind; `file` says whether as `CommonJS` or as an ES module.
    pub(crate) fn kind(kind: &str, file: &str) -> Self {
        let setup = Self::app(file).var("KIND", kind);
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (key, cert) = (setup.dir.path().join("key.pem"), setup.dir.path().join("cert.pem"));
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        std::fs::write(&cert, made.cert.pem()).unwrap();
        setup.var("TLS_KEY", key.to_str().unwrap()).var("TLS_CERT", cert.to_str().unwrap())
    }
}

/// Asks a server of a kind in a process of its own; standard output is the answer.
pub(crate) fn ask(kind: &str, port: u16, path: &str) -> String {
    answer(start_ask(kind, port, path).wait_with_output().unwrap())
}

/// Begins to ask.
pub(crate) fn start_ask(kind: &str, port: u16, path: &str) -> std::process::Child {
    client("client.cjs").args([kind, &port.to_string(), path]).stdout(Stdio::piped()).spawn().unwrap()
}

/// What a client has printed.
pub(crate) fn answer(output: Output) -> String {
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A client from `tests/apps`.
pub(crate) fn client(name: &str) -> std::process::Command {
    let mut command = node_command();
    command.arg(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps").join(name));
    command
}
