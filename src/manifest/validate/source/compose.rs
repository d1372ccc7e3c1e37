//! `[source.compose]`.

use std::path::Path;

use super::super::super::document::Key;
use super::super::super::problem::{Fault, Looked};
use super::super::super::{ComposeImage, ComposeProgram, ComposeSource, ImageTag, raw, words};
use super::super::Look;
use super::range;

pub(super) fn compose(look: &mut Look<'_>, key: &Key, raw: &raw::Compose, has_backup: bool) -> Option<ComposeSource> {
    let project = look.take(&key.name("project"), name(&raw.project, "a project"));
    let files = look.each(&key.name("files"), &raw.files, words::relative);
    if raw.files.is_empty() {
        let fault = Fault::new("names no file").help("write the Compose files: [\"docker-compose.yml\"]");
        look.fault(&key.name("files"), fault);
    }
    let env_file = look.take_optional(&key.name("env-file"), raw.env_file.as_deref().map(words::relative));
    let profiles = look.each(&key.name("profiles"), &raw.profiles, |text| name(text, "a profile"));
    let program = look.take_optional(&key.name("program"), raw.program.as_deref().map(program));
    let reference = look.take_optional(&key.name("reference"), raw.reference.as_deref().map(reference));
    let allow = look.take_optional(&key.name("allow"), raw.allow.as_deref().map(range));
    let images = images(look, &key.name("image"), &raw.image);
    if raw.reference.is_none() && raw.image.is_empty() {
        let fault = Fault::new("neither `reference` nor `image` is given: there is nothing that releases come from");
        look.fault(key, fault.help("add reference = \"/usr/share/APP/compose\", or [[source.compose.image]]"));
    }
    if raw.adopt.is_some() && raw.reference.is_none() {
        let fault = Fault::new("belongs to `reference`");
        look.fault(&key.name("adopt"), fault.help("leave it out: what runs says which images it has"));
    }
    if raw.restore_backup && !has_backup {
        let fault = Fault::new("needs a backup, and none is declared");
        look.fault(&key.name("restore-backup"), fault.help("add a [backup] table with `paths` or `sqlite`"));
    }
    Some(ComposeSource {
        project: project?,
        files: files?,
        env_file: env_file?,
        profiles: profiles?,
        program: program?,
        reference: reference?,
        adopt: raw.adopt.clone(),
        images: images?,
        restore_backup: raw.restore_backup,
        allow: allow?,
    })
}

fn images(look: &mut Look<'_>, key: &Key, raw: &[raw::ComposeImage]) -> Option<Vec<ComposeImage>> {
    let mut taken = Vec::new();
    for (at, raw) in raw.iter().enumerate() {
        let key = key.index(at);
        let name = look.take(&key.name("name"), image(&raw.name));
        let services = look.each(&key.name("services"), &raw.services, |text| self::name(text, "a service"));
        if raw.services.is_empty() {
            let fault = Fault::new("names no service").help("write the services that run it: [\"web\"]");
            look.fault(&key.name("services"), fault);
        }
        let follow = match (&raw.tags, &raw.tag) {
            (Some(tags), None) => look.take(&key.name("tags"), words::tags(tags)).map(ImageTag::Shape),
            (None, Some(tag)) => look.take(&key.name("tag"), self::tag(tag)).map(ImageTag::Moving),
            _ => {
                let fault = Fault::new("give one of `tags` and `tag`");
                look.fault(
                    &key,
                    fault.help("tags = \"v{version}\" follows releases, tag = \"stable\" one tag that moves"),
                );
                None
            }
        };
        taken.push(name.zip(services).zip(follow).map(|((name, services), follow)| ComposeImage {
            name,
            services,
            follow,
        }));
    }
    let services = raw.iter().enumerate().flat_map(|(at, image)| {
        let key = key.index(at).name("services");
        image.services.iter().enumerate().map(move |(number, name)| (key.index(number), name.as_str()))
    });
    look.unique("service", services.collect::<Vec<_>>());
    taken.into_iter().collect()
}

/// Names that Compose takes: <https://github.com/compose-spec/compose-spec/blob/main/spec.md#name-top-level-element>, and what
/// version 1 makes of them.
pub(in super::super) fn name(text: &str, what: &str) -> Looked<String> {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(inner) {
        true => Ok(text.to_owned()),
        false => Err(Fault::new(format!("\"{text}\" is not the name of {what}"))
            .help("letters, digits, `-` and `_`, the first a letter or a digit")),
    }
}

/// docker-tag(1).
fn tag(text: &str) -> Looked<String> {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match !text.is_empty() && text.len() <= 128 && !text.starts_with(['-', '.']) && text.chars().all(inner) {
        true => Ok(text.to_owned()),
        false => Err(Fault::new(format!("\"{text}\" is not a tag")).help("write one such as \"stable\"")),
    }
}

fn image(text: &str) -> Looked<String> {
    let last = text.rsplit('/').next().unwrap_or_default();
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.' | '/' | ':');
    match () {
        () if last.contains(':') || text.contains('@') => {
            Err(Fault::new(format!("\"{text}\" holds a tag or a digest"))
                .help("write the image without it, and what is followed under `tags` or `tag`"))
        }
        () if text.is_empty() || !text.chars().all(inner) || text.starts_with('/') || text.contains("//") => {
            Err(Fault::new(format!("\"{text}\" is not an image"))
                .help("write it such as \"registry.example:5000/app\""))
        }
        () => Ok(text.to_owned()),
    }
}

fn program(text: &str) -> Looked<ComposeProgram> {
    ComposeProgram::ALL.into_iter().find(|program| program.word() == text).ok_or_else(|| {
        let known = ComposeProgram::ALL.map(|program| format!("\"{}\"", program.word())).join(", ");
        Fault::new(format!("\"{text}\" is not known here")).help(format!("write one of {known}"))
    })
}

fn reference(text: &str) -> Looked<String> {
    let is_plain = Path::new(text).is_absolute() && !text.contains("..") && !text.chars().any(char::is_control);
    let braces = text.matches(['{', '}']).count();
    match is_plain && (braces == 0 || braces == 2 && text.matches("{version}").count() == 1) {
        true => Ok(text.trim_end_matches('/').to_owned()),
        false => Err(Fault::new(format!("\"{text}\" is not an absolute path with at most one `{{version}}`"))
            .help("write the directory, such as \"/usr/share/app/compose\" or \"/opt/app/{version}/compose\"")),
    }
}
