//! PM2's own way to do something once: the instance with the number 0 does it.

use oxc_ast::AstKind;
use oxc_ast::ast::{BinaryOperator, BindingPattern, Expression, LogicalOperator, Statement, UnaryOperator};
use oxc_semantic::NodeId;
use oxc_span::{GetSpan, Span};

use crate::model::functions::callee_name;
use crate::model::parsed::{Constant, Parsed, key_of};

/// Variables with the number. That a process is the primary one of its cluster module
/// says nothing: each pod has one.
const NUMBERS: [&str; 2] = ["NODE_APP_INSTANCE", "pm_id"];
/// Names and calls are followed so far.
const DEPTH: usize = 6;

/// Whether only the instance with the number 0 comes to a node.
pub(super) fn is_guarded(parsed: &Parsed, node: NodeId) -> bool {
    let nodes = parsed.semantic.nodes();
    let at = nodes.kind(node).span();
    nodes.ancestor_kinds(node).any(|around| match around {
        AstKind::IfStatement(it) => {
            within(at, it.consequent.span()) && means_first(parsed, &it.test, true, DEPTH)
                || it.alternate.as_ref().is_some_and(|other| within(at, other.span()))
                    && means_first(parsed, &it.test, false, DEPTH)
        }
        AstKind::ConditionalExpression(it) => {
            within(at, it.consequent.span()) && means_first(parsed, &it.test, true, DEPTH)
                || within(at, it.alternate.span()) && means_first(parsed, &it.test, false, DEPTH)
        }
        AstKind::LogicalExpression(it) if within(at, it.right.span()) => match it.operator {
            LogicalOperator::And => means_first(parsed, &it.left, true, DEPTH),
            LogicalOperator::Or => means_first(parsed, &it.left, false, DEPTH),
            LogicalOperator::Coalesce => false,
        },
        AstKind::FunctionBody(it) => others_left(parsed, &it.statements, at),
        AstKind::Program(it) => others_left(parsed, &it.body, at),
        AstKind::BlockStatement(it) => others_left(parsed, &it.body, at),
        _ => false,
    })
}

fn within(inner: Span, outer: Span) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// `if (process.env.NODE_APP_INSTANCE !== '0') return;` before a place.
fn others_left<'a>(parsed: &Parsed<'a, '_>, statements: &'a [Statement<'a>], at: Span) -> bool {
    statements.iter().take_while(|it| it.span().end <= at.start).any(|it| match it {
        Statement::IfStatement(it) => leaves(&it.consequent) && means_first(parsed, &it.test, false, DEPTH),
        _ => false,
    })
}

fn leaves(statement: &Statement) -> bool {
    match statement {
        Statement::ReturnStatement(_) | Statement::ThrowStatement(_) => true,
        Statement::BlockStatement(block) => block.body.last().is_some_and(leaves),
        Statement::ExpressionStatement(it) => match it.expression.get_inner_expression() {
            Expression::CallExpression(call) => callee_name(&call.callee).is_some_and(|name| name == "exit"),
            _ => false,
        },
        _ => false,
    }
}

/// Whether a test that comes out so means that this is the instance with the number 0.
fn means_first<'a>(parsed: &Parsed<'a, '_>, test: &'a Expression<'a>, outcome: bool, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    match test.get_inner_expression() {
        Expression::BinaryExpression(it) => {
            let equal = match it.operator {
                BinaryOperator::Equality | BinaryOperator::StrictEquality => true,
                BinaryOperator::Inequality | BinaryOperator::StrictInequality => false,
                _ => return false,
            };
            let zero = |it| match parsed.constant(it) {
                Some(Constant::Text(value)) => value == "0",
                Some(Constant::Number(number)) => number == 0.0,
                None => false,
            };
            let compared = (is_number(parsed, &it.left, depth) && zero(&it.right))
                || (is_number(parsed, &it.right, depth) && zero(&it.left));
            compared && equal == outcome
        }
        Expression::UnaryExpression(it) if it.operator == UnaryOperator::LogicalNot => {
            // Without a number there is no second instance.
            is_number(parsed, &it.argument, depth) && outcome
                || means_first(parsed, &it.argument, !outcome, depth)
        }
        Expression::LogicalExpression(it) => {
            let (left, right) = (
                means_first(parsed, &it.left, outcome, depth),
                means_first(parsed, &it.right, outcome, depth),
            );
            match (it.operator, outcome) {
                (LogicalOperator::And, true) | (LogicalOperator::Or, false) => left || right,
                (LogicalOperator::Coalesce, _) => false,
                _ => left && right,
            }
        }
        Expression::Identifier(_) => {
            let value = parsed.value(test, depth);
            value.is_some_and(|value| means_first(parsed, value, outcome, depth))
        }
        _ => false,
    }
}

/// Whether an expression is the number of the instance.
fn is_number<'a>(parsed: &Parsed<'a, '_>, expression: &'a Expression<'a>, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    match expression.get_inner_expression() {
        Expression::StaticMemberExpression(member) => {
            NUMBERS.contains(&member.property.name.as_str()) && is_env(parsed, &member.object)
        }
        Expression::ComputedMemberExpression(member) => {
            let name = parsed.constant(&member.expression);
            let known = matches!(&name, Some(Constant::Text(name)) if NUMBERS.contains(&name.as_str()));
            known && is_env(parsed, &member.object)
        }
        // Number(x), parseInt(x, 10)
        Expression::CallExpression(call) => {
            let converts =
                callee_name(&call.callee).is_some_and(|name| name == "Number" || name == "parseInt");
            let first = call.arguments.first().and_then(oxc_ast::ast::Argument::as_expression);
            converts && first.is_some_and(|it| is_number(parsed, it, depth))
        }
        Expression::UnaryExpression(it) => {
            it.operator == UnaryOperator::UnaryPlus && is_number(parsed, &it.argument, depth)
        }
        // x || '0'
        Expression::LogicalExpression(it) => {
            it.operator != LogicalOperator::And && is_number(parsed, &it.left, depth)
        }
        Expression::Identifier(identifier) => {
            let Some(symbol) = parsed.symbol(identifier) else { return false };
            if let Some(declarator) = parsed.declarator(symbol)
                && let BindingPattern::ObjectPattern(pattern) = &declarator.id
            {
                let named = key_of(pattern, symbol).is_some_and(|name| NUMBERS.contains(&name.as_str()));
                return named && declarator.init.as_ref().is_some_and(|it| is_env(parsed, it));
            }
            let value = parsed.single_value(symbol);
            value.is_some_and(|value| is_number(parsed, value, depth))
        }
        _ => false,
    }
}

fn is_env<'a>(parsed: &Parsed<'a, '_>, expression: &'a Expression<'a>) -> bool {
    let value = parsed.value(expression, DEPTH);
    matches!(value, Some(Expression::StaticMemberExpression(member))
        if member.property.name == "env" && parsed.text(member.object.span()).ends_with("process"))
}
