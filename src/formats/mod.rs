//! Bytes to trees of text. A format knows nothing of meaning: numbers stay text so that no digit is lost.

use crate::core::problem::Place;

/// A tree of text, as every format gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Absent value (JSON `null`, empty cell).
    Null,
    /// Text.
    Text(String),
    /// A number, digit for digit as written.
    Number(String),
    /// True or false.
    Bool(bool),
    /// A list.
    List(Vec<Node>),
    /// Named values in source order.
    Map(Vec<(String, Node)>),
}

/// One record of a document with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The record.
    pub node: Node,
    /// Where it stands.
    pub place: Place,
}
