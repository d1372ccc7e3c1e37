//! Packages of apt or dnf: their version, their units, their conffiles, and where they come from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::compose::component_name;
use super::draft::{comment, line, list, quoted};
use super::sketch::Sketch;
use super::units::is_unit_file;
use crate::error::{Error, Result};
use crate::host::account::Account;
use crate::host::packages;
use crate::host::process::Command;
use crate::text::harmless;

/// How long a question to a package manager may take.
const ASKED: Duration = Duration::from_secs(30);

/// The package that a file or a directory is of, where it is one's alone.
pub(super) fn of(path: &Path) -> Option<String> {
    packages::owner(path)
}

/// What is known of an installed package.
#[derive(Debug, Default)]
struct Package {
    name: String,
    version: String,
    files: Vec<String>,
    conffiles: Vec<String>,
    /// Where its repository is, as the package manager tells.
    origin: Option<String>,
}

/// What the packages are, of which the first is the one whose version counts.
pub(super) fn sketch(names: &[String]) -> Result<Sketch> {
    let found = names.iter().map(|name| package(name)).collect::<Result<Vec<Package>>>()?;
    let main =
        found.first().ok_or_else(|| Error::usage("no package is named").hint("relift init --packages NAME..."))?;
    let account = service_account(&found);
    let mut body = String::from("[source.packages]\n");
    comment(
        &mut body,
        "Nothing else is upgraded, unless one of these needs it. The first one's version is the release's.",
    );
    line(&mut body, &format!("packages = {}", list(names)));
    match &main.origin {
        Some(origin) => {
            comment(&mut body, &format!("{} comes from {origin} now. To take nothing from anywhere else:", main.name));
            line(&mut body, &format!("# repositories = {}", list(&[repository(origin)])));
        }
        None => {
            comment(
                &mut body,
                "No repository has it now, as far as the package manager knows: a newer one will not be found.",
            );
            line(&mut body, "# repositories = [\"...\"]");
        }
    }
    line(&mut body, "\n[[component]]");
    line(&mut body, &format!("name = {}", quoted(&component_name(&main.name))));
    for package in &found {
        package
            .conffiles
            .iter()
            .for_each(|file| comment(&mut body, &format!("{file} is a conffile of {}.", package.name)));
    }
    let mut parts: Vec<String> =
        found.iter().map(|package| harmless(&format!("{} {}", package.name, package.version))).collect();
    for file in found.iter().flat_map(|package| &package.files).filter(|file| is_of_system(file)) {
        unit(&mut body, file, &mut parts);
    }
    line(&mut body, "");
    comment(&mut body, "Only the state of units is looked at. A new release proves more when it has to answer:");
    line(&mut body, "# [[component.health]]");
    line(&mut body, "# http = \"http://127.0.0.1:8080/version\"");
    line(&mut body, "");
    comment(&mut body, "What is run after the packages, such as the application's own migration, as its account:");
    line(&mut body, "# [[component.step]]");
    line(&mut body, "# name = \"init\"");
    line(&mut body, "# run  = [\"/usr/bin/APP-init\"]");
    Ok(Sketch {
        name: component_name(&main.name),
        root: root(&found),
        owner: account,
        install: Vec::new(),
        body,
        notes: vec![
            "Configuration and checks are relative to the root; where the packages are is the package manager's."
                .into(),
        ],
        parts,
    })
}

fn package(name: &str) -> Result<Package> {
    dpkg(name).or_else(|| rpm(name)).ok_or_else(|| {
        Error::failed(format!("no package {} is installed here", harmless(name)))
            .hint("its name, from a file of it: dpkg-query --search FILE, or rpm --query --file FILE")
    })
}

fn dpkg(name: &str) -> Option<Package> {
    let shown =
        ask(&["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Version}\\n${Conffiles}\\n", "--"], name)?;
    let (first, conffiles) = shown.split_once('\n').unwrap_or((&shown, ""));
    let version = first.strip_prefix("installed ")?;
    let conffiles = conffiles.lines().filter_map(|line| line.split_whitespace().next());
    let files = ask(&["dpkg-query", "--listfiles", "--"], name)?;
    let policy = ask(&["apt-cache", "policy", "--"], name).unwrap_or_default();
    Some(Package {
        name: name.to_owned(),
        version: version.to_owned(),
        files: files.lines().map(str::to_owned).collect(),
        conffiles: conffiles.filter(|path| path.starts_with('/')).map(str::to_owned).collect(),
        origin: origin(&policy),
    })
}

fn rpm(name: &str) -> Option<Package> {
    let version = ask(&["rpm", "--query", "--queryformat", "%{VERSION}-%{RELEASE}", "--"], name)?;
    let lines = |flag: &str| {
        let text = ask(&["rpm", "--query", flag, "--"], name).unwrap_or_default();
        text.lines().filter(|line| line.starts_with('/')).map(str::to_owned).collect()
    };
    let origin = ask(&["dnf", "--cacheonly", "repoquery", "--installed", "--queryformat", "%{from_repo}"], name);
    let origin = origin.filter(|text| !text.is_empty() && !text.starts_with('@') && !text.contains("<unknown>"));
    Some(Package { name: name.to_owned(), version, files: lines("--list"), conffiles: lines("--configfiles"), origin })
}

fn ask(argv: &[&str], name: &str) -> Option<String> {
    // A name that begins so would be an option, or a pattern of several.
    if name.starts_with('-') || name.contains(['*', '?', '[']) {
        return None;
    }
    let command = Command::new(argv.iter().copied()).args([name]).env("LC_ALL", "C").timeout(ASKED);
    command.output().ok().filter(|output| output.success()).map(|output| output.text())
}

/// Of the text of `apt-cache policy`: the repository of the installed version, or else of the newest.
fn origin(policy: &str) -> Option<String> {
    let mut lines = policy.lines().skip_while(|line| !line.contains("***")).skip(1);
    let all = policy.lines().skip_while(|line| !line.contains("Version table"));
    let is_source = |line: &&str| line.contains("://") || line.contains(" file:");
    let of = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
    let own = lines.by_ref().take_while(|line| line.starts_with("        ")).find(is_source).and_then(of);
    own.or_else(|| all.into_iter().find(is_source).and_then(of))
}

/// As `repositories` takes it: the host of a URI, or the id.
fn repository(origin: &str) -> String {
    let rest = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    rest.split('/').find(|part| !part.is_empty()).unwrap_or(rest).to_owned()
}

fn is_of_system(file: &str) -> bool {
    let directory = Path::new(file).parent().unwrap_or(Path::new("/"));
    let places = ["/usr/lib/systemd/system", "/lib/systemd/system", "/etc/systemd/system"];
    is_unit_file(file) && places.iter().any(|place| directory == Path::new(place))
}

fn unit(text: &mut String, file: &str, parts: &mut Vec<String>) {
    let name = file.rsplit('/').next().unwrap_or_default();
    line(text, "\n[[component.unit]]");
    line(text, &format!("name = {}      # the package's own", quoted(name)));
    if name.contains("@.") {
        line(text, "instances = [\"*\"]      # all that are loaded or enabled");
    }
    parts.push(name.to_owned());
}

/// Who the first service with an account of its own runs as.
fn service_account(found: &[Package]) -> String {
    let units = found.iter().flat_map(|package| &package.files).filter(|file| is_of_system(file));
    let of = |file: &String| {
        let text = std::fs::read_to_string(file).ok()?;
        let user = text.lines().find_map(|line| line.trim().strip_prefix("User="))?.trim().to_owned();
        Account::named(&user).ok().map(|account| account.name)
    };
    units.into_iter().find_map(of).unwrap_or_else(|| "root".into())
}

/// A directory of the packages' own: that of their configuration where they have one.
fn root(found: &[Package]) -> PathBuf {
    const PLACES: [&str; 4] = ["/etc", "/usr/lib", "/usr/share", "/usr/share/doc"];
    let own = |place: &str| found.iter().map(move |package| Path::new(place).join(&package.name)).collect::<Vec<_>>();
    let is_theirs = |directory: &PathBuf| {
        let is_listed = |file: &String| Path::new(file).starts_with(directory);
        found.iter().any(|package| package.files.iter().chain(&package.conffiles).any(is_listed))
    };
    PLACES.into_iter().flat_map(own).find(is_theirs).unwrap_or_else(|| PathBuf::from("/usr/share/doc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "app-core:\n  Installed: 1.2-1\n  Candidate: 1.3-1\n  Version table:\n     1.3-1 500\n        500 \
                          https://packages.example.org/debian stable/main amd64 Packages\n *** 1.2-1 100\n        100 \
                          /var/lib/dpkg/status\n";

    #[test]
    fn the_repository_of_a_package_is_that_of_the_installed_version_or_else_of_the_newest() {
        assert_eq!(origin(POLICY).as_deref(), Some("https://packages.example.org/debian"));
        let with = POLICY.replace(
            "        100 /var",
            "        500 http://other.example.org/x y/main amd64 Packages\n        100 /var",
        );
        assert_eq!(origin(&with).as_deref(), Some("http://other.example.org/x"));
        assert_eq!(origin("app:\n  Version table:\n *** 1.0 100\n        100 /var/lib/dpkg/status\n"), None);
        assert_eq!(repository("https://packages.example.org/debian"), "packages.example.org");
        assert_eq!(repository("app-stable"), "app-stable");
    }

    #[test]
    fn only_units_that_systemd_loads_are_units_of_a_package() {
        assert!(is_of_system("/lib/systemd/system/app@.service"));
        assert!(!is_of_system("/usr/share/doc/app/app.service"));
        assert!(!is_of_system("/lib/systemd/system/app.service.d/x.conf"));
    }
}
