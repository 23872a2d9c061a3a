//! How the app's processes are asked to end, and what is done to those that do not.

use std::time::{Duration, Instant};

use nodeapp_contract::config::StopPolicy;

use crate::procfs::{self, Process};
use crate::say::say;
use crate::side::Order;
use crate::supervisor::Supervisor;

/// How long the rest of a killed tree may take to vanish.
const KILL_PATIENCE: Duration = Duration::from_secs(1);
/// PM2's word for "end now".
const SHUTDOWN: &str = "\"shutdown\"";
/// Node.js reads messages also where the app does not listen, so that nothing
/// would come of one. This one only inner listeners see; the preload says
/// whether anybody was there for the other.
const ANYBODY: &str = "{\"cmd\":\"NODE_NODEAPP_SHUTDOWN\"}";

/// The processes that get the stop signal.
fn signalled(tree: Vec<Process>, main: Option<i32>, policy: &StopPolicy) -> Vec<Process> {
    if policy.treekill {
        return tree;
    }
    tree.into_iter().filter(|process| Some(process.pid) == main).collect()
}

impl Supervisor {
    /// Asks the app to end.
    pub(crate) fn ask_to_end(&mut self) {
        let now = self.now();
        if let Some(left) = self.side.left() {
            say!("still open when the drain ended: {left}");
        }
        if self.ask_by_message() {
            say!("sending the message \"shutdown\" to the app");
        } else {
            self.signal();
        }
        // Not before: a process that runs dry ends without calling its handler.
        self.side.order(now, Order::Signal);
    }

    fn signal(&mut self) {
        if let Some(child) = &mut self.child {
            child.asked = false;
        }
        let whom = if self.config.stop.treekill { "the app" } else { "the app's main process" };
        say!("sending {} to {whom}", self.config.stop.kill_signal);
        let tree = signalled(self.tree(), self.main_pid(), &self.config.stop);
        procfs::signal_all(&tree, self.kill_signal);
    }

    /// False where nobody would hear it.
    fn ask_by_message(&mut self) -> bool {
        let Some(child) = self.child.as_mut().filter(|_| self.config.stop.shutdown_with_message) else {
            return false;
        };
        child.asked = child.hears && child.ipc.send(SHUTDOWN) && child.ipc.send(ANYBODY);
        if !child.asked {
            say!("the app has no IPC channel for the message \"shutdown\"");
        }
        child.asked
    }

    /// The app has no listener for messages.
    pub(crate) fn nobody_listens(&mut self) {
        if self.child.as_ref().is_some_and(|child| child.asked) {
            say!("the app does not listen for messages");
            self.signal();
        }
    }

    /// The main process has ended by the message, which its children did not get.
    pub(crate) fn ask_the_rest(&mut self) {
        let asked = self.child.as_mut().is_some_and(|child| std::mem::take(&mut child.asked));
        if asked && self.config.stop.treekill {
            procfs::signal_all(&self.tree(), self.kill_signal);
        }
    }

    fn main_pid(&self) -> Option<i32> {
        self.child.as_ref().map(|child| child.pid.as_raw_nonzero().get())
    }

    /// SIGKILL until nothing is left, or nothing more can be done. Short: what
    /// is killed ends at once unless the kernel holds it.
    pub(crate) fn kill_tree(&self) {
        let until = Instant::now() + KILL_PATIENCE;
        loop {
            let tree = self.tree();
            if tree.is_empty() || Instant::now() >= until {
                return;
            }
            procfs::kill_all(&tree);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_treekill_only_the_main_process_gets_the_signal() {
        let tree: Vec<Process> = [10, 11, 12].map(Process::of_pid).into();
        let pids = |treekill| {
            let policy = StopPolicy { treekill, ..StopPolicy::default() };
            let chosen = signalled(tree.clone(), Some(11), &policy);
            chosen.iter().map(|process| process.pid).collect::<Vec<_>>()
        };
        assert_eq!(pids(true), [10, 11, 12]);
        assert_eq!(pids(false), [11]);
    }
}
