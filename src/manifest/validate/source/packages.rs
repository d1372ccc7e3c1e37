//! `[source.packages]`.

use std::time::Duration;

use super::super::super::document::Key;
use super::super::super::problem::{Fault, Looked};
use super::super::super::{PackageManager, PackagesSource, raw, words};
use super::super::Look;
use super::range;

/// How long a transaction may take where the manifest says nothing.
const TRANSACTION: Duration = Duration::from_secs(15 * 60);
/// How long to wait for a lock where the manifest says nothing.
const LOCK: Duration = Duration::from_secs(60);

pub(super) fn packages(look: &mut Look<'_>, key: &Key, raw: &raw::Packages) -> Option<PackagesSource> {
    let allow = look.take_optional(&key.name("allow"), raw.allow.as_deref().map(range));
    if raw.packages.is_empty() {
        let fault = Fault::new("no package is named");
        look.fault(&key.name("packages"), fault.help("name the packages: packages = [\"app\", \"app-*\"]"));
    }
    let packages = look.each(&key.name("packages"), &raw.packages, name);
    let repositories = look.each(&key.name("repositories"), &raw.repositories, repository);
    let timeout = look.take_or(&key.name("timeout"), raw.timeout.as_deref().map(words::bound), TRANSACTION);
    let lock_timeout = look.take_or(&key.name("lock-timeout"), raw.lock_timeout.as_deref().map(words::bound), LOCK);
    let merge = look.each(&key.name("merge"), &raw.merge, conffile);
    let manager = raw.manager.map(|manager| match manager {
        raw::PackageManager::Apt => PackageManager::Apt,
        raw::PackageManager::Dnf => PackageManager::Dnf,
    });
    Some(PackagesSource {
        packages: packages?,
        repositories: repositories?,
        manager,
        timeout: timeout?,
        lock_timeout: lock_timeout?,
        merge: merge?,
        allow: allow?,
    })
}

/// A name of deb-control(5) or of rpm, or a pattern of them. It becomes an argument of the package manager: no option.
pub(in super::super) fn name(text: &str) -> Looked<String> {
    let is_name = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-._:*".contains(c));
    match is_name {
        true => Ok(text.to_owned()),
        false => Err(Fault::new(format!("\"{}\" is not the name of a package", crate::text::harmless(text)))
            .help("write the name alone, such as \"app\" or \"app-*\"; versions go into `allow`")),
    }
}

fn repository(text: &str) -> Looked<String> {
    let is_name = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '*')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-._:/*".contains(c));
    match is_name {
        true => Ok(text.to_owned()),
        false => Err(Fault::new(format!("\"{}\" names no repository", crate::text::harmless(text))).help(
            "write a file's name in sources.list.d, the host of a URI or a suite; for dnf the id of a repository",
        )),
    }
}

fn conffile(text: &str) -> Looked<String> {
    let is_plain = text.split('/').all(|part| part != "..") && !text.chars().any(char::is_control);
    match text.starts_with('/') && is_plain {
        true => Ok(text.to_owned()),
        false => Err(Fault::new(format!("\"{}\" is not the whole path of a file", crate::text::harmless(text)))
            .help("write it from `/` on, without `..`; `*` stands for anything: \"/etc/app/*.conf\"")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::manifest::{Source, effective, parse};

    const GOOD: &str = "schema = 1\n[install]\nroot = \"/etc/app\"\nowner = \"app\"\n[source.packages]\npackages = [\"app\", \"app-*\"]\n\
        repositories = [\"app*\"]\nmanager = \"dnf\"\ntimeout = \"5min\"\nmerge = [\"/etc/app/*.conf\"]\nallow = \"^1\"\n[[component]]\nname = \"engine\"\npackages = [\"app\"]\n\
        [[component.unit]]\nname = \"engine@.service\"\ninstances = [\"*\"]\n[[component]]\nname = \"web\"\npackages = [\"app-web\"]\n";

    fn parsed(text: &str) -> Result<crate::manifest::Install, String> {
        parse("app", Path::new("/etc/relift/app.toml"), text).map_err(|problems| format!("{problems:?}"))
    }

    #[test]
    fn what_is_shown_of_a_manifest_of_packages_is_read_as_the_same() {
        let install = parsed(GOOD).unwrap();
        let shown = effective(&install).unwrap();
        let again = parsed(&shown).unwrap();
        assert_eq!(effective(&again).unwrap(), shown);
        let (Source::Packages(one), Source::Packages(other)) = (&install.source, &again.source) else { panic!() };
        assert_eq!(one, other);
        assert_eq!(again.components[0].units[0].instances, ["*"]);
        assert!(again.components[0].units[0].is_packaged && again.components[1].packages == ["app-web"]);
    }

    #[test]
    fn a_package_has_a_version_that_migrations_are_about() {
        let migration = "[[migration]]\nversion = \"1.2.0\"\nrun = [\"migrate\"]\nundo = \"pure\"\n";
        let install = parsed(&format!("{GOOD}{migration}")).unwrap();
        assert_eq!(install.migrations[0].component, "engine");
        let of_web = format!("{GOOD}{migration}component = \"web\"\n");
        assert_eq!(parsed(&of_web).unwrap().migrations[0].component, "web");
    }

    #[test]
    fn the_template_is_a_manifest() {
        let text = include_str!("../../../../templates/manifests/packages.toml");
        let install = parsed(text).unwrap();
        assert!(install.components[0].units.iter().all(|unit| unit.is_packaged));
    }

    #[test]
    fn what_is_no_package_no_repository_and_no_unit_is_told() {
        for (from, to, says) in [
            ("\"app\", \"app-*\"", "", "no package is named"),
            ("\"app-*\"", "\"app=1.0\"", "is not the name of a package"),
            ("\"app-*\"", "\"--purge\"", "is not the name of a package"),
            ("\"app*\"]", "\"-x\"]", "names no repository"),
            ("\"dnf\"", "\"zypper\"", "zypper"),
            ("\"5min\"", "\"0s\"", "timeout"),
            ("/etc/app/*.conf", "app.conf", "is not the whole path of a file"),
            ("/etc/app/*.conf", "/etc/app/../shadow", "is not the whole path of a file"),
            ("name = \"engine@.service\"", "name = \"a/engine@.service\"", "is a path, not the name of a unit"),
            ("name = \"engine@.service\"", "name = \"engine@.service\"\nfile = \"x.service\"", "are both given"),
            ("name = \"engine@.service\"\n", "", "neither `file` nor `name` is given"),
            ("name = \"engine@.service\"", "file = \"engine@.service\"", "not the name of an instance"),
            ("packages = [\"app\"]", "packages = [\"a b\"]", "is not the name of a package"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD, "{from}");
            let told = parsed(&text).unwrap_err();
            assert!(told.contains(says), "{to}: {told}");
        }
    }
}
