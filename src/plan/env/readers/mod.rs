//! What the programs that read such files make of one: systemd, dotenvy, python-dotenv and docker-compose. Each model is held
//! against the real reader by a differential test.

mod dotenvy;
mod python;
mod systemd;

use std::collections::BTreeMap;

use crate::manifest::Dialect;

/// A program that reads such files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reader {
    /// `EnvironmentFile=` of systemd 252, systemd.exec(5).
    Systemd,
    /// The crate dotenvy 0.15, which the dotenv libraries of Ruby and Node.js come near to.
    Dotenvy,
    /// python-dotenv 0.21, which goes on after a line that it does not understand.
    Python,
    /// `env_file:` of docker-compose 1.29: python-dotenv, without a byte order mark.
    Compose,
}

impl Reader {
    /// All of them.
    pub const ALL: [Reader; 4] = [Reader::Systemd, Reader::Dotenvy, Reader::Python, Reader::Compose];

    /// The readers that a dialect stands for; the first is the strictest.
    pub fn of(dialect: Dialect) -> &'static [Reader] {
        match dialect {
            Dialect::Systemd => &[Reader::Systemd],
            Dialect::Dotenv => &[Reader::Dotenvy, Reader::Python],
            Dialect::Compose => &[Reader::Compose],
        }
    }

    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Reader::Systemd => "systemd",
            Reader::Dotenvy => "dotenvy",
            Reader::Python => "python-dotenv",
            Reader::Compose => "docker-compose",
        }
    }

    /// Reads any bytes, in an environment that sets nothing.
    pub fn read(self, file: &[u8]) -> Reading {
        match self {
            Reader::Systemd => systemd::read(file),
            Reader::Dotenvy => dotenvy::read(file),
            Reader::Python => python::read(file, false),
            Reader::Compose => python::read(file, true),
        }
    }
}

/// What a reader made of a file. Has no `Debug`: it would show values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The first line of the assignment, or the line, for which it refuses the whole file. Nothing is set then.
    pub refused: Option<usize>,
    /// What it sets, by key.
    pub values: BTreeMap<String, Got>,
}

/// What a key is set to.
#[derive(Clone, PartialEq, Eq)]
pub struct Got {
    /// The first line of the assignment that counts, from 1.
    pub line: usize,
    /// The value; `None`: the key stands alone, and the reader takes the value from its own environment.
    pub value: Option<String>,
}

impl Reading {
    fn refusal(line: usize) -> Reading {
        Reading { refused: Some(line), values: BTreeMap::new() }
    }

    /// The keys that have a value, with it.
    pub fn set(&self) -> BTreeMap<String, String> {
        let set = self.values.iter().filter_map(|(key, got)| Some((key.clone(), got.value.clone()?)));
        set.collect()
    }
}

/// The line, from 1, that the byte at `at` is in.
fn line_at(bytes: &[u8], at: usize) -> usize {
    1 + bytes[..at.min(bytes.len())].iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
pub(super) mod tests;
