//! The upstream repository of the sample: releases become commits of a bare repository.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::{Entry, Release};
use crate::error::{Context, Result};
use crate::host::account::Account;
use crate::host::process::Command;

/// 2026-01-01 00:00 UTC; each commit is an hour after the one before it, so that the same releases give the same commits.
const EPOCH: i64 = 1_767_225_600;

/// A bare repository and the tree that its commits are made in, both owned by one account.
#[derive(Debug, Clone)]
pub struct Repository {
    bare: PathBuf,
    work: PathBuf,
    owner: Account,
}

impl Repository {
    /// Opens the repository in `bare`, and makes it where there is none. `work` is a directory of our own.
    pub fn open(bare: &Path, work: &Path, owner: &Account) -> Result<Repository> {
        let repository = Repository { bare: bare.to_owned(), work: work.to_owned(), owner: owner.clone() };
        if !bare.exists() {
            repository.create()?;
        }
        Ok(repository)
    }

    fn create(&self) -> Result<()> {
        for directory in [&self.bare, &self.work] {
            fs::create_dir_all(directory)
                .and_then(|()| std::os::unix::fs::chown(directory, Some(self.owner.uid), Some(self.owner.gid)))
                .with_context(|| format!("{} cannot be made", directory.display()))?;
        }
        let bare = self.bare.display().to_string();
        self.git(&["init", "--quiet", "--bare", "--initial-branch=main", "."], &self.bare)?;
        self.git(&["config", "uploadpack.allowFilter", "true"], &self.bare)?;
        self.git(&["init", "--quiet", "--initial-branch=main", "."], &self.work)?;
        self.git(&["remote", "add", "origin", &bare], &self.work).map(drop)
    }

    /// Publishes a release on its branch, after the commit that is there, with its tags; the commit's id.
    pub fn publish(&self, release: &Release) -> Result<String> {
        let branch = format!("refs/heads/{}", release.branch);
        self.go_to(&branch, release.parent.as_deref())?;
        self.git(&["read-tree", "--empty"], &self.work)?;
        self.lay_out(release)?;
        self.git(&["add", "--all", "--force", "."], &self.work)?;
        self.git(&["commit", "--quiet", "--allow-empty", "--message", &release.message], &self.work)?;
        for tag in &release.tags {
            self.git(&["tag", "--force", "--annotate", "--message", tag, tag], &self.work)?;
        }
        self.git(&["push", "--quiet", "--force", "origin", &branch, "--tags"], &self.work)?;
        self.git(&["rev-parse", "HEAD"], &self.work)
    }

    /// The next commit goes on `branch`: after `parent`, after what the branch has, or after the last commit.
    fn go_to(&self, branch: &str, parent: Option<&str>) -> Result<()> {
        let known = self.git(&["for-each-ref", "--format=%(objectname)", branch], &self.work)?;
        let last = self.git(&["rev-list", "--all", "--date-order", "--max-count=1"], &self.work)?;
        let start = parent.unwrap_or(if known.is_empty() { &last } else { &known });
        if !start.is_empty() {
            self.git(&["update-ref", branch, start], &self.work)?;
        }
        self.git(&["symbolic-ref", "HEAD", branch], &self.work).map(drop)
    }

    /// The tree in `work` becomes the release's.
    fn lay_out(&self, release: &Release) -> Result<()> {
        let entries = fs::read_dir(&self.work).context("the sample's tree cannot be listed")?;
        for entry in entries.flatten().filter(|entry| entry.file_name() != ".git") {
            let directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let removed = if directory { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
            removed.with_context(|| format!("{} cannot be removed", entry.path().display()))?;
        }
        release.files.iter().try_for_each(|(path, entry)| {
            let path = self.work.join(path);
            write_entry(&path, entry).with_context(|| format!("{} cannot be written", path.display()))
        })
    }

    fn git(&self, words: &[&str], cwd: &Path) -> Result<String> {
        let date = format!("{} +0000", EPOCH + 3600 * self.commits());
        let command =
            Command::new(["git", "-c", "core.autocrlf=false", "-c", "commit.gpgSign=false", "-c", "tag.gpgSign=false"])
                .args(words.iter().copied())
                .account(&self.owner)
                .cwd(cwd)
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .env("GIT_AUTHOR_NAME", "Sample")
                .env("GIT_AUTHOR_EMAIL", "sample@example.org")
                .env("GIT_AUTHOR_DATE", date.clone())
                .env("GIT_COMMITTER_NAME", "Sample")
                .env("GIT_COMMITTER_EMAIL", "sample@example.org")
                .env("GIT_COMMITTER_DATE", date);
        Ok(command.succeed()?.text())
    }

    /// How many commits were made here: HEAD's log has a line for each.
    fn commits(&self) -> i64 {
        let log = fs::read_to_string(self.work.join(".git/logs/HEAD")).unwrap_or_default();
        i64::try_from(log.lines().count()).unwrap_or(0)
    }
}

fn write_entry(path: &Path, entry: &Entry) -> std::io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    let (bytes, mode) = match entry {
        Entry::Link(to) => return symlink(to, path),
        Entry::File(bytes) => (bytes, 0o644),
        Entry::Program(bytes) => (bytes, 0o755),
    };
    fs::write(path, bytes)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
