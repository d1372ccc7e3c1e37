//! What `relift init` makes of a checkout. Real git, real files, an account that is not root; the units are those that
//! every systemd host has, so nothing is installed.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use relift::cli::globals::Globals;
use relift::cli::init;
use relift::error::{Error, Exit, Kind};
use relift::manifest::{self, CheckAt, Follow, Install, RestartPolicy, RunAs, Scope, Source, StepUndo};
use relift::survey::discover;

/// An account that every Debian host has and that owns no files.
const OWNER: &str = "daemon";

struct Host {
    root: tempfile::TempDir,
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(flatten)]
    args: init::Args,
}

impl Host {
    /// A repository with two components, cloned; the clone belongs to the account.
    fn new() -> Host {
        assert!(nix::unistd::geteuid().is_root(), "these tests need root: they work as another account");
        let root = tempfile::tempdir().unwrap();
        std::fs::set_permissions(root.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let host = Host { root };
        let source = host.path("source");
        std::fs::create_dir(&source).unwrap();
        for (file, text) in FILES {
            let file = source.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        host.git(&source, &["init", "-q", "-b", "main"]);
        host.git(&source, &["add", "-A"]);
        host.commit(&source, "one");
        host.git(&source, &["tag", "web-v1.4.0"]);
        host.git(&source, &["tag", "known-good/20260101T000000"]);
        std::fs::create_dir(source.join("web/scripts")).unwrap();
        std::fs::write(source.join("web/scripts/check_config.py"), "").unwrap();
        host.git(&source, &["add", "-A"]);
        host.commit(&source, "two");
        host.git(&source, &["tag", "web-v1.5.0"]);
        host.git(host.root.path(), &["clone", "-q", source.to_str().unwrap(), host.app().to_str().unwrap()]);
        host.git(&host.app(), &["remote", "set-url", "origin", "https://git.example.org/app.git"]);
        host.own();
        host
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    fn app(&self) -> PathBuf {
        self.path("app")
    }

    fn own(&self) {
        run(Command::new("chown").arg("-RhP").arg(format!("{OWNER}:")).arg(self.app()));
    }

    fn git(&self, at: &Path, args: &[&str]) {
        run(Command::new("git")
            .args(["-c", "safe.directory=*", "-c", "protocol.file.allow=always"])
            .args(args)
            .current_dir(at));
    }

    fn commit(&self, at: &Path, message: &str) {
        self.git(at, &["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "--allow-empty", "-m", message]);
    }

    /// Works in the checkout as root, and gives everything back to the account.
    fn in_app(&self, args: &[&str]) {
        // The change of owner made every file look changed.
        self.git(&self.app(), &["update-index", "-q", "--refresh"]);
        self.git(&self.app(), args);
        self.own();
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.app().join(file), text).unwrap();
        self.own();
    }

    fn draft(&self) -> Result<String, Error> {
        discover::discover(&self.app()).map(|found| discover::draft(&found, "app"))
    }

    fn install(&self) -> Install {
        let text = self.draft().unwrap();
        manifest::parse("app", Path::new("app.toml"), &text)
            .unwrap_or_else(|problems| panic!("{}\n{text}", problems.render(false)))
    }

    fn init(&self, more: &[&str]) -> Result<Exit, Error> {
        let (root, app) = (self.path("host"), self.app());
        std::fs::create_dir_all(&root).unwrap();
        let fixed = ["init", "--quiet", "--root", root.to_str().unwrap(), app.to_str().unwrap()];
        let cli = Cli::parse_from(fixed.iter().chain(more));
        init::run(&cli.args, &cli.globals)
    }

    fn manifests(&self) -> Vec<String> {
        let list = std::fs::read_dir(self.path("host/etc/relift")).unwrap();
        let mut names: Vec<String> = list.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

const FILES: &[(&str, &str)] = &[
    (".gitignore", ".env\n.venv/\n"),
    ("README.md", "# App\n"),
    ("systemd-logind.service", "[Service]\nExecStart=/bin/true\n"),
    ("web/.env.example", "WEB_PORT=8080\nSMTP_PORT=25\nAPI_TOKEN=CHANGE_ME\n"),
    ("web/VERSION", "1.4.0\n"),
    ("web/docs/CHANGELOG.md", "# Changelog\n"),
    ("web/uv.lock", ""),
    ("web/pyproject.toml", "[project]\nname = \"web\"\nversion = \"1.4.0\"\n"),
    (
        "web/Makefile",
        "PORT := 1\nsync:\n\tuv sync\ninit:\n\t@if true; then \\\n\t\tpython3 tools/setup.py; \\\n\tfi\ncreate-service:\n\tcp x y\n\
         migrate:\n\tx\n",
    ),
    ("web/tools/setup.py", "import os\nos.makedirs('/var/log/x')\nos.chown('/var/log/x', 1, 1)\n"),
    ("web/units/systemd-journald.service", "[Service]\nExecStart=/bin/true\n"),
    ("web/units/graphical-session.target", "[Unit]\n"),
    ("web/units/systemd-tmpfiles-clean.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n"),
    ("web/units/relift-nowhere@.service", "[Service]\nExecStart=/bin/true\n"),
    ("services/worker/.env.example", "PORT=9000\n"),
    ("services/worker/package.json", "{ \"version\": \"1.4.7\" }\n"),
    ("services/worker/package-lock.json", "{}\n"),
    ("tests/fixtures/.env.example", "A=1\n"),
];

#[test]
fn what_is_written_is_a_manifest_and_says_what_is_there() {
    let host = Host::new();
    host.write("web/.env", "WEB_PORT=1\nAPI_TOKEN=canary-1\n");
    std::fs::create_dir_all(host.app().join("web/.venv")).unwrap();
    host.own();
    let install = host.install();
    assert_eq!((&install.root, install.owner.as_str()), (&host.app(), OWNER));
    let Source::Git(git) = &install.source else { unreachable!() };
    assert_eq!((git.url.as_str(), &git.follow), ("https://git.example.org/app.git", &Follow::Branch("main".into())));
    let [web] = install.components.as_slice() else { panic!("{:#?}", install.components) };
    assert_eq!(web.installed_if.as_ref().unwrap().as_str(), "web/.env");
    assert_eq!(web.artifacts[0].as_str(), ".venv");
    assert_eq!((web.checks[0].at, web.checks[0].run[0].as_str()), (CheckAt::Staged, "uv"));
    let steps: Vec<_> = web.steps.iter().map(|step| (step.name.as_str(), step.run_as, &step.undo)).collect();
    assert_eq!(
        steps,
        [("sync", RunAs::Owner, &StepUndo::Rerun), ("init", RunAs::Owner, &StepUndo::Pure)],
        "nothing of the checkout runs as root unless the operator says so"
    );
    let changed: Vec<&str> = web.steps[1].when_changed.iter().map(|path| path.as_str()).collect();
    assert_eq!(changed, ["tools/setup.py", ".env"]);
    let units: Vec<_> = web.units.iter().map(|unit| (unit.file.file_name(), unit.scope, unit.restart)).collect();
    assert_eq!(
        units,
        [
            ("graphical-session.target", Scope::User, RestartPolicy::IfChanged),
            ("systemd-journald.service", Scope::System, RestartPolicy::IfChanged),
            ("systemd-tmpfiles-clean.service", Scope::System, RestartPolicy::Never),
        ]
    );
    let draft = host.draft().unwrap();
    assert!(!draft.contains("canary"), "{draft}");
    let draft = draft.replace(&host.app().display().to_string(), "/opt/app");
    insta::assert_snapshot!("draft", draft);
}

#[test]
fn a_manifest_is_written_whole_and_an_existing_one_is_kept() {
    let host = Host::new();
    host.write("web/.env", "");
    assert_eq!(host.init(&["-n"]).unwrap(), Exit::Done);
    assert!(!host.path("host/etc").exists(), "a dry run writes nothing");
    assert_eq!(host.init(&[]).unwrap(), Exit::Done);
    let file = host.path("host/etc/relift/app.toml");
    let metadata = file.metadata().unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.uid()), (0o644, 0));
    assert_eq!(manifest::load(&file).unwrap().name, "app");
    std::fs::write(&file, "mine").unwrap();
    assert_eq!(host.init(&[]).unwrap_err().kind, Kind::Refused);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    assert_eq!(host.init(&["--force"]).unwrap(), Exit::Done);
    assert!(manifest::load(&file).is_ok());
    let error = host.init(&["--name", "other"]).unwrap_err();
    assert!(error.to_string().contains("declared already"), "{error}");
    assert_eq!(host.init(&["--name", "../x"]).unwrap_err().kind, Kind::Usage);
    assert_eq!(host.manifests(), ["app.toml"], "nothing is left beside it");
}

#[test]
fn a_sparse_checkout_and_a_path_inside_it_show_the_whole() {
    let host = Host::new();
    host.in_app(&["sparse-checkout", "set", "--cone", "services/worker"]);
    host.write("services/worker/.env", "PORT=1\n");
    assert!(!host.app().join("web").exists());
    let found = discover::discover(&host.app().join("services/worker")).unwrap();
    let seen: Vec<_> =
        found.components.iter().map(|one| (one.name.as_str(), one.path.as_str(), one.installed_if.is_some())).collect();
    assert_eq!(seen, [("worker", "services/worker", true), ("web", "web", false)]);
    let version = &found.components[1].version.as_ref().unwrap().1;
    assert_eq!(version, "1.4.0", "read from git, for the file is not there");
    let install = host.install();
    assert_eq!(install.components[0].version.as_ref().unwrap().key.as_deref(), Some("version"));
}

#[test]
fn a_checkout_at_a_release_tag_follows_such_tags() {
    let host = Host::new();
    host.write("web/.env", "");
    host.in_app(&["tag", "worker-v1.4.0", "web-v1.4.0"]);
    host.in_app(&["tag", "all-v1.4.0", "web-v1.4.0"]);
    host.in_app(&["checkout", "-q", "--detach", "web-v1.4.0"]);
    let Source::Git(git) = host.install().source else { unreachable!() };
    assert_eq!(git.follow, Follow::Tags(manifest::TagShape { prefix: "web-v".into(), suffix: String::new() }));
    let draft = host.draft().unwrap();
    assert!(draft.contains("detached at the release tag web-v1.4.0"), "{draft}");
    assert!(draft.contains("web-v1.5.0 does"), "the newest release has a check that this one has not\n{draft}");
}

#[test]
fn a_detached_head_at_no_tag_gets_the_default_branch_or_a_clear_error() {
    let host = Host::new();
    host.write("web/.env", "");
    host.in_app(&["checkout", "-q", "--detach", "main"]);
    host.in_app(&["tag", "-d", "web-v1.5.0"]);
    let draft = host.draft().unwrap();
    assert!(draft.contains("git -C") && draft.contains("switch main"), "{draft}");
    host.in_app(&["remote", "set-head", "origin", "--delete"]);
    let error = host.draft().unwrap_err();
    assert!(error.to_string().contains("detached") && error.hints[0].contains("switch BRANCH"), "{error:?}");
}

#[test]
fn what_stands_in_the_way_of_an_upgrade_is_said() {
    let host = Host::new();
    host.write("web/.env", "");
    host.in_app(&["switch", "-q", "-c", "local"]);
    host.write("web/VERSION", "1.4.1\n");
    let draft = host.draft().unwrap().replace("\n# ", " ");
    for words in [
        "The branch local has no upstream",
        "saw no such branch",
        "local changes: web/VERSION",
        "systemd-logind.service is installed",
    ] {
        assert!(draft.contains(words), "{words}:\n{draft}");
    }
    host.in_app(&["remote", "remove", "origin"]);
    let error = host.draft().unwrap_err();
    assert!(error.kind == Kind::Failed && error.to_string().contains("has no remote"), "{error}");
}

#[test]
fn a_password_in_the_remote_does_not_get_into_the_manifest() {
    let host = Host::new();
    host.write("web/.env", "");
    host.in_app(&["remote", "set-url", "origin", "https://bot:canary@git.example.org/app.git"]);
    let draft = host.draft().unwrap();
    assert!(!draft.contains("canary") && draft.contains("\"https://git.example.org/app.git\""), "{draft}");
    host.in_app(&["remote", "set-url", "origin", "ext::sh -c id"]);
    assert!(host.draft().unwrap_err().to_string().contains("runs a program"));
}

#[test]
fn directories_that_are_no_upgradable_checkout_are_told_apart() {
    let host = Host::new();
    let error = discover::discover(&host.path("")).unwrap_err();
    assert!(error.to_string().contains("is not in a git checkout"), "{error}");
    host.git(host.root.path(), &["init", "-q", "--bare", "bare"]);
    let error = discover::discover(&host.path("bare")).unwrap_err();
    assert!(error.to_string().contains("bare repository"), "{error}");
    host.git(host.root.path(), &["init", "-q", "empty"]);
    let error = discover::discover(&host.path("empty")).unwrap_err();
    assert!(error.to_string().contains("no commit yet"), "{error}");
    let error = discover::discover(&host.path("nowhere")).unwrap_err();
    assert_eq!(error.kind, Kind::Failed);
}

#[test]
fn ownership_that_git_doubts_is_said_in_words() {
    let host = Host::new();
    run(Command::new("chown").args(["-R", "games:"]).arg(host.app().join(".git")));
    let error = host.draft().unwrap_err();
    let text = format!("{error} {:?}", error.hints);
    assert!(text.contains("belongs to daemon") && text.contains("chown -R daemon:"), "{text}");
}

#[test]
fn a_checkout_without_components_says_what_is_looked_for() {
    let host = Host::new();
    host.git(&host.path("source"), &["rm", "-rq", "web", "services"]);
    host.commit(&host.path("source"), "three");
    host.in_app(&["pull", "-q", host.path("source").to_str().unwrap(), "main"]);
    let error = host.draft().unwrap_err();
    assert!(error.to_string().contains("no component was found"), "{error}");
}

#[test]
fn nothing_of_the_owners_git_configuration_runs_as_root() {
    let host = Host::new();
    host.write("web/.env", "");
    host.write("web/VERSION", "1.4.1\n");
    let marks = host.path("marks");
    std::fs::create_dir(&marks).unwrap();
    std::fs::set_permissions(&marks, PermissionsExt::from_mode(0o777)).unwrap();
    let mark = |name: &str| format!("touch {}/{name}; cat", marks.display());
    for key in ["core.fsmonitor", "core.sshCommand", "filter.x.clean", "filter.x.smudge", "diff.external", "core.pager"]
    {
        host.git(&host.app(), &["config", key, &mark(key)]);
    }
    std::fs::write(host.app().join(".git/info/attributes"), "* filter=x\n").unwrap();
    std::fs::write(host.app().join(".git/hooks/post-index-change"), format!("#!/bin/sh\n{}", mark("hook"))).unwrap();
    host.own();
    host.draft().unwrap();
    let made: Vec<(String, u32)> = std::fs::read_dir(&marks)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().uid()))
        .collect();
    assert!(made.iter().all(|(_, uid)| *uid == 1), "{made:?}");
    assert!(made.iter().any(|(name, _)| name == "filter.x.clean"), "the trap was never sprung: {made:?}");
    assert!(!made.iter().any(|(name, _)| name == "core.fsmonitor"), "{made:?}");
}

#[test]
fn symlinks_and_pipes_of_the_owner_are_not_followed() {
    let host = Host::new();
    let secret = host.path("secret");
    std::fs::write(&secret, "9.9.9\n").unwrap();
    let web = host.app().join("web");
    for file in ["VERSION", "Makefile"] {
        std::fs::remove_file(web.join(file)).unwrap();
    }
    symlink(&secret, web.join("VERSION")).unwrap();
    nix::unistd::mkfifo(&web.join("Makefile"), nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
    symlink(&secret, web.join(".env")).unwrap();
    symlink("/etc", host.app().join("elsewhere")).unwrap();
    host.own();
    let found = discover::discover(&host.app()).unwrap();
    let web = found.components.iter().find(|component| component.name == "web").unwrap();
    assert_eq!(web.version.as_ref().unwrap().1, "1.4.0", "what git tracks, not what the link names");
    assert!(web.installed && web.notes.iter().any(|note| note.contains("symlink")), "{web:#?}");
    let draft = host.draft().unwrap();
    assert!(!draft.contains("9.9.9") && !draft.contains("elsewhere"), "{draft}");
}

#[test]
fn another_account_that_is_not_root_is_refused() {
    let host = Host::new();
    let parent = host.app();
    let probe = std::thread::spawn(move || {
        // The raw system call changes this thread alone.
        let changed = unsafe { libc::syscall(libc::SYS_setresuid, -1, 5, -1) };
        assert_eq!(changed, 0);
        discover::discover(&parent).map(|_| ())
    });
    let error = probe.join().unwrap().unwrap_err();
    assert_eq!(error.kind, Kind::NotPermitted, "{error}");
}
