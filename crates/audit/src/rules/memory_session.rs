//! Sessions that live in the process.

use oxc_ast::ast::Expression;
use oxc_span::{GetSpan, Span};

use super::{Collector, Rule, When};
use crate::finding::Severity;
use crate::model::parsed::{has_spread, property};

pub(crate) static RULE: Rule = Rule {
    id: "memory-session",
    severity: Severity::Error,
    title: "Sessions in memory",
    why: "the instance that a user logged in at knows the session, the others do not: the user is logged out at \
          random, and everybody is at each rollout",
    instead: "give `store`: connect-redis with express-session, @fastify/session with connect-redis; or sessions in \
              signed cookies (cookie-session)",
};

/// Packages whose sessions are in memory unless a store is given.
const PACKAGES: [&str; 5] =
    ["express-session", "@fastify/session", "fastify-session", "koa-generic-session", "next-session"];
const STORES: [&str; 4] = ["memorystore", "session-memory-store", "connect-memory", "express-session-memory"];

pub(crate) fn look(it: &mut Collector) {
    let parsed = it.parsed;
    for (node, callee, arguments) in parsed.makers() {
        let span = parsed.semantic.nodes().kind(node).span();
        let Some(origin) = parsed.origin(callee) else { continue };
        let is_new = matches!(parsed.semantic.nodes().kind(node), oxc_ast::AstKind::NewExpression(_));
        if origin.last() == "MemoryStore" && PACKAGES.contains(&origin.module.as_str())
            || is_memory_store(&origin.module) && is_new
        {
            it.add(&RULE, span, format!("a session store in memory of {}", origin.module), When::Always);
            continue;
        }
        let by_call = PACKAGES.contains(&origin.module.as_str()) && origin.path.is_empty();
        // fastify.register(session, { … })
        if by_call {
            check(it, span, &origin.module, arguments.first().and_then(|it| it.as_expression()));
        }
    }
    registered(it);
}

fn is_memory_store(module: &str) -> bool {
    STORES.contains(&module)
}

fn registered(it: &mut Collector) {
    let parsed = it.parsed;
    for (_, call) in parsed.calls() {
        let Expression::StaticMemberExpression(member) = call.callee.get_inner_expression() else { continue };
        if member.property.name != "register" {
            continue;
        }
        let mut arguments = call.arguments.iter().filter_map(|it| it.as_expression());
        let Some(origin) = arguments.next().and_then(|plugin| parsed.origin(plugin)) else { continue };
        if PACKAGES.contains(&origin.module.as_str()) {
            check(it, call.span, &origin.module, arguments.next());
        }
    }
}

fn check<'a>(it: &mut Collector<'_, 'a, '_>, span: Span, module: &str, options: Option<&'a Expression<'a>>) {
    let parsed = it.parsed;
    let missing = match options {
        None => true,
        Some(options) => match parsed.object(options) {
            Some(object) => {
                let given = property(object, "store");
                let set_later = parsed.is_set_later(options, "store");
                given.is_none_or(Expression::is_undefined) && !has_spread(object) && !set_later
            }
            None => false,
        },
    };
    if missing {
        it.add(&RULE, span, format!("{module} without a `store` keeps sessions in memory"), When::Always);
    }
}
