//! Hooks, migrations and peers as a manifest has them.

use super::super::{Hook, HookPlace, Migration, Peer, PeerProbe, Procedure, raw};
use super::{run_as, span, texts, undo};

pub(super) fn hook(hook: &Hook) -> raw::Hook {
    let Procedure { run, run_as: account, cwd, undo: how, undo_timeout, idempotent, timeout, env_files } =
        &hook.procedure;
    raw::Hook {
        at: match hook.at {
            HookPlace::Preflight => raw::Place::Preflight,
            HookPlace::Drain => raw::Place::Drain,
            HookPlace::Quiesce => raw::Place::Quiesce,
            HookPlace::Migrate => raw::Place::Migrate,
            HookPlace::Resume => raw::Place::Resume,
            HookPlace::Verify => raw::Place::Verify,
        },
        run: run.clone(),
        component: hook.component.clone(),
        cwd: cwd.as_ref().map(ToString::to_string),
        run_as: Some(run_as(*account)),
        when: (!hook.when_changed.is_empty()).then(|| raw::When { changed: texts(&hook.when_changed) }),
        undo: (!hook.at.only_looks()).then(|| undo(how, *undo_timeout)),
        idempotent: Some(*idempotent),
        timeout: Some(span(*timeout)),
        env_file: env_files.clone(),
    }
}

pub(super) fn migration(migration: &Migration) -> raw::Migration {
    let procedure = migration.procedure.as_ref();
    raw::Migration {
        version: migration.version.to_string(),
        component: Some(migration.component.clone()),
        run: procedure.map(|procedure| procedure.run.clone()).unwrap_or_default(),
        run_as: procedure.map(|procedure| run_as(procedure.run_as)),
        undo: procedure.map(|procedure| undo(&procedure.undo, procedure.undo_timeout)),
        idempotent: procedure.map(|procedure| procedure.idempotent),
        timeout: procedure.map(|procedure| span(procedure.timeout)),
        note: migration.note.clone(),
        url: migration.url.clone(),
        covers: migration.covers.map(|number| number.to_string()),
        env_file: procedure.map(|procedure| procedure.env_files.clone()).unwrap_or_default(),
    }
}

pub(super) fn peer(peer: &Peer) -> raw::Peer {
    let (http, json, command) = match &peer.probe {
        PeerProbe::Http { url, field } => (Some(url.0.clone()), field.clone(), None),
        PeerProbe::Command { run } => (None, None, Some(run.clone())),
    };
    let rows = peer.accepts.iter();
    raw::Peer {
        name: peer.name.clone(),
        component: Some(peer.component.clone()),
        http,
        json,
        command,
        accepts: rows.map(|row| raw::Accepts { ours: row.ours.to_string(), theirs: row.theirs.to_string() }).collect(),
        unreachable: peer.must_answer.map(|must| if must { raw::Unreachable::Stop } else { raw::Unreachable::Warn }),
        within: Some(span(peer.within)),
    }
}
