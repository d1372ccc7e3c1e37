//! The hostile corpus: what a remote, a tree, a `.env`, a unit or an environment may hold that nobody sane would put there.
//!
//! Each category is a table, so that it can be counted. An input is planted on a host with the sample, `check`, `plan` and
//! `upgrade` are run, and then either everything is as before (refused), or the release is there, nothing outside was
//! touched, and `rollback` leads back to the same bytes (harmless).

mod forge;
mod ground;
mod outside;

mod configs;
mod env;
mod environment;
mod manifests;
mod objects;
mod packs;
mod refs;
mod shapes;
mod signatures;
mod total;
mod trees;
mod units;

pub use forge::{Entry, Forge};
pub use ground::{Ground, run};

/// One hostile input, and what must become of it.
pub struct Input {
    /// What it is, as in the table of a report.
    pub name: &'static str,
    /// Puts it there.
    pub plant: fn(&Ground),
    /// What must happen.
    pub must: Must,
    /// What stands before `relift` in the shell that runs it: an environment, redirections, limits.
    pub by: &'static str,
}

/// What must become of an input.
#[derive(Debug, Clone, Copy)]
pub enum Must {
    /// `upgrade` exits so, its standard error has all of these words, and everything is as before.
    Refuse(i32, &'static [&'static str]),
    /// `upgrade` exits 0, nothing outside changes, and `rollback` leads back where there is anything to go back from.
    Take,
}

impl Input {
    /// An input that `upgrade` must refuse with this exit and these words.
    pub const fn refused(name: &'static str, plant: fn(&Ground), exit: i32, says: &'static [&'static str]) -> Input {
        Input { name, plant, must: Must::Refuse(exit, says), by: "" }
    }

    /// An input that does no harm.
    pub const fn harmless(name: &'static str, plant: fn(&Ground)) -> Input {
        Input { name, plant, must: Must::Take, by: "" }
    }

    /// The same with words of a shell's before `relift`.
    pub const fn by(self, by: &'static str) -> Input {
        Input { by, ..self }
    }
}
