//! Tells a value that is made once, at its first use, from one that is changed.

use oxc_ast::AstKind;
use oxc_ast::ast::{Expression, IfStatement, Statement};
use oxc_semantic::NodeId;
use oxc_span::{GetSpan, Span};

use super::parsed::Parsed;

/// Whether an assignment to `name` runs only while it has no value: inside of `if (!name)`, after
/// `if (name) return`, or as `name || (name = …)`.
pub(crate) fn is_first_time(parsed: &Parsed, assignment: NodeId, name: &str) -> bool {
    let nodes = parsed.semantic.nodes();
    let mut inner = nodes.kind(assignment).span();
    for kind in nodes.ancestor_kinds(assignment) {
        match kind {
            AstKind::IfStatement(it) if asks(parsed, &it.test, name) => {
                let otherwise = it.alternate.as_ref().is_some_and(|it| contains(it.span(), inner));
                if contains(it.consequent.span(), inner) && !means_there(parsed, &it.test, name)
                    || otherwise && means_there(parsed, &it.test, name)
                {
                    return true;
                }
            }
            AstKind::LogicalExpression(it) if asks(parsed, &it.left, name) => return true,
            AstKind::ConditionalExpression(it) if asks(parsed, &it.test, name) => return true,
            AstKind::FunctionBody(body) => return returns_before(parsed, &body.statements, inner, name),
            AstKind::BlockStatement(block) if returns_before(parsed, &block.body, inner, name) => {
                return true;
            }
            _ => {}
        }
        inner = kind.span();
    }
    false
}

fn contains(outer: Span, inner: Span) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// `if (name) return name;` before the assignment.
fn returns_before(parsed: &Parsed, statements: &[Statement], inner: Span, name: &str) -> bool {
    let before = statements.iter().take_while(|it| it.span().end <= inner.start);
    let mut ifs = before.filter_map(|it| match it {
        Statement::IfStatement(it) => Some(it),
        _ => None,
    });
    ifs.any(|it| means_there(parsed, &it.test, name) && leaves(it))
}

fn leaves(it: &IfStatement) -> bool {
    let last = match &it.consequent {
        Statement::BlockStatement(block) => block.body.last(),
        other => Some(other),
    };
    matches!(last, Some(Statement::ReturnStatement(_) | Statement::ThrowStatement(_)))
}

/// Whether the test is about the variable as a whole.
fn asks(parsed: &Parsed, test: &Expression, name: &str) -> bool {
    let mut rest = parsed.text(test.span());
    while let Some(at) = rest.find(name) {
        let before = rest[..at].chars().next_back();
        let after = rest[at + name.len()..].trim_start_matches([')', ' ']).chars().next();
        let part = |it: char| it.is_alphanumeric() || it == '_' || it == '$' || it == '.';
        if !before.is_some_and(part) && !after.is_some_and(|it| part(it) || it == '[' || it == '(') {
            return true;
        }
        rest = &rest[at + name.len()..];
    }
    false
}

/// `if (name)`, `if (name !== undefined)`: it has a value.
fn means_there(parsed: &Parsed, test: &Expression, name: &str) -> bool {
    let said = parsed.text(test.span());
    asks(parsed, test, name) && !said.starts_with('!') && (!said.contains("==") || said.contains("!="))
}
