//! A large repository: fifty components, one of which is installed; and one of a tenth of them, which are as large.

use std::fmt::Write;

use crate::clock::Task;
use crate::harness::Host;

/// Components of the large repository.
pub const COMPONENTS: usize = 50;
/// Components of the small one; commits change no others, so that a change is the same in both.
pub const TENTH: usize = COMPONENTS / 10;
/// The one that is installed.
pub const INSTALLED: &str = "c02";
/// Commits after the one that is installed.
const COMMITS: usize = 200;

/// Where the newest commits are until they are published: no clone and no fetch has them before.
const NEXT: &str = "refs/next";

/// Makes `/srv/git/NAME.git` with so many components of so many files, an account, and a sparse checkout `/opt/NAME` of one
/// component at `main`, with its unit and its manifest.
pub fn create(host: &Host, name: &str, components: usize, files: usize) {
    let stream = stream(components, files);
    host.must(&format!(
        "id -u {name} >/dev/null 2>&1 || useradd --create-home {name}; mkdir -p /srv/git
         git init -q --bare -b main /srv/git/{name}.git; git config --system --replace-all safe.directory '*'
         git -C /srv/git/{name}.git config uploadpack.allowFilter true"
    ));
    host.run(&["git", "-C", &format!("/srv/git/{name}.git"), "fast-import", "--quiet"], stream.as_bytes()).exits(0);
    host.must(&format!(
        "git -C /srv/git/{name}.git repack -q -a -d; install -d -o {name} -g {name} /opt/{name}
         as='runuser -u {name} -- git'; $as clone -q --no-checkout file:///srv/git/{name}.git /opt/{name}; cd /opt/{name}
         $as sparse-checkout set {INSTALLED}; $as checkout -q main
         sed s/EXAMPLE/mine/ {INSTALLED}/.env.example > {INSTALLED}/.env; chown {name}: {INSTALLED}/.env
         sed s/SERVICE/{name}/ {INSTALLED}/large.service > /etc/systemd/system/large-{name}.service; systemctl daemon-reload"
    ));
    host.write(&format!("/etc/relift/{name}.toml"), manifest(name), 0o644, "root");
}

/// Publishes what is newer than every checkout and mirror of it, and notes what objects those have.
pub fn publish(host: &Host, name: &str) {
    host.must(&format!(
        "git -C /srv/git/{name}.git update-ref refs/heads/main {NEXT}; {} > /srv/{name}.objects",
        objects(name)
    ));
}

/// Takes back what was fetched since, refs and objects, so that the next fetch has something to tell and to bring.
pub fn forget(host: &Host, name: &str) {
    Task::sh(&format!(
        "cd /opt/{name}; old=$(git rev-parse HEAD); git update-ref refs/remotes/origin/main $old
         git --git-dir=/var/lib/relift/{name}/mirror.git update-ref refs/heads/main $old 2>/dev/null || :
         {} | LC_ALL=C comm -13 /srv/{name}.objects - | xargs -r rm -f",
        objects(name)
    ))
    .exits(0, host);
}

/// Lists the files that the objects of a checkout and of its mirror are in.
fn objects(name: &str) -> String {
    format!(
        "find /opt/{name}/.git/objects /var/lib/relift/{name}/mirror.git/objects -type f 2>/dev/null | LC_ALL=C sort"
    )
}

fn manifest(name: &str) -> String {
    format!(
        "schema = 1\n[install]\nroot = \"/opt/{name}\"\nowner = \"{name}\"\n[source.git]\nurl = \"file:///srv/git/{name}.git\"\nbranch = \"main\"\n\
         [[component]]\nname = \"{INSTALLED}\"\npath = \"{INSTALLED}\"\nversion = {{ file = \"VERSION\" }}\n\
         env = [{{ file = \".env\", example = \".env.example\" }}]\n\
         [[component.step]]\nname = \"sync\"\nrun = [\"true\"]\nundo = \"rerun\"\n"
    )
}

/// A stream for git-fast-import(1).
fn stream(components: usize, each: usize) -> String {
    let mut stream = String::new();
    commit(&mut stream, "refs/heads/main", 0, None);
    for component in 0..components {
        for number in 0..each {
            let text = format!("def f{number}(x):\n    return x * {number} + {component}\n");
            file(&mut stream, &format!("c{component:02}/src/d{}/f{number}.py", number % 20), &text);
        }
        file(&mut stream, &format!("c{component:02}/VERSION"), "1.0.0\n");
        file(&mut stream, &format!("c{component:02}/.env.example"), "# The port.\nPORT=8000\nTOKEN=EXAMPLE\n");
        file(&mut stream, &format!("c{component:02}/large.service"), "[Service]\nExecStart=/bin/sleep infinity\n");
    }
    file(&mut stream, ".gitignore", ".env\n");
    for number in 1..=COMMITS {
        commit(&mut stream, NEXT, number, (number == 1).then_some("refs/heads/main"));
        let component = if number % 4 == 0 { 2 } else { number % TENTH };
        for turn in 0..3 {
            let path = format!("c{component:02}/src/d{}/f{}.py", (number + turn) % 20, (number + turn) % 20);
            file(&mut stream, &path, &format!("def changed():\n    return {number}, {turn}\n"));
        }
        if number == COMMITS {
            file(&mut stream, &format!("{INSTALLED}/VERSION"), "1.1.0\n");
            let example = format!("{INSTALLED}/.env.example");
            file(&mut stream, &example, "# The port.\nPORT=8000\nTOKEN=EXAMPLE\n# Workers.\nWORKERS=4\n");
        }
    }
    stream
}

fn commit(stream: &mut String, reference: &str, number: usize, from: Option<&str>) {
    let (time, message) = (1_700_000_000 + number, format!("Change {number}\n"));
    write!(stream, "commit {reference}\ncommitter A <a@example.org> {time} +0000\ndata {}\n{message}", message.len())
        .unwrap();
    if let Some(from) = from {
        writeln!(stream, "from {from}").unwrap();
    }
}

fn file(stream: &mut String, path: &str, text: &str) {
    write!(stream, "M 100644 inline {path}\ndata {}\n{text}", text.len()).unwrap();
}
