//! What carries Compose out on this host, and whether it does what is needed.

use crate::error::{Error, Result};
use crate::host::process::Command;
use crate::manifest::ComposeProgram;

/// The program that the manifest names, or the first that is here. One that cannot do what is needed is refused by name.
pub(super) fn chosen(named: Option<ComposeProgram>) -> Result<ComposeProgram> {
    let program = match named {
        Some(program) => program,
        None => ComposeProgram::ALL.into_iter().find(is_here).ok_or_else(|| {
            Error::failed("nothing here carries Compose out: docker compose or docker-compose")
                .hint("install one of them: apt-get install docker-compose")
        })?,
    };
    if program == ComposeProgram::PodmanCompose {
        speaks(program)?;
    }
    Ok(program)
}

fn is_here(program: &ComposeProgram) -> bool {
    let words = program.word().split(' ').chain(["version"]);
    Command::new(words).output().is_ok_and(|output| output.success())
}

/// podman-compose 1.0.3, Debian 12's, has neither `config` nor `--env-file`, `--profile` and `--project-directory`: without
/// the first nobody can say what files come to.
fn speaks(program: ComposeProgram) -> Result<()> {
    let word = program.word();
    let usage = Command::new([word, "--help"]).output()?;
    let lists = usage.text().split(['{', ',', '}']).any(|verb| verb.trim() == "config");
    if lists {
        return Ok(());
    }
    let told = Command::new([word, "version"]).output()?.text();
    let version = told
        .lines()
        .find_map(|line| line.strip_prefix("podman-compose")?.split_once("version"))
        .map(|(_, it)| it.trim().to_owned());
    let version = version.map(|version| format!(" {version}")).unwrap_or_default();
    Err(Error::failed(format!("{word}{version} does not do what is needed of Compose"))
        .because("it has no `config`, which says what the files come to")
        .hint("carry the project out with Docker: apt-get install docker.io docker-compose, then program = \"docker-compose\" under [source.compose]"))
}
