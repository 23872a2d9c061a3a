//! What changes a variable, and how.

use std::path::Path;

use oxc_ast::AstKind;
use oxc_ast::ast::{Argument, Expression, UnaryOperator};
use oxc_semantic::{NodeId, SymbolId};
use oxc_span::{GetSpan, Span};

use super::parsed::Parsed;
use super::place;
use super::state::{How, Write, Written};

const MUTATORS: [&str; 22] = [
    "add",
    "append",
    "clear",
    "copyWithin",
    "del",
    "delete",
    "dispose",
    "enqueue",
    "fill",
    "flushAll",
    "mset",
    "pop",
    "prune",
    "push",
    "put",
    "reset",
    "reverse",
    "set",
    "shift",
    "sort",
    "splice",
    "unshift",
];

/// Every reference to a name that changes what stands behind it.
pub(crate) fn writes_of(path: &Path, parsed: &Parsed, symbol: SymbolId, to: &Written) -> Vec<Write> {
    let references = parsed.references(symbol).filter(|it| it.is_value());
    let found = references.filter_map(|reference| {
        let node = reference.node_id();
        let name = parsed.semantic.scoping().symbol_name(symbol);
        let (how, to) = classify(parsed, node, name, to)?;
        let span = parsed.semantic.nodes().kind(node).span();
        Some(Write { to, how, function: parsed.owner(node), place: place(path, parsed, span.start) })
    });
    found.collect()
}

/// What is done to the expression at a node; names taken from a module on the way are added to `to`.
pub(crate) fn classify(parsed: &Parsed, node: NodeId, name: &str, to: &Written) -> Option<(How, Written)> {
    let nodes = parsed.semantic.nodes();
    let mut to = to.clone();
    let mut inside = false;
    let mut current = node;
    // Names after the first are properties; calls end the walk.
    for _ in 0..16 {
        let span = nodes.kind(current).span();
        let parent = nodes.parent_id(current);
        match nodes.kind(parent) {
            AstKind::ParenthesizedExpression(_)
            | AstKind::TSNonNullExpression(_)
            | AstKind::TSAsExpression(_)
            | AstKind::TSTypeAssertion(_)
            | AstKind::TSSatisfiesExpression(_)
            | AstKind::ChainExpression(_) => {}
            AstKind::StaticMemberExpression(member) if member.object.span() == span => {
                if let Written::Import(_, names) = &mut to
                    && names.is_empty()
                    && !is_called(parsed, parent)
                    && member.property.name != "default"
                {
                    names.push(member.property.name.to_string());
                } else if is_called(parsed, parent) {
                    return mutated(parsed, parent, &member.property.name).map(|how| (how, to));
                } else {
                    inside = true;
                }
            }
            AstKind::ComputedMemberExpression(member) if member.object.span() == span => inside = true,
            AstKind::UpdateExpression(_) => return Some((if inside { How::Inside } else { How::Count }, to)),
            AstKind::UnaryExpression(unary) if unary.operator == UnaryOperator::Delete && inside => {
                return Some((How::Drop, to));
            }
            AstKind::AssignmentExpression(assignment) if assignment.left.span() == span => {
                let how = assigned(parsed, parent, inside, name);
                return Some((how, to));
            }
            AstKind::CallExpression(call) => {
                return object_assign(parsed, call, span).then_some((How::Inside, to));
            }
            AstKind::ForInStatement(_) | AstKind::ForOfStatement(_)
                if is_target(nodes.kind(parent), span) =>
            {
                return Some((How::Assign, to));
            }
            AstKind::ArrayAssignmentTarget(_)
            | AstKind::AssignmentTargetPropertyIdentifier(_)
            | AstKind::AssignmentTargetPropertyProperty(_) => return Some((How::Assign, to)),
            _ => return None,
        }
        current = parent;
    }
    None
}

fn is_target(kind: AstKind, span: Span) -> bool {
    match kind {
        AstKind::ForInStatement(it) => it.left.span() == span,
        AstKind::ForOfStatement(it) => it.left.span() == span,
        _ => false,
    }
}

fn is_called(parsed: &Parsed, member: NodeId) -> bool {
    let span = parsed.semantic.nodes().kind(member).span();
    match parsed.semantic.nodes().parent_kind(member) {
        AstKind::CallExpression(call) => call.callee.span() == span,
        _ => false,
    }
}

/// `name.set(key, value)`.
fn mutated(parsed: &Parsed, member: NodeId, method: &str) -> Option<How> {
    if !MUTATORS.contains(&method) {
        return None;
    }
    let AstKind::CallExpression(call) = parsed.semantic.nodes().parent_kind(member) else { return None };
    if matches!(method, "clear" | "del" | "delete" | "flushAll" | "pop" | "prune" | "reset" | "shift") {
        return Some(How::Drop);
    }
    let value = call.arguments.last().and_then(Argument::as_expression);
    Some(if value.is_some_and(|it| is_same(parsed, it)) { How::Same } else { How::Inside })
}

fn object_assign(parsed: &Parsed, call: &oxc_ast::ast::CallExpression, first: Span) -> bool {
    let Expression::StaticMemberExpression(member) = call.callee.get_inner_expression() else { return false };
    let known = matches!(member.property.name.as_str(), "assign" | "defineProperty" | "defineProperties");
    let is_first = call.arguments.first().is_some_and(|it| it.span() == first);
    known && is_first && parsed.is_global(&member.object, "Object")
}

fn assigned(parsed: &Parsed, assignment: NodeId, inside: bool, name: &str) -> How {
    let AstKind::AssignmentExpression(it) = parsed.semantic.nodes().kind(assignment) else {
        return How::Assign;
    };
    if inside {
        // holder.value is a variable as good as any; holder[key] is not.
        let target = parsed.text(it.left.span());
        let is_fixed = !target.contains('[');
        let once =
            is_fixed && (it.operator.is_logical() || is_first_value(parsed, assignment, &it.right, target));
        return match (once, is_same(parsed, &it.right)) {
            (true, _) => How::Lazy,
            (_, true) => How::Same,
            _ => How::Inside,
        };
    }
    if it.operator.is_logical() {
        return How::Lazy;
    }
    if !it.operator.is_assign() {
        return How::Count;
    }
    let value = it.right.get_inner_expression();
    match value {
        Expression::NullLiteral(_) => return How::Clear,
        Expression::Identifier(it) if it.name == "undefined" => return How::Clear,
        Expression::BooleanLiteral(it) => return How::Flag(it.value),
        _ => {}
    }
    if is_timer(value) {
        return How::Clear;
    }
    if is_first_value(parsed, assignment, value, name) { How::Lazy } else { How::Assign }
}

/// `name = name || …`, or an assignment that runs only while there is no value.
fn is_first_value(parsed: &Parsed, assignment: NodeId, value: &Expression, name: &str) -> bool {
    let keeps = match value.get_inner_expression() {
        Expression::LogicalExpression(it) => parsed.text(it.left.span()) == name,
        _ => false,
    };
    keeps || super::guard::is_first_time(parsed, assignment, name)
}

fn is_timer(value: &Expression) -> bool {
    let name = super::functions::callee_name(value);
    matches!(value, Expression::CallExpression(_))
        && name.is_some_and(|it| matches!(it.as_str(), "setTimeout" | "setInterval" | "setImmediate"))
}

/// Modules, regular expressions and compiled things are the same in every instance.
fn is_same(parsed: &Parsed, value: &Expression) -> bool {
    let Expression::Identifier(identifier) = value.get_inner_expression() else {
        return is_same_value(parsed, value);
    };
    let Some(symbol) = parsed.symbol(identifier) else { return false };
    let init = parsed.declarator(symbol).and_then(|it| it.init.as_ref());
    let later = parsed.references(symbol).filter(|it| it.is_write()).filter_map(|it| {
        match parsed.semantic.nodes().parent_kind(it.node_id()) {
            AstKind::AssignmentExpression(assignment) => Some(&assignment.right),
            _ => None,
        }
    });
    init.into_iter().chain(later).any(|it| is_same_value(parsed, it))
}

fn is_same_value(parsed: &Parsed, value: &Expression) -> bool {
    match value.get_inner_expression() {
        Expression::CallExpression(call) => {
            let name = super::functions::callee_name(&call.callee).unwrap_or_default();
            name == "require" || name.starts_with("compile") || name.to_lowercase().contains("regexp")
        }
        Expression::NewExpression(new) => match new.callee.get_inner_expression() {
            // new vm.Script(…), new Intl.DateTimeFormat(…)
            Expression::StaticMemberExpression(member) => {
                parsed.is_global(&member.object, "Intl") || member.property.name == "Script"
            }
            Expression::Identifier(it) => matches!(it.name.as_str(), "RegExp" | "Function"),
            _ => false,
        },
        Expression::RegExpLiteral(_) | Expression::ImportExpression(_) => true,
        Expression::AwaitExpression(it) => matches!(it.argument, Expression::ImportExpression(_)),
        // kept || compile(text), compile(text).match
        Expression::LogicalExpression(it) => is_same_value(parsed, &it.right),
        Expression::StaticMemberExpression(it) => match it.object.get_inner_expression() {
            Expression::CallExpression(_) => is_same_value(parsed, &it.object),
            _ => false,
        },
        _ => false,
    }
}
