//! Secrets that the manifest names: files that root alone may read, or systemd credentials (systemd.exec(5), `LoadCredential=`).

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use crate::error::{Context, Error, Result};
use crate::manifest::Credential;

/// No secret is longer, in bytes.
const LONGEST: u64 = 64 << 10;

/// Reads a secret. A file that others may read or write is refused.
pub fn read(place: &Credential) -> Result<String> {
    let path = path(place)?;
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

/// The first line of a secret's file: a token, a password, an address that holds one.
pub fn first_line(place: &Credential) -> Result<String> {
    match read(place)?.lines().next().map(str::trim).filter(|token| !token.is_empty() && !token.contains('\0')) {
        Some(token) => Ok(token.to_owned()),
        None => Err(Error::failed(format!("the credential {} is empty", path(place)?.display()))
            .hint("write the token, or the password, into its first line")),
    }
}

/// Where it is.
fn path(place: &Credential) -> Result<PathBuf> {
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
