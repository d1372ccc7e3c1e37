//! `[source.packages]`: real packages of a repository on the host, upgraded, refused, undone and recovered.

mod apt;
mod crashes;
mod dnf;
mod merged;
mod neighbours;
mod platform;
mod refusals;
