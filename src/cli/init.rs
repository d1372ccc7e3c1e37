//! `relift init [PATH]`: writes a manifest for an install that is there.

use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::globals::Globals;
use super::output;
use crate::error::{Context, Error, Exit, Kind, Result};
use crate::manifest::{self, Install};
use crate::survey::discover::{self, Found, Sketch};

/// Writes a manifest for an install, from what is found of it on this host: a git checkout, a Compose project, a directory with
/// `releases` and `current`, or packages.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where the install is; a file of a package stands for the package
    #[arg(default_value = ".", value_name = "PATH")]
    pub path: PathBuf,
    /// Installed packages, in the place of PATH
    #[arg(long, value_name = "PACKAGE", value_delimiter = ',', num_args = 1.., conflicts_with = "path")]
    pub packages: Vec<String>,
    /// What the install is called; by default as its directory, project or first package
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Overwrite a manifest that is there
    #[arg(long)]
    pub force: bool,
    /// Print the manifest and write nothing, as --dry-run
    #[arg(long)]
    pub stdout: bool,
}

/// Looks at the checkout, writes or prints the manifest, and says what to do next.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    let found = found(args)?;
    let name = name(args, globals, &found)?;
    let text = found.draft(&name);
    if args.stdout || globals.dry_run {
        // What is printed is held to the same standard as what is written.
        let file = Path::new("draft").join(format!("{name}.toml"));
        let install = manifest::parse(&name, &file, &text).map_err(|problems| unusable(problems.into_error()))?;
        match globals.json {
            true => report_json(None, &text, &install)?,
            false => output::text(&text),
        }
        return Ok(Exit::Done);
    }
    let file = globals.config.clone().unwrap_or_else(|| globals.paths().manifests().join(format!("{name}.toml")));
    already_declared(globals, &found, &file)?;
    let install = write(&file, &text, args.force)?;
    match (globals.json, globals.quiet) {
        (true, _) => report_json(Some(&file), &text, &install)?,
        (false, true) => {}
        (false, false) => output::data(&report(&file, &found, &install)),
    }
    Ok(Exit::Done)
}

/// What was found, of whatever source.
enum Any {
    Checkout(Box<Found>),
    Sketch(Sketch),
}

impl Any {
    fn root(&self) -> &Path {
        match self {
            Any::Checkout(found) => &found.root,
            Any::Sketch(sketch) => &sketch.root,
        }
    }

    fn draft(&self, name: &str) -> String {
        match self {
            Any::Checkout(found) => discover::draft(found, name),
            Any::Sketch(sketch) => sketch.draft(name),
        }
    }

    fn name(&self) -> Option<String> {
        match self {
            Any::Checkout(found) => found.root.file_name().map(|name| name.to_string_lossy().into_owned()),
            Any::Sketch(sketch) => Some(sketch.name.clone()),
        }
    }
}

fn found(args: &Args) -> Result<Any> {
    match discover::sketch(&args.path, &args.packages)? {
        Some(sketch) => Ok(Any::Sketch(sketch)),
        None => discover::discover(&args.path).map(|found| Any::Checkout(Box::new(found))),
    }
}

fn name(args: &Args, globals: &Globals, found: &Any) -> Result<String> {
    let file = globals.config.as_deref().and_then(Path::file_stem).map(|stem| stem.to_string_lossy().into_owned());
    let name = args.name.clone().or(file).or(found.name()).unwrap_or_default();
    match manifest::is_install_name(&name) {
        true => Ok(name),
        false => Err(Error::usage(format!("an install cannot be called `{}`", crate::text::harmless(&name)))
            .because("a name has at most 64 letters, digits, `-`, `_` and `.`, and begins with a letter or digit")
            .hint("choose one: relift init --name NAME PATH")),
    }
}

/// Two manifests for one checkout would run into each other.
fn already_declared(globals: &Globals, found: &Any, file: &Path) -> Result<()> {
    // Packages share directories; what is declared twice of them is told by their manifests' names.
    if matches!(found, Any::Sketch(sketch) if sketch.body.starts_with("[source.packages]")) {
        return Ok(());
    }
    // A manifest that cannot be read declares nothing; `relift config check` tells why.
    let installs = manifest::readable(&globals.paths());
    match installs.iter().find(|install| install.root == found.root() && install.file != file) {
        Some(install) => Err(Error::refused(format!("{} is declared already", found.root().display()))
            .because(format!("{} is its manifest", install.file.display()))
            .hint(format!("look at it: relift config show {}", install.name))),
        None => Ok(()),
    }
}

/// Writes beside the place, reads that back as relift would, and only then moves it there.
fn write(file: &Path, text: &str, force: bool) -> Result<Install> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot = |error: std::io::Error| {
        let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
        let found = Error::failed(format!("{} cannot be written", file.display())).because(error);
        if denied { found.kind(Kind::NotPermitted).hint("run relift as root, or look first: --stdout") } else { found }
    };
    DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(cannot)?;
    if !force && file.symlink_metadata().is_ok() {
        return Err(exists(file));
    }
    let aside = tempfile::Builder::new().prefix(".init-").tempdir_in(directory).map_err(cannot)?;
    let draft = aside.path().join(file.file_name().unwrap_or_default());
    let mut out = File::options().write(true).create_new(true).mode(0o644).open(&draft).map_err(cannot)?;
    out.write_all(text.as_bytes()).map_err(cannot)?;
    out.set_permissions(PermissionsExt::from_mode(0o644)).map_err(cannot)?;
    out.sync_all().map_err(cannot)?;
    let mut install = manifest::load(&draft).map_err(unusable)?;
    // Without --force, what appeared meanwhile is somebody's as well.
    let flags = if force { RenameFlags::empty() } else { RenameFlags::RENAME_NOREPLACE };
    renameat2(AT_FDCWD, &draft, AT_FDCWD, file, flags).map_err(|errno| match errno {
        nix::errno::Errno::EEXIST => exists(file),
        other => cannot(other.into()),
    })?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(cannot)?;
    aside.close().context(format!("the temporary directory in {} cannot be removed", directory.display()))?;
    install.file = file.to_owned();
    Ok(install)
}

fn exists(file: &Path) -> Error {
    Error::refused(format!("{} exists", file.display()))
        .hint(format!("compare: relift init --stdout PATH | diff {} -", file.display()))
        .hint("overwrite it: relift init --force PATH")
}

fn unusable(error: Error) -> Error {
    error
        .kind(Kind::Failed)
        .while_("what was found does not make a manifest")
        .hint("write it by hand: relift config schema")
}

fn report(file: &Path, found: &Any, install: &Install) -> String {
    let name = &install.name;
    let mut text = format!("wrote {}\n", file.display());
    match found {
        Any::Checkout(found) => components(&mut text, found),
        Any::Sketch(sketch) => sketch.parts.iter().for_each(|part| text.push_str(&format!("  {part}\n"))),
    }
    for warning in &install.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text.push_str(&format!("read it, then: relift config check {name} && relift plan {name}\n"));
    text
}

fn components(text: &mut String, found: &Found) {
    for component in &found.components {
        let version = component.version.as_ref().map(|(_, version)| format!(" {version}")).unwrap_or_default();
        let units: Vec<String> = component
            .units
            .iter()
            .filter(|unit| unit.installed.is_some())
            .map(|unit| unit.file.file_name().to_owned())
            .collect();
        let state = match (component.installed, units.is_empty()) {
            (false, _) => "not installed here, left as a comment".to_owned(),
            (true, true) => "no unit installed".to_owned(),
            (true, false) => units.join(", "),
        };
        text.push_str(&format!("  {}{version}: {state}\n", component.name));
    }
}

fn report_json(file: Option<&Path>, text: &str, install: &Install) -> Result<()> {
    let document = serde_json::json!({
        "version": 1,
        "name": install.name,
        "file": file.map(|file| file.display().to_string()),
        "written": file.is_some(),
        "manifest": text,
        "warnings": install.warnings,
    });
    output::document(&document);
    Ok(())
}
