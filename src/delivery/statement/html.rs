//! The HTML body: tables with inline styles, nothing loaded from elsewhere, everything escaped.

use super::RenderError;
use super::view::View;
use minijinja::AutoEscape;
use minijinja::value::Serde;

const TEMPLATE: &str = include_str!("../templates/statement.html");

/// Renders the body.
pub fn render(view: &View) -> Result<String, RenderError> {
    Ok(super::environment(AutoEscape::Html)?.render_named_str("statement.html", TEMPLATE, Serde(view))?)
}
