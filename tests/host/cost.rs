//! What a plan costs follows the change and not the repository: told by counts, which repeat, and not by times.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::harness::{Host, needs};

/// Files of each component.
const FILES: usize = 20;
/// Commits of a change; every other one is of the component that is installed.
const COMMITS: usize = 24;

/// A stream for git-fast-import(1): so many components, and on `refs/next` a change of three of them.
fn stream(components: usize) -> String {
    let mut stream = String::new();
    let mut commit = |reference: &str, number: usize, from: &str, files: &[(String, String)]| {
        let head = format!("commit {reference}\ncommitter A <a@example.org> {} +0000\n", 1_700_000_000 + number);
        write!(stream, "{head}data 2\n{:02}\n{from}", number % 100).unwrap();
        for (path, text) in files {
            write!(stream, "M 100644 inline {path}\ndata {}\n{text}\n", text.len()).unwrap();
        }
    };
    let file = |component: usize, file: usize, text: &str| (format!("c{component:03}/src/f{file}"), text.to_owned());
    let mut all: Vec<_> = (0..components).flat_map(|one| (0..FILES).map(move |at| file(one, at, "1\n"))).collect();
    all.push(("c000/VERSION".into(), "1.0.0\n".into()));
    all.push(("c000/.env.example".into(), "PORT=1\n".into()));
    all.push((".gitignore".into(), ".env\n".into()));
    commit("refs/heads/main", 0, "", &all);
    for number in 1..=COMMITS {
        let from = if number == 1 { "from refs/heads/main\n" } else { "" };
        let component = if number % 2 == 0 { 0 } else { 1 + number % 3 };
        let text = format!("{number} changed\n");
        let new = (format!("c{component:03}/new/f"), text.clone());
        let deep = ("extra/deep/f".to_owned(), text.clone());
        commit("refs/next", number, from, &[file(component, number % FILES, &text), new, deep]);
    }
    stream
}

/// Makes a repository of so many components, a checkout of the first, and its manifest; nobody has the change yet.
fn install(host: &Host, name: &str, components: usize) {
    host.must(&format!("useradd -m {name}; install -d -o {name} -g {name} /srv/{name} /opt/{name}"));
    let git = format!("runuser -u {name} -- git");
    host.must(&format!("{git} init -q --bare -b main /srv/{name}/{name}.git"));
    let import = ["git", "-c", "safe.directory=*", "-C", &format!("/srv/{name}/{name}.git"), "fast-import", "--quiet"];
    host.run(&import, stream(components).as_bytes()).exits(0);
    host.must(&format!(
        "chown -R {name}: /srv/{name}; cd /opt/{name}; {git} -C /srv/{name}/{name}.git repack -q -a -d
         {git} clone -q --no-checkout file:///srv/{name}/{name}.git .; {git} sparse-checkout set c000; {git} checkout -q main
         echo PORT=1 > c000/.env; chown {name}: c000/.env
         find c000 -type f -exec touch -d '1 hour ago' {{}} +; {git} status >/dev/null"
    ));
    let manifest = format!(
        "schema = 1\n[install]\nroot = \"/opt/{name}\"\nowner = \"{name}\"\n[source.git]\nurl = \"file:///srv/{name}/{name}.git\"\n\
         branch = \"main\"\n[[component]]\nname = \"c000\"\npath = \"c000\"\nversion = {{ file = \"VERSION\" }}\n\
         env = [{{ file = \".env\", example = \".env.example\" }}]\n\
         [[component.step]]\nname = \"sync\"\nrun = [\"true\"]\nundo = \"rerun\"\n"
    );
    host.write(&format!("/etc/relift/{name}.toml"), manifest, 0o644, "root");
}

/// What git does for a fetch. `rev-list` reads every tree of what was there before.
const VERBS: [&str; 6] = ["fetch", "rev-list", "upload-pack", "index-pack", "unpack-objects", "update-ref"];

/// Moves the branch of its repository on to the change.
fn publish(host: &Host, name: &str) {
    host.must(&format!("git -C /srv/{name}/{name}.git update-ref refs/heads/main refs/next"));
}

/// The files that the mirror's objects are in.
const OBJECTS: &str = "find objects -type f | LC_ALL=C sort";

/// Programs that a plan starts, what git does, calls that name a file, and how often the index is opened.
struct Cost {
    programs: BTreeMap<String, usize>,
    verbs: BTreeSet<String>,
    calls: usize,
    indexes: usize,
}

/// What strace(1) tells of a plan of what is fetched for it alone: the mirror is put back to what the checkout has, refs and
/// objects.
fn trace(host: &Host, name: &str, flags: &str) -> Vec<String> {
    let head = format!("git -C /opt/{name} rev-parse HEAD");
    host.must(&format!(
        "cd /var/lib/relift/{name}/mirror.git; git --git-dir=. update-ref refs/heads/main $({head})
         {OBJECTS} | LC_ALL=C comm -13 /srv/{name}/objects - | xargs -r rm -f"
    ));
    let out = host.must(&format!("strace -f -qq {flags} -o /tmp/trace -e trace=%file relift plan {name}"));
    assert!(out.contains("12 commits in c000"), "{out}");
    host.read("/tmp/trace").lines().map(str::to_owned).collect()
}

fn cost(host: &Host, name: &str) -> Cost {
    // A program that is not found in one place is looked for in the next.
    let found = trace(host, name, "-z -s 300");
    let mut programs = BTreeMap::new();
    for (_, call) in found.iter().filter_map(|line| line.split_once("execve(\"")) {
        *programs.entry(call.split('"').next().unwrap().rsplit('/').next().unwrap().to_owned()).or_default() += 1;
    }
    let words = found.iter().filter(|line| line.contains("execve(\"")).flat_map(|line| line.split('"'));
    let verbs = words.filter(|word| VERBS.contains(word)).map(str::to_owned).collect();
    let is_read = |line: &&String| line.contains("/index\"") && line.contains("O_RDONLY") && !line.contains("O_PATH");
    let indexes = found.iter().filter(is_read).count();
    let calls = trace(host, name, "").iter().filter(|line| !line.contains(" resumed>")).count();
    Cost { programs, verbs, calls, indexes }
}

#[test]
fn a_plan_of_the_same_change_costs_the_same_in_a_repository_of_ten_times_the_files() {
    needs(&[("strace", "strace")]);
    let host = Host::boot();
    host.must("git config --system --replace-all safe.directory '*'");
    for (name, components) in [("small", 8), ("large", 80)] {
        install(&host, name, components);
        // The first makes the mirror.
        host.relift(&["check", name]).exits(0);
        host.must(&format!("cd /var/lib/relift/{name}/mirror.git; {OBJECTS} > /srv/{name}/objects"));
        publish(&host, name);
    }
    let (small, large) = (cost(&host, "small"), cost(&host, "large"));
    assert_eq!(small.programs, large.programs);
    for verbs in [small.verbs, large.verbs] {
        assert_eq!(verbs.iter().collect::<Vec<_>>(), ["index-pack", "update-ref", "upload-pack"]);
    }
    assert_eq!((small.indexes, large.indexes), (1, 1), "the index is read once, {:?}", large.programs);
    let ratio = large.calls as f64 / small.calls as f64;
    assert!(ratio <= 1.2, "{} calls that name a file, and {} in the large one", small.calls, large.calls);
    // What was not looked into is seen as soon as there is something: outside the cone, in place of a directory, an edit.
    for (make, says, unmake) in [
        ("mkdir -p c001/new; echo mine > c001/new/f", "c001/new/f is in the way", "rm -r c001"),
        ("echo mine > extra", "extra is in the way", "rm extra"),
        ("echo mine >> c000/src/f3", "tracked files have local changes: c000/src/f3", ":"),
    ] {
        host.sh_as("large", &format!("set -e; cd /opt/large; {make}")).exits(0);
        let out = host.relift(&["plan", "large"]).exits(1);
        assert!(out.stderr.contains(says), "{out}");
        host.sh_as("large", &format!("cd /opt/large; {unmake}")).exits(0);
    }
}

/// What git is asked of a checkout by a command: its verbs.
fn asked(host: &Host, name: &str, command: &str) -> BTreeSet<String> {
    host.must(&format!("strace -f -qq -z -s 300 -o /tmp/trace -e trace=execve {command}"));
    let there = format!("\"-C\", \"/opt/{name}\", \"");
    let trace = host.read("/tmp/trace");
    let verbs = trace.lines().filter_map(|line| line.split_once(&there)?.1.split('"').next());
    verbs.map(str::to_owned).collect()
}

#[test]
fn an_upgrade_asks_git_for_nothing_that_the_mirror_or_the_files_tell() {
    needs(&[("strace", "strace")]);
    let host = Host::boot();
    host.must("git config --system --replace-all safe.directory '*'");
    install(&host, "small", 8);
    publish(&host, "small");
    host.must("printf '[policy]\\nsoak = \"0s\"\\n' >> /etc/relift/small.toml");
    host.relift(&["plan", "small"]).exits(0);
    let upgrade = asked(&host, "small", "relift upgrade small --yes");
    // The configuration and what is there of it; the objects; the switch, which on a slow machine is looked at by git; the tags.
    let allowed = ["config", "sparse-checkout", "index-pack", "cat-file", "merge", "diff-index", "update-ref"];
    let more: Vec<&String> = upgrade.iter().filter(|verb| !allowed.contains(&verb.as_str())).collect();
    assert!(more.is_empty() && upgrade.contains("merge"), "{upgrade:?}");
    // git has just written the files and their index, in the same moment: what they are, their bytes tell.
    let plan = asked(&host, "small", "relift plan small");
    assert!(!plan.contains("status") && plan.contains("config"), "{plan:?}");
}
