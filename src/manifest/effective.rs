//! A validated install as a manifest again, with every default written out.

mod procedure;

use std::collections::BTreeMap;
use std::time::Duration;

use super::{
    ArchiveSource, ArchiveVerify, Backup, BackupWhen, Check, CheckAt, Component, ComposeImage, ComposeSource,
    Credential, Dialect, EnvFile, EnvPolicy, Follow, GitSource, Health, ImageTag, Install, Layout, Monitoring,
    MustBeSigned, Needs, PackageManager, PackagesSource, Policy, Probe, Reach, RelPath, Require, RestartPolicy, RunAs,
    SCHEMA, Scope, Signers, Source, Step, StepUndo, Template, Unit, Verify, raw,
};
use crate::error::{Context, Result};

/// What an install comes to, as the TOML of its manifest. Header values that are written out instead of taken from a
/// `.env` are shown as `<set>`.
pub fn effective(install: &Install) -> Result<String> {
    let manifest = raw::Manifest {
        schema: SCHEMA,
        install: raw::Install {
            root: install.root.display().to_string(),
            owner: install.owner.clone(),
            trust_checkout: install.trust_checkout,
            motd: install.motd,
            layout: match install.layout {
                Layout::InPlace => None,
                Layout::Releases => Some(raw::Layout::Releases),
            },
            shared: texts(&install.shared),
        },
        source: source(&install.source),
        component: install.components.iter().map(component).collect(),
        hook: install.hooks.iter().map(procedure::hook).collect(),
        migration: install.migrations.iter().map(procedure::migration).collect(),
        compatibility: (!install.lockstep.is_empty() || !install.peers.is_empty()).then(|| raw::Compatibility {
            lockstep: install.lockstep.clone(),
            peer: install.peers.iter().map(procedure::peer).collect(),
        }),
        backup: install.backup.as_ref().map(backup),
        policy: Some(policy(&install.policy)),
        notify: install.notify.iter().map(super::notify::raw).collect(),
        monitoring: install.monitoring.as_ref().map(monitoring),
    };
    toml::to_string(&manifest).context("the manifest cannot be written out")
}

fn source(source: &Source) -> raw::Source {
    let mut told = raw::Source { git: None, packages: None, compose: None, archive: None };
    let allow = source.allow().map(ToString::to_string);
    match source {
        Source::Git(source) => told.git = Some(git(source)),
        Source::Packages(PackagesSource { packages, repositories, manager, timeout, lock_timeout, merge, .. }) => {
            told.packages = Some(raw::Packages {
                packages: packages.clone(),
                repositories: repositories.clone(),
                manager: manager.map(|manager| match manager {
                    PackageManager::Apt => raw::PackageManager::Apt,
                    PackageManager::Dnf => raw::PackageManager::Dnf,
                }),
                timeout: Some(span(*timeout)),
                lock_timeout: Some(span(*lock_timeout)),
                merge: merge.clone(),
                allow,
            });
        }
        Source::Compose(source) => told.compose = Some(compose(source, allow)),
        Source::Archive(source) => told.archive = Some(archive(source)),
    }
    told
}

fn archive(source: &ArchiveSource) -> raw::Archive {
    raw::Archive {
        url: source.url.to_string(),
        checksums: source.checksums.to_string(),
        latest: source.latest.as_ref().map(ToString::to_string),
        allow: source.allow.as_ref().map(ToString::to_string),
        verify: source.verify.as_ref().map(archive_verify),
        headers: source.headers.as_ref().map(credential),
        max_fetch: Some(super::words::size_text(source.max_fetch)),
        max_unpacked: Some(super::words::size_text(source.max_unpacked)),
        strip: Some(if source.strips { raw::Strip::Auto } else { raw::Strip::Never }),
    }
}

fn archive_verify(verify: &ArchiveVerify) -> raw::ArchiveVerify {
    let text = |path: &std::path::Path| path.display().to_string();
    let (ssh, openpgp) = match &verify.signers {
        Signers::Ssh(ssh) => (Some(ssh), None),
        Signers::OpenPgp(keyring) => (None, Some(keyring)),
        Signers::Minisign(_) | Signers::MinisignFile(_) => (None, None),
    };
    raw::ArchiveVerify {
        minisign: match &verify.signers {
            Signers::Minisign(key) => Some(key.clone()),
            Signers::MinisignFile(file) => Some(text(file)),
            _ => None,
        },
        allowed_signers: ssh.map(|ssh| text(&ssh.allowed_signers)),
        revoked: ssh.and_then(|ssh| ssh.revoked.as_deref()).map(text),
        keyring: openpgp.map(|keyring| text(&keyring.file)),
        fingerprints: openpgp.map(|keyring| keyring.fingerprints.clone()).unwrap_or_default(),
        over: Some(match (verify.checksums, verify.archive) {
            (true, true) => raw::Over::Both,
            (false, true) => raw::Over::Archive,
            _ => raw::Over::Checksums,
        }),
        max_age: verify.max_age.map(span),
    }
}

fn compose(source: &ComposeSource, allow: Option<String>) -> raw::Compose {
    let image = |image: &ComposeImage| {
        let (tags, tag) = match &image.follow {
            ImageTag::Shape(shape) => (Some(shape.to_string()), None),
            ImageTag::Moving(tag) => (None, Some(tag.clone())),
        };
        raw::ComposeImage { name: image.name.clone(), services: image.services.clone(), tags, tag }
    };
    raw::Compose {
        project: source.project.clone(),
        files: texts(&source.files),
        env_file: source.env_file.as_ref().map(ToString::to_string),
        profiles: source.profiles.clone(),
        program: source.program.map(|program| program.word().to_owned()),
        reference: source.reference.clone(),
        adopt: source.adopt.clone(),
        image: source.images.iter().map(image).collect(),
        restore_backup: source.restore_backup,
        allow,
    }
}

fn git(git: &GitSource) -> raw::Git {
    let (branch, tags) = match &git.follow {
        Follow::Branch(branch) => (Some(branch.clone()), None),
        Follow::Tags(shape) => (None, Some(shape.to_string())),
    };
    raw::Git {
        url: git.url.clone(),
        branch,
        tags,
        allow: git.allow.as_ref().map(ToString::to_string),
        credential: git.credential.as_ref().map(credential),
        max_fetch: Some(super::words::size_text(git.max_fetch)),
        discard: texts(&git.discard),
        sparse: git.sparse,
        manifest: git.manifest,
        verify: git.verify.as_ref().map(verify),
    }
}

fn credential(place: &Credential) -> String {
    match place {
        Credential::Named(name) => name.clone(),
        Credential::File(path) => path.display().to_string(),
    }
}

fn monitoring(monitoring: &Monitoring) -> raw::Monitoring {
    raw::Monitoring {
        textfile: monitoring.textfile.as_ref().map(|path| path.display().to_string()),
        otlp: monitoring.otlp.clone(),
        otlp_headers: monitoring.otlp_headers.as_ref().map(credential),
        stale: Some(span(monitoring.stale)),
    }
}

fn policy(policy: &Policy) -> raw::Policy {
    let windows = policy.schedule.windows();
    let inhibit = |what: &String| match what.as_str() {
        "sleep" => raw::Inhibit::Sleep,
        "idle" => raw::Inhibit::Idle,
        _ => raw::Inhibit::Shutdown,
    };
    raw::Policy {
        unattended: Some(match policy.unattended {
            Reach::None => raw::Unattended::None,
            Reach::Patch => raw::Unattended::Patch,
            Reach::Minor => raw::Unattended::Minor,
            Reach::Major => raw::Unattended::Major,
        }),
        window: match windows.as_slice() {
            [] => None,
            [only] => Some(raw::OneOrMore::One(only.clone())),
            _ => Some(raw::OneOrMore::More(windows)),
        },
        freeze: policy.schedule.freeze(),
        window_fit: policy.window_fit,
        catch_up: policy.catch_up,
        cooldown: policy.cooldown.map(span),
        splay: policy.splay.map(span),
        attempts: Some(i64::from(policy.attempts)),
        on_battery: Some(if policy.defer_on_battery { raw::OnBattery::Defer } else { raw::OnBattery::Ignore }),
        inhibit: Some(policy.inhibit.iter().map(inhibit).collect()),
        defer: policy.defer.as_ref().map(|defer| raw::Defer {
            run: defer.run.clone(),
            run_as: Some(run_as(defer.run_as)),
            timeout: Some(span(defer.timeout)),
        }),
        soak: Some(span(policy.soak)),
        env: Some(match policy.env {
            EnvPolicy::AddNew => raw::EnvPolicy::AddNew,
            EnvPolicy::Report => raw::EnvPolicy::Report,
            EnvPolicy::Stop => raw::EnvPolicy::Stop,
        }),
        keep_known_good: i64::try_from(policy.keep_known_good).ok(),
        allow_unverified: policy.allow_unverified,
        require: (policy.require != Require::default()).then(|| raw::Require {
            disk: policy.require.disk.map(super::words::size_text),
            memory: policy.require.memory.map(super::words::size_text),
        }),
    }
}

fn verify(verify: &Verify) -> raw::Verify {
    let text = |path: &std::path::Path| path.display().to_string();
    raw::Verify {
        signed: match verify.signed {
            MustBeSigned::Tag => raw::MustBeSigned::Tag,
            MustBeSigned::Commits => raw::MustBeSigned::Commits,
            MustBeSigned::Tip => raw::MustBeSigned::Tip,
        },
        allowed_signers: verify.ssh.as_ref().map(|ssh| text(&ssh.allowed_signers)),
        revoked: verify.ssh.as_ref().and_then(|ssh| ssh.revoked.as_deref()).map(text),
        keyring: verify.openpgp.as_ref().map(|keyring| text(&keyring.file)),
        fingerprints: verify.openpgp.as_ref().map(|keyring| keyring.fingerprints.clone()).unwrap_or_default(),
        max_age: verify.max_age.map(span),
    }
}

fn backup(backup: &Backup) -> raw::Backup {
    raw::Backup {
        paths: texts(&backup.paths),
        sqlite: texts(&backup.sqlite),
        volumes: backup.volumes.clone(),
        keep: i64::try_from(backup.keep).ok(),
        when: Some(match backup.when {
            BackupWhen::Prepare => raw::BackupWhen::Prepare,
            BackupWhen::Quiesced => raw::BackupWhen::Quiesced,
        }),
        directory: backup.directory.as_ref().map(|path| path.display().to_string()),
    }
}

fn component(component: &Component) -> raw::Component {
    raw::Component {
        name: component.name.clone(),
        path: component.path.to_string(),
        installed_if: component.installed_if.as_ref().map(ToString::to_string),
        version: component
            .version
            .as_ref()
            .map(|version| raw::Version { file: version.file.to_string(), key: version.key.clone() }),
        changelog: component.changelog.as_ref().map(ToString::to_string),
        env: component.env.iter().map(env).collect(),
        artifacts: texts(&component.artifacts),
        check: component.checks.iter().map(check).collect(),
        step: component.steps.iter().map(step).collect(),
        unit: component.units.iter().map(unit).collect(),
        health: component.health.iter().map(health).collect(),
        needs: component.needs.iter().map(needs).collect(),
        packages: component.packages.clone(),
    }
}

fn needs(needs: &Needs) -> raw::Needs {
    raw::Needs {
        packages: needs.packages.clone(),
        paths: needs.paths.iter().map(|path| path.display().to_string()).collect(),
        steps: needs.steps.clone(),
        restart: Some(needs.restart),
    }
}

fn env(env: &EnvFile) -> raw::Env {
    let dialect = env.dialect.map(|dialect| match dialect {
        Dialect::Systemd => raw::Dialect::Systemd,
        Dialect::Dotenv => raw::Dialect::Dotenv,
        Dialect::Compose => raw::Dialect::Compose,
    });
    raw::Env { file: env.file.to_string(), example: env.example.to_string(), dialect, public: env.public.clone() }
}

fn check(check: &Check) -> raw::Check {
    raw::Check {
        run: check.run.clone(),
        at: Some(match check.at {
            CheckAt::Staged => raw::At::Staged,
            CheckAt::Switched => raw::At::Switched,
        }),
        run_as: Some(run_as(check.run_as)),
        timeout: Some(span(check.timeout)),
        env_file: check.env_files.clone(),
    }
}

fn step(step: &Step) -> raw::Step {
    raw::Step {
        name: step.name.clone(),
        run: step.run.clone(),
        run_as: Some(run_as(step.run_as)),
        when: (!step.when_changed.is_empty()).then(|| raw::When { changed: texts(&step.when_changed) }),
        undo: Some(undo(&step.undo, step.undo_timeout)),
        idempotent: Some(step.idempotent),
        timeout: Some(span(step.timeout)),
        env_file: step.env_files.clone(),
    }
}

fn undo(undo: &StepUndo, timeout: Option<Duration>) -> raw::Undo {
    match undo {
        StepUndo::Pure => raw::Undo::Rule(raw::UndoRule::Pure),
        StepUndo::Rerun => raw::Undo::Rule(raw::UndoRule::Rerun),
        StepUndo::RestoreBackup => raw::Undo::Rule(raw::UndoRule::RestoreBackup),
        StepUndo::Irreversible => raw::Undo::Rule(raw::UndoRule::Irreversible),
        StepUndo::Run(run) => raw::Undo::Command(raw::UndoCommand { run: run.clone(), timeout: timeout.map(span) }),
    }
}

fn unit(unit: &Unit) -> raw::Unit {
    raw::Unit {
        file: (!unit.is_packaged).then(|| unit.file.to_string()),
        name: unit.is_packaged.then(|| unit.file.to_string()),
        instances: unit.instances.clone(),
        scope: Some(match unit.scope {
            Scope::System => raw::Scope::System,
            Scope::User => raw::Scope::User,
        }),
        restart: Some(match unit.restart {
            RestartPolicy::IfChanged => raw::Restart::IfChanged,
            RestartPolicy::Always => raw::Restart::Always,
            RestartPolicy::Never => raw::Restart::Never,
            RestartPolicy::Reload => raw::Restart::Reload,
        }),
    }
}

fn health(health: &Health) -> raw::Health {
    let mut raw = raw::Health { within: Some(span(health.within)), ..raw::Health::default() };
    match &health.probe {
        Probe::Http { url, headers, status, json, body } => {
            raw.http = Some(url.0.clone());
            raw.headers = headers.iter().map(|(name, value)| (name.clone(), without_secret(value))).collect();
            let json: BTreeMap<String, raw::Scalar> =
                json.iter().map(|(field, value)| (field.clone(), raw::Scalar::Text(value.0.clone()))).collect();
            let body = body.as_ref().map(ToString::to_string);
            raw.expect = Some(raw::Expect { status: Some(i64::from(*status)), json, body });
        }
        Probe::Tcp { address } => raw.tcp = Some(address.0.clone()),
        Probe::Command { run, below } => (raw.command, raw.below) = (Some(run.clone()), below.map(number)),
        Probe::Container { service, wanted, unwanted, .. } => {
            raw.container = Some(service.clone());
            raw.log = (wanted.is_some() || unwanted.is_some()).then(|| raw::Journal {
                wanted: wanted.as_ref().map(ToString::to_string),
                unwanted: unwanted.as_ref().map(ToString::to_string),
            });
        }
        Probe::Journal { wanted, unwanted } => {
            let text = |pattern: &Option<regex::Regex>| pattern.as_ref().map(ToString::to_string);
            raw.journal = Some(raw::Journal { wanted: text(wanted), unwanted: text(unwanted) });
        }
    }
    raw
}

/// As it would be written.
fn number(number: f64) -> raw::Number {
    match number.fract() == 0.0 && number.abs() < 1e15 {
        true => raw::Number::Integer(number as i64),
        false => raw::Number::Float(number),
    }
}

fn run_as(account: RunAs) -> raw::As {
    match account {
        RunAs::Owner => raw::As::Owner,
        RunAs::Root => raw::As::Root,
    }
}

fn without_secret(value: &Template) -> String {
    if value.keys().is_empty() { "<set>".into() } else { value.0.clone() }
}

fn texts(paths: &[RelPath]) -> Vec<String> {
    paths.iter().map(ToString::to_string).collect()
}

/// A time span as the manifest takes it.
pub(super) fn span(span: Duration) -> String {
    match (span.as_millis(), span.as_secs()) {
        (millis, _) if millis % 1000 != 0 => format!("{millis}ms"),
        (_, seconds @ 1..) if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        (_, seconds @ 1..) if seconds % 60 == 0 => format!("{}min", seconds / 60),
        (_, seconds) => format!("{seconds}s"),
    }
}
