//! The sample as it is installed on a host, the way an administrator installs such a thing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{COMPONENTS, Release, Repository};
use crate::error::{Context, Error, Result};
use crate::host::account::Account;
use crate::host::process::Command;

/// How long a user manager or a service may take to come up.
const START_BOUND: Duration = Duration::from_secs(20);

/// Where the sample is, whose it is, and what it is told. Its methods act on the host that they run on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// The install's name: its manifest is `/etc/relift/NAME.toml`.
    pub name: String,
    /// The checkout.
    pub root: String,
    /// Whose it is.
    pub account: String,
    /// Whose the upstream repository is.
    pub git_account: String,
    /// The upstream repository, a bare one.
    pub bare: PathBuf,
    /// What the checkout and the manifest call it.
    pub url: String,
    /// Whether the checkout is sparse, with the components in its cone.
    pub sparse: bool,
    /// Each component's `.env`.
    pub env: BTreeMap<String, String>,
    /// Seconds that a release must hold.
    pub soak: u64,
}

impl Site {
    /// The sample at `/opt/NAME` for the account `NAME`, from `file:///srv/git/NAME.git`, which the account `git` owns.
    pub fn new(name: &str) -> Site {
        let bare = format!("/srv/git/{name}.git");
        Site {
            name: name.to_owned(),
            root: format!("/opt/{name}"),
            account: name.to_owned(),
            git_account: "git".into(),
            url: format!("file://{bare}"),
            bare: bare.into(),
            sparse: false,
            env: BTreeMap::new(),
            soak: 1,
        }
    }

    /// The first release for this site.
    pub fn first(&self, version: &str) -> Release {
        Release::first(version, &self.root, &self.account)
    }

    /// Sets a component's `.env` to the release's example, with secrets of its own in place of the placeholders.
    pub fn configure(mut self, release: &Release) -> Site {
        for component in COMPONENTS {
            let text = release.text(&format!("{component}/.env.example"));
            let secret = format!("s3cr3t-canary-{component}-7f3a");
            self.env.insert(component.to_owned(), text.replace("CHANGE_ME", &secret));
        }
        self
    }

    /// Publishes a release upstream; the commit's id.
    pub fn publish(&self, release: &Release) -> Result<String> {
        let owner = account(&self.git_account)?;
        Repository::open(&self.bare, &self.bare.with_extension("work"), &owner)?.publish(release)
    }

    /// Clones, configures, builds, installs the units, starts them, waits for both and writes the manifest.
    pub fn install(&self) -> Result<()> {
        let owner = account(&self.account)?;
        Command::new(["loginctl", "enable-linger", &self.account]).succeed()?;
        self.check_out(&owner)?;
        for component in COMPONENTS {
            let directory = Path::new(&self.root).join(component);
            let mode = if component == "manager" { 0o640 } else { 0o600 };
            let text = self.env.get(component).map(String::as_str).unwrap_or_default();
            write(&directory.join(".env"), text, mode, Some(&owner))?;
            Command::new(["sh", "scripts/build.sh"]).account(&owner).cwd(directory).succeed()?;
        }
        self.start_manager()?;
        self.start_runner(&owner)?;
        write(Path::new(&format!("/etc/relift/{}.toml", self.name)), &self.manifest(), 0o644, None)?;
        self.env.values().try_for_each(|text| until_listening(text))
    }

    fn check_out(&self, owner: &Account) -> Result<()> {
        let root = Path::new(&self.root);
        fs::create_dir_all(root).with_context(|| format!("{} cannot be made", self.root))?;
        chown(root, Some(owner.uid), Some(owner.gid)).with_context(|| format!("{} has no owner", self.root))?;
        // For this once: who installs by hand has to tell git that the repository of another account is meant.
        let config = PathBuf::from(format!("/run/{}.gitconfig", self.name));
        write(&config, &format!("[safe]\n\tdirectory = {}\n", self.bare.display()), 0o644, None)?;
        let git = |words: &[&str]| {
            let command = Command::new(["git"]).args(words.iter().copied()).account(owner).cwd(root);
            command.env("GIT_CONFIG_GLOBAL", config.display().to_string()).succeed().map(drop)
        };
        git(&["clone", "--quiet", "--no-checkout", &self.url, "."])?;
        if self.sparse {
            git(&["sparse-checkout", "set", "--cone", "--no-sparse-index", COMPONENTS[0], COMPONENTS[1]])?;
        }
        git(&["checkout", "--quiet", "main"])?;
        fs::remove_file(&config).with_context(|| format!("{} cannot be removed", config.display()))
    }

    fn start_manager(&self) -> Result<()> {
        let unit = "sample-manager.service";
        let text = self.unit("manager", unit)?;
        write(&Path::new("/etc/systemd/system").join(unit), &text, 0o644, None)?;
        Command::new(["systemctl", "daemon-reload"]).succeed()?;
        Command::new(["systemctl", "--quiet", "enable", "--now", unit]).succeed().map(drop)
    }

    fn start_runner(&self, owner: &Account) -> Result<()> {
        let unit = "sample-runner.service";
        let text = self.unit("runner", unit)?;
        let directory = owner.home.join(".config/systemd/user");
        Command::new(["mkdir", "-p"]).args([&directory]).account(owner).succeed()?;
        write(&directory.join(unit), &text, 0o644, Some(owner))?;
        until(&format!("the user manager of {} does not start", owner.name), || {
            // Not its bus, which is a package of its own on Debian.
            owner.runtime_dir().join("systemd/private").exists()
        })?;
        Command::new(["systemctl", "--user", "daemon-reload"]).account(owner).succeed()?;
        Command::new(["systemctl", "--user", "--quiet", "enable", "--now", unit]).account(owner).succeed().map(drop)
    }

    fn unit(&self, component: &str, unit: &str) -> Result<String> {
        let path = format!("{}/{component}/production/{unit}", self.root);
        fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))
    }

    /// The manifest that declares the site.
    pub fn manifest(&self) -> String {
        let Site { root, account, url, soak, .. } = self;
        let components = [("manager", "system"), ("runner", "user")].map(|(name, scope)| component(name, scope));
        format!(
            r#"schema = 1

[install]
root  = "{root}"
owner = "{account}"

[source.git]
url    = "{url}"
branch = "main"
{}
[compatibility]
lockstep = [["manager", "runner"]]

[policy]
unattended = "minor"
allow-unverified = true
soak       = "{soak}s"
"#,
            components.concat()
        )
    }
}

fn component(name: &str, scope: &str) -> String {
    format!(
        r#"
[[component]]
name = "{name}"
path = "{name}"
installed-if = "{name}/.env"
version = {{ file = "VERSION" }}
env = [{{ file = ".env", example = ".env.example" }}]
artifacts = ["build"]

[[component.check]]
run = ["sh", "scripts/check_config.sh"]
at  = "staged"

[[component.step]]
name = "build"
run  = ["sh", "scripts/build.sh"]
when = {{ changed = ["VERSION", "scripts/build.sh"] }}
undo = "rerun"

[[component.unit]]
file    = "production/sample-{name}.service"
scope   = "{scope}"
restart = "if-changed"

[[component.health]]
http    = "http://127.0.0.1:${{PORT}}/api/version"
headers = {{ X-API-Token = "${{API_TOKEN}}" }}
expect  = {{ status = 200, json = {{ version = "{{version}}" }} }}
within  = "10s"
"#
    )
}

/// The account, made where there is none.
fn account(name: &str) -> Result<Account> {
    Account::named(name).or_else(|_| {
        Command::new(["useradd", "--create-home", "--shell", "/bin/sh", name]).succeed()?;
        Account::named(name)
    })
}

fn write(path: &Path, text: &str, mode: u32, owner: Option<&Account>) -> Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(path))
        .and_then(|()| fs::write(path, text))
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .and_then(|()| owner.map_or(Ok(()), |owner| chown(path, Some(owner.uid), Some(owner.gid))))
        .with_context(|| format!("{} cannot be written", path.display()))
}

fn until_listening(env: &str) -> Result<()> {
    let port = env.lines().find_map(|line| line.strip_prefix("PORT=")).and_then(|port| port.trim().parse::<u16>().ok());
    let Some(port) = port else { return Ok(()) };
    until(&format!("nothing listens on port {port}"), || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
}

fn until(otherwise: &str, reached: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + START_BOUND;
    while !reached() {
        if Instant::now() > deadline {
            return Err(Error::failed(format!("{otherwise} within {} seconds", START_BOUND.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
