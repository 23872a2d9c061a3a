//! What `/proc` tells: the process tree, its memory and time, listening ports.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};

use rustix::process::{Pid, Signal, kill_process};

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    parent: i32,
    zombie: bool,
    /// User and system time in clock ticks, its own and of ended children.
    ticks: u64,
    /// Resident pages.
    pages: u64,
}

/// Every process that descends from the runner, the parents before their
/// children; orphans belong to it, since it is PID 1 or a subreaper. `except`
/// and what descends from those is left out (programs of exec probes).
pub(crate) fn tree(except: &[i32]) -> Vec<Process> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for process in processes() {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = vec![];
    let mut queue = vec![own];
    while let Some(parent) = queue.pop() {
        for process in children.remove(&parent).unwrap_or_default() {
            if !except.contains(&process.pid) {
                queue.push(process.pid);
                if !process.zombie {
                    found.push(process);
                }
            }
        }
    }
    found
}

/// Sends a signal to all of them, children first, as PM2 does.
pub(crate) fn signal_all(tree: &[Process], signal: Signal) {
    for process in tree.iter().rev() {
        if let Some(pid) = Pid::from_raw(process.pid) {
            let _ = kill_process(pid, signal);
        }
    }
}

/// SIGKILL to all of them, parents first: what is dead makes no more children.
pub(crate) fn kill_all(tree: &[Process]) {
    for pid in tree.iter().filter_map(|process| Pid::from_raw(process.pid)) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Resident memory of a tree in bytes.
pub(crate) fn resident(tree: &[Process]) -> u64 {
    tree.iter().map(|process| process.pages).sum::<u64>() * rustix::param::page_size() as u64
}

/// Processor time of a tree in seconds, with that of children which it has
/// waited for.
pub(crate) fn cpu_seconds(tree: &[Process]) -> f64 {
    seconds(tree.iter().map(|process| process.ticks).sum())
}

#[expect(clippy::cast_precision_loss, reason = "2^53 ticks are three million years")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

#[cfg(test)]
impl Process {
    pub(crate) fn of_pid(pid: i32) -> Self {
        Self { pid, parent: 1, zombie: false, ticks: 0, pages: 0 }
    }
}

fn processes() -> impl Iterator<Item = Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    })
}

/// Fields of `/proc/PID/stat`; the name in parentheses may hold anything.
fn parse_stat(pid: i32, stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Process {
        pid,
        zombie: matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        ticks: number(11)? + number(12)? + ended_ticks(stat)?,
        pages: number(21)?,
    })
}

/// Whether a process is stopped: by a signal, or by a debugger.
pub(crate) fn is_stopped(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 't']))
}

/// Descriptors that a process has open.
pub(crate) fn open_files(pid: i32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

/// Processor time in seconds of all that was waited for by the runner, and of
/// what those had waited for.
pub(crate) fn ended_cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    seconds(ended_ticks(&stat).unwrap_or_default())
}

/// Ticks of ended children in `/proc/PID/stat`.
fn ended_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split_ascii_whitespace().skip(13);
    let mut number = || fields.next()?.parse::<u64>().ok();
    Some(number()? + number()?)
}

/// Who can connect to a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// Nothing listens.
    #[default]
    Nobody,
    /// Only processes of this pod.
    Loopback,
    /// Others too.
    Others,
}

/// Whether something listens on a TCP port in this network namespace, found
/// without a connection that the app would have to answer.
pub(crate) fn reach(port: u16) -> Reach {
    let mut all = Reach::Nobody;
    for path in ["/proc/net/tcp6", "/proc/net/tcp"] {
        if all < Reach::Others
            && let Ok(table) = fs::File::open(path)
        {
            all = all.max(table_reach(BufReader::new(table), port));
        }
    }
    all
}

/// Reads a table line by line, since it has one for each connection, and no
/// further than to what nothing can add to: Linux tells listeners first.
fn table_reach(mut table: impl BufRead, port: u16) -> Reach {
    let (mut all, mut line) = (Reach::Nobody, String::new());
    while all < Reach::Others && table.read_line(&mut line).is_ok_and(|length| length > 0) {
        all = all.max(line_reach(&line, port));
        line.clear();
    }
    all
}

/// Local addresses of a table are words of hexadecimal digits in host order.
fn line_reach(line: &str, port: u16) -> Reach {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let suffix = format!(":{port:04X}");
    let address = fields.next().and_then(|local| local.strip_suffix(&suffix));
    let Some(address) = address.filter(|_| fields.nth(1) == Some("0A")) else { return Reach::Nobody };
    // 127.0.0.0/8, the same mapped into IPv6, ::1.
    let is_loopback = |address: &str| match address.len() {
        8 => address.ends_with("7F"),
        _ => {
            address == "00000000000000000000000001000000"
                || (address.starts_with("0000000000000000FFFF0000") && address.ends_with("7F"))
        }
    };
    if is_loopback(address) { Reach::Loopback } else { Reach::Others }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_have_any_name() {
        let stat = "42 (a) (b c) S 7 42 42 0 -1 4194560 1 2 3 4 10 20 5 6 20 0 1 0 99 1000 55 184";
        let process = parse_stat(42, stat).unwrap();
        assert_eq!(process, Process { pid: 42, parent: 7, zombie: false, ticks: 41, pages: 55 });
        assert!(parse_stat(1, "garbage").is_none());
        assert!(parse_stat(1, "1 (x) S").is_none());
    }

    #[test]
    fn the_tree_holds_children_and_not_what_is_excepted() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(tree(&[]).iter().any(|process| process.pid == pid));
        assert!(!tree(&[pid]).iter().any(|process| process.pid == pid));
        assert!(resident(&tree(&[])) > 0);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!tree(&[]).iter().any(|process| process.pid == pid));
    }

    #[test]
    fn only_a_listening_socket_on_the_port_counts() {
        let table = "  sl  local_address rem_address   st tx_queue\n   0: 0100007F:0BB8 00000000:0000 0A 0\n   1: \
                     0100007F:0BB9 0100007F:0BB8 01 0\n";
        let table_reach = |table: &str, port| super::table_reach(table.as_bytes(), port);
        assert_eq!(table_reach(table, 3000), Reach::Loopback);
        assert_eq!(table_reach(table, 3001), Reach::Nobody, "a connection is no listener");
        assert_eq!(table_reach(table, 80), Reach::Nobody);
        let bound_to = |address: &str| table_reach(&table.replace("0100007F:0BB8", address), 3000);
        assert_eq!(bound_to("00000000:0BB8"), Reach::Others);
        assert_eq!(bound_to("3500007F:0BB8"), Reach::Loopback, "127.0.0.53");
        assert_eq!(bound_to("0000000000000000FFFF00000100007F:0BB8"), Reach::Loopback, "as Java binds it");
        assert_eq!(bound_to("00000000000000000000000001000000:0BB8"), Reach::Loopback);
        assert_eq!(bound_to("00000000000000000000000000000000:0BB8"), Reach::Others);
        assert_eq!(bound_to("0000000000000000FFFF00000100007A:0BB8"), Reach::Others);
    }

    #[test]
    fn a_long_table_is_read_in_pieces_and_no_further_than_needed() {
        struct Table(u32);
        impl std::io::Read for Table {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let line =
                    format!("{:4}: 0100007F:0BB9 0100007F:{:04X} 06 {:90}\n", self.0, self.0 % 60_000, 0);
                assert!(buffer.len() >= line.len() && buffer.len() <= 64 * 1024, "{}", buffer.len());
                self.0 += 1;
                let length = if self.0 > 100_000 { 0 } else { line.len() };
                buffer[..length].copy_from_slice(&line.as_bytes()[..length]);
                Ok(length)
            }
        }
        let mut table = BufReader::new(Table(0));
        assert_eq!(super::table_reach(&mut table, 3000), Reach::Nobody);
        assert!(table.get_ref().0 > 100_000);
        let listener = "0: 00000000:0BB8 00000000:0000 0A 0\n".as_bytes();
        let mut table = BufReader::new(std::io::Read::chain(listener, Table(0)));
        assert_eq!(super::table_reach(&mut table, 3000), Reach::Others);
        assert!(table.get_ref().get_ref().1.0 <= 1, "found, and no further");
    }

    #[test]
    fn a_real_listener_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(reach(port), Reach::Loopback);
        drop(listener);
        assert_eq!(reach(port), Reach::Nobody);
    }
}
