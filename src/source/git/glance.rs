//! Refs at a glance, from a repository's own files, gitrepository-layout(5): where those do not tell plainly, git must.

use std::io::ErrorKind;
use std::path::Path;

use crate::host::fs::Rooted;

/// The commit of HEAD, from its own files (gitrepository-layout(5)); `None` where they do not tell it, and git must.
pub fn head_at_a_glance(root: &Path) -> Option<String> {
    head_of(&Rooted::open(root).ok()?).map(|(commit, _)| commit)
}

/// The same, with the branch that HEAD is on; of a detached one, none.
pub fn head_of(checkout: &Rooted) -> Option<(String, Option<String>)> {
    let head = text(checkout, Path::new(".git/HEAD"))?;
    let Some(name) = head.trim_end().strip_prefix("ref: ") else { return Some((commit_id(&head)?, None)) };
    let branch = name.strip_prefix("refs/heads/")?.to_owned();
    Some((commit_of(checkout, Path::new(".git"), name)?, Some(branch)))
}

/// The commit of a branch (`refs/heads/main`) of a repository that git would serve by this path; `None` where its files do not tell
/// it plainly, or it is no such repository.
pub(super) fn served_branch(path: &Path, name: &str) -> Option<String> {
    // In git's order: what is there by this name, of whatever kind, comes before one that ends in `.git`; and a work tree's
    // repository before the directory itself.
    let mut named = path.as_os_str().to_owned();
    if path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        named.push(".git");
    }
    let place = Rooted::open(Path::new(&named)).ok()?;
    let has = |git: &str, name: &str| place.is_directory(&Path::new(git).join(name));
    let git = if place.exists(Path::new(".git")).ok()? { ".git" } else { "" };
    let is_repository = has(git, "objects") && has(git, "refs") && place.exists(&Path::new(git).join("HEAD")).ok()?;
    is_repository.then(|| commit_of(&place, Path::new(git), name)).flatten()
}

/// The commit of a ref below the repository `git`.
fn commit_of(place: &Rooted, git: &Path, name: &str) -> Option<String> {
    // A loose ref comes before a packed one of its name.
    let loose = git.join(name);
    match place.exists(&loose).ok()? {
        true => commit_id(&text(place, &loose)?),
        false => packed(&text(place, &git.join("packed-refs"))?, name),
    }
}

fn text(place: &Rooted, path: &Path) -> Option<String> {
    place.read(path).ok()?.and_then(|content| String::from_utf8(content.bytes).ok())
}

fn packed(text: &str, wanted: &str) -> Option<String> {
    let line = text.lines().filter_map(|line| line.split_once(' ')).find(|(_, name)| *name == wanted);
    line.and_then(|(oid, _)| commit_id(oid))
}

fn commit_id(text: &str) -> Option<String> {
    let id = text.trim_end();
    (id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn checkout(head: &str, loose: Option<&str>, packed: Option<&str>) -> Option<String> {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        fs::create_dir_all(root.join(".git/refs/heads")).unwrap();
        fs::write(root.join(".git/HEAD"), head).unwrap();
        if let Some(text) = loose {
            fs::write(root.join(".git/refs/heads/main"), text).unwrap();
        }
        if let Some(text) = packed {
            fs::write(root.join(".git/packed-refs"), text).unwrap();
        }
        head_at_a_glance(&root)
    }

    #[test]
    fn head_is_told_from_its_files_and_by_nobody_where_they_are_not_plain() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let list = format!("# pack-refs with: peeled fully-peeled sorted \n{b} refs/heads/main\n^{a}\n");
        assert_eq!(checkout(&format!("{a}\n"), None, None), Some(a.clone()));
        assert_eq!(checkout("ref: refs/heads/main\n", Some(&a), Some(&list)), Some(a.clone()), "loose before packed");
        assert_eq!(checkout("ref: refs/heads/main\n", None, Some(&list)), Some(b));
        assert_eq!(checkout("ref: refs/heads/other\n", None, Some(&list)), None);
        assert_eq!(checkout("ref: refs/heads/main\n", Some("ref: refs/heads/x"), Some(&list)), None);
        assert_eq!(checkout("ref: refs/heads/main\n", Some(""), Some(&list)), None, "torn, not packed");
        assert_eq!(checkout("ref: ../../etc/passwd\n", None, None), None);
        assert_eq!(checkout("ref: refs/heads/../../../x\n", None, None), None);
    }

    fn served(at: &str, plant: impl FnOnce(&Path)) -> Option<String> {
        let place = tempfile::tempdir().unwrap();
        let git = place.path().join(at);
        for directory in ["objects", "refs/heads"] {
            fs::create_dir_all(git.join(directory)).unwrap();
        }
        fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(git.join("refs/heads/main"), format!("{}\n", "a".repeat(40))).unwrap();
        plant(&git);
        served_branch(&place.path().canonicalize().unwrap().join("app"), "refs/heads/main")
    }

    #[test]
    fn a_branch_is_read_of_the_repository_that_git_would_serve() {
        let (a, b) = (Some("a".repeat(40)), "b".repeat(40));
        for at in ["app", "app.git", "app/.git"] {
            assert_eq!(served(at, |_| ()), a, "{at}");
        }
        // A work tree that has files named like those of a repository.
        let as_work_tree = |git: &Path| {
            let top = git.parent().unwrap();
            fs::write(top.join("HEAD"), "x").unwrap();
            fs::create_dir_all(top.join("refs/heads")).unwrap();
            fs::create_dir(top.join("objects")).unwrap();
            fs::write(top.join("refs/heads/main"), &b).unwrap();
        };
        assert_eq!(served("app/.git", as_work_tree), a);
        let pack = |git: &Path| {
            fs::remove_file(git.join("refs/heads/main")).unwrap();
            fs::write(git.join("packed-refs"), format!("# pack-refs with: peeled\n{b} refs/heads/main\n")).unwrap();
        };
        assert_eq!(served("app.git", pack), Some(b.clone()));
    }

    #[test]
    fn what_is_not_plainly_a_branch_of_a_repository_is_left_to_who_serves_it() {
        let alias = |git: &Path| fs::write(git.join("refs/heads/main"), "ref: refs/heads/other\n").unwrap();
        assert_eq!(served("app", alias), None);
        assert_eq!(served("app", |git| fs::remove_file(git.join("refs/heads/main")).unwrap()), None);
        assert_eq!(served("app", |git| fs::remove_dir(git.join("objects")).unwrap()), None);
        assert_eq!(served("app", |git| fs::remove_file(git.join("HEAD")).unwrap()), None);
        let link = |git: &Path| {
            fs::rename(git.join("refs/heads/main"), git.join("elsewhere")).unwrap();
            std::os::unix::fs::symlink("../../elsewhere", git.join("refs/heads/main")).unwrap();
        };
        assert_eq!(served("app", link), None, "no link is followed");
        let pipe = |git: &Path| {
            fs::remove_file(git.join("refs/heads/main")).unwrap();
            nix::unistd::mkfifo(&git.join("refs/heads/main"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        };
        assert_eq!(served("app", pipe), None, "nobody waits for one who writes");
        let apart = |git: &Path| fs::write(git.join(".git"), "gitdir: /elsewhere\n").unwrap();
        assert_eq!(served("app", apart), None, "a repository elsewhere");
        let beside = |git: &Path| fs::write(git.with_file_name("app"), "gitdir: /elsewhere\n").unwrap();
        assert_eq!(served("app.git", beside), None, "what is named comes before what it is completed to");
    }
}
