//! Limits of requests that are counted in the process.

use oxc_ast::AstKind;
use oxc_ast::ast::Expression;
use oxc_span::GetSpan;

use super::{Collector, Rule, When};
use crate::finding::Severity;
use crate::model::functions::callee_name;
use crate::model::parsed::{Constant, Parsed, has_spread, property};

pub(crate) static RULE: Rule = Rule {
    id: "memory-limiter",
    severity: Severity::Error,
    title: "Rate limit in memory",
    why: "each instance counts alone, so a client gets the limit once per instance, and a new one with each rollout",
    instead: "count in Redis: RateLimiterRedis of rate-limiter-flexible, rate-limit-redis as the store of \
              express-rate-limit, `redis` of @fastify/rate-limit",
};

/// Package, name in it (empty: the package itself), and the option that brings a shared store.
const BY_OPTION: [(&str, &str, &str); 8] = [
    ("express-rate-limit", "", "store"),
    ("express-rate-limit", "rateLimit", "store"),
    ("express-slow-down", "", "store"),
    ("express-slow-down", "slowDown", "store"),
    ("hono-rate-limiter", "rateLimiter", "store"),
    ("koa2-ratelimit", "RateLimit.middleware", "store"),
    ("express-brute", "MemoryStore", ""),
    ("@nestjs/throttler", "ThrottlerModule.forRoot", "storage"),
];

pub(crate) fn look(it: &mut Collector) {
    let parsed = it.parsed;
    for (node, callee, arguments) in parsed.makers() {
        let span = parsed.semantic.nodes().kind(node).span();
        let Some(origin) = parsed.origin(callee) else { continue };
        let first = arguments.first().and_then(|it| it.as_expression());
        if origin.module == "rate-limiter-flexible"
            && matches!(origin.last(), "RateLimiterMemory" | "RateLimiterCluster")
        {
            // The way out while Redis is away is none of the problem.
            if !is_insurance(parsed, node) {
                it.add(&RULE, span, format!("{} counts in this process", origin.last()), When::Always);
            }
            continue;
        }
        if origin.is("koa-ratelimit", "")
            && first.and_then(|it| option(parsed, it, "driver")).as_deref() == Some("memory")
        {
            it.add(&RULE, span, "koa-ratelimit with the driver `memory`", When::Always);
            continue;
        }
        let known = BY_OPTION.iter().find(|(module, path, _)| origin.is(module, path));
        if let Some((module, _, store)) = known
            && lacks(parsed, first, store)
        {
            let message = match *store {
                "" => format!("{} of {module} counts in memory", origin.last()),
                store => format!("{module} without a shared `{store}` counts in memory"),
            };
            it.add(&RULE, span, message, When::Always);
        }
    }
    registered(it);
}

/// fastify.register(rateLimit, { redis })
fn registered(it: &mut Collector) {
    let parsed = it.parsed;
    for (_, call) in parsed.calls() {
        let mut arguments = call.arguments.iter().filter_map(|it| it.as_expression());
        let Some(origin) = arguments.next().and_then(|plugin| parsed.origin(plugin)) else { continue };
        let is_plugin = matches!(origin.module.as_str(), "@fastify/rate-limit" | "fastify-rate-limit");
        if is_plugin && callee_name(&call.callee).as_deref() == Some("register") {
            let options = arguments.next();
            if lacks(parsed, options, "redis") && lacks(parsed, options, "store") {
                it.add(
                    &RULE,
                    call.span,
                    format!("{} without `redis` counts in memory", origin.module),
                    When::Always,
                );
            }
        }
    }
}

fn lacks<'a>(parsed: &Parsed<'a, '_>, options: Option<&'a Expression<'a>>, store: &str) -> bool {
    let Some(options) = options else { return true };
    match parsed.object(options) {
        Some(object) => {
            let given = property(object, store).is_some_and(|it| !it.is_undefined());
            !given && !has_spread(object) && !parsed.is_set_later(options, store)
        }
        None => false,
    }
}

fn option<'a>(parsed: &Parsed<'a, '_>, options: &'a Expression<'a>, name: &str) -> Option<String> {
    let object = parsed.object(options)?;
    match parsed.constant(property(object, name)?)? {
        Constant::Text(text) => Some(text),
        Constant::Number(_) => None,
    }
}

fn is_insurance(parsed: &Parsed, node: oxc_semantic::NodeId) -> bool {
    let nodes = parsed.semantic.nodes();
    let named = |name: &str| name.to_lowercase().contains("insurance");
    match nodes.parent_kind(node) {
        AstKind::ObjectProperty(property) => property.key.static_name().is_some_and(|name| named(&name)),
        AstKind::VariableDeclarator(declarator) => {
            let Some(symbol) = declarator.id.get_binding_identifier().and_then(|it| it.symbol_id.get())
            else {
                return false;
            };
            parsed.references(symbol).any(|reference| match nodes.parent_kind(reference.node_id()) {
                AstKind::ObjectProperty(property) => {
                    property.key.static_name().is_some_and(|name| named(&name))
                }
                _ => false,
            })
        }
        _ => false,
    }
}
