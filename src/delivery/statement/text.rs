//! The plain text body, for clients that show no HTML and for people who prefer it.

use super::RenderError;
use super::view::View;
use minijinja::AutoEscape;
use minijinja::value::Serde;

const TEMPLATE: &str = include_str!("../templates/statement.txt");

/// Renders the body.
pub fn render(view: &View) -> Result<String, RenderError> {
    Ok(super::environment(AutoEscape::None)?.render_named_str("statement.txt", TEMPLATE, Serde(view))?)
}
