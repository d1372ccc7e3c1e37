//! The manifest for what is no git checkout: what was found, and words for what could not be known.

use std::path::PathBuf;

use super::draft::{comment, line, quoted};

/// What was found of an install whose releases do not come from a git checkout.
#[derive(Debug, Clone)]
pub struct Sketch {
    /// What the install might be called.
    pub name: String,
    /// The directory that it is in, without symlinks.
    pub root: PathBuf,
    /// Who owns it.
    pub owner: String,
    /// Further lines of `[install]`, of the manifest's language.
    pub install: Vec<String>,
    /// `[source.*]` and the components, of the manifest's language.
    pub body: String,
    /// What the operator should know about it as a whole.
    pub notes: Vec<String>,
    /// What is told once the manifest is written: a line of each part.
    pub parts: Vec<String>,
}

impl Sketch {
    /// The commented manifest for the install called `name`.
    pub fn draft(&self, name: &str) -> String {
        let mut text = String::new();
        let root = self.root.display();
        line(&mut text, "#:schema file:///usr/share/relift/manifest.schema.json");
        comment(
            &mut text,
            &format!("How relift upgrades {name} on this host, written by `relift init` from what it found here."),
        );
        comment(&mut text, &format!("Read it through, then: relift config check {name} && relift plan {name}"));
        self.notes.iter().for_each(|note| comment(&mut text, note));
        line(&mut text, "schema = 1\n");
        line(&mut text, "[install]");
        line(&mut text, &format!("root  = {}", quoted(&root.to_string())));
        line(&mut text, &format!("owner = {}      # checks and steps run as this account", quoted(&self.owner)));
        self.install.iter().for_each(|more| line(&mut text, more));
        text.push('\n');
        text.push_str(&self.body);
        line(&mut text, "\n[policy]");
        line(
            &mut text,
            "unattended = \"none\"      # none | patch | minor | major: what a timer may do without being asked",
        );
        line(&mut text, "# window   = \"Mon..Fri 02:00-04:00 Europe/Paris\"      # when it may begin");
        line(
            &mut text,
            "soak       = \"30s\"       # how long a new release must stay healthy before it counts as known-good",
        );
        line(&mut text, "keep-known-good = 5");
        text
    }
}
