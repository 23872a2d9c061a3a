//! The production checklist, as plain functions of what is known.

mod around;
mod installation;
mod load;
mod logs;
mod memory;
mod process;

#[cfg(test)]
mod tests;

use super::facts::Facts;
use super::line::Line;

/// A check.
#[derive(Clone, Copy)]
enum Check {
    /// Every app has it.
    Every(fn(&Facts) -> Line),
    /// It does not concern each app.
    Some(fn(&Facts) -> Option<Line>),
}

/// All of them, in the order in which they are told.
const CHECKS: &[Check] = &[
    Check::Every(process::state),
    Check::Some(process::wait_ready),
    Check::Some(process::shutdown),
    Check::Some(load::kill_timeout),
    Check::Some(process::grace_period),
    Check::Every(load::shared_state),
    Check::Every(logs::rotation),
    Check::Some(logs::merged),
    Check::Some(memory::max_memory_restart),
    Check::Some(memory::heap),
    Check::Every(memory::requests),
    Check::Some(process::restart_limits),
    Check::Some(around::monitoring),
    Check::Some(load::load_tested),
    Check::Some(around::instances),
    Check::Some(around::disruption_budget),
    Check::Some(around::spread),
    Check::Some(installation::rights),
    Check::Every(installation::operator),
    Check::Some(installation::definition),
];

/// What the checks say.
pub(crate) fn findings(facts: &Facts) -> Vec<Line> {
    let say = |check: &Check| match check {
        Check::Every(check) => Some(check(facts)),
        Check::Some(check) => check(facts),
    };
    CHECKS.iter().filter_map(say).collect()
}
