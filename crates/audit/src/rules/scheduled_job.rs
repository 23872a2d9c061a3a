//! Work by the clock, which every instance would do.

use oxc_ast::AstKind;
use oxc_ast::ast::{ClassElement, Expression};
use oxc_span::GetSpan;

use super::{Collector, Rule, When, one_instance};
use crate::finding::Severity;
use crate::model::functions::callee_name;
use crate::model::parsed::{Origin, Parsed};
use crate::model::targets::handed;

pub(crate) static RULE: Rule = Rule {
    id: "scheduled-job",
    severity: Severity::Warning,
    title: "Job by the clock in every instance",
    why: "every instance has the timer, so the job runs once per instance: mails go out twice, and clean-ups race",
    instead: "make the job a NodeApp of its own (`autorestart: false` with `cronRestart`), or let one instance do it: \
              the one with NODE_APP_INSTANCE 0 (`instanceIndex: true`), repeatable jobs of BullMQ, or a lock in Redis (SET key NX PX)",
};

/// Package and name of what schedules; an empty name is the package itself.
const SCHEDULERS: [(&str, &str); 16] = [
    ("node-cron", "schedule"),
    ("node-cron", "createTask"),
    ("cron", "CronJob"),
    ("cron", "job"),
    ("cron", "CronJob.from"),
    ("node-schedule", "scheduleJob"),
    ("node-schedule", "Schedule"),
    ("croner", "Cron"),
    ("croner", ""),
    ("bree", ""),
    ("later", "setInterval"),
    ("toad-scheduler", "SimpleIntervalJob"),
    ("toad-scheduler", "CronJob"),
    ("cron-master", "startJobs"),
    ("simple-cron", ""),
    ("set-interval-async", "setIntervalAsync"),
];

pub(crate) fn look(it: &mut Collector) {
    let parsed = it.parsed;
    for (node, callee, arguments) in parsed.makers() {
        let span = parsed.semantic.nodes().kind(node).span();
        if one_instance::is_guarded(parsed, node) {
            continue;
        }
        let owner = parsed.owner(node);
        if is_interval(parsed, callee) {
            let Some(callback) = arguments.first().and_then(|it| it.as_expression()) else { continue };
            let targets = handed(parsed, callback, 4);
            it.add(
                &RULE,
                span,
                "setInterval runs work that others see in every instance",
                When::Job(owner, targets),
            );
            continue;
        }
        let Some(origin) = parsed.origin(callee) else { continue };
        if SCHEDULERS.iter().any(|(module, path)| origin.is(module, path)) {
            let Origin { module, .. } = &origin;
            it.add(&RULE, span, format!("a job of {module} runs in every instance"), When::AtStart(owner));
        }
    }
    decorators(it);
    effects(it);
}

fn is_interval(parsed: &Parsed, callee: &Expression) -> bool {
    match callee.get_inner_expression() {
        Expression::StaticMemberExpression(member) => {
            let global = ["global", "globalThis"].iter().any(|it| parsed.is_global(&member.object, it));
            member.property.name == "setInterval" && global
        }
        other => parsed.is_global(other, "setInterval"),
    }
}

/// `@Cron('…')`, `@Interval(…)` of `@nestjs/schedule`.
fn decorators(it: &mut Collector) {
    let parsed = it.parsed;
    for (_, kind) in parsed.nodes() {
        let AstKind::Class(class) = kind else { continue };
        for element in &class.body.body {
            let ClassElement::MethodDefinition(method) = element else { continue };
            for decorator in &method.decorators {
                let Some(origin) = super::decorator_origin(parsed, &decorator.expression) else { continue };
                if origin.module == "@nestjs/schedule" && matches!(origin.last(), "Cron" | "Interval") {
                    let message = format!("@{} of @nestjs/schedule runs in every instance", origin.last());
                    it.add(&RULE, decorator.span, message, When::Always);
                }
            }
        }
    }
}

/// Methods by which something outside of the process is read or changed.
const OUTSIDE: [&str; 38] = [
    "aggregate",
    "bulkWrite",
    "deleteMany",
    "deleteOne",
    "destroy",
    "exec",
    "execFile",
    "execute",
    "fetch",
    "findAll",
    "findMany",
    "findOne",
    "findOneAndUpdate",
    "insert",
    "insertMany",
    "insertOne",
    "mkdir",
    "publish",
    "query",
    "readFile",
    "rename",
    "request",
    "rm",
    "save",
    "sendMail",
    "sendMessage",
    "spawn",
    "transaction",
    "unlink",
    "unlinkSync",
    "update",
    "updateMany",
    "updateOne",
    "upsert",
    "writeFile",
    "writeFileSync",
    "findById",
    "axios",
];

/// Which functions of this file act on something outside.
fn effects(it: &mut Collector) {
    let parsed = it.parsed;
    for (node, call) in parsed.calls() {
        let outside = match call.callee.get_inner_expression() {
            Expression::Identifier(identifier) => {
                let name = identifier.name.as_str();
                let own = parsed.symbol(identifier).is_some_and(|it| parsed.symbol_function(it).is_some());
                !own && (matches!(name, "fetch" | "axios" | "got")
                    || OUTSIDE.contains(&name) && parsed.origin(&call.callee).is_some())
            }
            Expression::StaticMemberExpression(member) => {
                let name = member.property.name.as_str();
                let http = parsed.origin(&member.object).is_some_and(|it| {
                    matches!(it.module.as_str(), "axios" | "got" | "superagent" | "needle" | "http" | "https")
                });
                // /x/.exec(text)
                let regexp =
                    name == "exec" && call.arguments.len() == 1 && parsed.origin(&member.object).is_none();
                http || OUTSIDE.contains(&name) && !regexp && !hash_update(parsed, &member.object, name)
            }
            _ => false,
        };
        if outside {
            it.facts.effects.push(parsed.owner(node));
        }
    }
}

/// createHash('md5').update(text)
fn hash_update(parsed: &Parsed, object: &Expression, name: &str) -> bool {
    name == "update"
        && (callee_name(object).is_some_and(|it| it.contains("Hash") || it.contains("Hmac"))
            || parsed.text(object.span()).contains("hash"))
}
