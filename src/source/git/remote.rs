//! Remotes: who talks to them. Root's git fetches into the mirror, and never opens a connection: ssh, curl with TLS, and
//! what serves a local repository are each a child of another account, and root's side reads what they pass on, packets of
//! git's protocol, gitprotocol-v2(5).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::call::in_mirror;
use super::credential::{Lent, Secret};
use crate::error::Result;
use crate::host::account::Account;
use crate::host::fs::Rooted;
use crate::host::process::{Command, know_groups};
use crate::manifest::GitSource;

/// How long a conversation with a remote may take in all; a silent one is ended long before by `http.lowSpeedTime` and ssh.
const NETWORK: Duration = Duration::from_secs(1800);

/// What our own configuration calls the remote.
pub const SOURCE: &str = "source";

/// The remote helper of ours, gitremote-helpers(7): git's own for HTTP, as the owner.
const HELPER: &str = "relift";

/// ssh that asks nothing, and notices a server that fell silent.
const SSH: &str = "ssh -oBatchMode=yes -oConnectTimeout=10 -oServerAliveInterval=10 -oServerAliveCountMax=3";

/// Where those who talk to a remote look for programs: not below a home.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// No configuration but that of a repository.
const ALONE: [(&str, &str); 2] = [("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null")];

/// The variable that names the place, in memory, of a token.
const SECRET: &str = "RELIFT_CREDENTIAL";

/// The remote of an install: its pinned URL, and the account whose keys and credentials open it.
#[derive(Debug, Clone)]
pub struct Remote {
    /// The URL.
    pub url: String,
    /// The owner of the checkout: ssh and curl run as this account, with its keys, known hosts, proxies and credentials, as
    /// `git pull` by hand did.
    pub owner: Account,
    /// A configuration of our own, which says how the remote is talked to.
    pub config: PathBuf,
    /// A token that the manifest names, in place of the owner's own credentials.
    pub secret: Option<Secret>,
    /// The largest file that git may write in a conversation, bytes: that is the pack.
    pub max_fetch: u64,
}

impl Remote {
    /// The remote that a manifest pins; `state` is the install's.
    pub fn of(state: &Path, source: &GitSource, owner: &Account) -> Remote {
        Remote {
            url: source.url.clone(),
            owner: owner.clone(),
            config: state.join("remote.gitconfig"),
            secret: source.credential.as_ref().map(|place| Secret::new(place, &source.url)),
            max_fetch: source.max_fetch,
        }
    }

    /// git in our mirror, about to talk to the remote. What is lent must live as long as that.
    pub fn git(&self, mirror: &Path, lent: Option<&Lent>) -> Command {
        let command = self.settled(in_mirror(mirror));
        lent.into_iter().fold(command, |command, lent| command.env(SECRET, lent.path()))
    }

    /// git as the owner over HTTP, in no repository; its arguments follow.
    pub fn owners_git(&self, lent: Option<&Lent>) -> Command {
        let command = match lent {
            // Only root can open what is lent, and only a shell then becomes the owner with it open.
            Some(lent) => {
                let line = format!("{} \"$@\"", self.git_as_owner());
                Command::new(["sh", "-c", &line, "sh"]).env(SECRET, lent.path())
            }
            None => {
                let (env, git) = self.owners_words();
                in_place_of(&self.owner, git, env)
            }
        };
        command.timeout(NETWORK).largest_file(self.max_fetch)
    }

    /// git's helper for HTTP as the owner, [gitremote-helpers(7)](https://git-scm.com/docs/gitremote-helpers), in this version of
    /// git's protocol.
    pub fn helps(&self, lent: Option<&Lent>, version: &str) -> Command {
        self.owners_git(lent).args(self.helper_words(version))
    }

    /// The same, to list all refs: a request of our own where git would make no other, see [`plain`](super::plain).
    pub fn lists_over_http(&self, lent: Option<&Lent>) -> Command {
        let version = "protocol.version=0";
        if lent.is_some() {
            return self.helps(lent, version);
        }
        let (env, git) = self.owners_words();
        let ours = ["/proc/self/exe", "internal", "list-refs", &self.url, "--"].map(str::to_owned);
        let words = ours.into_iter().chain(git).chain(self.helper_words(version));
        in_place_of(&self.owner, words, env).timeout(NETWORK).largest_file(self.max_fetch)
    }

    fn helper_words(&self, version: &str) -> [String; 5] {
        ["-c", version, "remote-https", SOURCE, &self.url].map(str::to_owned)
    }

    /// git that lists the refs of one kind (`--heads`, `--tags`), as whoever opens the connection: one that lists takes in no
    /// object that root would have to check. Not over HTTP, where the owner's configuration could lead it elsewhere.
    pub fn lists(&self, kind: &str) -> Command {
        let account = if self.protocol() == "file" { self.server() } else { self.owner.clone() };
        let words = ["git", "-C", "/", "-c", "protocol.version=2", "ls-remote", "--refs", kind, "--", &self.url];
        let more = [
            ("GIT_ALLOW_PROTOCOL", self.protocol()),
            ("GIT_SSH_COMMAND", SSH),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", "/bin/false"),
        ];
        in_place_of(&account, words, ALONE.into_iter().chain(more))
    }

    /// git that serves a local repository, as whoever that belongs to, and lists its refs, in no conversation. `None`: it is on no
    /// path that is known for sure.
    pub fn serves(&self) -> Option<Command> {
        let (path, account) = self.known()?;
        let words = ["git", "-C", "/", "upload-pack", "--advertise-refs", &path];
        Some(in_place_of(&account, words, ALONE))
    }

    /// Whoever opens the connection, for a conversation of ours in protocol version 2: git's helper for HTTP, or git that serves a
    /// local repository on a path that is known for sure. `None`: git is to hold it. Of sshd many let no version through. What one who
    /// `has_some` is sent, git finds by the commits between: its bitmaps, which tell at once what all of a repository is, make it
    /// read every tree of a commit that they do not have.
    pub fn speaks(&self, lent: Option<&Lent>, has_some: bool) -> Option<Command> {
        if self.is_http() {
            return Some(self.helps(lent, "protocol.version=2"));
        }
        let (path, account) = self.known()?;
        let bitmaps: &[&str] = if has_some { &["-c", "pack.useBitmaps=false"] } else { &[] };
        let words = [&["git", "-C", "/"], bitmaps, &["upload-pack", &path]].concat();
        let command = in_place_of(&account, words, [("GIT_PROTOCOL", "version=2")]);
        Some(command.timeout(NETWORK).largest_file(self.max_fetch))
    }

    /// Looks up what starting whoever opens the connection will ask of the host's accounts.
    pub(super) fn know_who_opens(&self) {
        know_groups(&if self.is_far() { self.owner.clone() } else { self.server() });
    }

    /// Reads the token that the manifest names, where it names one.
    pub fn lend(&self) -> Result<Option<Lent>> {
        self.secret.as_ref().map(Secret::lend).transpose()
    }

    fn settled(&self, command: Command) -> Command {
        let allowed = if self.is_http() { HELPER } else { self.protocol() };
        command
            .env("GIT_CONFIG_GLOBAL", self.config.display().to_string())
            .env("GIT_ALLOW_PROTOCOL", allowed)
            .env("GIT_SSH_COMMAND", self.ssh())
            .largest_file(self.max_fetch)
            .timeout(NETWORK)
    }

    /// git's name for how it is talked to.
    fn protocol(&self) -> &str {
        match self.url.split_once("://") {
            Some(("git+ssh" | "ssh+git", _)) => "ssh",
            Some((scheme, _)) => scheme,
            // scp-like `host:path`, or a plain path.
            None if self.url.starts_with('/') => "file",
            None => "ssh",
        }
    }

    /// Whether what it sends comes over a network.
    pub fn is_far(&self) -> bool {
        self.protocol() != "file"
    }

    /// Whether curl talks to it.
    pub fn is_http(&self) -> bool {
        matches!(self.protocol(), "http" | "https")
    }

    /// The configuration's text: the URL, and the command that takes part in the conversation in root's place.
    pub fn config_text(&self) -> String {
        let remote = format!("[remote \"{SOURCE}\"]\n\turl = \"{}\"\n", escaped(&self.url));
        match self.protocol() {
            "http" | "https" => {
                // An alias needs no program of ours on PATH, where a state directory on a filesystem without exec could not hold it.
                format!("{remote}\tvcs = {HELPER}\n[alias]\n\tremote-{HELPER} = \"{}\"\n", escaped(&self.helper()))
            }
            "file" => format!("{remote}\tuploadpack = \"{}\"\n", escaped(&self.upload_pack())),
            _ => remote,
        }
    }

    /// git's own helper, as the owner: only protocol version 2 leaves the objects to root's git, which checks them.
    fn helper(&self) -> String {
        format!("!f() {{ {} remote-https \"$@\"; }}; f", self.git_as_owner())
    }

    /// The beginning of a line for a shell: git as the owner, outside any repository, about to talk over HTTP. Its own
    /// configuration says what proxies, certificates and credentials there are, unless the manifest names a token.
    fn git_as_owner(&self) -> String {
        // It is opened by root and read where curl asks for it, from the descriptor: it is in no argv and no environment.
        let open = self.secret.as_ref().map_or_else(String::new, |_| format!("exec 3<\"${SECRET}\"; "));
        let (env, git) = self.owners_words();
        let env: Vec<String> = env.iter().map(|(key, value)| format!("{key}={}", quoted(value))).collect();
        let git: Vec<String> = git.iter().map(|word| quoted(word)).collect();
        format!("{open}exec {} {} {}", as_account(&self.owner), env.join(" "), git.join(" "))
    }

    /// The same in words: what is set for it, and how its command begins.
    fn owners_words(&self) -> ([(&'static str, &'static str); 5], [String; 9]) {
        // Nothing is stored and nothing erased: what the owner keeps, only the owner's own git changes.
        let fill = match self.secret {
            Some(_) => "cat <&3",
            None => "env -u GIT_CONFIG_PARAMETERS git -C / credential fill 2>/dev/null",
        };
        let helper = format!("credential.helper=!f() {{ test \"$1\" = get && {fill}; }}; f");
        // A server may lead from http to https, and nowhere else.
        let allowed = if self.protocol() == "http" { "http:https" } else { "https" };
        let env = [
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", "/bin/false"),
            ("GIT_ALLOW_PROTOCOL", allowed),
            ("GIT_HTTP_LOW_SPEED_LIMIT", "1"),
            ("GIT_HTTP_LOW_SPEED_TIME", "20"),
        ];
        let git = ["git", "-C", "/", "-c", "protocol.version=2", "-c", "credential.helper=", "-c", &helper];
        (env, git.map(str::to_owned))
    }

    /// What serves a local repository runs as whom that repository belongs to, so that what it is configured to run is
    /// never run by root; git refuses one that holds what belongs to yet another account.
    fn upload_pack(&self) -> String {
        format!("{} GIT_PROTOCOL=\"$GIT_PROTOCOL\" git upload-pack", as_account(&self.server()))
    }

    /// Whose a local repository is; the owner where that cannot be told.
    fn server(&self) -> Account {
        self.local().map_or_else(|| self.owner.clone(), |(_, account)| account)
    }

    /// The same where git takes the path for no other one: it decodes a URL, and takes the host of one for a part of the path.
    fn known(&self) -> Option<(String, Account)> {
        Some((self.known_path()?.to_owned(), self.local()?.1))
    }

    /// That path, whether or not anything is there.
    pub(super) fn known_path(&self) -> Option<&str> {
        self.path().filter(|path| path.starts_with('/') && !path.contains('%'))
    }

    /// The path of a local repository, as it is written.
    fn path(&self) -> Option<&str> {
        let is_local = self.protocol() == "file";
        is_local.then(|| self.url.strip_prefix("file://").unwrap_or(&self.url).trim_end_matches('/'))
    }

    /// The path of a local repository, and whose it is; `None` where that cannot be told.
    fn local(&self) -> Option<(String, Account)> {
        let path = self.path()?;
        let owner = |path: String| Account::of(Rooted::open(Path::new(&path)).ok()?.owner()?);
        // As git completes a path, gitrepository-layout(5).
        let account = ["", ".git"].iter().find_map(|end| owner(format!("{path}{end}")))?;
        Some((path.to_owned(), account))
    }

    /// The URL as it may be shown.
    pub fn shown(&self) -> String {
        super::preflight::without_password(&self.url)
    }

    /// The same question as the account whose keys and credentials are used.
    pub fn try_by_hand(&self) -> String {
        match self.owner.is_root() {
            true => format!("try it: git ls-remote {}", self.shown()),
            false => format!(
                "the keys and credentials of {0} are used, try it as that account: runuser -l {0} -s /bin/sh -c 'git ls-remote {1}'",
                self.owner.name,
                self.shown()
            ),
        }
    }

    fn ssh(&self) -> String {
        format!("{} {SSH}", as_account(&self.owner))
    }
}

/// What serves a repository of an account's, as that account, with no configuration but the repository's own. It asks no remote for
/// what the repository lacks.
pub(super) fn upload_pack_of(account: &Account) -> String {
    let alone = ALONE.map(|(key, value)| format!("{key}={value}")).join(" ");
    let offline = "GIT_ALLOW_PROTOCOL=none GIT_NO_LAZY_FETCH=1";
    format!("{} {alone} {offline} GIT_PROTOCOL=\"$GIT_PROTOCOL\" git upload-pack", as_account(account))
}

/// A command as an account, with nothing of ours: what [`as_account`] is to a shell, without one.
fn in_place_of<'a, S: Into<OsString>>(
    account: &Account,
    words: impl IntoIterator<Item = S>,
    env: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Command {
    let own = [("PATH", PATH), ("LC_ALL", "C")].into_iter().chain(env);
    own.fold(Command::new(words).account(account), |command, (key, value)| command.env(key, value))
}

/// What comes before a command of a shell's to make it an account's, with nothing of ours.
fn as_account(account: &Account) -> String {
    let Account { uid, gid, home, name } = account;
    let become_it = match account.is_root() {
        true => String::new(),
        false => format!("setpriv --reuid={uid} --regid={gid} --init-groups --no-new-privs "),
    };
    format!("{become_it}env -i HOME={} USER={} PATH={PATH} LC_ALL=C", quoted(&home.to_string_lossy()), quoted(name))
}

/// A word of a shell's, whatever it holds.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A value between the quotes of a git configuration.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(url: &str, home: &str) -> Remote {
        let owner = Account { name: "app".into(), uid: 0, gid: 0, home: home.into() };
        Remote { url: url.into(), owner, config: PathBuf::new(), secret: None, max_fetch: 1 << 30 }
    }

    #[test]
    fn a_home_with_quotes_and_spaces_is_a_word_and_not_a_command_of_root() {
        let home = "/srv/o'neil \"x\" $(id); touch y";
        let remote = remote("https://git.example.org/a.git", home);
        let shell = Command::new(["sh", "-c", &format!("{} printenv HOME", as_account(&remote.owner))]);
        assert_eq!(shell.succeed().unwrap().text(), home);

        let place = tempfile::tempdir().unwrap();
        let config = place.path().join("config");
        std::fs::write(&config, remote.config_text()).unwrap();
        let read = |key: &str| {
            let git = Command::new(["git", "config", "--file"]).args([config.as_os_str()]).args(["--get", key]);
            git.succeed().unwrap().text()
        };
        assert_eq!(read("remote.source.url"), remote.url);
        assert_eq!(read("alias.remote-relift"), remote.helper());
    }

    #[test]
    fn whoever_owns_a_local_repository_serves_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("app.git");
        std::fs::create_dir(&path).unwrap();
        let serves = |path: &Path| remote(&format!("file://{}", path.display()), "/root").upload_pack();
        assert!(!serves(&path).contains("setpriv"), "a repository of root's is root's");
        let nobody = Account::of(65_534).expect("every host has nobody");
        std::os::unix::fs::chown(&path, Some(nobody.uid), None).expect("this test needs root");
        for path in [path.clone(), place.path().join("app")] {
            assert!(serves(&path).starts_with("setpriv --reuid=65534 "), "{}", serves(&path));
        }
        // Where a link of another account's leads nobody knows, the owner of the checkout serves.
        std::os::unix::fs::symlink("/root", place.path().join("link")).unwrap();
        std::os::unix::fs::lchown(place.path().join("link"), Some(nobody.uid), None).unwrap();
        let mut remote = remote(&place.path().join("link").display().to_string(), "/root");
        remote.owner.uid = 4_321;
        assert!(remote.upload_pack().starts_with("setpriv --reuid=4321 "));
    }
}
