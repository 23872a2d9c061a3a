//! Sockets whose clients have to meet the same instance again.

use oxc_ast::AstKind;
use oxc_ast::ast::{Argument, Expression};
use oxc_span::GetSpan;

use super::{Collector, Rule, When};
use crate::finding::Severity;
use crate::model::parsed::{Constant, Parsed, has_spread, property};

pub(crate) static RULE: Rule = Rule {
    id: "sticky-socket",
    severity: Severity::Error,
    title: "Sockets that know only their own instance",
    why: "rooms and broadcasts reach the clients of one instance alone, and a client that comes back (polling, \
          reconnect) meets another instance, which does not know it",
    instead: "give socket.io the @socket.io/redis-adapter and `transports: ['websocket']`; with ws, publish to Redis \
              and let each instance send to its own clients",
};

pub(crate) static POLLING: Rule = Rule {
    id: "sticky-polling",
    severity: Severity::Warning,
    title: "Long polling, whose requests meet any instance",
    why: "socket.io begins with several HTTP requests, each of which a Service may lead to another instance: those that \
          do not know the session answer 400, and clients try again and again",
    instead: "`transports: ['websocket']` at the server and at its clients; or sticky sessions, by the affinity of the \
              Service or a cookie of the ingress",
};

/// What makes the worker processes of one machine one server: it speaks over their IPC.
const ONE_MACHINE: [&str; 3] = ["@socket.io/cluster-adapter", "@socket.io/sticky", "@socket.io/pm2"];

pub(crate) fn look(it: &mut Collector) {
    let parsed = it.parsed;
    for (node, callee, arguments) in parsed.makers() {
        let span = parsed.semantic.nodes().kind(node).span();
        if gives_adapter(parsed, callee, arguments) {
            it.facts.has_adapter = true;
        }
        let Some(origin) = parsed.origin(callee) else { continue };
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
            if polls(parsed, arguments) {
                it.add(&POLLING, span, "socket.io with long polling, its default", When::Adapter);
            }
        } else if origin.is("sockjs", "createServer") {
            it.add(&RULE, span, "sockjs keeps each session in one instance", When::Always);
        } else if ONE_MACHINE.contains(&origin.module.as_str()) {
            // It is one, so that the server is not told as well.
            it.facts.has_adapter = true;
            let message = format!("{} joins the processes of one machine alone", origin.module);
            it.add(&RULE, span, message, When::Always);
        } else if origin.module.starts_with("@socket.io/") && origin.module.ends_with("-adapter")
            || matches!(origin.module.as_str(), "socket.io-redis" | "socket.io-redis-adapter")
        {
            it.facts.has_adapter = true;
        }
    }
    broadcasts(it);
}

/// `io.adapter(createAdapter(…))`; another library's method of this name has another
/// object, or another argument.
fn gives_adapter<'a>(
    parsed: &Parsed<'a, '_>,
    callee: &'a Expression<'a>,
    arguments: &'a [Argument<'a>],
) -> bool {
    let Expression::StaticMemberExpression(member) = callee.get_inner_expression() else { return false };
    let Some(given) = arguments.first().and_then(Argument::as_expression) else { return false };
    let is_value = matches!(
        given.get_inner_expression(),
        Expression::Identifier(_)
            | Expression::CallExpression(_)
            | Expression::NewExpression(_)
            | Expression::AwaitExpression(_)
            | Expression::StaticMemberExpression(_)
    );
    let of_another = parsed
        .maker(&member.object)
        .is_some_and(|(origin, _)| origin.module != "socket.io" && !origin.is_local());
    member.property.name == "adapter" && is_value && !of_another
}

fn has_adapter<'a>(parsed: &Parsed<'a, '_>, arguments: &'a [Argument<'a>]) -> bool {
    let mut expressions = arguments.iter().filter_map(Argument::as_expression);
    expressions.any(|it| parsed.object(it).is_some_and(|it| property(it, "adapter").is_some()))
}

/// Whether a server of socket.io takes clients that poll. What a spread or another file
/// brings is not known.
fn polls<'a>(parsed: &Parsed<'a, '_>, arguments: &'a [Argument<'a>]) -> bool {
    let Some(options) = arguments.last().and_then(Argument::as_expression) else { return true };
    let Some(object) = parsed.object(options) else {
        // A server, or options from elsewhere as the second argument.
        return arguments.len() < 2;
    };
    match property(object, "transports") {
        None => !has_spread(object) && !parsed.is_set_later(options, "transports"),
        Some(transports) => match parsed.value(transports, 4) {
            Some(Expression::ArrayExpression(list)) => list.elements.iter().any(|it| {
                let text = it.as_expression().and_then(|it| parsed.constant(it));
                text == Some(Constant::Text("polling".to_owned()))
            }),
            _ => false,
        },
    }
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
