//! A Compose project: its files, its name and its services, as the Compose file reference has them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::draft::{comment, line, list, quoted};
use super::git::shape_of;
use super::sketch::Sketch;
use crate::error::{Error, Result};
use crate::host::fs::Rooted;
use crate::text::harmless;

/// The names that Compose looks for, the first that is there.
const FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
/// Those that it reads after it.
const OVERRIDES: [&str; 4] =
    ["compose.override.yaml", "compose.override.yml", "docker-compose.override.yaml", "docker-compose.override.yml"];
/// No Compose file that is read here is longer, in bytes.
const LONGEST: usize = 1 << 20;

/// What of a Compose file is looked at.
#[derive(Debug, Default, Deserialize)]
struct Project {
    name: Option<String>,
    #[serde(default)]
    services: BTreeMap<String, Service>,
    #[serde(default)]
    volumes: BTreeMap<String, Ignored>,
}

#[derive(Debug, Default, Clone, Deserialize)]
struct Service {
    image: Option<String>,
    build: Option<Ignored>,
    healthcheck: Option<Ignored>,
    #[serde(default)]
    profiles: Vec<String>,
}

type Ignored = serde::de::IgnoredAny;

/// The directory of the project that `path` names: a directory with a Compose file, or the file.
pub(super) fn root_of(path: &Path) -> Option<PathBuf> {
    let has = |directory: &Path| FILES.iter().any(|name| directory.join(name).symlink_metadata().is_ok());
    let directory = if path.is_file() { path.parent()? } else { path };
    has(directory).then(|| directory.to_owned())
}

/// What the project at `root` is, for the account that owns it. The values of its `.env` get into nothing.
pub(super) fn sketch(root: &Path, owner: &str) -> Result<Sketch> {
    let below = Rooted::open(root)?;
    let names: Vec<&str> = first(&below, &FILES)?.into_iter().chain(first(&below, &OVERRIDES)?).collect();
    let mut project = Project::default();
    for name in &names {
        merge(&mut project, parse(root, name, &text(&below, name)?)?);
    }
    let has_env = below.exists(".env".as_ref())?;
    let name = project.name.clone().unwrap_or_else(|| normalized(root));
    let files: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut body = String::from("[source.compose]\n");
    if project.name.is_none() {
        comment(
            &mut body,
            "As Compose calls a project by its directory. Another name would be another project: docker compose ls",
        );
    }
    line(&mut body, &format!("project = {}", quoted(&name)));
    line(&mut body, &format!("files   = {}      # relative to the root, merged in this order", list(&files)));
    if has_env {
        line(
            &mut body,
            "env-file = \".env\"      # where ${...} in the files is looked up; its values are never printed",
        );
    }
    comment(
        &mut body,
        "Where the files come from could not be known. To keep them up with the reference files of a release:",
    );
    line(&mut body, "# reference = \"/usr/share/APP/compose\"");
    images(&mut body, &project)?;
    components(&mut body, &name, &project);
    volumes(&mut body, &project);
    Ok(Sketch {
        parts: project.services.iter().map(|(name, service)| told(name, service)).collect(),
        name: name.clone(),
        root: root.to_owned(),
        owner: owner.to_owned(),
        install: Vec::new(),
        body,
        notes: Vec::new(),
    })
}

fn told(name: &str, service: &Service) -> String {
    let image = service.image.as_deref().unwrap_or("built here");
    let health = if service.healthcheck.is_some() { "has a health check" } else { "has no health check" };
    harmless(&format!("{name}: {image}, {health}"))
}

fn first<'a>(below: &Rooted, names: &[&'a str]) -> Result<Option<&'a str>> {
    for name in names {
        if below.exists(name.as_ref())? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn text(below: &Rooted, name: &str) -> Result<String> {
    let content = below.read(name.as_ref())?.filter(|content| content.bytes.len() <= LONGEST);
    let bytes = content.map(|content| content.bytes);
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
        Error::failed(format!("{} cannot be read", below.path().join(name).display()))
            .because("it is no plain file of UTF-8 below 1 MiB")
    })
}

fn parse(root: &Path, name: &str, text: &str) -> Result<Project> {
    serde_saphyr::from_str(text).map_err(|error| {
        let line = error.to_string().lines().next().map(harmless).unwrap_or_default();
        Error::failed(format!("{} is no Compose file", root.join(name).display())).because(line)
    })
}

/// The later file wins, key by key.
fn merge(project: &mut Project, later: Project) {
    project.name = later.name.or(project.name.take());
    project.volumes.extend(later.volumes);
    for (name, service) in later.services {
        let known = project.services.entry(name).or_default();
        known.image = service.image.or(known.image.take());
        known.build = service.build.or(known.build.take());
        known.healthcheck = service.healthcheck.or(known.healthcheck.take());
        known.profiles.extend(service.profiles);
    }
}

/// What Compose makes of a directory's name.
fn normalized(root: &Path) -> String {
    let name = root.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
    name.trim_start_matches(['-', '_']).to_owned()
}

/// An image reference: what it is called, and its tag.
fn reference(image: &str) -> (&str, &str) {
    let image = image.split('@').next().unwrap_or_default();
    match image.rsplit_once(':') {
        // A colon before a slash is that of a port.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

fn images(text: &mut String, project: &Project) -> Result<()> {
    let mut by_image: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, service) in &project.services {
        match &service.image {
            Some(image) if service.build.is_none() && !image.contains('$') => {
                by_image.entry(image).or_default().push(name.clone())
            }
            Some(image) if image.contains('$') => comment(
                text,
                &format!("The image of {name} is `{image}`: relift does not look up what is in the .env."),
            ),
            _ => comment(text, &format!("The image of {name} is built here, so no registry has a newer one.")),
        }
    }
    if by_image.is_empty() {
        return Err(Error::failed("no service has an image that a registry could have a newer one of")
            .hint("write the manifest by hand, with `reference` or [[source.compose.image]]: relift config schema"));
    }
    for (image, services) in by_image {
        let (name, tag) = reference(image);
        line(text, "\n[[source.compose.image]]");
        line(text, &format!("name = {}", quoted(name)));
        line(text, &format!("services = {}", list(&services)));
        match shape_of(tag) {
            Some((shape, _)) => {
                line(text, &format!("tags = {}      # {} now", quoted(&shape.to_string()), harmless(tag)))
            }
            None => line(
                text,
                &format!("tag = {}      # a tag that moves; `tags = \"{{version}}\"` follows releases", quoted(tag)),
            ),
        }
    }
    Ok(())
}

fn components(text: &mut String, project: &str, found: &Project) {
    line(text, "\n[[component]]");
    line(text, &format!("name = {}", quoted(&component_name(project))));
    for (name, service) in &found.services {
        line(text, "");
        if service.healthcheck.is_none() {
            comment(text, &format!("{name} has no health check of its own: it counts as healthy while it runs."));
        }
        let mark = if service.profiles.is_empty() { "" } else { "# " };
        if !service.profiles.is_empty() {
            comment(
                text,
                &format!(
                    "{name} belongs to a profile, {}: add it to [source.compose] profiles.",
                    service.profiles.join(", ")
                ),
            );
        }
        line(text, &format!("{mark}[[component.health]]"));
        line(text, &format!("{mark}container = {}", quoted(name)));
        line(text, &format!("{mark}within = \"2min\""));
    }
    line(text, "");
    comment(text, "A new release proves more when it has to answer:");
    line(text, "# [[component.health]]");
    line(text, "# http    = \"http://127.0.0.1:8080/api/version\"");
    line(text, "# expect  = { status = 200, json = { version = \"{version}\" } }");
    line(text, "# within  = \"2min\"");
}

/// As components may be called.
pub(super) fn component_name(name: &str) -> String {
    let lower = name.to_lowercase();
    let name: String =
        lower.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' }).collect();
    name.trim_start_matches(['-', '_']).to_owned()
}

fn volumes(text: &mut String, project: &Project) {
    if project.volumes.is_empty() {
        return;
    }
    let names: Vec<String> = project.volumes.keys().cloned().collect();
    line(text, "");
    comment(
        text,
        &format!("Data is in the volumes {}. To have them backed up before a run changes anything:", names.join(", ")),
    );
    line(text, "# [backup]");
    line(text, &format!("# volumes = {}", list(&names)));
    line(text, "# when = \"quiesced\"      # the containers are stopped for as long as it takes");
}
