//! Where this program is installed, while a package manager may replace it.

use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};

/// What the kernel says of a file that was removed or replaced since it was executed, proc(5).
const REPLACED: &str = " (deleted)";

/// The installed program: the one that a unit is to start, which an upgrade of the package may have replaced meanwhile.
/// Children that must be this very program start `/proc/self/exe` instead.
pub fn program() -> Result<PathBuf> {
    let link = std::env::current_exe().context("this program cannot find itself")?;
    installed(&link, &|path| path.exists())
}

fn installed(link: &Path, exists: &dyn Fn(&Path) -> bool) -> Result<PathBuf> {
    if exists(link) {
        return Ok(link.to_owned());
    }
    let text = link.to_string_lossy();
    let path = PathBuf::from(text.strip_suffix(REPLACED).unwrap_or(&text));
    match exists(&path) {
        true => Ok(path),
        false => Err(Error::failed(format!("{} is not there any more", path.display()))
            .because("the program was removed while it runs")
            .hint("install it again: apt-get install --reinstall relift, or dnf reinstall relift")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_replaced_is_found_where_it_was_and_one_that_was_removed_is_not_found() {
        let installed = |link: &str, there: &[&str]| {
            installed(Path::new(link), &|path| there.iter().any(|one| Path::new(one) == path)).ok()
        };
        let (here, replaced) = ("/usr/bin/relift", "/usr/bin/relift (deleted)");
        assert_eq!(installed(here, &[here]), Some(here.into()));
        assert_eq!(installed(replaced, &[here]), Some(here.into()));
        assert_eq!(installed(replaced, &[]), None);
        // A file that is really called that.
        assert_eq!(installed(replaced, &[replaced, here]), Some(replaced.into()));
    }
}
