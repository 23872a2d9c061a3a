//! An app may send anything over its IPC channel.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use nodeapp_contract::status::ProcessState;
use serde_json::json;
use support::{Runner, Setup, has_node};

/// What the runner may ever have had in memory here, in KiB: the channel's bound
/// of 2 MiB on top of what a build for tests takes by itself.
const MOST_MEMORY: u64 = 16 * 1024;

fn peak_memory(runner: &Runner) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", runner.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Messages of the app, and those that were too long.
fn traffic(runner: &Runner) -> Option<(f64, f64)> {
    let page = runner.page("/metrics")?.1;
    let value =
        |name: &str| page.lines().find(|line| line.starts_with(name))?.rsplit(' ').next()?.parse().ok();
    Some((value("nodeapp_ipc_messages_total{")?, value("nodeapp_ipc_messages_dropped_total{")?))
}

/// An app that writes to the channel itself, as fast as that takes it.
fn flood(bytes: &str) -> Setup {
    let setup = Setup::command(&["sh", "-c", "CHANNEL=$NODE_CHANNEL_FD exec node flood.js"]).worker();
    let source = format!(
        "const bytes = {bytes};
         for (let at = 0;;) {{
           try {{
             at = (at + require('node:fs').writeSync(Number(process.env.CHANNEL), bytes, at)) % bytes.length;
           }} catch (error) {{
             if (error.code !== 'EAGAIN') throw error;
           }}
         }}"
    );
    std::fs::write(setup.dir.path().join("flood.js"), source).unwrap();
    let dir = setup.dir.path().to_str().unwrap().to_owned();
    setup.with("cwd", json!(dir))
}

#[test]
fn a_million_messages_leave_the_runner_small_and_at_work() {
    if !has_node() {
        return;
    }
    let bytes = r#"Buffer.from('"x"\n'.repeat(990) + '{"type":"axm:monitor","data":{"x":{"value":1}}}\n'.repeat(10))"#;
    let mut runner = flood(bytes).start().ready();
    // Asking for the count is itself a question that has to be answered meanwhile.
    runner.wait_for("a million messages", || traffic(&runner).filter(|(messages, _)| *messages > 1e6));
    assert_eq!(runner.page("/ready").unwrap().0, 200);
    assert!(runner.command("ctl status").output().unwrap().status.success());
    assert!(peak_memory(&runner) < MOST_MEMORY, "{} KiB", peak_memory(&runner));
    runner.stop();
}

#[test]
fn garbage_and_messages_without_end_leave_the_runner_small_and_at_work() {
    if !has_node() {
        return;
    }
    for bytes in [
        "require('node:crypto').randomBytes(1 << 20)",
        "Buffer.alloc(1 << 20, 'x')",
        // As long as a message may be, and made to need most memory when it is read.
        r#"Buffer.from('{"type":"axm:monitor","data":{"a":{"value":1}' + ',"b":1'.repeat(170e3) + '}}\n')"#,
        r#"Buffer.from('{"type":"axm:reply","data":{"return":' + '['.repeat(500e3) + ']'.repeat(500e3) + '}}\n')"#,
    ] {
        let mut runner = flood(bytes).start().ready();
        let pid = runner.app_pid();
        let written = || {
            let io = std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
            io.lines().find_map(|line| line.strip_prefix("wchar: "))?.parse::<u64>().ok()
        };
        runner.wait_for("10 MB of it", || written().filter(|bytes| *bytes > 10_000_000));
        assert_eq!(runner.page("/ready").unwrap().0, 200);
        assert!(peak_memory(&runner) < MOST_MEMORY, "{bytes}: {} KiB", peak_memory(&runner));
        assert_eq!(runner.status().unwrap().state, ProcessState::Online);
        runner.stop();
    }
}

#[test]
fn a_message_after_one_that_is_too_long_still_counts() {
    if !has_node() {
        return;
    }
    let source =
        "process.send('x'.repeat(5e6)); process.send(null); process.send(7); process.send({ cmd: 'NODE_X' });
                  process.send('ready'); setInterval(() => {}, 1e6);";
    let setup =
        Setup::script(source).worker().with("readiness", json!({"waitReady": true, "listenTimeout": 60_000}));
    let runner = setup.start().ready();
    assert_eq!(traffic(&runner).map(|(_, dropped)| dropped), Some(1.0));
    assert!(runner.output("stderr").contains("longer than 1 MiB and was dropped"));
}

#[test]
fn an_app_that_closes_its_channel_lives_on_and_stops_in_order() {
    if !has_node() {
        return;
    }
    let source = "process.disconnect(); console.log('closed');
                  process.on('SIGINT', () => process.exit(9)); setInterval(() => {}, 1e6);";
    let mut runner = Setup::script(source).worker().start().ready();
    runner.wait_for("the close", || runner.output("stdout").contains("closed").then_some(()));
    let refused = runner.command("ctl actions").output().unwrap();
    assert!(refused.status.success());
    assert_eq!(runner.status().unwrap().restarts, 0);
    assert_eq!(runner.stop().code(), Some(9));
}
