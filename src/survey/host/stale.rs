//! What a process still runs with although it was replaced on disk, as needrestart and `dnf needs-restarting` tell. Pure.

use std::path::Path;

/// What the kernel adds to the path of a file that was unlinked, proc_pid_maps(5).
const DELETED: &str = " (deleted)";
/// Where programs put files that they map and unlink themselves.
const SCRATCH: [&str; 6] = ["/dev/", "/tmp/", "/var/tmp/", "/run/", "/proc/", "/sys/"];
/// Names of mappings that are no files, although they look like absolute paths.
const NO_FILES: [&str; 6] = ["/memfd:", "/SYSV", "/drm", "/i915", "/anon_hugepage", "/["];

/// The files with code that a process has mapped and that are gone from disk, each once, in the order of the text of
/// `/proc/PID/maps`. `is_there` tells whether a path exists: a file may be called `x (deleted)`. What is below `own` is not the
/// package manager's doing.
pub(super) fn libraries(maps: &str, own: &[&Path], is_there: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in maps.lines() {
        // `7f00-7f01 r-xp 00000000 08:01 1234   /usr/lib/libssl.so.3 (deleted)`
        let mut fields = line.splitn(6, ' ').map(str::trim);
        let permissions = fields.nth(1).unwrap_or_default();
        let Some(path) = fields.nth(3).filter(|_| permissions.contains('x')) else { continue };
        if let Some(path) = gone(path, own, is_there)
            && !found.iter().any(|known| known == path)
        {
            found.push(path.to_owned());
        }
    }
    found
}

/// The program that a process runs, where it is gone from disk: `/proc/PID/exe` is read as `target`.
pub(super) fn program<'t>(target: &'t str, own: &[&Path], is_there: &dyn Fn(&str) -> bool) -> Option<&'t str> {
    gone(target, own, is_there)
}

fn gone<'p>(path: &'p str, own: &[&Path], is_there: &dyn Fn(&str) -> bool) -> Option<&'p str> {
    let name = path.strip_suffix(DELETED)?;
    let is_file = name.starts_with('/') && !NO_FILES.iter().chain(&SCRATCH).any(|begin| name.starts_with(begin));
    let is_own = own.iter().any(|directory| Path::new(name).starts_with(directory));
    (is_file && !is_own && !is_there(path)).then_some(name)
}

/// Why a service is started anew, in a line.
pub(super) fn words(program: Option<&str>, libraries: &[String]) -> Option<String> {
    let name = |path: &str| crate::text::harmless(path);
    Some(match (program, libraries) {
        (Some(program), _) => format!("its program was replaced since it was started: {}", name(program)),
        (None, []) => return None,
        (None, [one]) => format!("a library that it runs with was replaced: {}", name(one)),
        (None, [one, more @ ..]) => {
            format!("libraries that it runs with were replaced: {} and {} more", name(one), more.len())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(maps: &str) -> Vec<String> {
        libraries(maps, &[Path::new("/opt/app")], &|_| false)
    }

    const LINE: &str = "7f1200000000-7f1200001000 r-xp 00000000 08:01 1234                       ";

    #[test]
    fn a_library_that_was_replaced_is_found_once() {
        let lines = format!(
            "{LINE}/usr/lib/libssl.so.3 (deleted)\n{LINE}/usr/lib/libc.so.6\n{LINE}/usr/lib/libssl.so.3 (deleted)\n"
        );
        assert_eq!(found(&lines), ["/usr/lib/libssl.so.3"]);
        let spaced = format!("{LINE}/usr/lib/a b.so (deleted)\n");
        assert_eq!(found(&spaced), ["/usr/lib/a b.so"]);
    }

    #[test]
    fn what_only_looks_like_a_replaced_library_is_none() {
        for path in [
            "/memfd:jit (deleted)",
            "/dev/zero (deleted)",
            "/dev/shm/pulse (deleted)",
            "/SYSV00000000 (deleted)",
            "/tmp/ffiABC (deleted)",
            "/var/tmp/jna1.tmp (deleted)",
            "/run/user/1000/orcexec.x (deleted)",
            "/anon_hugepage (deleted)",
            "/drm mm object (deleted)",
            "[vdso]",
            "[heap] (deleted)",
            "/opt/app/.venv/lib/x.so (deleted)",
            "/usr/lib/libssl.so.3",
            "",
        ] {
            assert_eq!(found(&format!("{LINE}{path}\n")), Vec::<String>::new(), "{path}");
        }
        // Data that was mapped and replaced, such as a cache of locales, is no code.
        let data = LINE.replace("r-xp", "r--p");
        assert_eq!(found(&format!("{data}/usr/lib/locale/locale-archive (deleted)\n")), Vec::<String>::new());
        // A file that is really called so.
        let named = format!("{LINE}/usr/lib/odd (deleted)\n");
        assert!(libraries(&named, &[], &|path| path == "/usr/lib/odd (deleted)").is_empty());
        assert_eq!(found("garbage\n\n7f r-xp\n"), Vec::<String>::new());
    }

    #[test]
    fn the_program_counts_before_its_libraries() {
        let none = |_: &str| false;
        let program = |target| program(target, &[Path::new("/opt/app")], &none);
        assert_eq!(program("/usr/bin/node (deleted)"), Some("/usr/bin/node"));
        assert_eq!(program("/usr/bin/node"), None);
        assert_eq!(program("/opt/app/bin/server (deleted)"), None);
        assert_eq!(program("/memfd:x (deleted)"), None);
        let libraries = ["/a.so".to_owned(), "/b.so".to_owned()];
        assert!(words(Some("/usr/bin/node"), &libraries).unwrap().ends_with("/usr/bin/node"));
        assert!(words(None, &libraries).unwrap().ends_with("/a.so and 1 more"));
        assert_eq!(words(None, &[]), None);
    }
}
