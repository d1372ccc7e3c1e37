//! Named volumes of a project: what Compose calls them, what the engine calls them, and where their data lies.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Project;
use crate::error::{Context, Error, Result};
use crate::host::process::Command;

/// A named volume, by what it takes to find it, and to make it again where it is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Volume {
    /// Its name in the Compose files.
    pub name: String,
    /// Its name for the engine.
    pub volume: String,
    /// What has it: `docker` or `podman`.
    pub engine: String,
    /// Its labels, by which Compose knows it.
    pub labels: BTreeMap<String, String>,
}

impl Volume {
    fn engine(&self, words: &[&str]) -> Command {
        Command::new([self.engine.as_str()]).args(words.iter().copied())
    }

    /// Where its data lies; `None`: there is no such volume.
    pub fn place(&self) -> Result<Option<PathBuf>> {
        Ok(inspect(&self.engine, &self.volume)?.and_then(|told| told["Mountpoint"].as_str().map(PathBuf::from)))
    }

    /// The same, and makes it where it is gone.
    pub fn make(&self) -> Result<PathBuf> {
        if self.place()?.is_none() {
            let labels = self.labels.iter().flat_map(|(key, value)| ["--label".to_owned(), format!("{key}={value}")]);
            self.engine(&["volume", "create"]).args(labels).args([self.volume.as_str()]).succeed()?;
        }
        self.place()?.ok_or_else(|| Error::failed(format!("{} does not tell where {} is", self.engine, self.volume)))
    }

    /// Makes sure that nothing writes to it.
    pub fn rests(&self) -> Result<()> {
        let users = self.users()?;
        match users.is_empty() {
            true => Ok(()),
            false => Err(Error::failed(format!("the volume {} is in use by {}", self.name, users.join(", ")))
                .because("a copy of what is written to meanwhile may be in the middle of a change")
                .hint(format!("stop it, then again: {} stop {}", self.engine, users.join(" ")))),
        }
    }

    /// The names of the containers that run with it.
    pub fn users(&self) -> Result<Vec<String>> {
        let filter = format!("volume={}", self.volume);
        let listed = self.engine(&["ps", "--filter", &filter, "--format", "{{.Names}}"]).succeed()?;
        Ok(listed.text().lines().map(str::to_owned).collect())
    }
}

impl Project {
    /// The volumes that the files call so, as the engine has them.
    pub fn volumes(&self, names: &[String]) -> Result<Vec<Volume>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        self.answers()?;
        let config = self.config(&self.root, &self.pins)?;
        names.iter().map(|name| self.volume(&config["volumes"], name)).collect()
    }

    fn volume(&self, declared: &Value, name: &str) -> Result<Volume> {
        let engine = self.program.engine();
        let Some(told) = declared.as_object().and_then(|all| all.get(name)) else {
            return Err(Error::failed(format!("the Compose files of {} declare no volume {name}", self.name))
                .hint(format!("correct `volumes` under [backup]; declared are: {}", names(declared))));
        };
        // Given to it by the files, or by Compose, which notes its own name in a label.
        let given = told["external"]["name"].as_str().or(told["name"].as_str());
        let is_foreign = !matches!(told["external"], Value::Null | Value::Bool(false));
        let volume = match given.or(is_foreign.then_some(name)) {
            Some(given) => Some(given.to_owned()),
            None => self.labelled(name)?,
        };
        let there = volume.as_ref().map(|volume| inspect(engine, volume)).transpose()?.flatten();
        let (Some(volume), Some(there)) = (volume, there) else {
            return Err(Error::failed(format!("the volume {name} of {} is not there", self.name))
                .because(format!("{engine} has it when the project was started once"))
                .hint(format!("start it: cd {} && {}", self.root.display(), self.by_hand(self.pins.exists()))));
        };
        let options = there["Options"].as_object().is_some_and(|options| !options.is_empty());
        if there["Driver"] != "local" || options {
            return Err(Error::failed(format!("the volume {name} of {} is not kept by {engine} itself", self.name))
                .because(format!("its driver is {}, with options of its own", there["Driver"]))
                .hint("back it up where it is kept, or name the directory behind it under `paths`"));
        }
        let labels = there["Labels"].as_object().into_iter().flatten();
        let labels = labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
        Ok(Volume { name: name.to_owned(), volume, engine: engine.to_owned(), labels })
    }

    fn labelled(&self, name: &str) -> Result<Option<String>> {
        let project = format!("label=com.docker.compose.project={}", self.name);
        let volume = format!("label=com.docker.compose.volume={name}");
        let words = ["volume", "ls", "-q", "--filter", &project, "--filter", &volume];
        let listed = Command::new([self.program.engine()]).args(words).succeed()?;
        Ok(listed.text().lines().next().map(str::to_owned))
    }
}

fn names(declared: &Value) -> String {
    let names: Vec<&str> = declared.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn inspect(engine: &str, volume: &str) -> Result<Option<Value>> {
    let output = Command::new([engine, "volume", "inspect", volume]).output()?;
    if !output.success() {
        let is_gone = output.stderr.join("\n").to_lowercase().contains("no such volume");
        return match is_gone {
            true => Ok(None),
            false => Err(Error::failed(format!("{engine} does not tell of the volume {volume}")).detail(output.stderr)),
        };
    }
    let told: Vec<Value> =
        serde_json::from_slice(&output.stdout).with_context(|| format!("{engine} does not tell of {volume}"))?;
    Ok(told.into_iter().next())
}
