//! Sockets whose clients have to meet the same instance again.

use oxc_ast::AstKind;
use oxc_ast::ast::{Argument, Expression};
use oxc_span::GetSpan;

use super::{Collector, Rule, When};
use crate::finding::Severity;
use crate::model::functions::callee_name;
use crate::model::parsed::{Parsed, property};

pub(crate) static RULE: Rule = Rule {
    id: "sticky-socket",
    severity: Severity::Error,
    title: "Sockets that know only their own instance",
    why: "rooms and broadcasts reach the clients of one instance alone, and a client that comes back (polling, \
          reconnect) meets another instance, which does not know it",
    instead: "give socket.io the @socket.io/redis-adapter and `transports: ['websocket']`; with ws, publish to Redis \
              and let each instance send to its own clients",
};

pub(crate) fn look(it: &mut Collector) {
    let parsed = it.parsed;
    for (node, callee, arguments) in parsed.makers() {
        let span = parsed.semantic.nodes().kind(node).span();
        if callee_name(callee).is_some_and(|name| name == "adapter") {
            it.facts.has_adapter = true;
        }
        if let Some(origin) = parsed.origin(callee) {
            let is_new = matches!(parsed.semantic.nodes().kind(node), AstKind::NewExpression(_));
            let socket_io = origin.is("socket.io", "")
                || origin.is("socket.io", "listen")
                || origin.is("socket.io", "Server") && is_new;
            if socket_io && !arguments.is_empty() | is_new {
                if has_adapter(parsed, arguments) {
                    it.facts.has_adapter = true;
                } else {
                    it.add(&RULE, span, "socket.io without an adapter", When::NoAdapter);
                }
            } else if origin.is("sockjs", "createServer") {
                it.add(&RULE, span, "sockjs keeps each session in one instance", When::Always);
            } else if origin.module.starts_with("@socket.io/") && origin.module.ends_with("-adapter")
                || matches!(origin.module.as_str(), "socket.io-redis" | "socket.io-redis-adapter")
            {
                it.facts.has_adapter = true;
            }
        }
    }
    broadcasts(it);
}

fn has_adapter<'a>(parsed: &Parsed<'a, '_>, arguments: &'a [Argument<'a>]) -> bool {
    let mut expressions = arguments.iter().filter_map(Argument::as_expression);
    expressions.any(|it| parsed.object(it).is_some_and(|it| property(it, "adapter").is_some()))
}

/// `wss.clients.forEach(client => client.send(…))` of ws.
fn broadcasts(it: &mut Collector) {
    let parsed = it.parsed;
    for (node, kind) in parsed.nodes() {
        let AstKind::StaticMemberExpression(member) = kind else { continue };
        if member.property.name != "clients" {
            continue;
        }
        let Expression::Identifier(_) = member.object.get_inner_expression() else { continue };
        let Some((origin, _)) = parsed.maker(&member.object) else { continue };
        let is_ws = origin.module == "ws" && matches!(origin.last(), "Server" | "WebSocketServer")
            || origin.module == "express-ws";
        if is_ws && is_looped_over(parsed, node) {
            it.add(
                &RULE,
                member.span,
                "a broadcast reaches the clients of this instance alone",
                When::Always,
            );
        }
    }
}

fn is_looped_over(parsed: &Parsed, node: oxc_semantic::NodeId) -> bool {
    let nodes = parsed.semantic.nodes();
    match nodes.parent_kind(node) {
        AstKind::ForOfStatement(it) => {
            // A loop that only pings finds dead connections, which are this instance's own.
            let body = parsed.text(it.body.span());
            body.contains(".send(")
        }
        AstKind::StaticMemberExpression(member) if member.property.name == "forEach" => {
            match nodes.parent_kind(member.node_id.get()) {
                AstKind::CallExpression(call) => parsed.text(call.span).contains(".send("),
                _ => false,
            }
        }
        _ => false,
    }
}
