//! Variables that live longer than a request, and every place that changes one.

use std::path::Path;

use oxc_ast::AstKind;
use oxc_ast::ast::{BindingPattern, Expression, VariableDeclarator};
use oxc_semantic::SymbolId;

use super::functions::{ClassId, FnId, key_name};
use super::parsed::Parsed;
use super::place;
use super::writes::{classify, writes_of};
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
