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
/// the first nobody can say what files come to. That of Debian 13, 1.3.0, cannot say which containers the files would make anew.
fn speaks(program: ComposeProgram) -> Result<()> {
    let word = program.word();
    let Some(lacks) = lacks(word)? else { return Ok(()) };
    let told = Command::new([word, "version"]).output()?.text();
    let version = told
        .lines()
        .find_map(|line| line.strip_prefix("podman-compose")?.split_once("version"))
        .map(|(_, it)| it.trim().to_owned());
    let version = version.map(|version| format!(" {version}")).unwrap_or_default();
    Err(Error::failed(format!("{word}{version} does not do what is needed of Compose"))
        .because(lacks)
        .hint("carry the project out with Docker: apt-get install docker.io docker-compose, then program = \"docker-compose\" under [source.compose]"))
}

fn lacks(word: &str) -> Result<Option<&'static str>> {
    let usage = Command::new([word, "--help"]).output()?.text();
    if !usage.split(['{', ',', '}']).any(|verb| verb.trim() == "config") {
        return Ok(Some("it has no `config`, which says what the files come to"));
    }
    let usage = Command::new([word, "config", "--help"]).output()?.text();
    let is_there = usage.split_whitespace().any(|option| option.trim_matches(['[', ']']) == "--hash");
    Ok((!is_there).then_some("it has no `config --hash`, which says which containers are not what the files say"))
}
