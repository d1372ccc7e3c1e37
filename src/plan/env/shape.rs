//! What may be told of a value that is not shown.

use serde::{Deserialize, Serialize};

use super::placeholder::asks_to_be_replaced;

/// A value without its text; with it only where the manifest declares the key `public`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// It is empty.
    Empty,
    /// It asks to be replaced.
    Placeholder,
    /// Fewer than 8 characters.
    Short,
    /// 8 to 31 characters.
    Medium,
    /// 32 characters or more.
    Long,
    /// The value of a public key.
    Shown(String),
}

impl Shape {
    /// The shape of a value; `is_public`: the manifest allows it to be shown.
    pub fn of(value: &str, is_public: bool) -> Shape {
        match value.chars().count() {
            _ if is_public => Shape::Shown(crate::text::harmless(value)),
            0 => Shape::Empty,
            _ if asks_to_be_replaced(value, None) => Shape::Placeholder,
            1..8 => Shape::Short,
            8..32 => Shape::Medium,
            _ => Shape::Long,
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Shape::Empty => "<empty>",
            Shape::Placeholder => "<placeholder>",
            Shape::Short => "<set, under 8 chars>",
            Shape::Medium => "<set, 8 to 31 chars>",
            Shape::Long => "<set, 32 chars or more>",
            Shape::Shown(value) if value.is_empty() => "<empty>",
            Shape::Shown(value) => value,
        })
    }
}
