//! The hostile corpus: what a remote, a tree, a `.env`, a unit or an environment may hold that nobody sane would put there.

pub mod manifests;
