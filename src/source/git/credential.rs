//! A token for a remote: read where the manifest says that it is, and handed on by descriptor.

use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::AsRawFd;

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::error::{Context, Result};
use crate::host::credential;
use crate::manifest::Credential;

/// Who a token belongs to where the URL does not say: forges look at the token alone.
const USER: &str = "git";

/// A token that the manifest names.
#[derive(Debug, Clone)]
pub struct Secret {
    place: Credential,
    user: String,
}

/// A token in memory, for as long as a conversation takes.
#[derive(Debug)]
pub struct Lent(File);

impl Secret {
    /// The token for `url`, which may name its user; it is not looked at yet.
    pub fn new(place: &Credential, url: &str) -> Secret {
        let authority = url.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
        let user = authority.rsplit_once('@').map_or(USER, |(user, _)| user);
        Secret { place: place.clone(), user: user.to_owned() }
    }

    /// Reads it. A file that others may read or write is refused.
    pub fn lend(&self) -> Result<Lent> {
        let token = credential::first_line(&self.place)?;
        // As git-credential(1) reads it.
        let text = format!("username={}\npassword={token}\n", self.user);
        let file = memfd_create("credential", MFdFlags::MFD_CLOEXEC).map(File::from);
        let mut file = file.context("memory for the credential cannot be had")?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.rewind())
            .context("memory for the credential cannot be had")?;
        Ok(Lent(file))
    }
}

impl Lent {
    /// Where another process of root's opens it.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_credential_that_others_may_read_is_refused_and_one_that_is_roots_is_lent() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("token");
        std::fs::write(&path, "s3cr3t\nnoise\n").unwrap();
        let secret =
            |path: &PathBuf| Secret::new(&Credential::File(path.clone()), "https://deploy@git.example.org/a.git");
        for mode in [0o644, 0o640, 0o604] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = secret(&path).lend().unwrap_err();
            assert!(error.to_string().contains("root alone") && !error.to_string().contains("s3cr3t"), "{error}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let lent = secret(&path).lend().unwrap();
        assert_eq!(std::fs::read_to_string(lent.path()).unwrap(), "username=deploy\npassword=s3cr3t\n");
        let link = place.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(secret(&link).lend().is_err());
        std::fs::write(&path, "\n").unwrap();
        assert!(secret(&path).lend().unwrap_err().to_string().contains("is empty"));
    }
}
