//! The programs that are called, and what is known of their versions.

use std::path::PathBuf;

use super::Finding;
use super::Section::Tools;
use crate::text::word;

/// A program, as it was found in the `PATH` that children get.
#[derive(Debug, Clone)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// Where it is; `None`: nowhere.
    pub path: Option<PathBuf>,
    /// Who but root could have written it, in words.
    pub writer: Option<String>,
    /// The line that it says about its version; `None`: it was not asked, or said nothing.
    pub said: Option<String>,
}

/// The releases of git in which CVE-2025-48384 (a submodule's path with a CR runs hooks) and CVE-2025-48385 (a bundle URI
/// writes anywhere) are mended, one for each series: git's release notes of 8 July 2025.
const MENDED: [[u32; 3]; 8] =
    [[2, 43, 7], [2, 44, 4], [2, 45, 4], [2, 46, 4], [2, 47, 3], [2, 48, 2], [2, 49, 1], [2, 50, 1]];
/// `sparse-checkout set --cone --no-sparse-index`: git 2.32's release notes.
const OLDEST_GIT: [u32; 3] = [2, 32, 0];
/// Signatures by ssh keys: git 2.34's release notes.
const SIGNING_GIT: [u32; 3] = [2, 34, 0];
/// `ssh-keygen -Y verify` with all that git asks of it: OpenSSH 8.2's release notes.
const SIGNING_SSH: [u32; 2] = [8, 2];

/// What is found about the programs.
pub fn judge(tools: &[Tool]) -> Vec<Finding> {
    tools.iter().flat_map(one).collect()
}

fn one(tool: &Tool) -> Vec<Finding> {
    let Some(path) = &tool.path else { return vec![missing(tool.name)] };
    let path = path.display().to_string();
    let mut found = Vec::new();
    if let Some(writer) = &tool.writer {
        let finding = Finding::problem(Tools, tool.name, writer).means("root would run what another account wrote");
        found.push(finding.mend(format!("chown root:root {0} && chmod go-w {0}", word(&path))));
    }
    found.push(match tool.name {
        "git" => git(&path, tool.said.as_deref()),
        "ssh" => ssh(&path, tool.said.as_deref()),
        name => Finding::ok(Tools, name, path),
    });
    found
}

fn missing(name: &str) -> Finding {
    let (package, means) = match name {
        "git" => ("git", "no release can be fetched"),
        "ssh" => ("openssh-client", "remotes over ssh cannot be reached"),
        "setpriv" => ("util-linux", "remotes over ssh cannot be asked with the owner's keys"),
        _ => ("systemd", "units are not checked before they are installed"),
    };
    let finding = match name {
        "ssh" => Finding::warning(Tools, name, "is not installed"),
        _ => Finding::problem(Tools, name, "is not installed, or not in the PATH of services"),
    };
    finding.means(means).mend(format!("apt-get install {package}"))
}

fn git(path: &str, said: Option<&str>) -> Finding {
    let Some(version) = said.and_then(|said| numbers::<3>(said.strip_prefix("git version ").unwrap_or(said))) else {
        return Finding::problem(Tools, "git", format!("{path} does not tell its version"))
            .means("it is no git, or a broken one")
            .mend("apt-get install --reinstall git");
    };
    let shown = format!("{} at {path}", dotted(&version));
    if version < OLDEST_GIT {
        return Finding::problem(Tools, "git", format!("{shown} is older than {}", dotted(&OLDEST_GIT)))
            .means("sparse checkouts cannot be switched")
            .mend("apt-get install git, from backports where the release has none that is newer");
    }
    if has_holes(version) {
        return Finding::warning(Tools, "git", format!("{shown} may have CVE-2025-48384 and CVE-2025-48385"))
            .means(
                "a hostile upstream could run code by a submodule or a bundle URI; relift uses neither. Distributions mend \
                 older versions without another number",
            )
            .mend("apt-get install --only-upgrade git; whether it is mended: apt-get changelog git");
    }
    if version < SIGNING_GIT {
        return Finding::warning(Tools, "git", format!("{shown} is older than {}", dotted(&SIGNING_GIT)))
            .means("signatures by ssh keys cannot be verified")
            .mend("apt-get install git, from backports where the release has none that is newer");
    }
    Finding::ok(Tools, "git", shown)
}

/// Whether the series of a version is an unmended one.
fn has_holes(version: [u32; 3]) -> bool {
    let series = MENDED.iter().find(|mended| mended[..2] == version[..2]);
    series.map_or(version < MENDED[0], |mended| version < *mended)
}

fn ssh(path: &str, said: Option<&str>) -> Finding {
    let version = said.and_then(|said| numbers::<2>(said.split_once("OpenSSH_")?.1));
    match version {
        None => Finding::warning(Tools, "ssh", format!("{path} does not tell its version as OpenSSH does"))
            .means("whether signatures by ssh keys can be verified is not known"),
        Some(version) if version < SIGNING_SSH => {
            Finding::warning(Tools, "ssh", format!("OpenSSH {} at {path} is older than 8.2", dotted(&version)))
                .means("signatures by ssh keys cannot be verified")
                .mend("apt-get install --only-upgrade openssh-client")
        }
        Some(version) => Finding::ok(Tools, "ssh", format!("OpenSSH {} at {path}", dotted(&version))),
    }
}

/// The first numbers of a version, `2.39.5-0+deb12u2` or `9.2p1`; what is not there counts as 0.
fn numbers<const N: usize>(text: &str) -> Option<[u32; N]> {
    let digits = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    let mut parts = text.trim().split('.');
    let mut version = [0; N];
    version[0] = digits(parts.next()?)?;
    version[1] = digits(parts.next()?)?;
    for place in version.iter_mut().skip(2) {
        *place = parts.next().and_then(digits).unwrap_or(0);
    }
    Some(version)
}

fn dotted(version: &[u32]) -> String {
    version.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn tool(name: &'static str, said: &str) -> Tool {
        Tool { name, path: Some(format!("/usr/bin/{name}").into()), writer: None, said: Some(said.into()) }
    }

    fn level(name: &'static str, said: &str) -> Level {
        judge(&[tool(name, said)])[0].level
    }

    #[test]
    fn each_series_of_git_with_holes_is_told() {
        for bad in ["2.39.5", "2.43.6", "2.44.3", "2.45.3", "2.46.3", "2.47.2", "2.48.1", "2.49.0", "2.50.0", "2.34.1"]
        {
            let found = &judge(&[tool("git", &format!("git version {bad}"))])[0];
            assert!(found.level == Level::Warning && found.what.contains("CVE-2025-48384"), "{bad}: {found:?}");
        }
        for good in ["2.43.7", "2.45.4", "2.47.3", "2.50.1", "2.51.0", "2.50.1.windows.1", "3.0.0", "2.60.0.rc1"] {
            assert_eq!(level("git", &format!("git version {good}")), Level::Ok, "{good}");
        }
    }

    #[test]
    fn a_git_that_cannot_switch_sparsely_is_a_problem_and_no_git_as_well() {
        assert_eq!(level("git", "git version 2.20.1"), Level::Problem);
        assert_eq!(level("git", "command not found"), Level::Problem);
        let none = judge(&[Tool { name: "git", path: None, writer: None, said: None }]);
        assert_eq!((none[0].level, none[0].mend.as_deref()), (Level::Problem, Some("apt-get install git")));
    }

    #[test]
    fn a_program_that_others_may_write_is_a_problem_whatever_its_version() {
        let writer = Some("/usr/bin/git may be written by every account".to_owned());
        let found = judge(&[Tool { writer, ..tool("git", "git version 2.51.0") }]);
        assert_eq!(found[0].level, Level::Problem);
        assert_eq!(found[0].mend.as_deref(), Some("chown root:root /usr/bin/git && chmod go-w /usr/bin/git"));
    }

    #[test]
    fn an_ssh_that_verifies_no_signatures_is_told() {
        assert_eq!(level("ssh", "OpenSSH_9.2p1 Debian-2+deb12u7, OpenSSL 3.0.17"), Level::Ok);
        assert_eq!(level("ssh", "OpenSSH_8.1p1"), Level::Warning);
        assert_eq!(level("ssh", "OpenSSH_10.0p2"), Level::Ok);
        assert_eq!(level("ssh", "Dropbear v2022"), Level::Warning);
        assert_eq!(judge(&[Tool { name: "ssh", path: None, writer: None, said: None }])[0].level, Level::Warning);
    }
}
