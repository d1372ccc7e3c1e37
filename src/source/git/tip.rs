//! What the remote offers, at a glance: one conversation, nothing written.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use super::call::explain;
use super::glance;
use super::listing::{self, Question};
use super::mirror::{Mirror, Refs};
use super::remote::Remote;
use crate::error::{Result, ended};
use crate::manifest::Follow;

/// How long a list of refs may take to come.
const BOUND: Duration = Duration::from_secs(60);

/// How many refs come, with all else of an answer, in the first two round trips of a new connection: about 65 bytes each,
/// in 10 segments and then 20 (RFC 6928). A second request costs one.
const MANY: usize = 500;

impl Mirror {
    /// Whether the remote still offers exactly what the mirror knows of what is followed: the same refs, the same objects, tags
    /// not peeled. What is found out `meanwhile` costs no time of its own. The mirror is not written.
    pub fn is_up_to_date<T>(
        &self,
        follow: &Follow,
        asking: Asking,
        meanwhile: impl FnOnce() -> T,
    ) -> Result<(bool, T)> {
        // One that could not get ready says so when it is waited for.
        asking.go.send(()).unwrap_or_default();
        let (recorded, found) = (self.recorded(follow), meanwhile());
        let advertised = ended(asking.asked.join())?;
        Ok((advertised.is_some_and(|refs| refs == recorded), found))
    }

    /// The same refs, as the mirror has them.
    fn recorded(&self, follow: &Follow) -> Refs {
        let Ok(references) = self.repository().references_glob(&format!("{}*", prefix(follow))) else {
            return Refs::new();
        };
        let entry = |reference: git2::Reference| {
            let name = reference.name().ok().filter(|name| is_followed(name, follow))?;
            Some((name.to_owned(), reference.target()?.to_string()))
        };
        references.flatten().filter_map(entry).collect()
    }
}

/// Somebody who is ready to ask a remote what it offers; one that is dropped asks nobody.
pub struct Asking<'s> {
    go: Sender<()>,
    asked: ScopedJoinHandle<'s, Result<Option<Refs>>>,
}

impl Remote {
    /// Starts whoever opens the connection, in a thread, since systemd is asked for its groups and takes its time. No other host
    /// hears of it until that is wanted; of a local repository the refs are read at once.
    pub fn get_ready<'s>(self, scope: &'s Scope<'s, '_>, follow: Follow) -> Asking<'s> {
        let (go, wanted) = channel();
        Asking { go, asked: scope.spawn(move || self.advertised(&follow, wanted)) }
    }

    /// The refs that are followed, as the remote lists them once they are wanted; `None` where what it says is no list.
    fn advertised(&self, follow: &Follow, wanted: Receiver<()>) -> Result<Option<Refs>> {
        if let Some(refs) = self.seen(follow) {
            return Ok(Some(refs));
        }
        let listed = match (self.is_http(), self.serves()) {
            (true, _) => self.listed_over_http(follow, wanted)?,
            (_, Some(upload_pack)) => listing::of_local(self, upload_pack.timeout(BOUND))?,
            _ => {
                self.know_who_opens();
                if wanted.recv().is_err() {
                    return Ok(None);
                }
                Some(self.listed(follow)?)
            }
        };
        Ok(listed.map(|refs| refs.into_iter().filter(|(name, _)| is_followed(name, follow)).collect()))
    }

    /// The branch that is followed, read from a local repository's own files: no program is started for it, and no account looked up.
    /// Where it has moved, or anything there is not plain, nothing else is believed than what is served.
    fn seen(&self, follow: &Follow) -> Option<Refs> {
        let (Follow::Branch(_), Some(path)) = (follow, self.known_path()) else { return None };
        let name = prefix(follow);
        let commit = glance::served_branch(Path::new(path), &name)?;
        Some(Refs::from([(name, commit)]))
    }

    /// Protocol version 0 tells all refs in answer to one request; version 2 takes a second one, which names what is wanted. One
    /// that was seen to have many refs is asked for the few.
    fn listed_over_http(&self, follow: &Follow, wanted: Receiver<()>) -> Result<Option<Refs>> {
        let lent = self.lend()?;
        if self.has_many_refs() {
            let command = self.helps(lent.as_ref(), "protocol.version=2").timeout(BOUND);
            return listing::of_http(self, command, Question::Refs(prefix(follow)), wanted);
        }
        let command = self.lists_over_http(lent.as_ref()).timeout(BOUND);
        let listed = listing::of_http(self, command, Question::All, wanted)?;
        if listed.as_ref().is_some_and(|refs| refs.len() > MANY) {
            self.remember_many_refs();
        }
        Ok(listed)
    }

    /// The same, told by git itself: git-ls-remote(1).
    fn listed(&self, follow: &Follow) -> Result<Refs> {
        let kind = match follow {
            Follow::Branch(_) => "--heads",
            Follow::Tags(_) => "--tags",
        };
        let output = self.lists(kind).timeout(BOUND).output()?;
        match output.success() {
            true => Ok(listing::refs(String::from_utf8_lossy(&output.stdout).lines())),
            false => Err(explain(self, &output)),
        }
    }

    fn has_many_refs(&self) -> bool {
        std::fs::read(self.many_refs()).is_ok_and(|url| url == self.url.as_bytes())
    }

    /// That it is lost, or torn, costs a longer answer.
    fn remember_many_refs(&self) {
        std::fs::write(self.many_refs(), &self.url).unwrap_or_default();
    }

    fn many_refs(&self) -> PathBuf {
        self.config.with_file_name("remote.many-refs")
    }
}

fn prefix(follow: &Follow) -> String {
    match follow {
        Follow::Branch(branch) => format!("refs/heads/{branch}"),
        Follow::Tags(shape) => format!("refs/tags/{}", shape.prefix),
    }
}

fn is_followed(name: &str, follow: &Follow) -> bool {
    match follow {
        Follow::Branch(_) => name == prefix(follow),
        Follow::Tags(_) => name.starts_with(&prefix(follow)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::TagShape;

    #[test]
    fn only_what_is_followed_is_compared() {
        let main = Follow::Branch("main".into());
        assert!(is_followed("refs/heads/main", &main));
        for other in ["refs/heads/x/refs/heads/main", "refs/heads/main2", "refs/tags/main"] {
            assert!(!is_followed(other, &main), "{other}");
        }
        let tags = Follow::Tags(TagShape { prefix: "v".into(), suffix: String::new() });
        assert!(is_followed("refs/tags/v1.0.0", &tags));
        assert!(!is_followed("refs/tags/other-1", &tags));
    }
}
