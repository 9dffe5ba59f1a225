//! Guarded expressions for the remainder: one expression over `row`, `parent`, `record` and `position`.
//!
//! No statements, no loops, no I/O; operations, depth and sizes are limited; numbers are exact
//! decimals; a field that is not there is an error. Anything that would lose a digit is an error too,
//! except `round(x, digits)`, which says so itself (half away from zero).

use crate::formats::{Node, plain_number};
use crate::mapping::path::Levels;
use crate::mapping::value::Fault;
use rhai::{AST, Dynamic, Engine, EvalAltResult, INT, Scope};
use rust_decimal::{Decimal, RoundingStrategy};
use std::sync::Arc;

/// Compiles and runs expressions; one per mapping.
#[derive(Clone)]
pub(crate) struct Expressions(Arc<Engine>);

/// A compiled expression.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    text: String,
    ast: AST,
}

impl std::fmt::Debug for Expressions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Expressions")
    }
}

type Outcome<T> = Result<T, Box<EvalAltResult>>;

fn multiply(a: Decimal, b: Decimal) -> Outcome<Decimal> {
    let product = a.checked_mul(b).ok_or("the product is too large")?;
    // Past 28 digits the library rounds without a word; the scale tells.
    if !product.is_zero() && product.scale() < a.normalize().scale() + b.normalize().scale() {
        return Err("the product has too many digits".into());
    }
    Ok(product)
}

fn decimal(text: &str) -> Outcome<Decimal> {
    Decimal::from_str_exact(text.trim()).map_err(|_| format!("`{text}` is not a decimal number").into())
}

fn round(value: Decimal, digits: INT) -> Outcome<Decimal> {
    let digits = u32::try_from(digits).ok().filter(|digits| *digits <= 10).ok_or("round to 0 to 10 decimals")?;
    Ok(value.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero))
}

impl Expressions {
    pub(crate) fn new() -> Self {
        let mut engine = Engine::new();
        engine
            .set_max_operations(20_000)
            .set_max_expr_depths(32, 0)
            .set_max_string_size(64 * 1024)
            .set_max_array_size(10_000)
            .set_max_map_size(10_000)
            .set_max_call_levels(8)
            .set_fail_on_invalid_map_property(true)
            .set_strict_variables(true)
            // The built-in `*` would round silently; ours must be asked.
            .set_fast_operators(false)
            .disable_symbol("eval")
            .on_print(|_| {})
            .on_debug(|_, _, _| {});
        engine.register_fn("*", multiply);
        engine.register_fn("*", |a: Decimal, b: INT| multiply(a, Decimal::from(b)));
        engine.register_fn("*", |a: INT, b: Decimal| multiply(Decimal::from(a), b));
        engine.register_fn("decimal", |text: &str| decimal(text));
        engine.register_fn("decimal", |number: Decimal| number);
        engine.register_fn("decimal", |number: INT| Decimal::from(number));
        engine.register_fn("round", round);
        Self(Arc::new(engine))
    }

    /// Compiles one expression.
    ///
    /// # Errors
    /// What is wrong, with the position inside the expression.
    pub(crate) fn compile(&self, text: &str) -> Result<Expression, String> {
        let mut scope = Scope::new();
        for name in ["row", "parent", "record"] {
            scope.push(name, rhai::Map::new());
        }
        scope.push("position", 0 as INT);
        let ast = self.0.compile_expression_with_scope(&scope, text).map_err(|error| error.to_string())?;
        Ok(Expression { text: text.to_owned(), ast })
    }

    /// Runs an expression on a row; `None` when it has no value.
    pub(crate) fn run(&self, expression: &Expression, levels: &Levels<'_>) -> Result<Option<String>, Fault> {
        let failed = |message: String| {
            Fault::new("expression-failed", format!("the expression `{}` failed: {message}", expression.text))
                .help("`decimal(text)` reads a number; `\"name\" in row` asks whether a field is there")
        };
        let mut scope = Scope::new();
        let mut nodes = levels.upwards();
        let row = nodes.next().map_or(Ok(Dynamic::UNIT), dynamic).map_err(&failed)?;
        let parent = nodes.next().map_or(Ok(Dynamic::UNIT), dynamic).map_err(&failed)?;
        let record = levels.upwards().last().map_or(Ok(Dynamic::UNIT), dynamic).map_err(&failed)?;
        scope.push_dynamic("row", row);
        scope.push_dynamic("parent", parent);
        scope.push_dynamic("record", record);
        scope.push("position", INT::try_from(levels.row_position()).unwrap_or(INT::MAX));
        let value: Dynamic =
            self.0.eval_ast_with_scope(&mut scope, &expression.ast).map_err(|error| failed(error.to_string()))?;
        if value.is_unit() {
            return Ok(None);
        }
        if let Some(number) = value.clone().try_cast::<Decimal>() {
            return Ok(Some(number.normalize().to_string()));
        }
        if value.is_string() || value.is_int() || value.is_bool() {
            return Ok(Some(value.to_string()));
        }
        Err(failed("the result is neither text nor a number".to_owned()))
    }
}

impl Expression {
    /// As written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

fn dynamic(node: &Node) -> Result<Dynamic, String> {
    Ok(match node {
        Node::Null => Dynamic::UNIT,
        Node::Text(text) => text.clone().into(),
        Node::Bool(value) => (*value).into(),
        Node::Number(text) => {
            let plain = plain_number(text);
            Decimal::from_str_exact(&plain).map_err(|_| format!("the number {text} has too many digits"))?.into()
        }
        Node::List(items) => items.iter().map(dynamic).collect::<Result<rhai::Array, _>>()?.into(),
        Node::Map(entries) => {
            let mut map = rhai::Map::new();
            for (name, value) in entries {
                map.insert(name.as_str().into(), dynamic(value)?);
            }
            map.into()
        }
    })
}
