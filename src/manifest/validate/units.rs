//! `[[component.unit]]`: names as systemd.unit(5) has them.

use super::super::document::Key;
use super::super::problem::{Fault, Looked};
use super::super::{RelPath, RestartPolicy, Scope, Unit, raw, words};
use super::Look;

/// The kinds of units that have files an application can ship.
pub(in super::super) const KINDS: [&str; 8] =
    ["service", "socket", "timer", "path", "target", "mount", "automount", "slice"];
/// `UNIT_NAME_MAX` of systemd.
const LONGEST: usize = 255;

/// A unit belongs to one component.
pub(super) fn apart(look: &mut Look<'_>, key: &Key, raw: &[raw::Component]) {
    for scope in [raw::Scope::System, raw::Scope::User] {
        let mut names = Vec::new();
        for (at, component) in raw.iter().enumerate() {
            for (nth, unit) in component.unit.iter().enumerate() {
                if (matches!(scope, raw::Scope::User)) == matches!(unit.scope, Some(raw::Scope::User)) {
                    let declared = unit.file.as_deref().or(unit.name.as_deref()).unwrap_or_default();
                    let name = declared.rsplit('/').next().unwrap_or_default();
                    let which = if unit.file.is_some() { "file" } else { "name" };
                    names.push((key.index(at).name("unit").index(nth).name(which), name));
                }
            }
        }
        look.unique("unit", names);
    }
}

pub(super) fn unit(look: &mut Look<'_>, key: &Key, raw: &raw::Unit) -> Option<Unit> {
    let is_packaged = raw.name.is_some();
    let file = match (&raw.file, &raw.name) {
        (Some(text), None) => look.take(&key.name("file"), file(text)),
        (None, Some(text)) => look.take(&key.name("name"), name(text)),
        (Some(_), Some(_)) => {
            let fault = Fault::new("`file` and `name` are both given");
            let help = "keep `file` where the release's tree has the unit file, `name` where a distribution package installs it";
            look.fault(&key.name("name"), fault.help(help));
            None
        }
        (None, None) => {
            let fault = Fault::new("neither `file` nor `name` is given");
            let help = "add file = \"PATH\" of the unit file in the release, or name = \"app.service\" of a unit that a package installs";
            look.fault(key, fault.help(help));
            None
        }
    };
    let at = key.name("instances");
    let is_any = |text: &str| is_packaged && text == "*" && raw.instances.len() == 1;
    let instances =
        look.each(&at, &raw.instances, |text| if is_any(text) { Ok(text.to_owned()) } else { instance(text) });
    look.unique("instance", raw.instances.iter().enumerate().map(|(nth, name)| (at.index(nth), name.as_str())));
    if let Some(file) = &file {
        let template = file.file_name().contains("@.");
        if !template && !raw.instances.is_empty() {
            let fault = Fault::new(format!("\"{}\" is no template unit, so it has no instances", file.file_name()));
            look.fault(&at, fault.help("a template's name ends in `@`, as in worker@.service"));
        }
        if template && raw.instances.is_empty() {
            look.warn(format!("`{key}`: {file} is a template without `instances`, so nothing of it is restarted"));
        }
    }
    let scope = match raw.scope {
        None | Some(raw::Scope::System) => Scope::System,
        Some(raw::Scope::User) => Scope::User,
    };
    let restart = match raw.restart {
        None | Some(raw::Restart::IfChanged) => RestartPolicy::IfChanged,
        Some(raw::Restart::Always) => RestartPolicy::Always,
        Some(raw::Restart::Never) => RestartPolicy::Never,
        Some(raw::Restart::Reload) => RestartPolicy::Reload,
    };
    Some(Unit { file: file?, is_packaged, instances: instances?, scope, restart })
}

/// The name of a unit, whose file is wherever the package put it.
fn name(text: &str) -> Looked<RelPath> {
    match text.contains('/') {
        true => Err(Fault::new(format!("\"{text}\" is a path, not the name of a unit"))
            .help("write the name alone, such as \"app.service\"")),
        false => file(text),
    }
}

fn file(text: &str) -> Looked<RelPath> {
    let path = words::relative(text)?;
    let name = path.file_name();
    let (stem, kind) = name.rsplit_once('.').unwrap_or((name, ""));
    if !KINDS.contains(&kind) {
        let kinds = KINDS.map(|kind| format!(".{kind}")).join(", ");
        return Err(Fault::new(format!("\"{name}\" is not the name of a unit file"))
            .help(format!("a unit's name ends in one of {kinds}")));
    }
    match !stem.is_empty() && name.len() <= LONGEST && stem.chars().all(|c| is_unit_char(c) || c == '@') {
        true if stem.starts_with('@') => Err(Fault::new(format!("\"{name}\" has nothing before the `@`"))),
        true => Ok(path),
        false => Err(Fault::new(format!("\"{name}\" is not the name of a unit"))
            .help("letters, digits and `:-_.\\@`, at most 255 of them; see systemd.unit(5)")),
    }
}

fn instance(text: &str) -> Looked<String> {
    match text {
        "" => Err(Fault::new("an instance has a name")),
        _ if text.contains('/') => Err(Fault::new(format!("\"{text}\" holds a slash, which unit names do not"))
            .help(format!("write it escaped: {:?} (systemd-escape '{text}')", escaped(text)))),
        _ if text.len() > 200 || !text.chars().all(|c| is_unit_char(c) || c == '@') => {
            Err(Fault::new(format!("\"{text}\" is not the name of an instance"))
                .help(format!("write it escaped: {:?} (systemd-escape prints it)", escaped(text))))
        }
        _ => Ok(text.to_owned()),
    }
}

/// `VALID_CHARS` of systemd's unit names, without `@`.
fn is_unit_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || ":-_.\\".contains(c)
}

/// As systemd-escape(1): `/` becomes `-`, all else outside `[A-Za-z0-9:_.]`, and a first dot, becomes `\xNN`.
fn escaped(text: &str) -> String {
    let plain = |at: usize, byte: u8| byte.is_ascii_alphanumeric() || b":_".contains(&byte) || (byte == b'.' && at > 0);
    let escape = |(at, byte): (usize, u8)| match byte {
        b'/' => "-".to_owned(),
        _ if plain(at, byte) => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    text.bytes().enumerate().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_systemd_escape_does() {
        for text in ["a/b", "a-b", ".x.y", "ü z", "var/lib/x"] {
            let output = std::process::Command::new("systemd-escape").args(["--", text]).output().unwrap();
            assert_eq!(escaped(text), String::from_utf8(output.stdout).unwrap().trim_end(), "{text}");
        }
    }

    #[test]
    fn unit_files_have_the_names_that_systemd_takes() {
        for name in ["a.service", "production/a-b.timer", "w@.service", "w@1.service", "a\\x2db.path"] {
            assert!(file(name).is_ok(), "{name}");
        }
        for name in ["a", "a.conf", ".service", "a b.service", "@.service", "ü.service", "../a.service", "a.scope"] {
            assert!(file(name).is_err(), "{name}");
        }
    }
}
