//! Which functions a server calls for each request, message or connection.

use oxc_ast::AstKind;
use oxc_ast::ast::{BindingPattern, CallExpression, Class, ClassElement, Expression, FormalParameters};
use oxc_semantic::NodeId;
use oxc_span::{GetSpan, Span};

use super::Target;
use super::functions::callee_name;
use super::parsed::{Constant, Parsed};
use super::targets::handed;

const VERBS: [&str; 12] =
    ["all", "any", "del", "delete", "get", "head", "options", "patch", "post", "put", "route", "ws"];
const EVENTS: [&str; 7] =
    ["checkContinue", "connection", "message", "request", "secureConnection", "stream", "upgrade"];
const SERVERS: [&str; 4] = ["createServer", "createSecureServer", "Server", "serve"];
/// Decorators of methods, those of `NestJS` and its kin.
const DECORATORS: [&str; 22] = [
    "All",
    "Delete",
    "Get",
    "Head",
    "Options",
    "Patch",
    "Post",
    "Put",
    "Sse",
    "MessagePattern",
    "EventPattern",
    "SubscribeMessage",
    "Query",
    "Mutation",
    "Subscription",
    "ResolveField",
    "GrpcMethod",
    "Process",
    "OnEvent",
    "UseBefore",
    "Authorized",
    "RabbitSubscribe",
];
/// Names of properties that hold a handler: fastify, hapi, restify, serverless.
const PROPERTIES: [&str; 9] = [
    "fetch",
    "handler",
    "onMessage",
    "onRequest",
    "preHandler",
    "preValidation",
    "onConnection",
    "resolve",
    "onSend",
];

/// All of a file.
pub(crate) fn roots(parsed: &Parsed) -> Vec<(Target, &'static str)> {
    let mut roots = vec![];
    for (node, kind) in parsed.nodes() {
        match kind {
            AstKind::CallExpression(call) => roots.extend(of_call(parsed, call)),
            AstKind::NewExpression(new) if callee_name(&new.callee).is_some_and(|it| it == "Server") => {
                let arguments = new.arguments.iter().filter_map(oxc_ast::ast::Argument::as_expression);
                roots.extend(
                    arguments.flat_map(|it| handed(parsed, it, 4)).map(|it| (it, "a server's listener")),
                );
            }
            AstKind::Function(function) => {
                roots.extend(by_shape(parsed, node, &function.params, function.span));
            }
            AstKind::ArrowFunctionExpression(arrow) => {
                roots.extend(by_shape(parsed, node, &arrow.params, arrow.span));
            }
            AstKind::Class(class) => roots.extend(decorated(parsed, class)),
            AstKind::ObjectProperty(property) => {
                let name = property.key.static_name();
                if name.is_some_and(|name| PROPERTIES.contains(&name.as_ref())) && in_routes(parsed, node) {
                    let all = handed(parsed, &property.value, 4).into_iter();
                    roots.extend(all.map(|it| (it, "the handler of a route")));
                }
            }
            _ => {}
        }
    }
    roots
}

/// `app.get('/', f)`, `app.use(f)`, `server.on('request', f)`, `createServer(f)`.
fn of_call<'a>(parsed: &Parsed<'a, '_>, call: &CallExpression<'a>) -> Vec<(Target, &'static str)> {
    let Some(name) = callee_name(&call.callee) else { return vec![] };
    let arguments: Vec<&Expression> = call.arguments.iter().filter_map(|it| it.as_expression()).collect();
    let Some(first) = arguments.first() else { return vec![] };
    let is_member = matches!(call.callee.get_inner_expression(), Expression::StaticMemberExpression(_));
    let (handlers, how) = if is_member && VERBS.contains(&name.as_str()) {
        // Map.get(key) has one argument, and `get('setting', value)` no function.
        if arguments.len() < 2 && !is_route_chain(call) {
            return vec![];
        }
        (arguments.as_slice(), "a route")
    } else if is_member && matches!(name.as_str(), "use" | "param" | "addHook" | "setErrorHandler") {
        (arguments.as_slice(), "middleware")
    } else if is_member && matches!(name.as_str(), "on" | "once" | "addListener" | "addEventListener") {
        let event = parsed.constant(first);
        let Some(Constant::Text(event)) = event else { return vec![] };
        let Expression::StaticMemberExpression(member) = call.callee.get_inner_expression() else {
            return vec![];
        };
        let own = parsed.is_global(&member.object, "process")
            || parsed.text(member.object.span()).ends_with("parentPort");
        if own || !EVENTS.contains(&event.as_str()) {
            return vec![];
        }
        (arguments.get(1..).unwrap_or_default(), "a listener of requests or messages")
    } else if SERVERS.contains(&name.as_str()) {
        (arguments.as_slice(), "a server's listener")
    } else {
        return vec![];
    };
    let targets = handlers.iter().flat_map(|it| handed(parsed, it, 4));
    targets.filter(|it| !matches!(it, Target::Method(_))).map(|it| (it, how)).collect()
}

/// `router.route('/x').get(handler)`.
fn is_route_chain(call: &CallExpression) -> bool {
    let Expression::StaticMemberExpression(member) = call.callee.get_inner_expression() else { return false };
    let mut object = member.object.get_inner_expression();
    for _ in 0..8 {
        let Expression::CallExpression(inner) = object else { return false };
        if callee_name(&inner.callee).is_some_and(|name| name == "route") {
            return true;
        }
        let Expression::StaticMemberExpression(member) = inner.callee.get_inner_expression() else {
            return false;
        };
        object = member.object.get_inner_expression();
    }
    false
}

/// A function whose parameters are those of a handler.
fn by_shape(
    parsed: &Parsed,
    node: NodeId,
    params: &FormalParameters,
    span: Span,
) -> Option<(Target, &'static str)> {
    let names: Vec<&str> = params.items.iter().map(|it| plain(&it.pattern)).collect();
    let is_request = |name: &str| matches!(name, "req" | "request" | "_req");
    let is_answer =
        |name: &str| matches!(name, "res" | "response" | "reply" | "resp" | "_res" | "_reply" | "h");
    let shaped = match names.as_slice() {
        [first, second, ..] if is_request(first) => is_answer(second),
        [error, first, second, _] if matches!(*error, "err" | "error") => {
            is_request(first) && is_answer(second)
        }
        ["req"] | ["ctx" | "context", "next"] => true,
        ["ctx" | "c"] => {
            let text = parsed.text(span);
            ["body", "request.", "req.", "query", "params", "json(", "throw("].iter().any(|member| {
                text.contains(&format!("{}.{member}", names.first().copied().unwrap_or_default()))
            })
        }
        _ => false,
    };
    let function = parsed.functions.at_node(node)?;
    shaped.then_some((Target::Local(function), "a function with the parameters of a handler"))
}

fn plain<'p>(pattern: &'p BindingPattern) -> &'p str {
    match pattern {
        BindingPattern::BindingIdentifier(identifier) => identifier.name.as_str(),
        BindingPattern::AssignmentPattern(with_default) => plain(&with_default.left),
        _ => "",
    }
}

/// Methods behind `@Get()` and the like.
fn decorated(parsed: &Parsed, class: &Class) -> Vec<(Target, &'static str)> {
    let methods = class.body.body.iter().filter_map(|element| match element {
        ClassElement::MethodDefinition(method) => Some(method),
        _ => None,
    });
    let handlers = methods.filter(|method| {
        let mut names = method.decorators.iter().filter_map(|it| callee_name(&it.expression));
        names.any(|name| DECORATORS.contains(&name.as_str()))
    });
    let functions = handlers.filter_map(|method| parsed.functions.at_node(method.value.node_id.get()));
    functions.map(|function| (Target::Local(function), "a method with the decorator of a route")).collect()
}

/// Whether an object literal is what a server is told about a route.
fn in_routes(parsed: &Parsed, property: NodeId) -> bool {
    let kinds = parsed.semantic.nodes().ancestor_kinds(property).take(8);
    let mut names = kinds.filter_map(|kind| match kind {
        AstKind::CallExpression(call) => callee_name(&call.callee),
        AstKind::VariableDeclarator(it) => it.id.get_identifier_name().map(|it| it.to_string()),
        _ => None,
    });
    let known = ["route", "routes", "get", "post", "put", "patch", "delete", "register", "serve", "addHook"];
    names.any(|name| known.contains(&name.to_lowercase().as_str()))
}
