//! Servers that end without closing anything.

use oxc_ast::AstKind;
use oxc_ast::ast::{Argument, Expression};

use super::{Collector, Rule};
use crate::finding::{Finding, Related, Severity};
use crate::link::Package;
use crate::model::functions::callee_name;
use crate::model::parsed::Constant;

pub(crate) static RULE: Rule = Rule {
    id: "shutdown-signal",
    severity: Severity::Note,
    title: "Server without a handler of SIGINT",
    why: "with several instances some are replaced all the time (rollouts, scaling, nodes that go): requests are \
          drained by the runner, but WebSockets, queues and buffers of the app end in the middle",
    instead: "on SIGINT (what PM2 and NodeApps send; `killSignal` changes it) close the server and what it holds, \
              then exit",
};

/// Packages that handle the signals themselves.
const HANDLERS: [&str; 13] = [
    "@godaddy/terminus",
    "close-with-grace",
    "death",
    "exit-hook",
    "fastify-graceful-shutdown",
    "http-graceful-shutdown",
    "lightship",
    "node-graceful",
    "node-graceful-shutdown",
    "shutdown-hook",
    "signal-exit",
    "stoppable",
    "@fastify/close",
];

pub(crate) fn look(it: &mut Collector) {
    let parsed = it.parsed;
    for (_, call) in parsed.calls() {
        if let Some(module) = call.common_js_require()
            && HANDLERS.contains(&module.value.as_str())
        {
            it.facts.signals.push("*".to_owned());
        }
        let Some(name) = callee_name(&call.callee) else { continue };
        if name == "enableShutdownHooks" {
            it.facts.signals.push("*".to_owned());
        }
        let Expression::StaticMemberExpression(member) = call.callee.get_inner_expression() else { continue };
        let is_on = matches!(name.as_str(), "on" | "once" | "addListener" | "prependListener");
        if !is_on || !is_process(it, &member.object) {
            continue;
        }
        match call.arguments.first().and_then(Argument::as_expression).map(|it| (it, parsed.constant(it))) {
            Some((_, Some(Constant::Text(signal)))) => it.facts.signals.push(signal),
            // for (const signal of signals) process.on(signal, …)
            Some((_, None)) => it.facts.signals.push("*".to_owned()),
            _ => {}
        }
    }
    for (_, kind) in parsed.nodes() {
        if let AstKind::ImportDeclaration(import) = kind
            && HANDLERS.contains(&import.source.value.as_str())
        {
            it.facts.signals.push("*".to_owned());
        }
    }
}

/// `process`, also as `import process from 'node:process'`.
pub(super) fn is_process(it: &Collector, expression: &Expression) -> bool {
    it.parsed.is_global(expression, "process")
        || it.parsed.origin(expression).is_some_and(|it| it.is("process", ""))
}

pub(crate) fn look_at_package(package: &Package, findings: &mut Vec<Finding>) {
    let models = || package.models().map(|(_, model)| model);
    let mut listens = models().flat_map(|it| it.facts.listens.iter());
    let Some(first) = listens.next() else { return };
    let handles = |name: &str| models().any(|it| it.facts.signals.iter().any(|it| it == name || it == "*"));
    if handles("SIGINT")
        || handles("message")
            && models().any(|it| it.facts.signals.iter().any(|it| it == "message"))
            && handles("SIGTERM")
    {
        return;
    }
    let Rule { id, severity, why, mut instead, .. } = RULE;
    let message = if handles("SIGTERM") {
        instead = "handle SIGINT in the same way, or set `killSignal: SIGTERM` in the NodeApp (PM2: PM2_KILL_SIGNAL)";
        "a server listens here; SIGTERM is handled, but a NodeApp and PM2 send SIGINT"
    } else {
        "a server listens here, and nothing handles SIGINT or SIGTERM"
    };
    let related =
        listens.take(2).map(|it| Related { place: it.clone(), message: "it also listens here".to_owned() });
    findings.push(Finding {
        rule: id,
        severity,
        place: first.clone(),
        message: message.to_owned(),
        why,
        instead,
        related: related.collect(),
    });
}
