//! The texts of the sample's files.

/// What every component's `.env` and generated directories are to git.
pub(super) const GITIGNORE: &str = ".env\nbuild/\ndata/\n";

/// Exits 2 when `.env` lacks a key of this release, or still has its placeholder.
pub(super) const CHECK_CONFIG: &str = "\
#!/bin/sh
# Compares .env with .env.example: every key must be there, and no placeholder may be left.
status=0
[ -r .env ] || { echo '.env cannot be read' >&2; exit 2; }
while IFS='=' read -r key value; do
  case $key in ''|'#'*) continue ;; esac
  line=$(grep \"^$key=\" .env | tail -n 1)
  case $line in
    '') echo \"$key is missing in .env\" >&2; status=2 ;;
    *=CHANGE_ME*) echo \"$key must be replaced in .env\" >&2; status=2 ;;
  esac
done < .env.example
exit $status
";

/// Makes the ignored directory `build/`, which the service wants to be of its own version.
pub(super) const BUILD: &str = "\
#!/bin/sh
set -eu
cd \"$(dirname \"$0\")/..\"
rm -rf build
mkdir build
cp VERSION build/version
echo \"built $(cat VERSION)\"
";

/// The Makefile of a component, with the targets that such projects have.
pub(super) const MAKEFILE: &str = "\
.PHONY: sync check

sync:
\tsh scripts/build.sh

check:
\tsh scripts/check_config.sh
";

/// Upstream's example of a component's configuration.
pub(super) fn env_example(component: &str, port: u16) -> String {
    format!(
        "\
# Settings of the sample's {component}. Copy to .env and replace what says CHANGE_ME.

# The port that it listens on.
PORT={port}

# What clients send as X-API-Token.
API_TOKEN=CHANGE_ME

# debug, info or warning
LOG_LEVEL=info
"
    )
}

/// The system unit of the manager.
pub(super) fn manager_unit(root: &str, account: &str) -> String {
    format!(
        "\
[Unit]
Description=Sample manager
StartLimitIntervalSec=20
StartLimitBurst=3

[Service]
User={account}
WorkingDirectory={root}/manager
EnvironmentFile={root}/manager/.env
ExecStart=/usr/bin/relift internal sample-service {root}/manager
Restart=on-failure
RestartSec=200ms
TimeoutStopSec=5

[Install]
WantedBy=multi-user.target
"
    )
}

/// The user unit of the runner, which reads its `.env` itself.
pub(super) fn runner_unit(root: &str) -> String {
    format!(
        "\
[Unit]
Description=Sample runner
StartLimitIntervalSec=20
StartLimitBurst=3

[Service]
WorkingDirectory={root}/runner
ExecStart=/usr/bin/relift internal sample-service {root}/runner
Restart=on-failure
RestartSec=200ms
TimeoutStopSec=5

[Install]
WantedBy=default.target
"
    )
}

/// A changelog in the form of keepachangelog.com, newest first.
pub(super) fn changelog(component: &str, history: &[(String, Vec<String>)]) -> String {
    let sections = history.iter().rev().map(|(version, notes)| {
        let notes: String = notes.iter().map(|note| format!("- {note}\n")).collect();
        format!("\n## [{version}]\n\n### Changed\n\n{notes}")
    });
    format!("# Changelog of the {component}\n{}", sections.collect::<String>())
}
