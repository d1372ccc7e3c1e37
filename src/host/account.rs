//! Accounts of this host, as getpwnam(3) knows them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// An account that children run as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
}

impl Account {
    /// The account called `name`; an error that says how to make one where there is none.
    pub fn named(name: &str) -> Result<Account> {
        let user = nix::unistd::User::from_name(name)
            .map_err(|errno| Error::failed(format!("the account {name} cannot be looked up")).because(errno))?;
        let user = user.ok_or_else(|| {
            Error::failed(format!("this host has no account {name}"))
                .hint(format!("create it (useradd --system {name}), or name another owner in the manifest"))
        })?;
        Ok(Account { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), home: user.dir })
    }

    /// The account with a user id; `None` where the host knows none.
    pub fn of(uid: u32) -> Option<Account> {
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok()??;
        Some(Account { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), home: user.dir })
    }

    /// root, without a look-up.
    pub fn root() -> Account {
        Account { name: "root".into(), uid: 0, gid: 0, home: PathBuf::from("/root") }
    }

    /// Whether this is root.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// `XDG_RUNTIME_DIR` of the account, where its user manager listens.
    pub fn runtime_dir(&self) -> PathBuf {
        PathBuf::from(format!("/run/user/{}", self.uid))
    }

    /// The directories in which a child of this account looks for programs.
    pub fn search_path(&self) -> String {
        const SYSTEM: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        match self.is_root() {
            true => SYSTEM.to_owned(),
            false => format!("{}/.local/bin:{SYSTEM}", self.home.display()),
        }
    }

    /// Where a program of this name may be, in the order in which a child of this account looks.
    pub fn places(&self, program: &str) -> Vec<PathBuf> {
        self.search_path().split(':').map(|directory| PathBuf::from(directory).join(program)).collect()
    }

    /// The environment that a child of this account starts with: nothing is inherited.
    pub fn environment(&self) -> Vec<(String, String)> {
        let home = self.home.display();
        [
            ("HOME", home.to_string()),
            ("USER", self.name.clone()),
            ("LOGNAME", self.name.clone()),
            ("SHELL", "/bin/sh".into()),
            ("LANG", "C.UTF-8".into()),
            ("PATH", self.search_path()),
            ("XDG_RUNTIME_DIR", self.runtime_dir().display().to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }
}

/// The login name of a user id, where the host has one.
pub fn name_of(uid: u32) -> Option<String> {
    nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten().map(|user| user.name)
}
