//! A Compose project as it is declared, and the two programs that it takes: what carries Compose out, and what has the
//! containers. Where their versions differ, it is here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::Place;
use crate::error::{Context, Error, Result};
use crate::host::process::{Command, Output};
use crate::manifest::{ComposeProgram, ComposeSource};

/// How long Compose may take to make or stop containers: longer than a `stop_grace_period` should be.
const CHANGE: Duration = Duration::from_secs(300);
/// How long an image may take to come.
const PULL: Duration = Duration::from_secs(1800);
/// How long the daemon may take to answer once it was started.
const DAEMON: Duration = Duration::from_secs(60);

/// A project: what its commands are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Project {
    /// Its name.
    pub name: String,
    /// Where its files lie, and what paths in them are relative to.
    pub root: PathBuf,
    /// Its files, relative to the root.
    pub files: Vec<PathBuf>,
    /// The file of its variables, relative to the root.
    pub env_file: Option<PathBuf>,
    /// The profiles that are on.
    pub profiles: Vec<String>,
    /// What carries it out.
    pub program: ComposeProgram,
    /// Our own file, merged last, by which its images are pinned; it may not be there.
    pub pins: PathBuf,
}

/// A container of the project as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Container {
    /// Its service.
    pub service: String,
    /// Its id.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The image as it was asked for.
    pub named: String,
    /// The id of the image.
    pub image: String,
    /// What Compose notes of the service's configuration.
    pub hash: String,
    /// Whether it runs.
    pub running: bool,
}

impl Project {
    /// The project that a source declares. What carries it out must be there, where the manifest does not name it.
    pub fn of(source: &ComposeSource, place: &Place) -> Result<Project> {
        let program = super::program::chosen(source.program)?;
        Ok(Project {
            name: source.project.clone(),
            root: place.install.root.clone(),
            files: source.files.iter().map(|file| PathBuf::from(file.as_str())).collect(),
            env_file: source.env_file.as_ref().map(|file| PathBuf::from(file.as_str())),
            profiles: source.profiles.clone(),
            program,
            pins: pins(place.state),
        })
    }

    /// The words of a Compose command on the files as they are below `files`, with our pins from `pins` where they are there.
    fn argv(&self, files: &Path, pins: &Path) -> Vec<String> {
        let mut argv: Vec<String> = self.program.word().split(' ').map(str::to_owned).collect();
        let mut add = |words: [&str; 2]| argv.extend(words.map(str::to_owned));
        add(["-p", &self.name]);
        if self.program != ComposeProgram::PodmanCompose {
            add(["--project-directory", &self.root.to_string_lossy()]);
        }
        if let Some(file) = &self.env_file {
            add(["--env-file", &self.root.join(file).to_string_lossy()]);
        }
        for file in &self.files {
            let staged = files.join(file);
            let file = if staged.exists() { staged } else { self.root.join(file) };
            add(["-f", &file.to_string_lossy()]);
        }
        if pins.exists() {
            add(["-f", &pins.to_string_lossy()]);
        }
        for profile in &self.profiles {
            add(["--profile", profile]);
        }
        argv
    }

    /// The command by which an operator comes to what a run left.
    pub fn by_hand(&self, has_pins: bool) -> String {
        let mut argv: Vec<String> = vec![self.program.word().into(), "-p".into(), self.name.clone()];
        argv.extend(self.files.iter().flat_map(|file| ["-f".into(), file.to_string_lossy().into_owned()]));
        if has_pins {
            argv.extend(["-f".into(), self.pins.to_string_lossy().into_owned()]);
        }
        argv.extend(["up".into(), "-d".into()]);
        argv.join(" ")
    }

    fn compose(&self, words: &[&str]) -> Command {
        Command::new(self.argv(&self.root, &self.pins)).args(words.iter().copied()).cwd(&self.root).timeout(CHANGE)
    }

    fn engine(&self, words: &[&str]) -> Command {
        Command::new([self.program.engine()]).args(words.iter().copied()).timeout(CHANGE)
    }

    /// What the files come to, merged and filled in: with those below `files` and the pins at `pins` in place of the present ones.
    pub fn config(&self, files: &Path, pins: &Path) -> Result<Value> {
        let output = Command::new(self.argv(files, pins)).args(["config"]).cwd(&self.root).output()?;
        if !output.success() {
            return Err(Error::failed(format!("{} does not take the Compose files", self.program.word()))
                .detail(output.stderr)
                .hint(format!("look at them: cd {} && {} config", self.root.display(), self.program.word())));
        }
        serde_saphyr::from_str(&String::from_utf8_lossy(&output.stdout))
            .with_context(|| format!("what {} config says cannot be read", self.program.word()))
    }

    /// What a container of each service is labelled with when it is made as the files are now.
    pub fn hashes(&self) -> Result<BTreeMap<String, String>> {
        let output = self.compose(&["config", "--hash", "*"]).succeed()?;
        let text = output.text();
        let pairs = text.lines().filter_map(|line| line.trim().split_once(' '));
        Ok(pairs.map(|(service, hash)| (service.to_owned(), hash.trim().to_owned())).collect())
    }

    /// Makes the containers of these services what the files say, and starts them; no others.
    pub fn up(&self, services: &[String]) -> Result<()> {
        let words: Vec<&str> =
            ["up", "-d", "--no-deps", "--no-build"].into_iter().chain(services.iter().map(String::as_str)).collect();
        self.compose(&words).succeed().map(drop)
    }

    /// The containers of the project, of all services, those of `run` left out.
    pub fn containers(&self) -> Result<Vec<Container>> {
        let ids = ids(self.program.engine(), &self.name, None)?;
        let told = inspect(self.program.engine(), &ids)?;
        let mut found: Vec<Container> = told.iter().map(container).collect();
        found.sort_by(|a, b| (&a.service, &a.id).cmp(&(&b.service, &b.id)));
        Ok(found)
    }

    /// Stops containers, each within its own grace period.
    pub fn stop(&self, ids: &[&str]) -> Result<()> {
        self.on("stop", ids)
    }

    /// Removes containers, running or not; their volumes stay.
    pub fn remove(&self, ids: &[&str]) -> Result<()> {
        match ids {
            [] => Ok(()),
            ids => self.engine(&["rm", "-f"]).args(ids.iter().copied()).succeed().map(drop),
        }
    }

    fn on(&self, verb: &str, ids: &[&str]) -> Result<()> {
        match ids {
            [] => Ok(()),
            ids => self.engine(&[verb]).args(ids.iter().copied()).succeed().map(drop),
        }
    }

    /// Whether the daemon answers; the error says what it does not.
    pub fn answers(&self) -> Result<()> {
        let output = self.engine(&["version", "--format", "{{.Server.Version}}"]).timeout(DAEMON).output()?;
        match output.success() {
            true => Ok(()),
            false => Err(Error::failed(format!("the {} daemon does not answer", self.program.engine()))
                .detail(output.stderr)
                .hint(format!("start it: systemctl start {}", self.program.engine()))),
        }
    }

    /// The same, after starting it where it is down: what is put back needs it.
    pub fn awaken(&self) -> Result<()> {
        if self.answers().is_ok() {
            return Ok(());
        }
        let unit = format!("{}.service", self.program.engine());
        // A start that fails is told by what follows.
        Command::new(["systemctl", "reset-failed", &unit]).output()?;
        Command::new(["systemctl", "start", &unit]).timeout(DAEMON).output()?;
        self.answers()
    }

    /// An image that is here, by whatever name; `None`: it is not.
    pub fn image(&self, name: &str) -> Result<Option<Value>> {
        image(self.program.engine(), name)
    }

    /// Gets an image.
    pub fn pull(&self, image: &str) -> Result<()> {
        let output = self.engine(&["pull", "-q", image]).timeout(PULL).output()?;
        match output.success() {
            true => Ok(()),
            false => Err(no_image(image, &output)),
        }
    }

    /// Gives an image its name back where a container of the project was made of it: `image prune -a` takes names from images that
    /// are in use when they have more than one. Whether there is such a container.
    pub fn name_again(&self, image: &str) -> Result<bool> {
        let containers = self.containers()?;
        let Some(made_of_it) = containers.iter().find(|container| container.named == image) else { return Ok(false) };
        self.engine(&["tag", &made_of_it.image, image]).succeed().map(|_| true)
    }

    /// Keeps an image under a name of ours, `own`: from `image prune` by that tag, from `image prune -a` by a container that never
    /// runs. What is kept so is not asked of a registry again; `None` where it has to be pulled first.
    pub fn keep(&self, install: &str, image: &str, own: &str) -> Result<Option<()>> {
        let container = holder(own);
        let told = self.engine(&["container", "inspect", "--format", "{{.Image}}", &container]).output()?;
        let held = told.success().then(|| told.text());
        let id =
            |image: &str| self.image(image).map(|told| told.and_then(|told| told["Id"].as_str().map(str::to_owned)));
        let Some(wanted) = id(image)?.or(held.clone()).or(id(own)?) else { return Ok(None) };
        if id(own)?.as_ref() != Some(&wanted) {
            self.engine(&["tag", &wanted, own]).succeed()?;
        }
        if held.as_ref() != Some(&wanted) {
            self.remove(if held.is_some() { vec![container.as_str()] } else { Vec::new() }.as_slice())?;
            let label = format!("{KEPT}={install}");
            let words = ["create", "--name", &container, "--label", &label, "--network", "none", own, "kept"];
            self.engine(&words).succeed()?;
        }
        Ok(Some(()))
    }

    /// Lets go of what was kept so under other names than these.
    pub fn let_go(&self, install: &str, wanted: &[String]) -> Result<()> {
        let filter = format!("label={KEPT}={install}");
        let listed = self.engine(&["ps", "-a", "--filter", &filter, "--format", "{{.Names}} {{.Image}}"]).succeed()?;
        for (container, image) in listed.text().lines().filter_map(|line| line.split_once(' ')) {
            if !wanted.iter().any(|wanted| holder(wanted) == container) {
                self.remove(&[container])?;
                // One that something else runs stays.
                self.engine(&["rmi", image]).output()?;
            }
        }
        Ok(())
    }

    /// Bytes that are free where the images lie; `None` where that is not told.
    pub fn room(&self) -> Option<(PathBuf, u64)> {
        let output = self.engine(&["info", "--format", "{{.DockerRootDir}}"]).output().ok()?;
        let path = PathBuf::from(output.text());
        let free = crate::host::fs::free_bytes(&path).ok()?;
        Some((path, free))
    }
}

/// The container that keeps an image of ours.
fn holder(own: &str) -> String {
    own.replace(['/', ':'], "-")
}

/// The label of the containers that keep images.
const KEPT: &str = "org.relift.kept";

/// Where our pins lie, below the state of an install.
pub fn pins(state: &Path) -> PathBuf {
    state.join("compose/override.yml")
}

/// The ids of a project's containers, of one service or of all.
pub fn ids(engine: &str, project: &str, service: Option<&str>) -> Result<Vec<String>> {
    let mut argv: Vec<String> = [engine, "ps", "-aq", "--no-trunc", "--filter"].map(str::to_owned).into();
    argv.extend([format!("label=com.docker.compose.project={project}")]);
    argv.extend(["--filter".into(), "label=com.docker.compose.oneoff=False".into()]);
    if let Some(service) = service {
        argv.extend(["--filter".into(), format!("label=com.docker.compose.service={service}")]);
    }
    let output = Command::new(argv).output()?;
    match output.success() {
        true => Ok(output.text().lines().map(str::to_owned).collect()),
        false => Err(Error::failed(format!("{engine} does not list containers")).detail(output.stderr)),
    }
}

/// What the engine tells of containers; one that is gone meanwhile is left out.
pub fn inspect(engine: &str, ids: &[String]) -> Result<Vec<Value>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let output = Command::new([engine, "container", "inspect"]).args(ids).output()?;
    serde_json::from_slice(&output.stdout).with_context(|| format!("{engine} does not tell of containers"))
}

fn image(engine: &str, name: &str) -> Result<Option<Value>> {
    let output = Command::new([engine, "image", "inspect", name]).output()?;
    if !output.success() {
        return Ok(None);
    }
    let told: Vec<Value> =
        serde_json::from_slice(&output.stdout).with_context(|| format!("{engine} does not tell of {name}"))?;
    Ok(told.into_iter().next())
}

fn container(told: &Value) -> Container {
    let text = |pointer: &str| told.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let labels = &told["Config"]["Labels"];
    let label = |name: &str| labels.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Container {
        service: label("com.docker.compose.service"),
        id: text("/Id"),
        name: text("/Name").trim_start_matches('/').to_owned(),
        named: text("/Config/Image"),
        image: text("/Image"),
        hash: label("com.docker.compose.config-hash"),
        running: told["State"]["Running"].as_bool().unwrap_or_default(),
    }
}

/// Why an image did not come, by what the engine says.
fn no_image(image: &str, output: &Output) -> Error {
    let said = output.stderr.join("\n");
    let lower = said.to_lowercase();
    let (what, hint) = match () {
        () if output.status.is_none() => ("does not come in time", "look at the network, then start again"),
        () if lower.contains("no space left") => ("does not fit on the disk", "what takes the room: docker system df"),
        () if lower.contains("unauthorized") || lower.contains("denied") => {
            ("is not given to this host", "log in as root: docker login REGISTRY")
        }
        () if lower.contains("not found") || lower.contains("unknown") => {
            ("is not in the registry any more", "ask who publishes it; start again when it is there")
        }
        () if lower.contains("digest") => ("is not what its digest says", "ask who runs the registry"),
        () => ("cannot be pulled", "look whether the registry answers, then start again"),
    };
    Error::failed(format!("the image {image} {what}")).detail(output.stderr.clone()).hint(hint)
}
