//! `wait`: until a forwarder listens here. It asks the kernel and connects nowhere, since each connection would
//! be one to Redis.

use std::time::{Duration, Instant};

use nodeapp_contract::ExitCode;

use crate::say;

const LONGEST: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);
/// State LISTEN in `/proc/net/tcp`.
const LISTEN: &str = "0A";
/// 127.0.0.1 as the kernel writes it there, on either kind of machine.
const LOCALHOST: [&str; 2] = ["0100007F", "7F000001"];

/// Waits, and gives the exit code.
pub(crate) fn wait(port: u16) -> u8 {
    let until = Instant::now() + LONGEST;
    loop {
        match std::fs::read_to_string("/proc/net/tcp") {
            Ok(sockets) if listens(&sockets, port) => return 0,
            Ok(_) if Instant::now() < until => std::thread::sleep(POLL),
            Ok(_) => {
                say::line(&format!("nothing listens on 127.0.0.1:{port} after {} s", LONGEST.as_secs()));
                return ExitCode::System.code();
            }
            Err(error) => {
                say::line(&format!("cannot read /proc/net/tcp: {error}"));
                return ExitCode::System.code();
            }
        }
    }
}

/// Whether the kernel's table has a socket that listens on the port of 127.0.0.1.
fn listens(sockets: &str, port: u16) -> bool {
    sockets.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, state) = (fields.next(), fields.nth(1));
        let wanted = |address: &str| local == Some(format!("{address}:{port:04X}").as_str());
        state == Some(LISTEN) && LOCALHOST.into_iter().any(wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_counts_when_it_listens_on_localhost() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
            \x20  0: 0100007F:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000\n\
            \x20  1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000\n\
            \x20  2: 0100007F:18EC 0100007F:9999 01 00000000:00000000 00:00000000 00000000\n";
        assert!(listens(table, 6379));
        assert!(!listens(table, 80) && !listens(table, 6380) && !listens(table, 6381));
    }

    #[test]
    fn the_table_of_this_machine_reads_so() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(wait(listener.local_addr().unwrap().port()), 0);
    }
}
