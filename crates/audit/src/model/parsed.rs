//! A parsed file, and what can be asked about its expressions.

use oxc_ast::AstKind;
use oxc_ast::ast::{
    Argument, BindingPattern, CallExpression, Expression, IdentifierReference, ImportDeclarationSpecifier,
    ObjectExpression, ObjectPattern, ObjectPropertyKind, TSModuleReference, VariableDeclarator,
};
use oxc_semantic::{NodeId, Reference, Semantic, SymbolId};

use super::functions::{FnId, Functions, function_node, key_name};
use crate::lines::Lines;

/// Aliases are followed so far.
const ALIASES: usize = 6;

/// A file as the rules see it.
pub(crate) struct Parsed<'a, 's> {
    pub(crate) semantic: &'s Semantic<'a>,
    pub(crate) lines: &'s Lines<'a>,
    pub(crate) functions: Functions,
}

/// Where a value comes from: a module, and the names taken from it. A default export has no name here, since
/// `require` and `import` see it in different ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// As written, without `node:`.
    pub(crate) module: String,
    pub(crate) path: Vec<String>,
}

impl Origin {
    fn module(name: &str) -> Self {
        Self { module: name.strip_prefix("node:").unwrap_or(name).to_owned(), path: vec![] }
    }

    fn member(mut self, name: &str) -> Self {
        if name != "default" {
            self.path.push(name.to_owned());
        }
        self
    }

    /// Whether this is `path` of `module`; a path is written with dots.
    pub(crate) fn is(&self, module: &str, path: &str) -> bool {
        self.module == module
            && self.path.iter().map(String::as_str).eq(path.split('.').filter(|it| !it.is_empty()))
    }

    pub(crate) fn last(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    /// Whether the module is a file of the same project.
    pub(crate) fn is_local(&self) -> bool {
        self.module.starts_with('.') || self.module.starts_with("@/") || self.module.starts_with("~/")
    }
}

/// A literal, or a constant that holds one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Constant {
    Text(String),
    Number(f64),
}

impl<'a, 's> Parsed<'a, 's> {
    pub(crate) fn new(semantic: &'s Semantic<'a>, lines: &'s Lines<'a>) -> Self {
        Self { semantic, lines, functions: Functions::of(semantic) }
    }

    pub(crate) fn symbol(&self, identifier: &IdentifierReference) -> Option<SymbolId> {
        let reference = identifier.reference_id.get()?;
        self.semantic.scoping().get_reference(reference).symbol_id()
    }

    pub(crate) fn declaration(&self, symbol: SymbolId) -> NodeId {
        self.semantic.scoping().symbol_declaration(symbol)
    }

    pub(crate) fn references(&self, symbol: SymbolId) -> impl Iterator<Item = &Reference> + use<'_> {
        self.semantic.scoping().get_resolved_references(symbol)
    }

    /// Every node with its id, parents first.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (NodeId, AstKind<'a>)> + '_ {
        self.semantic.nodes().iter_enumerated().map(|(id, node)| (id, node.kind()))
    }

    pub(crate) fn calls(&self) -> impl Iterator<Item = (NodeId, &'a CallExpression<'a>)> + '_ {
        self.nodes().filter_map(|(id, kind)| match kind {
            AstKind::CallExpression(call) => Some((id, call)),
            _ => None,
        })
    }

    /// Each `f(…)` and `new F(…)`: its node, what is called, and the arguments.
    pub(crate) fn makers(
        &self,
    ) -> impl Iterator<Item = (NodeId, &'a Expression<'a>, &'a [Argument<'a>])> + '_ {
        self.nodes().filter_map(|(id, kind)| match kind {
            AstKind::CallExpression(call) => Some((id, &call.callee, call.arguments.as_slice())),
            AstKind::NewExpression(new) => Some((id, &new.callee, new.arguments.as_slice())),
            _ => None,
        })
    }

    pub(crate) fn owner(&self, node: NodeId) -> Option<FnId> {
        self.functions.owner(node)
    }

    /// The name is not declared in this file.
    pub(crate) fn is_global(&self, expression: &Expression, name: &str) -> bool {
        match expression.get_inner_expression() {
            Expression::Identifier(identifier) => {
                identifier.name == name && self.symbol(identifier).is_none()
            }
            _ => false,
        }
    }

    /// Where the value of an expression comes from, if from a module.
    pub(crate) fn origin(&self, expression: &Expression) -> Option<Origin> {
        self.origin_within(expression, ALIASES)
    }

    fn origin_within(&self, expression: &Expression, depth: usize) -> Option<Origin> {
        let depth = depth.checked_sub(1)?;
        match expression.get_inner_expression() {
            Expression::Identifier(identifier) => self.symbol_origin(self.symbol(identifier)?, depth),
            Expression::StaticMemberExpression(member) => {
                Some(self.origin_within(&member.object, depth)?.member(&member.property.name))
            }
            Expression::CallExpression(call) => match call.common_js_require() {
                Some(module) => Some(Origin::module(&module.value)),
                None => self.interop(call, depth),
            },
            Expression::AwaitExpression(wait) => match &wait.argument {
                Expression::ImportExpression(import) => match &import.source {
                    Expression::StringLiteral(module) => Some(Origin::module(&module.value)),
                    _ => None,
                },
                _ => None,
            },
            // (0, a.b)(…), as compilers write it.
            Expression::SequenceExpression(sequence) => {
                self.origin_within(sequence.expressions.last()?, depth)
            }
            _ => None,
        }
    }

    /// `__importDefault(require('x'))` and Babel's kin.
    fn interop(&self, call: &CallExpression, depth: usize) -> Option<Origin> {
        let name = match call.callee.get_inner_expression() {
            Expression::Identifier(identifier) => identifier.name.as_str(),
            Expression::StaticMemberExpression(member) => member.property.name.as_str(),
            _ => return None,
        };
        let known = name.starts_with("__import") || name.contains("nteropRequire") || name == "__toESM";
        if !known {
            return None;
        }
        self.origin_within(call.arguments.first()?.as_expression()?, depth)
    }

    pub(crate) fn symbol_origin(&self, symbol: SymbolId, depth: usize) -> Option<Origin> {
        let nodes = self.semantic.nodes();
        let declaration = self.declaration(symbol);
        match nodes.kind(declaration) {
            AstKind::ImportSpecifier(_)
            | AstKind::ImportDefaultSpecifier(_)
            | AstKind::ImportNamespaceSpecifier(_) => self.import_origin(symbol, declaration),
            AstKind::VariableDeclarator(declarator) => {
                let origin = self.origin_within(declarator.init.as_ref()?, depth)?;
                match &declarator.id {
                    BindingPattern::BindingIdentifier(_) => Some(origin),
                    BindingPattern::ObjectPattern(pattern) => Some(origin.member(&key_of(pattern, symbol)?)),
                    _ => None,
                }
            }
            AstKind::TSImportEqualsDeclaration(import) => match &import.module_reference {
                TSModuleReference::ExternalModuleReference(module) => {
                    Some(Origin::module(&module.expression.value))
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn import_origin(&self, symbol: SymbolId, declaration: NodeId) -> Option<Origin> {
        let AstKind::ImportDeclaration(import) = self.semantic.nodes().parent_kind(declaration) else {
            return None;
        };
        let origin = Origin::module(&import.source.value);
        let specifiers = import.specifiers.as_ref()?;
        let own = specifiers.iter().find(|it| it.local().symbol_id.get() == Some(symbol))?;
        match own {
            ImportDeclarationSpecifier::ImportSpecifier(it) => Some(origin.member(&it.imported.name())),
            _ => Some(origin),
        }
    }

    /// The call that made a value: `new Pool()` for `pool`, of `pg`.
    pub(crate) fn maker(&self, expression: &'a Expression<'a>) -> Option<(Origin, &'a [Argument<'a>])> {
        let made = self.value(expression, ALIASES)?;
        let (callee, arguments) = match made {
            Expression::CallExpression(call) => (&call.callee, &call.arguments),
            Expression::NewExpression(new) => (&new.callee, &new.arguments),
            _ => return None,
        };
        Some((self.origin(callee)?, arguments.as_slice()))
    }

    /// The expression behind a name, if the name has one value; `await` is looked through.
    pub(crate) fn value(&self, expression: &'a Expression<'a>, depth: usize) -> Option<&'a Expression<'a>> {
        let depth = depth.checked_sub(1)?;
        match expression.get_inner_expression() {
            Expression::AwaitExpression(wait) => self.value(&wait.argument, depth),
            Expression::Identifier(identifier) => {
                let init = self.single_value(self.symbol(identifier)?)?;
                self.value(init, depth)
            }
            // app = module.exports = express()
            Expression::AssignmentExpression(assignment) => self.value(&assignment.right, depth),
            Expression::SequenceExpression(sequence) => self.value(sequence.expressions.last()?, depth),
            other => Some(other),
        }
    }

    /// The initial value of a variable, or what is assigned to it in the only place.
    pub(crate) fn single_value(&self, symbol: SymbolId) -> Option<&'a Expression<'a>> {
        let declarator = self.declarator(symbol)?;
        if !matches!(declarator.id, BindingPattern::BindingIdentifier(_)) {
            return None;
        }
        let mut writes = self.references(symbol).filter(|it| it.is_write());
        let first = writes.next();
        match (&declarator.init, first) {
            (Some(init), None) => Some(init),
            (None, Some(write)) if writes.next().is_none() => {
                match self.semantic.nodes().parent_kind(write.node_id()) {
                    AstKind::AssignmentExpression(assignment) => Some(&assignment.right),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    pub(crate) fn declarator(&self, symbol: SymbolId) -> Option<&'a VariableDeclarator<'a>> {
        match self.semantic.nodes().kind(self.declaration(symbol)) {
            AstKind::VariableDeclarator(declarator) => Some(declarator),
            _ => None,
        }
    }

    /// A literal, or a variable that only ever holds one.
    pub(crate) fn constant(&self, expression: &'a Expression<'a>) -> Option<Constant> {
        match self.value(expression, ALIASES)? {
            Expression::StringLiteral(text) => Some(Constant::Text(text.value.to_string())),
            Expression::NumericLiteral(number) => Some(Constant::Number(number.value)),
            Expression::TemplateLiteral(template) => {
                Some(Constant::Text(template.single_quasi()?.to_string()))
            }
            _ => None,
        }
    }

    /// An object literal, or the one that a name stands for.
    pub(crate) fn object(&self, expression: &'a Expression<'a>) -> Option<&'a ObjectExpression<'a>> {
        match self.value(expression, ALIASES)? {
            Expression::ObjectExpression(object) => Some(object),
            _ => None,
        }
    }

    /// `options.name = …` somewhere after `options` was made.
    pub(crate) fn is_set_later(&self, expression: &Expression, name: &str) -> bool {
        let Expression::Identifier(identifier) = expression.get_inner_expression() else { return false };
        let Some(symbol) = self.symbol(identifier) else { return false };
        let nodes = self.semantic.nodes();
        self.references(symbol).any(|reference| match nodes.parent_kind(reference.node_id()) {
            AstKind::StaticMemberExpression(member) if member.property.name == name => {
                matches!(nodes.parent_kind(member.node_id.get()), AstKind::AssignmentExpression(_))
            }
            _ => false,
        })
    }

    /// The function that an expression is, by itself or by a name in this file.
    pub(crate) fn local_function(&self, expression: &Expression<'a>) -> Option<FnId> {
        if let Some(node) = function_node(expression) {
            return self.functions.at_node(node);
        }
        let Expression::Identifier(identifier) = expression.get_inner_expression() else { return None };
        self.symbol_function(self.symbol(identifier)?)
    }

    /// The function that a name stands for.
    pub(crate) fn symbol_function(&self, symbol: SymbolId) -> Option<FnId> {
        let declaration = self.declaration(symbol);
        if matches!(self.semantic.nodes().kind(declaration), AstKind::Function(_)) {
            return self.functions.at_node(declaration);
        }
        let value = self.single_value(symbol)?;
        self.functions.at_node(function_node(value)?)
    }

    /// The text of a node.
    pub(crate) fn text(&self, span: oxc_span::Span) -> &'a str {
        let text: &'a str = self.semantic.source_text();
        text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }
}

/// The value of a property of an object literal.
pub(crate) fn property<'e, 'a>(object: &'e ObjectExpression<'a>, name: &str) -> Option<&'e Expression<'a>> {
    object.properties.iter().find_map(|it| match it {
        ObjectPropertyKind::ObjectProperty(property) if key_name(&property.key).as_deref() == Some(name) => {
            Some(&property.value)
        }
        _ => None,
    })
}

/// Whether an object literal takes in another one, whose keys are not known.
pub(crate) fn has_spread(object: &ObjectExpression) -> bool {
    object.properties.iter().any(oxc_ast::ast::ObjectPropertyKind::is_spread)
}

/// The key that a name is taken from in `const { key: name } = …`.
pub(crate) fn key_of(pattern: &ObjectPattern, symbol: SymbolId) -> Option<String> {
    let property = pattern.properties.iter().find(|property| {
        let binding = match &property.value {
            BindingPattern::AssignmentPattern(with_default) => &with_default.left,
            other => other,
        };
        binding.get_binding_identifier().and_then(|it| it.symbol_id.get()) == Some(symbol)
    })?;
    key_name(&property.key)
}
