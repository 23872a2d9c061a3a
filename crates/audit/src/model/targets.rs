//! Which functions a function calls, or hands on to somebody who may call them.

use oxc_ast::AstKind;
use oxc_ast::ast::{CallExpression, Expression, ObjectPropertyKind};
use oxc_semantic::{NodeId, SymbolId};

use super::functions::{ClassId, FnId, function_node, key_name};
use super::parsed::{Origin, Parsed};
use super::{ClassName, Target};

impl Origin {
    /// A function of another file of the project.
    pub(crate) fn target(self) -> Option<Target> {
        self.is_local().then_some(Target::Import(self.module, self.path))
    }
}

/// Every call and every mention of a function.
pub(crate) fn edges(parsed: &Parsed) -> Vec<(Option<FnId>, Target)> {
    let mut edges = vec![];
    for (node, kind) in parsed.nodes() {
        let owner = parsed.owner(node);
        match kind {
            AstKind::IdentifierReference(identifier) => {
                let Some(symbol) = parsed.symbol(identifier) else { continue };
                for target in mentioned(parsed, symbol, node) {
                    edges.push((owner, target));
                }
            }
            AstKind::StaticMemberExpression(member) => {
                if matches!(member.object.get_inner_expression(), Expression::ThisExpression(_)) {
                    let class = parsed.functions.class_at(node);
                    let method = class.and_then(|class| method_of(parsed, class, &member.property.name));
                    edges.extend(method.map(|function| (owner, Target::Local(function))));
                } else if is_exports(parsed, &member.object) {
                    edges.push((owner, Target::Own(member.property.name.to_string())));
                }
            }
            AstKind::PrivateFieldExpression(member) => {
                let class = parsed.functions.class_at(node);
                let name = format!("#{}", member.field.name);
                let method = class.and_then(|class| method_of(parsed, class, &name));
                edges.extend(method.map(|function| (owner, Target::Local(function))));
            }
            AstKind::CallExpression(call) => {
                edges.extend(unknown_method(parsed, call).map(|target| (owner, target)));
            }
            _ => {}
        }
    }
    edges
}

/// `exports` or `module.exports`.
fn is_exports(parsed: &Parsed, object: &Expression) -> bool {
    match object.get_inner_expression() {
        Expression::StaticMemberExpression(it) => {
            it.property.name == "exports" && parsed.is_global(&it.object, "module")
        }
        other => parsed.is_global(other, "exports"),
    }
}

/// Every file of the project that this one loads.
pub(crate) fn imports(parsed: &Parsed) -> Vec<String> {
    let mut all = vec![];
    for (_, kind) in parsed.nodes() {
        match kind {
            AstKind::ImportDeclaration(it) => all.push(it.source.value.to_string()),
            AstKind::ExportFromDeclaration(it) => all.push(it.source.value.to_string()),
            AstKind::ExportAllDeclaration(it) => all.push(it.source.value.to_string()),
            AstKind::CallExpression(call) => {
                all.extend(call.common_js_require().map(|it| it.value.to_string()));
            }
            AstKind::ImportExpression(it) => {
                if let Expression::StringLiteral(module) = &it.source {
                    all.push(module.value.to_string());
                }
            }
            _ => {}
        }
    }
    all.retain(|it| it.starts_with('.') || it.starts_with("@/") || it.starts_with("~/"));
    all
}

fn method_of(parsed: &Parsed, class: ClassId, name: &str) -> Option<FnId> {
    parsed.functions.class(class)?.methods.get(name).copied()
}

/// What a name leads to where it is mentioned.
fn mentioned(parsed: &Parsed, symbol: SymbolId, node: NodeId) -> Vec<Target> {
    if let Some(function) = parsed.symbol_function(symbol) {
        return vec![Target::Local(function)];
    }
    let parent = parsed.semantic.nodes().parent_kind(node);
    if let Some(class) = symbol_class(parsed, symbol) {
        let info = parsed.functions.class(class);
        let function = match parent {
            AstKind::StaticMemberExpression(member) => method_of(parsed, class, &member.property.name),
            _ => info.and_then(|it| it.constructor),
        };
        return function.map(Target::Local).into_iter().collect();
    }
    if let AstKind::StaticMemberExpression(member) = parent {
        let local = symbol_members(parsed, symbol, &member.property.name);
        if let Some(function) = local {
            return vec![Target::Local(function)];
        }
    }
    let Some(origin) = parsed.symbol_origin(symbol, 6) else { return vec![] };
    if !origin.is_local() {
        return vec![];
    }
    let Origin { module, mut path } = origin;
    // `x.default` is the default export, however it was imported.
    if let AstKind::StaticMemberExpression(member) = parent
        && member.property.name != "default"
    {
        path.push(member.property.name.to_string());
    }
    vec![Target::Import(module, path)]
}

/// The class that a name stands for.
pub(crate) fn symbol_class(parsed: &Parsed, symbol: SymbolId) -> Option<ClassId> {
    let declaration = parsed.declaration(symbol);
    if let Some(class) = parsed.functions.class_at_node(declaration) {
        return Some(class);
    }
    match parsed.single_value(symbol)?.get_inner_expression() {
        Expression::ClassExpression(class) => parsed.functions.class_at_node(class.node_id.get()),
        _ => None,
    }
}

/// `name.member` where `name` is an object literal or an instance of a class of this file.
fn symbol_members(parsed: &Parsed, symbol: SymbolId, member: &str) -> Option<FnId> {
    let value = parsed.single_value(symbol)?;
    members(parsed, value).into_iter().find(|(name, _)| name == member).map(|(_, function)| function)
}

/// The functions of an object literal, a class or an instance of one.
pub(crate) fn members<'a>(parsed: &Parsed<'a, '_>, value: &Expression<'a>) -> Vec<(String, FnId)> {
    match value.get_inner_expression() {
        Expression::ObjectExpression(object) => {
            let properties = object.properties.iter().filter_map(|it| match it {
                ObjectPropertyKind::ObjectProperty(property) => Some(property),
                ObjectPropertyKind::SpreadProperty(_) => None,
            });
            properties
                .filter_map(|it| Some((key_name(&it.key)?, parsed.local_function(&it.value)?)))
                .collect()
        }
        Expression::NewExpression(new) => match new.callee.get_inner_expression() {
            Expression::Identifier(identifier) => {
                let class = parsed.symbol(identifier).and_then(|symbol| symbol_class(parsed, symbol));
                class_members(parsed, class)
            }
            _ => vec![],
        },
        Expression::ClassExpression(class) => {
            class_members(parsed, parsed.functions.class_at_node(class.node_id.get()))
        }
        _ => vec![],
    }
}

pub(crate) fn class_members(parsed: &Parsed, class: Option<ClassId>) -> Vec<(String, FnId)> {
    let info = class.and_then(|class| parsed.functions.class(class));
    info.map(|it| it.methods.iter().map(|(name, id)| (name.clone(), *id)).collect()).unwrap_or_default()
}

/// `something.method(…)` where nothing is known of `something`.
fn unknown_method(parsed: &Parsed, call: &CallExpression) -> Option<Target> {
    let Expression::StaticMemberExpression(member) = call.callee.get_inner_expression() else { return None };
    let known = match member.object.get_inner_expression() {
        Expression::ThisExpression(_) => {
            let class = parsed.functions.class_at(member.node_id.get());
            class.is_some_and(|class| method_of(parsed, class, &member.property.name).is_some())
        }
        Expression::Identifier(identifier) => match parsed.symbol(identifier) {
            Some(symbol) => {
                parsed.symbol_origin(symbol, 6).is_some()
                    || symbol_class(parsed, symbol).is_some()
                    || symbol_members(parsed, symbol, &member.property.name).is_some()
            }
            // Math, JSON, console, process …
            None => true,
        },
        other => parsed.origin(other).is_some(),
    };
    (!known).then(|| Target::Method(member.property.name.to_string()))
}

/// Every `new Class(…)` of the project's own classes.
pub(crate) fn instances(parsed: &Parsed) -> Vec<(Option<FnId>, ClassName)> {
    let mut all = vec![];
    for (node, kind) in parsed.nodes() {
        let AstKind::NewExpression(new) = kind else { continue };
        let class = match new.callee.get_inner_expression() {
            Expression::Identifier(it) => parsed.symbol(it).and_then(|it| symbol_class(parsed, it)),
            _ => None,
        };
        let origin = || parsed.origin(&new.callee).filter(Origin::is_local);
        let name =
            class.map(ClassName::Local).or_else(|| origin().map(|it| ClassName::Import(it.module, it.path)));
        let owner = if is_kept_as_the_only_one(parsed, node) { None } else { parsed.owner(node) };
        all.extend(name.map(|name| (owner, name)));
    }
    all
}

/// `Class.instance = new Class()`: made once, whoever asks first.
fn is_kept_as_the_only_one(parsed: &Parsed, new: NodeId) -> bool {
    let AstKind::AssignmentExpression(it) = parsed.semantic.nodes().parent_kind(new) else { return false };
    let Some(target) = it.left.as_member_expression() else { return false };
    target.static_property_name().is_some_and(|name| name.to_lowercase().ends_with("instance"))
}

/// The function that an argument is: written there, by name, from another file, or wrapped in a call.
pub(crate) fn handed<'a>(parsed: &Parsed<'a, '_>, expression: &Expression<'a>, depth: usize) -> Vec<Target> {
    let Some(depth) = depth.checked_sub(1) else { return vec![] };
    if let Some(node) = function_node(expression) {
        return parsed.functions.at_node(node).map(Target::Local).into_iter().collect();
    }
    match expression.get_inner_expression() {
        Expression::Identifier(identifier) => {
            let Some(symbol) = parsed.symbol(identifier) else { return vec![] };
            if let Some(function) = parsed.symbol_function(symbol) {
                return vec![Target::Local(function)];
            }
            if let Some(target) = parsed.symbol_origin(symbol, 6).and_then(Origin::target) {
                return vec![target];
            }
            match parsed.single_value(symbol) {
                Some(value) => handed(parsed, value, depth),
                None => vec![],
            }
        }
        Expression::StaticMemberExpression(member) => {
            let name = member.property.name.as_str();
            match member.object.get_inner_expression() {
                Expression::ThisExpression(_) => {
                    let class = parsed.functions.class_at(member.node_id.get());
                    let method = class.and_then(|class| method_of(parsed, class, name));
                    return method.map(Target::Local).into_iter().collect();
                }
                Expression::Identifier(identifier) => {
                    let symbol = parsed.symbol(identifier);
                    if let Some(function) = symbol.and_then(|it| symbol_members(parsed, it, name)) {
                        return vec![Target::Local(function)];
                    }
                }
                _ => {}
            }
            match parsed.origin(expression) {
                Some(origin) => origin.target().into_iter().collect(),
                None => vec![Target::Method(name.to_owned())],
            }
        }
        // wrap(handler), handler.bind(this), [first, second]
        Expression::CallExpression(call) => {
            let mut all = vec![];
            if let Expression::StaticMemberExpression(member) = call.callee.get_inner_expression()
                && member.property.name == "bind"
            {
                all.extend(handed(parsed, &member.object, depth));
            }
            let arguments = call.arguments.iter().filter_map(oxc_ast::ast::Argument::as_expression);
            all.extend(arguments.flat_map(|argument| handed(parsed, argument, depth)));
            all
        }
        Expression::ArrayExpression(array) => {
            let elements = array.elements.iter().filter_map(|it| it.as_expression());
            elements.flat_map(|element| handed(parsed, element, depth)).collect()
        }
        _ => vec![],
    }
}
