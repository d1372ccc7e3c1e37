//! What happens with nobody there: what a verb did to an install, as a value that is told to people and to monitoring.

mod happening;
pub mod monitor;
pub mod policy;
mod timeline;

pub use happening::{Happening, Outcome, Told, Verb};
pub use timeline::{Span, Timeline};
