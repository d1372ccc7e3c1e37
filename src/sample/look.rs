//! The sample as it is found on a host: what answers, and everything of it that an upgrade may change.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{COMPONENTS, Site};
use crate::error::{Context, Result};
use crate::host::account::Account;
use crate::host::fs::{hex, sha256};
use crate::host::process::Command;

/// How long a service may take to answer.
const ANSWER_BOUND: Duration = Duration::from_secs(5);

/// What is there. Of files only hashes: two looks can be compared, and a look holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// The version that each component answers with over HTTP; `None` where nothing does.
    pub answers: BTreeMap<String, Option<String>>,
    /// The lines of each component's `.env`, in order.
    pub env: BTreeMap<String, Vec<String>>,
    /// Every path of the checkout with its mode, owner and bytes, tracked or not, and what git says of it.
    pub tree: String,
    /// The installed unit files, and whether the units are enabled and active.
    pub units: String,
}

impl Site {
    /// Looks at the site on the host that this runs on.
    pub fn look(&self) -> Result<Look> {
        let owner = Account::named(&self.account)?;
        let (mut answers, mut env) = (BTreeMap::new(), BTreeMap::new());
        for component in COMPONENTS {
            let path = format!("{}/{component}/.env", self.root);
            let text = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
            answers.insert(component.to_owned(), answer(&text));
            let lines = text.split_inclusive('\n').map(|line| sha256(line.as_bytes()));
            env.insert(component.to_owned(), lines.collect());
        }
        Ok(Look { answers, env, tree: self.tree(&owner)?, units: self.units(&owner)? })
    }

    fn tree(&self, owner: &Account) -> Result<String> {
        let mut hash = Sha256::new();
        feed(&mut hash, Path::new(&self.root))?;
        for words in [["rev-parse", "HEAD"], ["symbolic-ref", "HEAD"], ["status", "--porcelain"]] {
            hash.update(Command::new(["git"]).args(words).account(owner).cwd(&self.root).succeed()?.stdout);
        }
        Ok(hex(&hash.finalize()))
    }

    fn units(&self, owner: &Account) -> Result<String> {
        let (system, user) = ("sample-manager.service", "sample-runner.service");
        let show = ["show", "--property=LoadState,ActiveState,SubState,UnitFileState,FragmentPath,DropInPaths"];
        let mut hash = Sha256::new();
        feed(&mut hash, Path::new("/etc/systemd/system"))?;
        feed(&mut hash, &owner.home.join(".config/systemd/user"))?;
        hash.update(Command::new(["systemctl"]).args(show).args([system]).succeed()?.stdout);
        let own = Command::new(["systemctl", "--user"]).account(owner);
        hash.update(own.args(show).args([user]).succeed()?.stdout);
        Ok(hex(&hash.finalize()))
    }
}

/// Adds everything below a path but `.git`; no link is followed.
fn feed(hash: &mut Sha256, path: &Path) -> Result<()> {
    let read = || format!("{} cannot be read", path.display());
    let meta = fs::symlink_metadata(path).with_context(read)?;
    hash.update(path.as_os_str().as_bytes());
    hash.update(format!("\0{:o} {}:{}\0", meta.mode(), meta.uid(), meta.gid()));
    if meta.is_symlink() {
        hash.update(fs::read_link(path).with_context(read)?.as_os_str().as_bytes());
    } else if meta.is_file() {
        hash.update(Sha256::digest(fs::read(path).with_context(read)?));
    } else if meta.is_dir() {
        let entries = fs::read_dir(path).with_context(read)?;
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| !path.ends_with(".git"));
        paths.sort();
        paths.iter().try_for_each(|path| feed(hash, path))?;
    }
    Ok(())
}

/// The version that the service with this `.env` answers with.
fn answer(env: &str) -> Option<String> {
    let value = |key: &str| env.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let url = format!("http://127.0.0.1:{}/api/version", value("PORT")?);
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(ANSWER_BOUND)).build().into();
    let mut response = agent.get(url).header("X-API-Token", value("API_TOKEN")?).call().ok()?;
    let body: serde_json::Value = serde_json::from_str(&response.body_mut().read_to_string().ok()?).ok()?;
    Some(body["version"].as_str()?.to_owned())
}
