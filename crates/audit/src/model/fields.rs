//! Fields of classes that live as long as the process.

use std::collections::HashMap;
use std::path::Path;

use oxc_ast::AstKind;
use oxc_ast::ast::{AssignmentTarget, Expression};
use oxc_span::{GetSpan, Span};

use super::functions::{ClassId, FnId};
use super::parsed::Parsed;
use super::place;
use super::state::{Found, Kind, State, Write, Written, field_name, keeps_connections, value_kind};
use super::writes::classify;

/// `field = new Map()` in the body of a class, or `this.field = new Map()` in its constructor, and what is written to them.
pub(crate) fn find(path: &Path, parsed: &Parsed, found: &mut Found) {
    if parsed.functions.classes.is_empty() {
        return;
    }
    let mut fields: HashMap<(ClassId, String), usize> = HashMap::new();
    for (node, kind) in parsed.nodes() {
        let declared = match kind {
            AstKind::PropertyDefinition(it) => {
                let value = it.value.as_ref().and_then(|value| value_kind(parsed, value));
                value.and_then(|value| Some((field_name(&it.key)?, it.span, value)))
            }
            AstKind::AssignmentExpression(it) => in_constructor(parsed, parsed.owner(node))
                .then(|| this_field(&it.left))
                .flatten()
                .and_then(|(name, span)| Some((name, span, value_kind(parsed, &it.right)?))),
            _ => None,
        };
        let Some((name, span, (kind, library))) = declared else { continue };
        // A single value is mostly a setting; collections and numbers grow.
        if kind == Kind::Single || keeps_connections(parsed, &name) {
            continue;
        }
        let Some(class) = parsed.functions.class_at(node) else { continue };
        if fields.contains_key(&(class, name.clone())) {
            continue;
        }
        fields.insert((class, name.clone()), found.states.len());
        found.states.push(State {
            name: format!("this.{name}"),
            kind,
            place: place(path, parsed, span.start),
            owner: parsed.functions.class(class).and_then(|it| it.owner),
            class: Some(class),
            library,
        });
        found.symbols.push(None);
    }
    writes(path, parsed, &fields, found);
}

fn writes(path: &Path, parsed: &Parsed, fields: &HashMap<(ClassId, String), usize>, found: &mut Found) {
    for (node, kind) in parsed.nodes() {
        let name = match kind {
            AstKind::StaticMemberExpression(it) if is_this(&it.object) => it.property.name.to_string(),
            AstKind::PrivateFieldExpression(it) if is_this(&it.object) => format!("#{}", it.field.name),
            _ => continue,
        };
        let function = parsed.owner(node);
        if in_constructor(parsed, function) {
            continue;
        }
        let Some(class) = parsed.functions.class_at(node) else { continue };
        let Some(state) = fields.get(&(class, name.clone())) else { continue };
        let to = Written::Local(*state);
        if let Some((how, to)) = classify(parsed, node, parsed.text(kind.span()), &to) {
            let place = place(path, parsed, kind.span().start);
            found.writes.push(Write { to, how, function, place });
        }
    }
}

fn is_this(expression: &Expression) -> bool {
    matches!(expression.get_inner_expression(), Expression::ThisExpression(_))
}

fn in_constructor(parsed: &Parsed, function: Option<FnId>) -> bool {
    function
        .is_some_and(|function| parsed.functions.classes.iter().any(|it| it.constructor == Some(function)))
}

fn this_field(target: &AssignmentTarget) -> Option<(String, Span)> {
    match target {
        AssignmentTarget::StaticMemberExpression(it) if is_this(&it.object) => {
            Some((it.property.name.to_string(), it.span))
        }
        AssignmentTarget::PrivateFieldExpression(it) if is_this(&it.object) => {
            Some((format!("#{}", it.field.name), it.span))
        }
        _ => None,
    }
}
