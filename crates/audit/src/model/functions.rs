//! Functions and classes of a file, and which function each node runs in.

use std::collections::HashMap;

use oxc_ast::AstKind;
use oxc_ast::ast::{BindingPattern, Class, ClassElement, Expression, MethodDefinitionKind, PropertyKey};
use oxc_semantic::{NodeId, Semantic};
use oxc_span::GetSpan;

/// Index of a function in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FnId(pub(crate) u32);

/// Index of a class in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClassId(pub(crate) u32);

/// A function, an arrow function or a method.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    /// The function it is written in.
    pub(crate) parent: Option<FnId>,
    /// What it is called, as far as that can be told.
    pub(crate) name: Option<String>,
    /// It is found through an object: a method, a property, or assigned to one.
    pub(crate) is_member: bool,
}

/// A class.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClassInfo {
    pub(crate) constructor: Option<FnId>,
    pub(crate) methods: HashMap<String, FnId>,
    /// Names of its decorators.
    pub(crate) decorators: Vec<String>,
    /// The function that the class is written in.
    pub(crate) owner: Option<FnId>,
}

/// Functions and classes with what finds them.
#[derive(Default)]
pub(crate) struct Functions {
    pub(crate) all: Vec<Function>,
    pub(crate) classes: Vec<ClassInfo>,
    by_node: HashMap<NodeId, FnId>,
    class_by_node: HashMap<NodeId, ClassId>,
    /// By node.
    owner: Vec<Option<FnId>>,
    /// By node.
    class: Vec<Option<ClassId>>,
}

impl Functions {
    pub(crate) fn of(semantic: &Semantic) -> Self {
        let nodes = semantic.nodes();
        let mut functions = Self::default();
        functions.owner.resize(nodes.len(), None);
        functions.class.resize(nodes.len(), None);
        for (id, node) in nodes.iter_enumerated() {
            // A parent has a smaller id than what is in it.
            let parent = nodes.parent_id(id);
            let mut owner = functions.owner.get(parent.index()).copied().flatten();
            let mut class = functions.class.get(parent.index()).copied().flatten();
            match node.kind() {
                AstKind::Function(function) if function.body.is_some() => {
                    let named = function.id.as_ref().map(|id| id.name.to_string());
                    // A plain function inside of a method has a `this` of its own.
                    class = is_method(semantic, id).then_some(class).flatten();
                    let name = named.or_else(|| name_from_around(semantic, id));
                    owner = Some(functions.add(semantic, id, owner, name));
                }
                AstKind::ArrowFunctionExpression(_) => {
                    owner = Some(functions.add(semantic, id, owner, name_from_around(semantic, id)));
                }
                AstKind::Class(it) => class = Some(functions.add_class(id, owner, it)),
                _ => {}
            }
            if let Some(slot) = functions.owner.get_mut(id.index()) {
                *slot = owner;
            }
            if let Some(slot) = functions.class.get_mut(id.index()) {
                *slot = class;
            }
        }
        functions.name_methods(semantic);
        functions
    }

    fn add(&mut self, semantic: &Semantic, node: NodeId, parent: Option<FnId>, name: Option<String>) -> FnId {
        let id = FnId(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        let is_member = match semantic.nodes().parent_kind(node) {
            AstKind::ObjectProperty(_) | AstKind::MethodDefinition(_) | AstKind::PropertyDefinition(_) => {
                true
            }
            AstKind::AssignmentExpression(it) => it.left.as_member_expression().is_some(),
            _ => false,
        };
        self.all.push(Function { parent, name, is_member });
        self.by_node.insert(node, id);
        id
    }

    fn add_class(&mut self, node: NodeId, owner: Option<FnId>, class: &Class) -> ClassId {
        let id = ClassId(u32::try_from(self.classes.len()).unwrap_or(u32::MAX));
        let decorators = class.decorators.iter().filter_map(|it| callee_name(&it.expression)).collect();
        self.classes.push(ClassInfo { decorators, owner, ..ClassInfo::default() });
        self.class_by_node.insert(node, id);
        id
    }

    fn name_methods(&mut self, semantic: &Semantic) {
        for (node, id) in &self.class_by_node {
            let AstKind::Class(class) = semantic.nodes().kind(*node) else { continue };
            let Some(info) = self.classes.get_mut(id.0 as usize) else { continue };
            for element in &class.body.body {
                match element {
                    ClassElement::MethodDefinition(method) => {
                        let Some(function) = self.by_node.get(&method.value.node_id.get()) else { continue };
                        if method.kind == MethodDefinitionKind::Constructor {
                            info.constructor = Some(*function);
                        } else if let Some(name) = key_name(&method.key) {
                            info.methods.insert(name, *function);
                        }
                    }
                    ClassElement::PropertyDefinition(property) => {
                        let value = property.value.as_ref().and_then(function_node);
                        let function = value.and_then(|node| self.by_node.get(&node));
                        if let (Some(name), Some(function)) = (key_name(&property.key), function) {
                            info.methods.insert(name, *function);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    pub(crate) fn class(&self, id: ClassId) -> Option<&ClassInfo> {
        self.classes.get(id.0 as usize)
    }

    /// The function that runs this node; for the node of a function, that function.
    pub(crate) fn owner(&self, node: NodeId) -> Option<FnId> {
        self.owner.get(node.index()).copied().flatten()
    }

    /// The class that `this` belongs to at this node.
    pub(crate) fn class_at(&self, node: NodeId) -> Option<ClassId> {
        self.class.get(node.index()).copied().flatten()
    }

    pub(crate) fn at_node(&self, node: NodeId) -> Option<FnId> {
        self.by_node.get(&node).copied()
    }

    pub(crate) fn class_at_node(&self, node: NodeId) -> Option<ClassId> {
        self.class_by_node.get(&node).copied()
    }
}

/// The node of a function expression.
pub(crate) fn function_node(expression: &Expression) -> Option<NodeId> {
    match expression.get_inner_expression() {
        Expression::FunctionExpression(function) => Some(function.node_id.get()),
        Expression::ArrowFunctionExpression(arrow) => Some(arrow.node_id.get()),
        _ => None,
    }
}

/// The last name of what is called, or of the expression itself.
pub(crate) fn callee_name(expression: &Expression) -> Option<String> {
    match expression.get_inner_expression() {
        Expression::CallExpression(call) => callee_name(&call.callee),
        Expression::Identifier(identifier) => Some(identifier.name.to_string()),
        Expression::StaticMemberExpression(member) => Some(member.property.name.to_string()),
        // (0, a.b)(…), as compilers write it.
        Expression::SequenceExpression(sequence) => callee_name(sequence.expressions.last()?),
        _ => None,
    }
}

pub(crate) fn key_name(key: &PropertyKey) -> Option<String> {
    match key {
        PropertyKey::PrivateIdentifier(name) => Some(format!("#{}", name.name)),
        _ => key.static_name().map(std::borrow::Cow::into_owned),
    }
}

fn is_method(semantic: &Semantic, function: NodeId) -> bool {
    matches!(semantic.nodes().parent_kind(function), AstKind::MethodDefinition(_))
}

/// `const name = …`, `name: …`, `x.name = …`, a method's or a field's name.
fn name_from_around(semantic: &Semantic, node: NodeId) -> Option<String> {
    match semantic.nodes().parent_kind(node) {
        AstKind::VariableDeclarator(declarator) => match &declarator.id {
            BindingPattern::BindingIdentifier(identifier) => Some(identifier.name.to_string()),
            _ => None,
        },
        AstKind::ObjectProperty(property) => key_name(&property.key),
        AstKind::MethodDefinition(method) => key_name(&method.key),
        AstKind::PropertyDefinition(property) => key_name(&property.key),
        AstKind::AssignmentExpression(assignment)
            if assignment.right.span() == semantic.nodes().kind(node).span() =>
        {
            let target = assignment.left.as_simple_assignment_target()?;
            match target.as_member_expression() {
                Some(member) => member.static_property_name().map(ToOwned::to_owned),
                None => target.get_identifier_name().map(ToOwned::to_owned),
            }
        }
        _ => None,
    }
}
