//! Size of the program, and its memory with few and many connections.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::server::{Pair, Security, localhost};
use crate::bench::proc;
use crate::bench::stat::{float, megabytes};
use crate::bench::table::{Line, Topic};
use crate::sh::{self, Step};

pub(super) const TOPIC: Topic = Topic {
    name: "memory",
    title: "Size and memory of the forwarder",
    how: "RSS of the process, one per pod: before the first connection, with 100 connections that have each asked once and \
          are idle, and after 300,000 SETs and as many GETs over 100 more, in pipelines of 16.",
};

const CONNECTIONS: usize = 100;

pub(super) fn run(bench: &Bench, step: &Step) -> Result<Vec<Line>> {
    let size = float(std::fs::metadata(&bench.forwarder)?.len());
    let mut lines = vec![Line::new("size of the program").ours(megabytes(size))];
    for (security, name) in [(Security::Plain, "plain TCP"), (Security::Tls, "TLS")] {
        let pair = Pair::start(&bench.forwarder, security)?;
        let rss = || Ok::<_, anyhow::Error>(megabytes(float(proc::rss(pair.forwarder())?)));
        let mut tell = |what: &str| -> Result<()> {
            let rss = rss()?;
            step.note(&format!("{name}, {what}: {rss}"));
            lines.push(Line::new(format!("RSS, {name}, {what}")).ours(rss));
            Ok(())
        };
        tell("idle")?;
        let open: Vec<TcpStream> = (0..CONNECTIONS).map(|_| ask(pair.port)).collect::<Result<_>>()?;
        tell("100 idle connections")?;
        sh::output(pair.benchmark(true).args(["-t", "get,set", "-c", "100", "-P", "16", "-n", "300000"]))?;
        tell("after a load over 100 more")?;
        drop(open);
    }
    Ok(lines)
}

/// A connection that has got one answer.
fn ask(port: u16) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(localhost(port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).context("no answer through the forwarder")?;
    ensure!(&answer == b"+PONG\r\n", "Redis answered something else");
    Ok(stream)
}
