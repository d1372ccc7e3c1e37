//! `[[component.needs]]`: what of the host a component depends on.

use std::path::{Component as Part, Path, PathBuf};

use super::super::document::Key;
use super::super::problem::{Fault, Looked};
use super::super::{Needs, raw};
use super::{Look, near_or_list};

pub(super) fn needs(look: &mut Look<'_>, key: &Key, raw: &raw::Needs, component: &raw::Component) -> Option<Needs> {
    let packages = look.each(&key.name("packages"), &raw.packages, package);
    let paths = look.each(&key.name("paths"), &raw.paths, path);
    if raw.packages.is_empty() && raw.paths.is_empty() {
        let fault = Fault::new("nothing is named, so nothing would ever be done");
        look.fault(key, fault.help("name distribution packages under `packages`, or files under `paths`"));
        return None;
    }
    let restart = raw.restart.unwrap_or(true);
    if !restart && raw.steps.is_empty() {
        let fault = Fault::new("nothing is to be done when they change");
        look.fault(&key.name("restart"), fault.help("name `steps`, or leave `restart` out"));
        return None;
    }
    let known: Vec<&str> = component.step.iter().map(|step| step.name.as_str()).collect();
    let steps =
        look.each(&key.name("steps"), &raw.steps, |name| match known.contains(&name) {
            true => Ok(name.to_owned()),
            false => Err(Fault::new(format!("component {} has no step \"{name}\"", component.name))
                .help(near_or_list(name, &known))),
        });
    Some(Needs { packages: packages?, paths: paths?, steps: steps?, restart })
}

/// A name of dpkg or rpm; `*` stands for anything, but not for everything.
fn package(text: &str) -> Looked<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_' | '*');
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    match begins && text.len() <= 128 && text.chars().all(is_name) {
        true => Ok(text.to_owned()),
        false => Err(Fault::new(format!("\"{}\" is no name of a package", crate::text::harmless(text))).help(
            "write it as dpkg or rpm has it, without version and architecture, such as \"nodejs\" or \"python3.*\"",
        )),
    }
}

fn path(text: &str) -> Looked<PathBuf> {
    let path = Path::new(text);
    let is_plain = path.components().all(|part| matches!(part, Part::Normal(_) | Part::RootDir));
    match path.is_absolute() && is_plain && path != Path::new("/") && !text.chars().any(char::is_control) {
        true => Ok(path.components().collect()),
        false => Err(Fault::new(format!("\"{}\" is no absolute path below /", crate::text::harmless(text)))
            .help("write the whole path, such as \"/usr/lib/python3/dist-packages\"")),
    }
}
