//! Where the story is played: the twin, and what is run in it.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::voice::{Mode, Voice};
use crate::cli::globals::{ColorWhen, Globals};
use crate::error::{Context, Error, Result};
use crate::host::process::Input;
use crate::sample::{Look, Release, Site};
use crate::twin::{Spec, Target, Twin};

/// This program in the twin.
const RELIFT: &str = "/usr/bin/relift";
/// What a verb may take. The longest takes a few seconds; a hang is a failure.
const VERB_BOUND: Duration = Duration::from_secs(120);
/// What decides about colours besides the options, and how times are shown.
const INHERITED: [&str; 5] = ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLORTERM", "TZ"];

static END_REQUESTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on Ctrl-C, SIGTERM and the loss of the terminal end the story between two looks, so that the twin is put away.
pub fn heed_signals() -> Result<()> {
    let flag = END_REQUESTED.get_or_init(Arc::default);
    [SIGINT, SIGTERM, SIGHUP].into_iter().try_for_each(|signal| {
        signal_hook::flag::register(signal, flag.clone()).map(drop).context("signals cannot be handled")
    })
}

fn if_not_interrupted() -> Result<()> {
    match END_REQUESTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed)) {
        false => Ok(()),
        true => Err(Error::failed("interrupted: the throw-away copy of this host is gone, with everything in it")),
    }
}

/// A twin that runs, and the sample's place in it.
pub struct Stage {
    twin: Twin,
    site: Site,
    options: Vec<String>,
}

impl Stage {
    /// Boots it.
    pub fn boot(program: &Path, site: &Site, globals: &Globals, voice: &mut Voice) -> Result<Stage> {
        voice.title();
        voice.caption(
            "This boots a copy-on-write twin of this host, with a systemd of its own as PID 1 and no network but loopback. \
             None of this host's services, timers and jobs start in it; what is written in it stays in memory and is gone at \
             the end. All that follows happens in the twin, with the real git, systemd and services.",
        );
        let begun = Instant::now();
        let twin = Twin::boot(Spec::new("twin", Target::Own, program))?;
        if_not_interrupted()?;
        voice.done("the twin has booted", begun.elapsed());
        Ok(Stage { twin, site: site.clone(), options: options(globals) })
    }

    /// Installs the first release as an administrator would, and looks at it.
    pub fn install(&self, first: &Release, voice: &mut Voice) -> Result<Look> {
        let begun = Instant::now();
        self.publish(std::slice::from_ref(first))?;
        self.internal("sample-install", &self.site)?;
        let Site { root, account, name, .. } = &self.site;
        voice.done(&format!("the sample {} is installed in {root}", first.version), begun.elapsed());
        voice.caption(&format!(
            "It is a git checkout that the account {account} owns, with two services: manager (system unit) and runner (user \
             unit). Each has an .env with a secret, a build step, and a version to ask for over HTTP. The manifest \
             /etc/relift/{name}.toml declares all that to Relift.",
        ));
        self.look()
    }

    /// Publishes releases upstream.
    pub fn publish(&self, releases: &[Release]) -> Result<()> {
        releases.iter().try_for_each(|release| self.internal("sample-publish", &(&self.site, release)).map(drop))
    }

    /// Looks at what is there.
    pub fn look(&self) -> Result<Look> {
        let text = self.internal("sample-look", &self.site)?;
        serde_json::from_str(&text).context("what was found in the twin cannot be read")
    }

    /// Runs a verb of this program for the sample, on the caller's own terminal; its exit status.
    pub fn relift(&self, words: &[&str], voice: &mut Voice) -> Result<i32> {
        let (verb, rest) = words.split_first().unwrap_or((&"", &[]));
        let shown = [&["relift", verb, self.site.name.as_str()], rest].concat().join(" ");
        voice.command(&shown);
        let mut command = self.twin.attached([&[RELIFT, verb, &self.site.name], rest].concat());
        command.args(&self.options);
        command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        if voice.mode() != Mode::Show {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        }
        let begun = Instant::now();
        let exit = bounded(&mut command, &shown)?;
        voice.ended(&shown, exit, begun.elapsed());
        Ok(exit)
    }

    /// Puts the twin away.
    pub fn down(self) -> Result<()> {
        self.twin.down()
    }

    fn internal(&self, verb: &str, document: &impl serde::Serialize) -> Result<String> {
        let document = serde_json::to_vec(document).context("the sample cannot be described")?;
        let command = self.twin.command([RELIFT, "internal", verb]).stdin(Input::Bytes(document));
        let output = command.succeed();
        if_not_interrupted()?;
        Ok(output.map_err(|error| error.while_("the sample cannot be prepared in the twin"))?.text())
    }
}

fn options(globals: &Globals) -> Vec<String> {
    let colour = match globals.color {
        ColorWhen::Auto => None,
        ColorWhen::Always => Some("--color=always"),
        ColorWhen::Never => Some("--color=never"),
    };
    let bars = globals.no_progress.then_some("--no-progress");
    let verbose = std::iter::repeat_n("--verbose", globals.verbose.into());
    colour.into_iter().chain(bars).chain(verbose).map(str::to_owned).collect()
}

/// Waits for a child, however the wait ends: by itself, by a signal to us, at the bound. What runs in the twin ends with it.
fn bounded(command: &mut std::process::Command, shown: &str) -> Result<i32> {
    use std::os::unix::process::ExitStatusExt;
    let mut child = command.spawn().with_context(|| format!("{shown} cannot be started in the twin"))?;
    let begun = Instant::now();
    let end = loop {
        let status = child.try_wait().with_context(|| format!("{shown} cannot be waited for"))?;
        if let Err(error) = if_not_interrupted() {
            break Err(error);
        }
        match status {
            Some(status) => break Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())),
            None if begun.elapsed() > VERB_BOUND => {
                break Err(Error::failed(format!("{shown} did not end within {} seconds", VERB_BOUND.as_secs())));
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    if end.is_err() {
        // One that has ended already needs no kill, and its status interests nobody.
        child.kill().and_then(|()| child.wait()).map(drop).unwrap_or_default();
    }
    end
}
