//! What a file offers to others, as an ES module or by `module.exports`.

use oxc_ast::AstKind;
use oxc_ast::ast::{
    AssignmentTarget, Class, Declaration, ExportDefaultDeclarationKind, Expression, ModuleExportName,
    ObjectPropertyKind,
};
use oxc_semantic::SymbolId;

use super::functions::{function_node, key_name};
use super::parsed::{Origin, Parsed};
use super::state::Found;
use super::targets::{class_members, members, symbol_class};
use super::{Export, FileModel};

/// Fills in `exports` and `passes_on`.
pub(crate) fn read(parsed: &Parsed, found: &Found, model: &mut FileModel) {
    let reader = Reader { parsed, found };
    for (_, kind) in parsed.nodes() {
        match kind {
            AstKind::ExportDeclaration(it) => reader.declaration(&it.declaration, model),
            AstKind::ExportNamedDeclaration(it) => {
                for specifier in &it.specifiers {
                    if let ModuleExportName::IdentifierReference(local) = &specifier.local
                        && let Some(symbol) = parsed.symbol(local)
                    {
                        let export = reader.symbol(symbol);
                        model.exports.insert(specifier.exported.name().to_string(), export);
                    }
                }
            }
            AstKind::ExportFromDeclaration(it) => {
                for specifier in &it.specifiers {
                    let from = Some((it.source.value.to_string(), vec![specifier.local.name().to_string()]));
                    let export = Export { from, ..Export::default() };
                    model.exports.insert(specifier.exported.name().to_string(), export);
                }
            }
            AstKind::ExportAllDeclaration(it) if it.exported.is_none() => {
                model.passes_on.push(it.source.value.to_string());
            }
            AstKind::ExportDefaultDeclaration(it) => {
                let export = reader.default(&it.declaration);
                model.exports.insert("default".to_owned(), export);
            }
            AstKind::AssignmentExpression(it) => {
                if let Some(name) = exported_name(parsed, &it.left) {
                    reader.common_js(&name, &it.right, model);
                }
            }
            _ => {}
        }
    }
}

struct Reader<'p, 'a, 's> {
    parsed: &'p Parsed<'a, 's>,
    found: &'p Found,
}

impl<'a> Reader<'_, 'a, '_> {
    fn declaration(&self, declaration: &Declaration<'a>, model: &mut FileModel) {
        match declaration {
            Declaration::VariableDeclaration(variables) => {
                for declarator in &variables.declarations {
                    for identifier in declarator.id.get_binding_identifiers() {
                        if let Some(symbol) = identifier.symbol_id.get() {
                            model.exports.insert(identifier.name.to_string(), self.symbol(symbol));
                        }
                    }
                }
            }
            other => {
                if let Some(id) = other.id()
                    && let Some(symbol) = id.symbol_id.get()
                {
                    model.exports.insert(id.name.to_string(), self.symbol(symbol));
                }
            }
        }
    }

    fn default(&self, declaration: &ExportDefaultDeclarationKind<'a>) -> Export {
        match declaration {
            ExportDefaultDeclarationKind::FunctionDeclaration(it) => {
                let function = self.parsed.functions.at_node(it.node_id.get());
                Export { function, ..Export::default() }
            }
            ExportDefaultDeclarationKind::ClassDeclaration(it) => self.class(it),
            other => other.as_expression().map(|it| self.value(it)).unwrap_or_default(),
        }
    }

    fn class(&self, class: &Class) -> Export {
        let id = self.parsed.functions.class_at_node(class.node_id.get());
        let function = id.and_then(|id| self.parsed.functions.class(id)).and_then(|it| it.constructor);
        let members = class_members(self.parsed, id).into_iter().collect();
        Export { function, class: id, members, ..Export::default() }
    }

    fn symbol(&self, symbol: SymbolId) -> Export {
        let state = self.found.symbols.iter().position(|it| *it == Some(symbol));
        if let Some(function) = self.parsed.symbol_function(symbol) {
            return Export { function: Some(function), ..Export::default() };
        }
        if let Some(class) = symbol_class(self.parsed, symbol) {
            let function = self.parsed.functions.class(class).and_then(|it| it.constructor);
            let members = class_members(self.parsed, Some(class)).into_iter().collect();
            return Export { function, class: Some(class), members, ..Export::default() };
        }
        if let Some(Origin { module, path }) = self.parsed.symbol_origin(symbol, 6).filter(Origin::is_local) {
            return Export { from: Some((module, path)), ..Export::default() };
        }
        let value = self.parsed.single_value(symbol);
        let members = value.map(|it| members(self.parsed, it)).unwrap_or_default().into_iter().collect();
        Export { state, members, ..Export::default() }
    }

    fn value(&self, value: &Expression<'a>) -> Export {
        if let Some(node) = function_node(value) {
            return Export { function: self.parsed.functions.at_node(node), ..Export::default() };
        }
        match value.get_inner_expression() {
            Expression::Identifier(identifier) => {
                self.parsed.symbol(identifier).map(|it| self.symbol(it)).unwrap_or_default()
            }
            Expression::ClassExpression(class) => self.class(class),
            other => {
                let from = self.parsed.origin(other).filter(Origin::is_local).map(|it| (it.module, it.path));
                Export {
                    from,
                    members: members(self.parsed, other).into_iter().collect(),
                    ..Export::default()
                }
            }
        }
    }

    /// `module.exports = …` and `exports.name = …`.
    fn common_js(&self, name: &str, value: &Expression<'a>, model: &mut FileModel) {
        if name == "default"
            && let Expression::ObjectExpression(object) = value.get_inner_expression()
        {
            for property in &object.properties {
                if let ObjectPropertyKind::ObjectProperty(property) = property
                    && let Some(key) = key_name(&property.key)
                {
                    model.exports.insert(key, self.value(&property.value));
                }
            }
        }
        model.exports.insert(name.to_owned(), self.value(value));
    }
}

/// The name that an assignment exports under; `default` for `module.exports` itself.
fn exported_name(parsed: &Parsed, target: &AssignmentTarget) -> Option<String> {
    let AssignmentTarget::StaticMemberExpression(member) = target else { return None };
    let name = member.property.name.as_str();
    if parsed.is_global(&member.object, "module") && name == "exports" {
        return Some("default".to_owned());
    }
    let of_module = match member.object.get_inner_expression() {
        Expression::StaticMemberExpression(inner) => {
            parsed.is_global(&inner.object, "module") && inner.property.name == "exports"
        }
        _ => false,
    };
    (of_module || parsed.is_global(&member.object, "exports")).then(|| name.to_owned())
}
