//! Tests on throw-away hosts: a twin of this machine each, with a real systemd, git, journal and services.
//!
//! They need root and the Debian packages that `tests/run` installs. Nothing on this machine is changed.

mod harness;
mod network;
mod server;
mod snapshot;
mod terminal;

mod attacks;
mod backup;
mod checkout;
mod crash;
mod doctor;
mod env;
mod env_ask;
mod env_readers;
mod env_secrets;
mod env_units;
mod fast_check;
mod guard;
mod health;
mod hooks;
mod hostile;
mod links;
mod moves;
mod newcomer;
mod obstacles;
mod recover;
mod reload;
mod repository_manifest;
mod restarts;
mod rigs;
mod rollback;
mod root_steps;
mod runs;
mod sample;
mod screen;
mod servers;
mod sights;
mod sources;
mod sparse;
mod steps;
mod try_;
mod twins;
mod units;
mod upgrade;
