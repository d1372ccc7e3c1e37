//! What hooks, migrations and peers may say.

use std::path::Path;

use crate::manifest::{Install, effective, parse};

const HEAD: &str = "schema = 1\n[install]\nroot = \"/opt/app\"\nowner = \"app\"\n[source.git]\nurl = \"https://git.example.org/app.git\"\nbranch = \"main\"\n";
const COMPONENTS: &str = "[[component]]\nname = \"docs\"\npath = \"docs\"\n[[component]]\nname = \"app\"\npath = \"app\"\nversion = { file = \"VERSION\" }\n";

fn read(more: &str) -> Result<Install, String> {
    let text = format!("{HEAD}{COMPONENTS}{more}\n");
    parse("app", Path::new("/etc/relift/app.toml"), &text).map_err(|problems| problems.render(false))
}

const WHOLE: &str = r#"
[[component.health]]
command = ["bin/backlog"]
below = 100
[[component.step]]
name = "load"
run = ["bin/load"]
undo = "pure"
env-file = ["vars.conf", "/etc/app/more.conf"]
[[hook]]
at = "drain"
component = "app"
run = ["bin/drain"]
cwd = "tools"
as = "root"
when = { changed = ["lib"] }
undo = { run = ["bin/undrain"] }
timeout = "90s"
env-file = ["vars.conf"]
[[hook]]
at = "drain"
run = ["bin/drain", "more"]
undo = "pure"
[[hook]]
at = "resume"
run = ["bin/resume"]
[[migration]]
version = "3.39.0"
run = ["bin/migrate"]
undo = { run = ["bin/back"] }
note = "Rebuilds the index."
url = "https://docs.example.org/3.39"
[[migration]]
version = "4.0.0-rc.1"
note = "Read this."
covers = "4"
[[compatibility.peer]]
name = "clients"
http = "https://peers.example.org/versions"
json = "versions"
accepts = [{ ours = ">=1.3, <2", theirs = ">=1.2" }]
unreachable = "stop"
"#;

#[test]
fn what_a_runbook_says_is_read_with_its_defaults_and_written_out_the_same() {
    let install = read(WHOLE).unwrap();
    let names: Vec<&str> = install.hooks.iter().map(|hook| hook.name.as_str()).collect();
    assert_eq!(names, ["drain", "drain 2", "resume"]);
    assert_eq!(install.hooks[1].procedure.timeout.as_secs(), 900);
    assert_eq!(install.hooks[2].procedure.undo, crate::manifest::StepUndo::Pure);
    assert!(!install.hooks[0].procedure.idempotent && install.hooks[1].procedure.idempotent);
    let (migration, peer) = (&install.migrations[0], &install.peers[0]);
    assert_eq!((migration.component.as_str(), peer.component.as_str()), ("app", "app"), "the first with a version");
    assert_eq!((install.migrations[1].covers, peer.must_answer), (Some(4), Some(true)));
    let written = effective(&install).unwrap();
    let again =
        parse("app", Path::new("/etc/relift/app.toml"), &written).unwrap_or_else(|no| panic!("{}", no.render(false)));
    assert_eq!(effective(&again).unwrap(), written);
    assert_eq!(format!("{:?}", again.hooks), format!("{:?}", install.hooks));
    assert_eq!(format!("{:?}", again.migrations), format!("{:?}", install.migrations));
    assert_eq!(format!("{:?}", again.peers), format!("{:?}", install.peers));
    assert!(written.contains("below = 100\n") && written.contains("env-file = "), "{written}");
}

#[test]
fn what_would_not_work_is_refused_with_what_would() {
    let hook = |rest: &str| format!("[[hook]]\nrun = [\"x\"]\n{rest}");
    let migration = |rest: &str| format!("[[migration]]\nversion = \"1.2.3\"\nrun = [\"x\"]\nundo = \"pure\"\n{rest}");
    let peer = |rest: &str| format!("[[compatibility.peer]]\nname = \"p\"\n{rest}");
    let row = "accepts = [{ ours = \"1\", theirs = \"1\" }]\n";
    let table = [
        (hook("at = \"drian\""), "drian"),
        (hook("at = \"drain\""), "nothing says how a drain is ended"),
        (hook("at = \"quiesce\"\nundo = \"irreversible\""), "a hook at quiesce cannot be irreversible"),
        (hook("at = \"resume\"\nundo = \"irreversible\""), "a hook at resume cannot be irreversible"),
        (hook("at = \"preflight\"\nundo = \"pure\""), "what runs at preflight only looks"),
        (hook("at = \"verify\"\nundo = { run = [\"y\"] }"), "what runs at verify only looks"),
        (hook("at = \"verify\"\ncomponent = \"ap\""), "did you mean \"app\"?"),
        (hook("at = \"verify\"\ncwd = \"../x\""), "must not leave"),
        (hook("at = \"verify\"\ntimeout = \"0s\""), "nothing ends in no time"),
        (hook("at = \"verify\"\nenv-file = [\"../vars\"]"), "must not leave"),
        (hook("at = \"verify\"\nenv-file = [\"/etc/../vars\"]"), "is written without"),
        (hook("at = \"verify\"\nwhen = { changed = [] }"), "no path is named"),
        ("[[hook]]\nat = \"verify\"\nrun = []".into(), "is empty"),
        (migration("component = \"docs\""), "\"docs\" declares no version"),
        (migration("") + "\n" + &migration("component = \"app\""), "the migration of app 1.2.3 is declared twice"),
        (migration("covers = \"4.0\""), "no first number"),
        (migration("url = \"docs.example.org\""), "is not the address of a page"),
        (migration("").replace("1.2.3", "1.2"), "write all three numbers"),
        (migration("").replace("\"pure\"", "\"rerun\""), "a migration runs once"),
        ("[[migration]]\nversion = \"1.2.3\"".into(), "says nothing and runs nothing"),
        ("[[migration]]\nversion = \"1.2.3\"\nnote = \"x\"\nundo = \"pure\"".into(), "belongs to a command"),
        (peer(row), "cannot be asked"),
        (peer(&format!("{row}http = \"http://h/\"\ncommand = [\"x\"]")), "cannot be asked"),
        (peer(&format!("{row}command = [\"x\"]\njson = \"v\"")), "belongs to `http`"),
        (peer(&format!("{row}http = \"http://h/${{TOKEN}}\"")), "nothing is put into the address"),
        (peer("accepts = []\ncommand = [\"x\"]"), "nothing is accepted"),
        (peer("accepts = [{ ours = \"newer\", theirs = \"1\" }]\ncommand = [\"x\"]"), "is no range of versions"),
        ("[[component.health]]\ntcp = \"h:1\"\nbelow = 3".into(), "belongs to a `command` that prints a number"),
        ("[[component.health]]\ncommand = [\"x\"]\nbelow = nan".into(), "is no number"),
    ];
    for (text, words) in table {
        let said = read(&text).expect_err(&text);
        assert!(said.contains(words), "{text}\n{said}");
    }
}

#[test]
fn what_suspends_and_is_not_resumed_is_a_warning() {
    let drain = "[[hook]]\nat = \"drain\"\nrun = [\"x\"]\nundo = \"pure\"\n";
    let warned = |text: &str| read(text).unwrap().warnings.iter().any(|warning| warning.contains("none at resume"));
    assert!(warned(drain));
    assert!(!warned(&format!("{drain}[[hook]]\nat = \"resume\"\nrun = [\"x\"]\n")));
}
