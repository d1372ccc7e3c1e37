//! The host as a whole: where programs are, disks, the clock, the resolver.

use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use crate::error::{Context, Result};
use crate::host::account::Account;
use crate::host::process::Command;

/// How long a program may take to tell its version.
const BOUND: Duration = Duration::from_secs(10);

/// Where a program is in the `PATH` that root's children get.
pub fn find(program: &str) -> Option<PathBuf> {
    let is_program =
        |file: &PathBuf| nix::unistd::access(file, nix::unistd::AccessFlags::X_OK).is_ok() && file.is_file();
    Account::root().places(program).into_iter().find(is_program)
}

/// The first line that a program says, on either stream, whatever its exit status.
pub fn first_line(argv: &[&str]) -> Option<String> {
    let output = Command::new(argv.iter().copied()).timeout(BOUND).output().ok()?;
    let line = output.text().lines().next().map(str::to_owned);
    line.or_else(|| output.stderr.first().cloned()).filter(|line| !line.is_empty())
}

/// Free and total bytes, free and total inodes, and whether it is read-only, of the filesystem that `path` is or would be on.
pub fn disk(path: &Path) -> Result<([u64; 2], [u64; 2], bool)> {
    let near = path.ancestors().find(|near| near.exists()).unwrap_or(Path::new("/"));
    let stat = nix::sys::statvfs::statvfs(near)
        .with_context(|| format!("the free space of {} cannot be read", near.display()))?;
    let block = stat.fragment_size() as u64;
    Ok((
        [stat.blocks_available() as u64 * block, stat.blocks() as u64 * block],
        [stat.files_available() as u64, stat.files() as u64],
        stat.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY),
    ))
}

/// Whether the kernel's clock is kept right, adjtimex(2) asked for nothing to be changed; `None`: it does not say.
pub fn is_synchronised() -> Option<bool> {
    // SAFETY: all zeros is a valid timex, and with no modes set nothing is changed.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the structure outlives the call.
    let state = unsafe { libc::adjtimex(&mut timex) };
    (state >= 0).then_some(timex.status & libc::STA_UNSYNC == 0)
}

/// Whether there is a locale, newlocale(3).
pub fn has_locale(name: &std::ffi::CStr) -> bool {
    // SAFETY: the name ends with NUL; a null base asks for a new object, which is given back.
    unsafe {
        let locale = libc::newlocale(libc::LC_ALL_MASK, name.as_ptr(), std::ptr::null_mut());
        if !locale.is_null() {
            libc::freelocale(locale);
        }
        !locale.is_null()
    }
}

/// Whether a host name has an address. The resolver keeps bounds of its own, which may be long: it is left behind at this one.
pub fn resolve(host: &str, bound: Duration) -> std::result::Result<(), String> {
    let (sender, receiver) = mpsc::channel();
    let name = host.to_owned();
    std::thread::spawn(move || {
        let found = (name.as_str(), 0).to_socket_addrs().map(|mut found| found.next().is_some());
        sender.send(found.map_err(|error| error.to_string())).unwrap_or_default();
    });
    match receiver.recv_timeout(bound) {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err("it has no address".into()),
        Ok(Err(why)) => Err(why),
        Err(_) => Err(format!("no answer within {} s", bound.as_secs())),
    }
}
