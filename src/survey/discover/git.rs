//! The checkout as git sees it, asked as the owner.

use std::path::{Path, PathBuf};
use std::time::Duration;

use semver::Version;

use super::tree::Tree;
use super::{FoundComponent, FoundGit};
use crate::error::{Context, Error, Result};
use crate::host::account::Account;
use crate::host::process::{Command, Output};
use crate::manifest::{Follow, TagShape};

/// The directory above `path` that holds a `.git`, without symlinks.
pub(super) fn toplevel(path: &Path) -> Result<PathBuf> {
    let real = path.canonicalize().with_context(|| format!("{} cannot be looked at", path.display()))?;
    if let Some(top) = real.ancestors().find(|directory| directory.join(".git").symlink_metadata().is_ok()) {
        return Ok(top.to_owned());
    }
    let error = Error::failed(format!("{} is not in a git checkout", real.display()));
    if real.join("HEAD").is_file() && real.join("objects").is_dir() {
        return Err(error
            .because("it is a bare repository, which has no files to run")
            .hint("name the checkout of it"));
    }
    Err(error
        .hint("name the directory of the checkout: relift init /opt/APP")
        .hint("or make one: git clone URL /opt/APP"))
}

/// git in one checkout, as its owner, with nothing of its configuration that runs programs on its own.
#[derive(Debug)]
pub(super) struct Git {
    root: PathBuf,
    owner: Account,
}

impl Git {
    /// Asks git whether it takes the directory for a checkout with a commit.
    pub fn open(root: &Path, owner: &Account) -> Result<Git> {
        let git = Git { root: root.to_owned(), owner: owner.clone() };
        let top = git.run(["rev-parse", "--show-toplevel"])?;
        if !top.success() {
            return Err(git.not_a_checkout(&top));
        }
        if top.text() != root.display().to_string() {
            return Err(Error::failed(format!("git takes {} for the checkout, not {}", top.text(), root.display()))
                .hint(format!("look at core.worktree: git -C {} config --get core.worktree", root.display())));
        }
        match git.run(["rev-parse", "-q", "--verify", "HEAD^{commit}"])?.success() {
            true => Ok(git),
            false => Err(Error::failed(format!("{} has no commit yet", root.display()))
                .hint(format!("git -C {} pull", root.display()))),
        }
    }

    fn not_a_checkout(&self, output: &Output) -> Error {
        let root = self.root.display();
        let owner = &self.owner.name;
        let error = Error::failed(format!("{root} is no checkout that git reads as {owner}"))
            .detail(output.stderr.iter().map(|line| crate::text::harmless(line)));
        match output.stderr.iter().any(|line| line.contains("dubious ownership")) {
            true => error
                .because(format!("{root} belongs to {owner}, and {root}/.git to another account"))
                .hint(format!("give the whole checkout to one account: chown -R {owner}: {root}")),
            false => error.hint(format!("try it: runuser -u {owner} -- git -C {root} status")),
        }
    }

    /// Who git runs as.
    pub fn owner(&self) -> &Account {
        &self.owner
    }

    /// The checkout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Runs git in the checkout.
    pub fn run<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<Output> {
        let fixed = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"];
        Command::new(fixed)
            .args(args)
            .account(&self.owner)
            .cwd(&self.root)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("LC_ALL", "C")
            .timeout(Duration::from_secs(60))
            .output()
    }

    /// The answer of a git that succeeded and had something to say.
    fn answer<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<Option<String>> {
        let output = self.run(args)?;
        Ok((output.success() && !output.text().is_empty()).then(|| output.text()))
    }

    fn lines<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<Vec<String>> {
        Ok(self.answer(args)?.unwrap_or_default().lines().map(str::to_owned).collect())
    }

    /// Whether the revision has the path.
    pub fn has(&self, revision: &str, path: &str) -> Result<bool> {
        Ok(self.run(["cat-file", "-e", &format!("{revision}:{path}")])?.success())
    }

    /// Where releases come from.
    pub fn found(&self, tree: &Tree<'_>) -> Result<FoundGit> {
        let branch = self.answer(["symbolic-ref", "-q", "--short", "HEAD"])?;
        let mut notes = Vec::new();
        let remote = self.remote(branch.as_deref(), &mut notes)?;
        let url = self.url(&remote, &mut notes)?;
        let follow = match &branch {
            Some(branch) => Follow::Branch(self.upstream_branch(branch, &remote, &mut notes)?),
            None => self.follow_of_detached(&remote, &mut notes)?,
        };
        let tags = match &follow {
            Follow::Branch(_) => self.shapes("HEAD")?.into_iter().next().map(|(shape, _)| shape.to_string()),
            Follow::Tags(_) => None,
        };
        let tip = self.tip(&remote, &follow)?;
        if tree.text(".gitattributes").is_some_and(|text| text.contains("filter=lfs")) {
            notes.push("Files are kept in Git LFS: the owner needs git-lfs, or an upgrade brings pointers.".into());
        }
        Ok(FoundGit { remote, url, follow, tags, notes, tip })
    }

    fn remote(&self, branch: Option<&str>, notes: &mut Vec<String>) -> Result<String> {
        let remotes = self.lines(["remote"])?;
        let upstream = match branch {
            Some(branch) => self.answer(["config", "--get", &format!("branch.{branch}.remote")])?,
            None => None,
        };
        if let Some(remote) = upstream.filter(|remote| remotes.contains(remote)) {
            return Ok(remote);
        }
        let root = self.root.display();
        match remotes.as_slice() {
            [] => Err(Error::failed(format!("{root} has no remote"))
                .because("releases are fetched from the checkout's remote")
                .hint(format!("git -C {root} remote add origin URL && git -C {root} fetch origin"))),
            [only] => Ok(only.clone()),
            several if several.iter().any(|name| name == "origin") => Ok("origin".into()),
            several => {
                notes.push(format!(
                    "There are several remotes ({}), and no branch says which is meant.",
                    several.join(", ")
                ));
                Ok(several[0].clone())
            }
        }
    }

    fn url(&self, remote: &str, notes: &mut Vec<String>) -> Result<String> {
        let root = self.root.display();
        let url = self.answer(["remote", "get-url", remote])?.ok_or_else(|| {
            Error::failed(format!("the remote {remote} of {root} has no URL"))
                .hint(format!("git -C {root} remote set-url {remote} URL"))
        })?;
        let plain = without_password(&url);
        if plain != url {
            notes.push(
                "The checkout's remote holds a password, left out here: give it to the owner's git instead,".into(),
            );
            notes.push("see gitcredentials(7), and take it out of the remote: git remote set-url.".into());
        }
        crate::manifest::check_git_url(&plain).map_err(|why| {
            Error::failed(format!("the remote {remote} of {root} cannot be followed"))
                .because(format!("its URL {why}"))
                .hint(format!("git -C {root} remote set-url {remote} URL"))
        })?;
        Ok(plain)
    }

    fn upstream_branch(&self, branch: &str, remote: &str, notes: &mut Vec<String>) -> Result<String> {
        if let Some(merge) = self.answer(["config", "--get", &format!("branch.{branch}.merge")])?
            && let Some(name) = merge.strip_prefix("refs/heads/")
        {
            return Ok(name.to_owned());
        }
        let root = self.root.display();
        match self.has_ref(&format!("refs/remotes/{remote}/{branch}"))? {
            true => notes.push(format!("The branch {branch} has no upstream. Give it one:")),
            false => notes.push(format!(
                "The branch {branch} has no upstream, and the last fetch saw no such branch on {remote}. Correct the \
                 name below, or publish the branch; then:"
            )),
        }
        notes.push(format!("    git -C {root} branch --set-upstream-to={remote}/{branch} {branch}"));
        Ok(branch.to_owned())
    }

    fn has_ref(&self, name: &str) -> Result<bool> {
        Ok(self.run(["rev-parse", "-q", "--verify", name])?.success())
    }

    /// A detached HEAD at a release tag follows such tags; elsewhere it can only be guessed what is meant.
    fn follow_of_detached(&self, remote: &str, notes: &mut Vec<String>) -> Result<Follow> {
        if let Some((shape, version)) = self.shapes("HEAD")?.into_iter().next() {
            notes.push(format!("HEAD is detached at the release tag {}.", shape.tag(&version)));
            return Ok(Follow::Tags(shape));
        }
        let root = self.root.display();
        let default = self.answer(["symbolic-ref", "-q", "--short", &format!("refs/remotes/{remote}/HEAD")])?;
        let default = default.and_then(|name| name.strip_prefix(&format!("{remote}/")).map(str::to_owned));
        let Some(branch) = default else {
            return Err(Error::failed(format!("HEAD of {root} is detached, and at no release tag"))
                .because("it cannot be told what an upgrade should follow")
                .hint(format!("git -C {root} switch BRANCH, then run relift init again")));
        };
        notes.push(format!(
            "HEAD is detached, and at no release tag. This is the default branch of {remote}; put the checkout on it \
             before the first upgrade:"
        ));
        notes.push(format!("    git -C {root} switch {branch}"));
        Ok(Follow::Branch(branch))
    }

    /// The shapes of the release tags at a revision.
    fn shapes(&self, revision: &str) -> Result<Vec<(TagShape, Version)>> {
        let tags = self.lines(["tag", "--points-at", revision])?;
        Ok(tags.iter().filter_map(|tag| shape_of(tag)).collect())
    }

    /// Where several components were released at one commit, the tags of an installed one are followed.
    pub fn prefer_tags_of(&self, components: &[FoundComponent], found: &mut FoundGit) -> Result<()> {
        let shapes = self.shapes("HEAD")?;
        let of = |component: &FoundComponent| {
            shapes.iter().find(|(shape, _)| component.installed && shape.prefix.contains(&component.name))
        };
        let Some((shape, version)) = components.iter().find_map(of) else { return Ok(()) };
        match &mut found.follow {
            Follow::Branch(_) => found.tags = Some(shape.to_string()),
            Follow::Tags(_) => {
                found.follow = Follow::Tags(shape.clone());
                found.notes.retain(|note| !note.starts_with("HEAD is detached at"));
                found.notes.insert(0, format!("HEAD is detached at the release tag {}.", shape.tag(version)));
                found.tip = self.tip(&found.remote, &found.follow)?;
            }
        }
        Ok(())
    }

    /// The newest revision that the last fetch knows.
    fn tip(&self, remote: &str, follow: &Follow) -> Result<Option<String>> {
        match follow {
            Follow::Branch(branch) => {
                let name = format!("refs/remotes/{remote}/{branch}");
                Ok(self.has_ref(&name)?.then_some(name))
            }
            Follow::Tags(shape) => {
                let tags = self.lines(["tag", "--list"])?;
                let newest = tags.iter().filter_map(|tag| shape.version(tag)).filter(|v| v.pre.is_empty()).max();
                Ok(newest.map(|version| format!("refs/tags/{}", shape.tag(&version))))
            }
        }
    }

    /// What an upgrade would stumble over.
    pub fn state(&self) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        let root = self.root.display();
        if self.answer(["rev-parse", "--is-shallow-repository"])?.as_deref() == Some("true") {
            notes.push("The checkout is shallow: history that an upgrade needs is missing. Mend it with".into());
            notes.push(format!("    git -C {root} fetch --unshallow"));
        }
        let changes = self.run(["status", "--porcelain=v1", "-z", "--untracked-files=no"])?;
        let changes = String::from_utf8_lossy(&changes.stdout);
        let changed: Vec<&str> = changes.split('\0').filter_map(|entry| entry.get(3..)).collect();
        if let Some(first) = changed.first() {
            let more = if changed.len() > 1 { format!(" and {} more", changed.len() - 1) } else { String::new() };
            notes.push(format!(
                "Tracked files have local changes: {first}{more}. An upgrade stops at them: undo them, or list the files \
                 in `discard` of [source.git], and they are set aside."
            ));
        }
        Ok(notes)
    }
}

/// The shape of a tag `PREFIXx.y.z`, and the version in it.
pub(super) fn shape_of(tag: &str) -> Option<(TagShape, Version)> {
    let starts = tag.char_indices().filter(|(at, c)| c.is_ascii_digit() && !tag[..*at].ends_with(digit_or_dot));
    starts.map(|(at, _)| tag.split_at(at)).find_map(|(prefix, version)| {
        let version = Version::parse(version).ok()?;
        Some((TagShape { prefix: prefix.to_owned(), suffix: String::new() }, version))
    })
}

fn digit_or_dot(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

/// `scheme://user:password@host` without the password.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let Some((user, host)) = rest[..end].rsplit_once('@') else { return url.to_owned() };
    match user.split_once(':') {
        // Over ssh the name is the account; over http it is half of the credentials.
        Some((name, _)) if scheme.contains("ssh") => format!("{scheme}://{name}@{host}{}", &rest[end..]),
        Some(_) => format!("{scheme}://{host}{}", &rest[end..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_tags_keep_their_prefix() {
        let shape = |tag: &str| shape_of(tag).map(|(shape, version)| (shape.to_string(), version.to_string()));
        let found = |shape: &str, version: &str| Some((shape.to_owned(), version.to_owned()));
        assert_eq!(shape("manager-v1.7.1"), found("manager-v{version}", "1.7.1"));
        assert_eq!(shape("v2.0.0-rc.1"), found("v{version}", "2.0.0-rc.1"));
        assert_eq!(shape("1.2.3"), found("{version}", "1.2.3"));
        assert_eq!(shape("app2-1.2.3"), found("app2-{version}", "1.2.3"));
        for tag in ["known-good/20260101T020304", "v1.2", "latest", "1.2.3.4"] {
            assert_eq!(shape(tag), None, "{tag}");
        }
    }

    #[test]
    fn passwords_do_not_get_into_a_manifest() {
        assert_eq!(without_password("https://u:hunter2@host/a.git"), "https://host/a.git");
        assert_eq!(without_password("ssh://git:x@host/a.git"), "ssh://git@host/a.git");
        for url in ["git@host:a.git", "https://u@host/a", "/srv/a", "https://host/a@b:c"] {
            assert_eq!(without_password(url), url);
        }
    }
}
