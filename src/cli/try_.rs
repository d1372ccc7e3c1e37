//! `relift try`: an upgrade that succeeds and one that comes back, by the real verbs of this program, on a throw-away twin.

mod footprint;
mod possible;
mod releases;
mod stage;
mod voice;

use std::time::Instant;

use super::globals::Globals;
use crate::error::{Exit, Result};
use crate::sample::{Look, Release};
use footprint::Footprint;
use releases::{BROKEN, FIRST, GOOD};
use stage::Stage;
use voice::{Measured, Voice};

/// Arguments of `relift try`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Shows it; done only when everything that was expected was also measured.
pub fn run(_: &Args, globals: &Globals) -> Result<Exit> {
    let begun = Instant::now();
    stage::heed_signals()?;
    let program = possible::check()?;
    let (site, first) = possible::site()?;
    let mut voice = Voice::new(globals);
    let before = Footprint::take(&site);
    let stage = Stage::boot(&program, &site, globals, &mut voice)?;
    let told = tell(&stage, &first, &mut voice);
    let gone = stage.down();
    told?;
    gone?;
    voice.measured(before.compared_with(&Footprint::take(&site)));
    voice.end(begun.elapsed())
}

/// The story, in the order in which it is shown.
fn tell(stage: &Stage, first: &Release, voice: &mut Voice) -> Result<()> {
    let old = stage.install(first, voice)?;
    voice.measured(answers("before", FIRST, &old));
    let good = releases::good(first);
    the_plan(stage, &good, &old, voice)?;
    let new = the_upgrade(stage, &old, voice)?;
    the_way_back(stage, &releases::broken(&good), &new, voice)
}

fn the_plan(stage: &Stage, good: &[Release], old: &Look, voice: &mut Voice) -> Result<()> {
    stage.publish(good)?;
    voice.heading(1, "What is new, and what would it change?");
    voice.caption(&format!(
        "Upstream has just published {GOOD}: {} commits, a new .env key for the runner, a changed unit of the manager. \
         `check` asks with one round trip; its exit status 100 says that something is new.",
        good.len()
    ));
    let check = stage.relift(&["check"], voice)?;
    voice.measured(Measured::of("check", check == 100, format!("exit {check}: something is new")));
    voice.caption("`plan` says what an upgrade would do, in order, and why. It changes nothing.");
    let plan = stage.relift(&["plan"], voice)?;
    let same = stage.look()? == *old;
    let saw = if same { "and nothing was changed" } else { "but something was changed" };
    voice.measured(Measured::of("plan", plan == 0 && same, format!("exit {plan}, {saw}")));
    Ok(())
}

fn the_upgrade(stage: &Stage, old: &Look, voice: &mut Voice) -> Result<Look> {
    voice.heading(2, "An upgrade");
    voice.caption(
        "The same plan, executed. All that can fail without touching the services comes first. Then both are restarted \
         and have to prove themselves: a new process, no automatic restart, the new version over HTTP.",
    );
    let upgrade = stage.relift(&["upgrade", "--yes"], voice)?;
    stage.relift(&["status"], voice)?;
    let new = stage.look()?;
    voice.measured(Measured::of("upgrade", upgrade == 0, format!("exit {upgrade}")));
    voice.measured(answers("after it", GOOD, &new));
    voice.measured(kept_lines(old, &new));
    Ok(new)
}

fn the_way_back(stage: &Stage, broken: &Release, before: &Look, voice: &mut Voice) -> Result<()> {
    stage.publish(std::slice::from_ref(broken))?;
    voice.heading(3, "An upgrade that fails, and comes back");
    voice.caption(&format!(
        "{BROKEN} has a fault that no check of configuration finds: its manager starts, answers with the right version, and \
         dies two seconds later. `systemctl restart` says 0. Relift goes on looking, sees it die, and puts {GOOD} back.",
    ));
    let upgrade = stage.relift(&["upgrade", "--yes"], voice)?;
    voice.caption(
        "It failed, everything was put back, and Relift remembers that this release failed here: a timer will not try it \
         again until the release or the configuration is another.",
    );
    stage.relift(&["status"], voice)?;
    stage.relift(&["history"], voice)?;
    let after = stage.look()?;
    voice.measured(Measured::of("failing upgrade", upgrade == 3, format!("exit {upgrade}")));
    voice.measured(answers("after it", GOOD, &after));
    voice.measured(put_back(before, &after));
    Ok(())
}

/// Whether every component answers with this version.
fn answers(when: &'static str, version: &str, look: &Look) -> Measured {
    let said = look.answers.iter().map(|(component, answer)| match answer {
        Some(answer) => format!("{component} answers {answer}"),
        None => format!("{component} does not answer"),
    });
    let held = look.answers.values().all(|answer| answer.as_deref() == Some(version));
    Measured::of(when, held, format!("{} over HTTP", said.collect::<Vec<_>>().join(", ")))
}

/// Whether every line of the `.env` files is still there, in the same order.
fn kept_lines(old: &Look, new: &Look) -> Measured {
    let count = |look: &Look| look.env.values().map(Vec::len).sum::<usize>();
    let kept = old.env.iter().all(|(component, lines)| {
        let mut there = new.env.get(component).into_iter().flatten();
        lines.iter().all(|line| there.any(|known| known == line))
    });
    let saw = match kept {
        true => format!("all {} lines kept, {} added", count(old), count(new) - count(old)),
        false => "lines of the old files are missing".to_owned(),
    };
    Measured::of(".env files", kept && count(new) > count(old), saw)
}

fn put_back(before: &Look, after: &Look) -> Measured {
    let parts = [
        ("checkout", before.tree == after.tree),
        (".env files", before.env == after.env),
        ("units", before.units == after.units),
    ];
    let (same, differ): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(_, same)| *same);
    let names = |parts: Vec<(&str, bool)>| parts.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
    match differ.is_empty() {
        true => Measured::of("put back", true, format!("{}: byte for byte as before", names(same))),
        false => Measured::of("put back", false, format!("{}: not as before", names(differ))),
    }
}
