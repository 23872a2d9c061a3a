//! One file per row. A row measures all its columns in turn, and gives the lines of its table.

mod kill;
mod logs;
mod memory;
mod overhead;
mod restart;
mod rotation;
mod start;
mod supervisor;

use anyhow::Result;
use clap::ValueEnum;

use super::rig::Rig;
use super::table::{Line, Topic};
use crate::sh::Step;

/// A thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// Requests lost while the only process is replaced under load
    Restart,
    /// The only process is killed
    Kill,
    /// From the memory limit crossed to the drain begun
    Memory,
    /// Lines lost over rotations of log files
    Rotation,
    /// Memory of the supervisor
    Supervisor,
    /// What the preload costs the app
    Overhead,
    /// CPU time of the supervisor for the app's output
    Logs,
    /// From the spawn to the first answer
    Start,
}

impl Row {
    pub(crate) const ALL: [Self; 8] = [
        Self::Restart,
        Self::Kill,
        Self::Memory,
        Self::Rotation,
        Self::Supervisor,
        Self::Overhead,
        Self::Logs,
        Self::Start,
    ];

    /// As on the command line.
    fn name(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Kill => "kill",
            Self::Memory => "memory",
            Self::Rotation => "rotation",
            Self::Supervisor => "supervisor",
            Self::Overhead => "overhead",
            Self::Logs => "logs",
            Self::Start => "start",
        }
    }

    pub(crate) fn topic(self) -> Topic {
        Topic { name: self.name(), title: self.title(), how: self.how() }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Restart => "Requests lost when the only process is replaced under load",
            Self::Kill => "The only process killed by SIGKILL under 500 new connections a second",
            Self::Memory => "From the memory limit crossed to the drain begun",
            Self::Rotation => "Lines lost over rotations of log files",
            Self::Supervisor => "Memory of the supervisor",
            Self::Overhead => "What supervision costs the app",
            Self::Logs => "CPU time of the supervisor for 500,000 lines, 103 MB",
            Self::Start => "From the spawn of a hello server to its first answer",
        }
    }

    /// What was done, for the page.
    fn how(self) -> &'static str {
        match self {
            Self::Restart => restart::HOW,
            Self::Kill => kill::HOW,
            Self::Memory => memory::HOW,
            Self::Rotation => rotation::HOW,
            Self::Supervisor => supervisor::HOW,
            Self::Overhead => overhead::HOW,
            Self::Logs => logs::HOW,
            Self::Start => start::HOW,
        }
    }

    pub(crate) fn run(self, rig: &Rig, step: &Step) -> Result<Vec<Line>> {
        match self {
            Self::Restart => restart::run(rig, step),
            Self::Kill => kill::run(rig, step),
            Self::Memory => memory::run(rig, step),
            Self::Rotation => rotation::run(rig, step),
            Self::Supervisor => supervisor::run(rig, step),
            Self::Overhead => overhead::run(rig, step),
            Self::Logs => logs::run(rig, step),
            Self::Start => start::run(rig, step),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_on_the_page_is_the_one_that_only_takes() {
        for row in Row::ALL {
            assert_eq!(Row::from_str(row.name(), false), Ok(row));
        }
        assert_eq!(Row::ALL.as_slice(), Row::value_variants());
    }
}
