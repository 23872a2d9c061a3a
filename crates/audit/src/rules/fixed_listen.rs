//! Servers at an address that a pod cannot use.

use oxc_ast::ast::{Argument, CallExpression, Expression};
use oxc_span::GetSpan;

use super::{Collector, Rule, When};
use crate::finding::Severity;
use crate::model::functions::callee_name;
use crate::model::parsed::{Constant, Parsed, has_spread, property};

pub(crate) static HOST: Rule = Rule {
    id: "loopback-host",
    severity: Severity::Error,
    title: "Server that listens on the loopback address",
    why: "only processes in the same pod reach it: no traffic comes, and the instance never gets ready",
    instead: "leave the host out, or take '0.0.0.0' (or '::'); read it from the environment if it must differ",
};

pub(crate) static PORT: Rule = Rule {
    id: "fixed-port",
    severity: Severity::Warning,
    title: "Server whose port ignores PORT",
    why: "the port of the NodeApp, which PORT tells, and the one in the code agree only by chance; if they do not, \
          no instance gets ready. Two instances on one machine (PM2's fork mode) collide",
    instead: "process.env.PORT || the number; or set `port` of the NodeApp to this number",
};

/// Modules whose `listen` is that of a server.
const NOT_SERVERS: [&str; 6] =
    ["vite", "webpack-dev-server", "browser-sync", "livereload", "tiny-lr", "history"];

pub(crate) fn look(it: &mut Collector) {
    let parsed = it.parsed;
    for (node, call) in parsed.calls() {
        let Expression::StaticMemberExpression(member) = call.callee.get_inner_expression() else { continue };
        if callee_name(&call.callee).as_deref() != Some("listen") {
            continue;
        }
        let maker = parsed.maker(&member.object).map(|(origin, _)| origin);
        if maker.as_ref().is_some_and(|it| NOT_SERVERS.contains(&it.module.as_str()))
            || !looks_like_server(parsed, call)
        {
            continue;
        }
        let place = it.place(call.span);
        it.facts.listens.push(place);
        let Listen { port, host, has_host } = read(parsed, call);
        let when = || When::AtStart(parsed.owner(node));
        match host {
            Some(Constant::Text(host)) if is_loopback(&host) => {
                it.add(&HOST, call.span, format!("the server listens on {host} alone"), when());
            }
            None if !has_host && maker.is_some_and(|it| it.module == "fastify") => {
                it.add(&HOST, call.span, "fastify listens on localhost alone unless `host` is given", when());
            }
            _ => {}
        }
        if let Some(Constant::Number(port)) = port
            && port > 0.0
        {
            it.add(
                &PORT,
                call.span,
                format!("the server listens on port {port}, whatever PORT says"),
                when(),
            );
        }
    }
}

fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "::1" | "[::1]") || host.starts_with("127.")
}

/// What a call of `listen` says.
#[derive(Default)]
struct Listen {
    port: Option<Constant>,
    host: Option<Constant>,
    has_host: bool,
}

fn read<'a>(parsed: &Parsed<'a, '_>, call: &'a CallExpression<'a>) -> Listen {
    let expressions: Vec<&Expression> = call.arguments.iter().filter_map(Argument::as_expression).collect();
    let Some(first) = expressions.first() else { return Listen::default() };
    if let Some(object) = parsed.object(first) {
        let value = |name: &str| property(object, name).and_then(|it| parsed.constant(it));
        let has_host =
            property(object, "host").is_some() || has_spread(object) || property(object, "path").is_some();
        return Listen { port: value("port"), host: value("host"), has_host };
    }
    let second = expressions.get(1);
    let host = second.and_then(|it| parsed.constant(it)).filter(|it| matches!(it, Constant::Text(_)));
    let is_host = |it: &&&Expression| it.get_inner_expression().get_identifier_reference().is_some();
    // listen(options) may say anything.
    let unknown = expressions.len() == 1 && second.is_none() && parsed.constant(first).is_none();
    let has_host = host.is_some() || second.as_ref().is_some_and(is_host) || unknown;
    Listen { port: parsed.constant(first).filter(|it| matches!(it, Constant::Number(_))), host, has_host }
}

/// `.listen(…)` with something that can be a port, an address, or options; not `store.listen(callback)`.
fn looks_like_server<'a>(parsed: &Parsed<'a, '_>, call: &'a CallExpression<'a>) -> bool {
    let Some(first) = call.arguments.first() else { return false };
    let Some(first) = first.as_expression() else { return true };
    match parsed.constant(first) {
        Some(Constant::Number(_)) => true,
        // A port as text; not the name of an event, and not a socket in the file system.
        Some(Constant::Text(text)) => !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit()),
        None => {
            // A socket in the file system is for the same pod.
            let name = parsed.text(first.span()).to_lowercase();
            !first.get_inner_expression().is_function()
                && !name.ends_with("path")
                && !name.ends_with("socket")
        }
    }
}
