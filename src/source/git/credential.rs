//! A token for a remote: read where the manifest says that it is, and handed on by descriptor.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::error::{Context, Error, Result};
use crate::manifest::Credential;

/// No token is longer, in bytes.
const LONGEST: u64 = 64 << 10;
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
        let token = read(&self.place)?;
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

/// The first line of a secret's file: a token, a password, an address that holds one.
pub fn read(place: &Credential) -> Result<String> {
    match text(place)?.lines().next().map(str::trim).filter(|token| !token.is_empty() && !token.contains('\0')) {
        Some(token) => Ok(token.to_owned()),
        None => Err(Error::failed(format!("the credential {} is empty", path_of(place)?.display()))
            .hint("write the token, or the password, into its first line")),
    }
}

/// All of a secret's file. One that others may read or write is refused.
pub fn text(place: &Credential) -> Result<String> {
    let path = path_of(place)?;
    let what = || format!("the credential {} cannot be read", path.display());
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = File::options().read(true).custom_flags(flags).open(&path).with_context(what)?;
    let meta = file.metadata().with_context(what)?;
    let ours = [0, nix::unistd::geteuid().as_raw()].contains(&meta.uid());
    if !meta.is_file() || !ours || meta.mode() & 0o077 != 0 {
        return Err(Error::refused(format!("the credential {} is not used", path.display()))
            .because("it is no file that root alone may read and write")
            .hint(format!("chown root:root {0} && chmod 600 {0}", path.display())));
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).with_context(what)?;
    Ok(text)
}

fn path_of(place: &Credential) -> Result<PathBuf> {
    match place {
        Credential::File(path) => Ok(path.clone()),
        Credential::Named(name) => {
            let directory = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                Error::failed(format!("the credential {name} is not here: systemd passed none on"))
                    .because("CREDENTIALS_DIRECTORY is not set, systemd.exec(5)")
                    .hint(format!(
                        "in the unit that runs relift: LoadCredentialEncrypted={name}; from a shell: systemd-run --pty -p LoadCredentialEncrypted={name} relift ..., or name a file in `credential`"
                    ))
            })?;
            Ok(PathBuf::from(directory).join(name))
        }
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
