//! Variables that live longer than a request, and every place that changes one.

use std::path::Path;

use oxc_ast::AstKind;
use oxc_ast::ast::{Argument, BindingPattern, Expression, UnaryOperator, VariableDeclarator};
use oxc_semantic::{NodeId, SymbolId};
use oxc_span::{GetSpan, Span};

use super::functions::{ClassId, FnId, key_name};
use super::parsed::Parsed;
use super::place;
use crate::finding::Place;

/// What a variable holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Map,
    Set,
    Object,
    Array,
    Number,
    /// Text, true, false, null, or nothing yet.
    Single,
    /// A cache of a library.
    Cache,
}

/// A variable, or a field of a class, that can be changed after the start.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    /// The function it is declared in; `None` for the file itself.
    pub(crate) owner: Option<FnId>,
    /// The class that has it as a field.
    pub(crate) class: Option<ClassId>,
    /// The library of a cache.
    pub(crate) library: Option<String>,
}

/// What a write writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Index into [`super::FileModel::states`].
    Local(usize),
    /// A name of another file.
    Import(String, Vec<String>),
    /// A property of `global` or `app.locals`.
    Global(String),
}

/// How it is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// The variable gets another value.
    Assign,
    /// Only if it has none yet.
    Lazy,
    /// It gets nothing, or a timer.
    Clear,
    /// True or false.
    Flag(bool),
    /// Counted up or down.
    Count,
    /// An element or a property of it is changed.
    Inside,
    /// Elements are taken out.
    Drop,
    /// The element is a module, a regular expression or the like, which is the same everywhere.
    Same,
}

/// A place that changes a variable.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) to: Written,
    pub(crate) how: How,
    pub(crate) function: Option<FnId>,
    pub(crate) place: Place,
}

/// What was found, with the names for exports.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) states: Vec<State>,
    pub(crate) writes: Vec<Write>,
    pub(crate) symbols: Vec<Option<SymbolId>>,
}

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
const CACHES: [&str; 10] = [
    "lru-cache",
    "node-cache",
    "memory-cache",
    "quick-lru",
    "tiny-lru",
    "lru_map",
    "lru",
    "ttlcache",
    "flru",
    "@isaacs/ttlcache",
];

/// Finds all of them.
pub(crate) fn find(path: &Path, parsed: &Parsed) -> Found {
    let mut found = Found::default();
    for symbol in parsed.semantic.scoping().symbol_ids() {
        let Some(declarator) = parsed.declarator(symbol) else {
            imported(path, parsed, symbol, &mut found);
            continue;
        };
        let Some((kind, library)) = kind_of(parsed, symbol, declarator) else {
            imported(path, parsed, symbol, &mut found);
            continue;
        };
        let writes = writes_of(path, parsed, symbol, &Written::Local(found.states.len()));
        let span = parsed.semantic.scoping().symbol_span(symbol);
        found.states.push(State {
            name: parsed.semantic.scoping().symbol_name(symbol).to_owned(),
            kind,
            place: place(path, parsed, span.start),
            owner: parsed.owner(parsed.declaration(symbol)),
            class: None,
            library,
        });
        found.symbols.push(Some(symbol));
        found.writes.extend(writes);
    }
    globals(path, parsed, &mut found);
    super::fields::find(path, parsed, &mut found);
    found
}

fn imported(path: &Path, parsed: &Parsed, symbol: SymbolId, found: &mut Found) {
    if let Some(origin) = parsed.symbol_origin(symbol, 6)
        && origin.is_local()
    {
        let to = Written::Import(origin.module, origin.path);
        let mut writes = writes_of(path, parsed, symbol, &to);
        // Another value for a variable that began with an imported one changes nothing over there.
        writes.retain(|it| it.to != to || matches!(it.how, How::Inside | How::Same));
        found.writes.extend(writes);
    }
}

fn kind_of(
    parsed: &Parsed,
    symbol: SymbolId,
    declarator: &VariableDeclarator,
) -> Option<(Kind, Option<String>)> {
    if !matches!(declarator.id, BindingPattern::BindingIdentifier(_)) {
        return None;
    }
    // Those of a server are closed by the instance that has them.
    if keeps_connections(parsed, parsed.semantic.scoping().symbol_name(symbol)) {
        return None;
    }
    let Some(init) = &declarator.init else {
        // The variable of a loop over things has no value of its own.
        let around = parsed.semantic.nodes().parent_id(parsed.declaration(symbol));
        let in_loop = matches!(
            parsed.semantic.nodes().parent_kind(around),
            AstKind::ForInStatement(_) | AstKind::ForOfStatement(_)
        );
        return (!in_loop && !declarator.kind_is_const(parsed)).then_some((Kind::Single, None));
    };
    value_kind(parsed, init)
}

/// A list of connections for the end of the process: a loop over it closes them, and none sends to them.
pub(crate) fn keeps_connections(parsed: &Parsed, name: &str) -> bool {
    let lower = name.to_lowercase();
    if !lower.ends_with("sockets") && !lower.ends_with("connections") {
        return false;
    }
    let text = parsed.semantic.source_text();
    let loops =
        [format!("of {name}"), format!("{name}.forEach"), format!("in {name}"), format!("of this.{name}")];
    let bodies: Vec<&str> = loops
        .iter()
        .flat_map(|it| text.match_indices(it.as_str()))
        .map(|(at, _)| text.get(at..).unwrap_or_default().split('}').next().unwrap_or_default())
        .collect();
    let calls = |names: [&str; 4]| bodies.iter().any(|body| names.iter().any(|it| body.contains(it)));
    calls([".destroy", ".end(", ".terminate(", ".close("])
        && !calls([".send(", ".emit(", ".write(", ".publish("])
}

/// Whether the declaration is one of constants.
trait IsConst {
    fn kind_is_const(&self, parsed: &Parsed) -> bool;
}

impl IsConst for VariableDeclarator<'_> {
    fn kind_is_const(&self, parsed: &Parsed) -> bool {
        match parsed.semantic.nodes().parent_kind(self.node_id.get()) {
            AstKind::VariableDeclaration(declaration) => declaration.kind.is_const(),
            _ => false,
        }
    }
}

/// What an initial value makes of its variable.
pub(crate) fn value_kind(parsed: &Parsed, value: &Expression) -> Option<(Kind, Option<String>)> {
    let plain = |kind| Some((kind, None));
    match value.get_inner_expression() {
        Expression::ObjectExpression(_) => plain(Kind::Object),
        Expression::ArrayExpression(_) => plain(Kind::Array),
        Expression::NumericLiteral(_) | Expression::BigIntLiteral(_) => plain(Kind::Number),
        Expression::StringLiteral(_) | Expression::BooleanLiteral(_) | Expression::NullLiteral(_) => {
            plain(Kind::Single)
        }
        Expression::Identifier(it) if it.name == "undefined" => plain(Kind::Single),
        Expression::NewExpression(new) => {
            if parsed.is_global(&new.callee, "Map") {
                return plain(Kind::Map);
            }
            if parsed.is_global(&new.callee, "Set") {
                return plain(Kind::Set);
            }
            if parsed.is_global(&new.callee, "Array") {
                return plain(Kind::Array);
            }
            cache(parsed, &new.callee)
        }
        Expression::CallExpression(call) => match call.callee.get_inner_expression() {
            Expression::StaticMemberExpression(member)
                if parsed.is_global(&member.object, "Object") && member.property.name == "create" =>
            {
                plain(Kind::Object)
            }
            _ => cache(parsed, &call.callee),
        },
        _ => None,
    }
}

fn cache(parsed: &Parsed, callee: &Expression) -> Option<(Kind, Option<String>)> {
    let origin = parsed.origin(callee)?;
    CACHES.contains(&origin.module.as_str()).then_some((Kind::Cache, Some(origin.module)))
}

/// Every reference to a name that changes what stands behind it.
fn writes_of(path: &Path, parsed: &Parsed, symbol: SymbolId, to: &Written) -> Vec<Write> {
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

/// `global.x = …`, `app.locals.x = …`.
fn globals(path: &Path, parsed: &Parsed, found: &mut Found) {
    for (node, kind) in parsed.nodes() {
        let AstKind::StaticMemberExpression(member) = kind else { continue };
        let name = member.property.name.as_str();
        let is_global = ["global", "globalThis"].iter().any(|it| parsed.is_global(&member.object, it));
        let is_locals = match member.object.get_inner_expression() {
            Expression::StaticMemberExpression(inner) => {
                let app = matches!(inner.object.get_inner_expression(), Expression::Identifier(it) if it.name == "app");
                app && inner.property.name == "locals"
            }
            _ => false,
        };
        if !is_global && !is_locals {
            continue;
        }
        let shown = parsed.text(member.span);
        let to = Written::Global(if is_global { format!("global.{name}") } else { shown.to_owned() });
        if let Some((how, to)) = classify(parsed, node, shown, &to) {
            let place = place(path, parsed, member.span.start);
            found.writes.push(Write { to, how, function: parsed.owner(node), place });
        }
    }
}

/// The name of a property, for fields.
pub(crate) fn field_name(key: &oxc_ast::ast::PropertyKey) -> Option<String> {
    key_name(key)
}
