//! The rules, one file each. Most look at one file and give candidates; what a candidate depends on (a handler
//! that reaches it, another file of the package) is decided when all files are known.

pub(crate) mod fixed_listen;
pub(crate) mod local_file;
pub(crate) mod memory_limiter;
pub(crate) mod memory_session;
pub(crate) mod module_state;
mod one_instance;
pub(crate) mod scheduled_job;
pub(crate) mod shutdown_signal;
pub(crate) mod sticky_socket;
pub(crate) mod wait_ready;

use std::path::Path;

use oxc_span::Span;

use crate::finding::{Place, Severity};
use crate::link::Package;
use crate::model::parsed::Parsed;
use crate::model::{FnId, place};

/// A rule, for the lists in the manual and in SARIF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name on the command line and in comments.
    pub id: &'static str,
    /// How bad its findings are.
    pub severity: Severity,
    /// What it finds, in a few words.
    pub title: &'static str,
    /// Why that breaks with several instances.
    pub why: &'static str,
    /// What to use instead.
    pub instead: &'static str,
}

/// Every rule.
pub const RULES: &[&Rule] = &[
    &module_state::STATE,
    &module_state::COUNTER,
    &module_state::CACHE,
    &memory_session::RULE,
    &memory_limiter::RULE,
    &scheduled_job::RULE,
    &local_file::RULE,
    &sticky_socket::RULE,
    &sticky_socket::POLLING,
    &shutdown_signal::RULE,
    &wait_ready::RULE,
    &fixed_listen::HOST,
    &fixed_listen::PORT,
];

/// What must hold for a candidate to become a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    /// A server loads the file: it is not that of a program that ends.
    InServer,
    /// A handler reaches the function.
    Reached(FnId),
    /// No handler reaches the function: it runs once, not for each request. `None` is the load of the file.
    AtStart(Option<FnId>),
    /// No file of the package gives an adapter to socket.io.
    NoAdapter,
    /// One does, so that the package is meant for several instances.
    Adapter,
    /// It runs at the start, and one of these functions (and what they call) does something outside of the process.
    Job(Option<FnId>, Vec<crate::model::Target>),
}

/// Something that one file alone does not prove.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) rule: &'static Rule,
    pub(crate) place: Place,
    pub(crate) message: String,
    pub(crate) when: When,
}

/// What a file adds to what is known of its package.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Where a server listens.
    pub(crate) listens: Vec<Place>,
    /// Signals that are handled; `*` where the names are not known.
    pub(crate) signals: Vec<String>,
    pub(crate) sends_ready: bool,
    /// Where a file of PM2 says `wait_ready`.
    pub(crate) wants_ready: Vec<Place>,
    /// A socket.io server gets an adapter.
    pub(crate) has_adapter: bool,
    /// Functions that do something outside of the process; `None` is the load of the file.
    pub(crate) effects: Vec<Option<FnId>>,
}

/// What the rules collect in.
pub(crate) struct Collector<'p, 'a, 's> {
    pub(crate) parsed: &'p Parsed<'a, 's>,
    pub(crate) path: &'p Path,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) facts: Facts,
}

impl Collector<'_, '_, '_> {
    pub(crate) fn add(&mut self, rule: &'static Rule, span: Span, message: impl Into<String>, when: When) {
        let place = self.place(span);
        self.candidates.push(Candidate { rule, place, message: message.into(), when });
    }

    pub(crate) fn place(&self, span: Span) -> Place {
        place(self.path, self.parsed, span.start)
    }
}

/// Every rule that looks at one file.
pub(crate) fn look(path: &Path, parsed: &Parsed) -> (Vec<Candidate>, Facts) {
    let mut it = Collector { parsed, path, candidates: vec![], facts: Facts::default() };
    memory_session::look(&mut it);
    memory_limiter::look(&mut it);
    scheduled_job::look(&mut it);
    local_file::look(&mut it);
    sticky_socket::look(&mut it);
    shutdown_signal::look(&mut it);
    wait_ready::look(&mut it);
    fixed_listen::look(&mut it);
    (it.candidates, it.facts)
}

/// Every rule that looks at a whole package.
pub(crate) fn look_at_package(package: &Package, findings: &mut Vec<crate::finding::Finding>) {
    module_state::look(package, findings);
    shutdown_signal::look_at_package(package, findings);
    wait_ready::look_at_package(package, findings);
}

/// Where a decorator comes from: `@Cron('…')` or `@Controller`.
pub(crate) fn decorator_origin(
    parsed: &Parsed,
    decorator: &oxc_ast::ast::Expression,
) -> Option<crate::model::parsed::Origin> {
    match decorator {
        oxc_ast::ast::Expression::CallExpression(call) => parsed.origin(&call.callee),
        other => parsed.origin(other),
    }
}
