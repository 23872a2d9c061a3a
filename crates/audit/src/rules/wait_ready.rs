//! Apps that are said to tell when they are ready, and do not.

use std::path::Path;

use oxc_ast::AstKind;
use oxc_ast::ast::{Argument, Expression};

use super::{Collector, Rule, shutdown_signal};
use crate::finding::{Finding, Severity};
use crate::link::Package;
use crate::model::functions::{callee_name, key_name};
use crate::model::parsed::Constant;

pub(crate) static RULE: Rule = Rule {
    id: "wait-ready",
    severity: Severity::Error,
    title: "waitReady without process.send('ready')",
    why: "PM2 takes the app for ready when the time is up; a NodeApp does not: no instance ever gets traffic, and the \
          rollout stops",
    instead: "call process.send('ready') once the server listens (`if (process.send)`, for runs by hand), or drop \
              waitReady: an app that listens is ready then",
};

pub(crate) fn look(it: &mut Collector) {
    let parsed = it.parsed;
    for (_, call) in parsed.calls() {
        let Expression::StaticMemberExpression(member) = call.callee.get_inner_expression() else { continue };
        let is_send = callee_name(&call.callee).is_some_and(|name| name == "send");
        let first = call.arguments.first().and_then(Argument::as_expression);
        let says = first.and_then(|it| parsed.constant(it)) == Some(Constant::Text("ready".to_owned()));
        if is_send && says && shutdown_signal::is_process(it, &member.object) {
            it.facts.sends_ready = true;
        }
    }
    // ecosystem.config.js
    for (_, kind) in parsed.nodes() {
        let AstKind::ObjectProperty(property) = kind else { continue };
        // PM2 takes either form; the second one is a name that others use, too.
        let named = key_name(&property.key)
            .is_some_and(|name| name == "wait_ready" || (name == "waitReady" && is_of_pm2(it.path)));
        if named && matches!(property.value, Expression::BooleanLiteral(ref it) if it.value) {
            let place = it.place(property.span);
            it.facts.wants_ready.push(place);
        }
    }
}

/// Whether PM2 would read a file, by its name.
pub(crate) fn is_of_pm2(path: &Path) -> bool {
    let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
    ["ecosystem", "pm2", "process"].iter().any(|it| name.starts_with(it))
}

pub(crate) fn look_at_package(package: &Package, findings: &mut Vec<Finding>) {
    let in_code = package.models().flat_map(|(_, model)| model.facts.wants_ready.iter());
    for place in in_code.chain(&package.wants_ready) {
        let below = place.file.parent().unwrap_or(Path::new(""));
        let mut files = package.project.files.iter().filter(|it| it.path.starts_with(below)).peekable();
        if files.peek().is_none() || files.any(|it| it.facts.sends_ready) {
            continue;
        }
        let Rule { id, severity, why, instead, .. } = RULE;
        findings.push(Finding {
            rule: id,
            severity,
            place: place.clone(),
            message: "the app is to tell when it is ready, but nothing calls process.send('ready')"
                .to_owned(),
            why,
            instead,
            related: vec![],
        });
    }
}
