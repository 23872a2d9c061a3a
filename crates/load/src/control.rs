//! A port to look at a running load and to end it.
//!
//! `GET /report` answers with the report so far, `GET /stop` ends the load and
//! answers with the final one. Both are GET because that is what goes through
//! the apiserver's pod proxy without further rights.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::report::Report;
use crate::stats::Stats;

/// What the port can see and do.
pub struct Control {
    /// Counters for `/report`.
    pub stats: Arc<Stats>,
    /// Set by `/stop`.
    pub stop: Arc<AtomicBool>,
    /// The final report, once there is one.
    pub last: Arc<OnceLock<Report>>,
}

/// Serves `listener` in a thread for the rest of the process's life.
///
/// # Errors
/// The system has no more threads.
pub fn serve(listener: TcpListener, control: Control) -> std::io::Result<()> {
    let control = Arc::new(control);
    thread::Builder::new().name("control".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            // One caller at a time is enough, and a broken one is its own problem.
            let _ = answer(stream, &control);
        }
    })?;
    Ok(())
}

fn answer(mut stream: TcpStream, control: &Control) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.set_write_timeout(Some(Duration::from_secs(2)))?;
    let (status, body) = match path(&mut stream)?.as_str() {
        "/report" => {
            let report = control.last.get().cloned().unwrap_or_else(|| control.stats.report(false));
            ("200 OK", json(&report))
        }
        "/stop" => {
            control.stop.store(true, Ordering::Relaxed);
            match wait(&control.last, Duration::from_secs(30)) {
                Some(report) => ("200 OK", json(report)),
                None => ("503 Service Unavailable", "the requests under way do not end".to_owned()),
            }
        }
        _ => ("404 Not Found", "want /report or /stop".to_owned()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn path(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0_u8; 2048];
    while !bytes.windows(4).any(|window| window == b"\r\n\r\n") && bytes.len() < 16 << 10 {
        match stream.read(&mut buffer)? {
            0 => break,
            count => bytes.extend_from_slice(buffer.get(..count).unwrap_or_default()),
        }
    }
    let head = String::from_utf8_lossy(&bytes);
    Ok(head.split_whitespace().nth(1).unwrap_or_default().to_owned())
}

fn wait(last: &OnceLock<Report>, limit: Duration) -> Option<&Report> {
    let deadline = Instant::now() + limit;
    while last.get().is_none() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    last.get()
}

fn json(report: &Report) -> String {
    serde_json::to_string(report).unwrap_or_default()
}
