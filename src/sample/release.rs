//! One version of the sample: every file of its tree, and how it is published.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{COMPONENTS, files};

/// A file of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A plain file.
    File(Vec<u8>),
    /// A file that may be executed.
    Program(Vec<u8>),
    /// A symbolic link to this path.
    Link(String),
}

/// A release to be published: a value that can be changed into any shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its version, which every component has unless it was told otherwise.
    pub version: String,
    /// The whole tree, by path.
    pub files: BTreeMap<String, Entry>,
    /// The commit's message.
    pub message: String,
    /// Names of annotated tags that are put on the commit.
    pub tags: Vec<String>,
    /// The branch that it is published on.
    pub branch: String,
    /// The revision that the commit comes after; `None`: what the branch has, or what was published last for a new branch.
    pub parent: Option<String>,
    history: BTreeMap<String, Vec<(String, Vec<String>)>>,
}

impl Release {
    /// The first release, of a sample that will be installed in `root` for `account`.
    pub fn first(version: &str, root: &str, account: &str) -> Release {
        let release = Release {
            version: version.to_owned(),
            files: BTreeMap::new(),
            message: String::new(),
            tags: Vec::new(),
            branch: "main".into(),
            parent: None,
            history: BTreeMap::new(),
        };
        let release = release
            .file(".gitignore", files::GITIGNORE)
            .file("README.md", "# Sample\n\nTwo services in one repository.\n")
            .file("manager/production/sample-manager.service", &files::manager_unit(root, account))
            .file("runner/production/sample-runner.service", &files::runner_unit(root));
        let release = COMPONENTS.iter().zip([18080, 18081]).fold(release, |release, (component, port)| {
            release
                .file(&format!("{component}/.env.example"), &files::env_example(component, port))
                .file(&format!("{component}/Makefile"), files::MAKEFILE)
                .program(&format!("{component}/scripts/build.sh"), files::BUILD)
                .program(&format!("{component}/scripts/check_config.sh"), files::CHECK_CONFIG)
                .behaviour(component, "ok")
        });
        release.next(version)
    }

    /// The release after this one: both components get the version and a changelog entry; behaviours, tags and branch stay
    /// as they are but for tags, which are for one release.
    pub fn next(self, version: &str) -> Release {
        let mut release = Release { version: version.to_owned(), tags: Vec::new(), parent: None, ..self };
        release.message = format!("Release {version}");
        COMPONENTS.iter().fold(release, |release, component| release.component_version(component, version))
    }

    /// One component alone gets a version, with its changelog entry.
    pub fn component_version(mut self, component: &str, version: &str) -> Release {
        let history = self.history.entry(component.to_owned()).or_default();
        history.retain(|(known, _)| known != version);
        history.push((version.to_owned(), vec![format!("`/api/version` answers {version}.")]));
        self.file(&format!("{component}/VERSION"), &format!("{version}\n")).with_changelog(component)
    }

    /// Adds a line to the changelog's newest section of a component.
    pub fn note(mut self, component: &str, note: &str) -> Release {
        if let Some((_, notes)) = self.history.get_mut(component).and_then(|history| history.last_mut()) {
            notes.push(note.to_owned());
        }
        self.with_changelog(component)
    }

    /// What the service of a component does, line by line: `ok`, `ready-then-die 3s`, `strict-env KEY`, ...
    pub fn behaviour(self, component: &str, lines: &str) -> Release {
        self.file(&format!("{component}/behaviour"), &format!("{lines}\n"))
    }

    /// A new key in a component's `.env.example`, with a comment above it.
    pub fn env_key(self, component: &str, key: &str, value: &str, comment: &str) -> Release {
        self.edit(&format!("{component}/.env.example"), |text| format!("{text}\n# {comment}\n{key}={value}\n"))
    }

    /// A line at the end of a section of the component's unit.
    pub fn unit_line(self, component: &str, section: &str, line: &str) -> Release {
        let path = format!("{component}/production/sample-{component}.service");
        let header = format!("[{section}]\n");
        self.edit(&path, |text| text.replacen(&header, &format!("{header}{line}\n"), 1))
    }

    /// A plain file.
    pub fn file(self, path: &str, text: &str) -> Release {
        self.entry(path, Entry::File(text.into()))
    }

    /// A file that may be executed.
    pub fn program(self, path: &str, text: &str) -> Release {
        self.entry(path, Entry::Program(text.into()))
    }

    /// A symbolic link.
    pub fn link(self, path: &str, to: &str) -> Release {
        self.entry(path, Entry::Link(to.to_owned()))
    }

    /// Any entry.
    pub fn entry(mut self, path: &str, entry: Entry) -> Release {
        self.files.insert(path.to_owned(), entry);
        self
    }

    /// Without a path, and without everything below it.
    pub fn without(mut self, path: &str) -> Release {
        let below = format!("{path}/");
        self.files.retain(|known, _| known != path && !known.starts_with(&below));
        self
    }

    /// A plain file's text, changed.
    pub fn edit(self, path: &str, change: impl FnOnce(String) -> String) -> Release {
        let text = self.text(path);
        self.file(path, &change(text))
    }

    /// A file's text; empty where there is none.
    pub fn text(&self, path: &str) -> String {
        match self.files.get(path) {
            Some(Entry::File(bytes) | Entry::Program(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        }
    }

    /// A tag on the commit.
    pub fn tag(mut self, name: &str) -> Release {
        self.tags.push(name.to_owned());
        self
    }

    /// The branch that it is published on.
    pub fn on_branch(mut self, branch: &str) -> Release {
        self.branch = branch.to_owned();
        self
    }

    /// Makes the commit come after this revision, and the branch leave whatever it had.
    pub fn after(mut self, parent: &str) -> Release {
        self.parent = Some(parent.to_owned());
        self
    }

    /// The commit's message.
    pub fn message(mut self, message: &str) -> Release {
        self.message = message.to_owned();
        self
    }

    fn with_changelog(self, component: &str) -> Release {
        let text = files::changelog(component, self.history.get(component).map_or(&[], Vec::as_slice));
        self.file(&format!("{component}/CHANGELOG.md"), &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_changes_only_what_it_says() {
        let old = Release::first("1.0.0", "/opt/app", "app");
        let new = old.clone().next("1.1.0").env_key("manager", "ADMIN", "CHANGE_ME", "Who may administer.");
        let changed = |path: &&String| old.files.get(*path) != new.files.get(*path);
        let changed: Vec<_> = new.files.keys().filter(changed).map(String::as_str).collect();
        let expected = [
            "manager/.env.example",
            "manager/CHANGELOG.md",
            "manager/VERSION",
            "runner/CHANGELOG.md",
            "runner/VERSION",
        ];
        assert_eq!(changed, expected);
        assert!(new.text("manager/.env.example").ends_with("\n\n# Who may administer.\nADMIN=CHANGE_ME\n"));
    }

    #[test]
    fn the_changelog_has_the_newest_release_first() {
        let text = Release::first("1.0.0", "/opt/app", "app")
            .next("1.1.0")
            .note("runner", "Fixed a leak.")
            .text("runner/CHANGELOG.md");
        let at = |needle: &str| text.find(needle).unwrap();
        assert!(at("## [1.1.0]") < at("- Fixed a leak.") && at("- Fixed a leak.") < at("## [1.0.0]"), "{text}");
    }

    #[test]
    fn a_line_goes_into_its_section_of_the_unit() {
        let release = Release::first("1.0.0", "/opt/app", "app").unit_line("manager", "Service", "Nice=5");
        assert!(release.text("manager/production/sample-manager.service").contains("[Service]\nNice=5\n"));
    }
}
