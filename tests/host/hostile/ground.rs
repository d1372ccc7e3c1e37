//! A host on which one input after the other is planted, judged and taken away again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use relift::sample::{Release, Site};

use super::outside::{self, Outside};
use super::{Forge, Input, Must};
use crate::harness::{Host, Out};
use crate::rigs::figures::{Ended, Figure};
use crate::snapshot::Snapshot;

/// What git does not track, and an operator would miss.
const MINE: &str =
    "cd /opt/app; install -d -o app -g app manager/data; echo precious > manager/data/db; echo mine > notes.txt
    echo mine > runner/notes.txt; install -d -o app -g app -m 700 local; echo kept > local/file
    chown app: manager/data/db notes.txt runner/notes.txt local/file";

/// A host with the sample, canaries around it, and a way back to this state.
pub struct Ground {
    pub host: Host,
    /// The commit that is checked out before each input.
    pub base: String,
    mine: String,
    before: Snapshot,
}

impl Ground {
    /// Boots, installs the sample and notes what is there.
    pub fn new(site: Site, first: fn(Release) -> Release) -> Ground {
        let mut host = Host::boot();
        host.settle(site, first);
        host.must(MINE);
        outside::plant(&host);
        host.must("cp -a /srv/git /srv/git.kept; cp -a /etc/relift /root/relift.kept; mkdir /root/env; for c in manager runner; do cp -a /opt/app/$c/.env /root/env/$c; done");
        let base = host.must("runuser -u app -- git -C /opt/app rev-parse HEAD");
        host.relift(&["check"]).exits(0);
        let (mine, before) = (mine(&host), host.snapshot());
        Ground { host, base, mine, before }
    }

    /// Forgets how often the services were started.
    fn calm(&self) {
        self.host.must("systemctl reset-failed");
        self.host.sh_as("app", "systemctl --user reset-failed").exits(0);
    }

    /// The sample whose upstream may be forged.
    pub fn forge(&self) -> Forge {
        Forge::of(&self.host)
    }

    /// Runs a verb of relift's as the input wants it run; a crash is no way to end.
    fn relift(&self, by: &str, words: &str) -> Result<Out, String> {
        let begun = Instant::now();
        let out = self.host.sh(&format!("{by} relift {words}"));
        if std::env::var_os("RELIFT_TIMES").is_some() {
            println!("    {:?} {words}", begun.elapsed());
        }
        let crashed = out.code == 101 || out.code > 128 || out.stderr.contains("panicked");
        match crashed || !out.stderr.is_ascii() && out.stderr.chars().any(|c| c.is_control() && c != '\n') {
            true => Err(format!("it crashed, or printed what a terminal obeys: {out}")),
            false => Ok(out),
        }
    }

    /// Plants an input and judges what becomes of it; the host may not be usable any more after an error.
    fn judge(&mut self, input: &Input) -> Result<Ended, String> {
        self.calm();
        (input.plant)(self);
        let planted = Outside::of(&self.host);
        let before = self.host.snapshot();
        for words in ["check", "plan app"] {
            let out = self.relift(input.by, words)?;
            same(&before, &self.host.snapshot(), words, &out)?;
        }
        let out = self.relift(input.by, "upgrade app --yes")?;
        let difference = planted.difference(&Outside::of(&self.host));
        if !difference.is_empty() {
            return Err(format!("a canary changed:\n{difference}{out}"));
        }
        if mine(&self.host) != self.mine {
            return Err(format!("something of the operator's is gone: {}{out}", mine(&self.host)));
        }
        match input.must {
            Must::Refuse(exit, says) => {
                let missing = says.iter().find(|word| !out.stderr.contains(**word));
                if out.code != exit || missing.is_some() {
                    return Err(format!("not exit {exit} with {missing:?}: {out}"));
                }
                same(&before, &self.host.snapshot(), "upgrade", &out)?;
            }
            Must::Take if out.code != 0 => return Err(format!("it was not taken: {out}")),
            Must::Take => {}
        }
        self.back(&before, &planted)?;
        Ok(if matches!(input.must, Must::Take) { Ended::New } else { Ended::Old })
    }

    /// To the state before the input: by `rollback` where the release was taken, upstream and configuration as they were.
    fn back(&self, before: &Snapshot, planted: &Outside) -> Result<(), String> {
        if self.host.must("runuser -u app -- git -C /opt/app rev-parse HEAD") != self.base {
            self.calm();
            let out = self.relift("", &format!("rollback app --yes --to {}", self.base))?;
            if out.code != 0 {
                return Err(format!("there is no way back: {out}"));
            }
            same(before, &self.host.snapshot(), "rollback", &out)?;
            let difference = planted.difference(&Outside::of(&self.host));
            if !difference.is_empty() {
                return Err(format!("rollback changed a canary:\n{difference}{out}"));
            }
        }
        self.host.must(
            "rm -rf /srv/git; cp -a /srv/git.kept /srv/git; rm -rf /etc/relift; cp -a /root/relift.kept /etc/relift
             for c in manager runner; do chattr -i /opt/app/$c/.env 2>/dev/null; rm -rf /opt/app/$c/.env; cp -a /root/env/$c /opt/app/$c/.env; done",
        );
        Ok(())
    }
}

impl Ground {
    /// After something went wrong: whether the host is as it was, by whatever way back there is.
    fn mended(&self) -> bool {
        self.host.sh("relift recover app");
        let clean = self.host.sh("find /srv/canary/secret /tmp -name 'owned*'");
        self.back(&self.before, &Outside::of(&self.host)).is_ok()
            && clean.stdout.is_empty()
            && mine(&self.host) == self.mine
            && self.before.difference(&self.host.snapshot()).is_empty()
    }
}

fn same(before: &Snapshot, after: &Snapshot, doing: &str, out: &Out) -> Result<(), String> {
    let difference = before.difference(after);
    match difference.is_empty() {
        true => Ok(()),
        false => Err(format!("not as before after {doing}:\n{difference}{out}")),
    }
}

/// The operator's own files, with their bytes.
fn mine(host: &Host) -> String {
    host.must("cd /opt/app; sha256sum manager/data/db notes.txt runner/notes.txt local/file 2>&1; stat -c '%n %a %U %Y' manager/data/db notes.txt runner/notes.txt local/file 2>&1")
}

/// The sample's first release as the corpus wants it.
pub fn plain(release: Release) -> Release {
    release
        .file("manager/old.txt", "old\n")
        .file("runner/plugins/one", "1\n")
        .file("docs/guide.txt", "outside the cone\n")
}

/// Plants every input of a category, one after the other; a host that an input spoilt is replaced.
pub fn run(category: &str, inputs: &[Input], site: fn() -> Site) {
    let only = std::env::var("RELIFT_INPUT").ok();
    let mut figure = Figure::new("hostile corpus", category, "check, plan, upgrade, rollback");
    let mut ground = None;
    for input in inputs
        .iter()
        .filter(|input| only.as_ref().is_none_or(|only| only.split('|').any(|only| input.name.contains(only))))
    {
        let begun = Instant::now();
        let on = ground.get_or_insert_with(|| Ground::new(site(), plain));
        let judged = catch_unwind(AssertUnwindSafe(|| on.judge(input))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            Err(text.or(panic.downcast_ref::<&str>().map(|text| text.to_string())).unwrap_or_default())
        });
        println!(
            "{:5.1} s  {}  {}",
            begun.elapsed().as_secs_f64(),
            if judged.is_ok() { "ok   " } else { "WRONG" },
            input.name
        );
        if let Err(wrong) = &judged {
            println!("{wrong}");
            // What was done may be undone; else the next input gets another host.
            let again = catch_unwind(AssertUnwindSafe(|| on.mended()));
            if !again.unwrap_or(false) {
                ground = None;
            }
        }
        figure.count(judged.map_err(|wrong| format!("=== {}: {wrong}", input.name)));
    }
    figure.publish();
}

/// The sample without a soak, sparse.
pub fn quick() -> Site {
    let mut site = Site::new("app");
    (site.soak, site.sparse) = (0, true);
    site
}
