//! Each model against the reader that it stands for, over files written by hand and seeded random ones; systemd's is held against
//! systemd in a throw-away host.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use super::*;

/// The files that the readers are given.
pub(in crate::plan::env) mod files {
    include!("../../../../tests/fixtures/env/files.rs");
}

/// What a real reader says: `None` where it refuses the file.
type Said = Option<BTreeMap<String, Option<String>>>;

fn said(reading: Reading) -> Said {
    reading.refused.is_none().then(|| reading.values.into_iter().map(|(key, got)| (key, got.value)).collect())
}

/// Fails with the first files that the model reads in another way.
#[track_caller]
fn agree(reader: Reader, files: &[Vec<u8>], real: &[Said]) {
    assert_eq!(files.len(), real.len());
    let wrong: Vec<String> = files
        .iter()
        .zip(real)
        .filter_map(|(file, real)| {
            let model = said(reader.read(file));
            (model != *real).then(|| format!("{}\n  model {model:?}\n  real  {real:?}", file.escape_ascii()))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} differ:\n{}",
        wrong.len(),
        files.len(),
        wrong[..wrong.len().min(12)].join("\n")
    );
}

#[test]
fn there_are_tricky_files_enough() {
    assert!(files::BY_HAND.len() >= 150, "{}", files::BY_HAND.len());
    let different: std::collections::BTreeSet<_> = files::all(2000).into_iter().collect();
    assert!(different.len() > files::BY_HAND.len() + 1500, "{}", different.len());
}

#[test]
fn dotenvy_reads_as_its_model() {
    let files = files::all(20_000);
    let real: Vec<Said> = files.iter().map(|file| by_dotenvy(file)).collect();
    agree(Reader::Dotenvy, &files, &real);
}

/// As `dotenvy::dotenv()` does it in an environment that sets nothing: the first assignment counts, an error is one of the whole.
fn by_dotenvy(file: &[u8]) -> Said {
    let mut found = BTreeMap::new();
    for pair in ::dotenvy::from_read_iter(file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file)) {
        let (key, value) = pair.ok()?;
        found.entry(key).or_insert(Some(value));
    }
    Some(found)
}

/// Reads files whose hex is on standard input, a line each, and writes JSON: null where the file is refused.
const PYTHON: &str = "import sys, os, json, logging, tempfile
import dotenv
logging.disable(logging.CRITICAL)
os.environ.clear()
path = tempfile.mktemp(prefix='relift-env-')
out = []
for line in sys.stdin:
    with open(path, 'wb') as file: file.write(bytes.fromhex(line))
    try: out.append(dotenv.dotenv_values(path, encoding=sys.argv[1]))
    except UnicodeDecodeError: out.append(None)
os.unlink(path)
json.dump(out, sys.stdout)";

/// What Debian's python-dotenv makes of the files, in one process.
fn by_python(files: &[Vec<u8>], encoding: &str) -> Vec<Said> {
    let mut child = Command::new("/usr/bin/python3")
        .args(["-I", "-c", PYTHON, encoding])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs python3 and python3-dotenv (tests/run installs them)");
    let lines: String = files.iter().map(|file| crate::host::fs::hex(file) + "\n").collect();
    let mut input = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).expect("python3 reads"));
    let out = child.wait_with_output().expect("python3 ends");
    writer.join().expect("written");
    assert!(out.status.success(), "python3 with python3-dotenv fails: tests/run installs them");
    serde_json::from_slice(&out.stdout).expect("JSON")
}

#[test]
fn python_dotenv_reads_as_its_model() {
    let files = files::all(5000);
    agree(Reader::Python, &files, &by_python(&files, "utf-8"));
}

/// What `docker-compose config` makes of `env_file:`, one service a file. A file that is refused fails the whole command: halves
/// are asked then, down to the file.
fn by_compose(files: &[Vec<u8>]) -> Vec<Said> {
    let place = tempfile::tempdir().expect("a directory");
    let mut project = "version: '3.8'\nservices:\n".to_owned();
    for (index, file) in files.iter().enumerate() {
        std::fs::write(place.path().join(format!("{index}.env")), file).expect("written");
        project.push_str(&format!("  s{index}:\n    image: x\n    env_file: {index}.env\n"));
    }
    std::fs::write(place.path().join("docker-compose.yml"), project).expect("written");
    let out = Command::new("/usr/bin/docker-compose")
        .arg("config")
        .current_dir(place.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .expect("this test needs docker-compose (tests/run installs it)");
    if !out.status.success() {
        return match files {
            [_] => vec![None],
            _ => {
                let (left, right) = files.split_at(files.len() / 2);
                [by_compose(left), by_compose(right)].concat()
            }
        };
    }
    let to_json = Command::new("/usr/bin/python3")
        .args(["-I", "-c", "import sys, json, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = to_json.expect("python3");
    let mut input = child.stdin.take().expect("a pipe");
    let yaml = out.stdout;
    let writer = std::thread::spawn(move || input.write_all(&yaml).expect("python3 reads"));
    let json = child.wait_with_output().expect("python3 ends").stdout;
    writer.join().expect("written");
    let document: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    (0..files.len())
        .map(|index| {
            let environment = &document["services"][format!("s{index}")]["environment"];
            let pairs = environment.as_object().into_iter().flatten();
            // `config` writes every dollar twice, since Compose would replace it when it reads its own output.
            let value = |value: &serde_json::Value| value.as_str().map(|text| text.replace("$$", "$"));
            Some(pairs.map(|(key, found)| (key.replace("$$", "$"), value(found))).collect())
        })
        .collect()
}

#[test]
fn docker_compose_reads_as_its_model() {
    // The YAML that `config` writes does not bring these two line ends back as they were.
    let survives = |file: &Vec<u8>| ["\u{85}", "\u{2028}"].iter().all(|end| !contains(file, end.as_bytes()));
    let (text, other): (Vec<_>, Vec<_>) =
        files::all(250).into_iter().filter(survives).partition(|file| std::str::from_utf8(file).is_ok());
    agree(Reader::Compose, &text, &by_compose(&text));
    agree(Reader::Compose, &other[..3], &by_compose(&other[..3]));
    let more = files::all(3000);
    agree(Reader::Compose, &more, &by_python(&more, "utf-8-sig"));
}

fn contains(file: &[u8], wanted: &[u8]) -> bool {
    file.windows(wanted.len()).any(|piece| piece == wanted)
}

#[test]
fn a_bare_key_takes_its_value_from_elsewhere_and_a_refusal_names_the_line() {
    assert!(Reader::Python.read(b"A\n").values["A"].value.is_none());
    assert_eq!(Reader::Systemd.read(b"A=1\n\nB=\xff\n").refused, Some(3));
    assert_eq!(Reader::Dotenvy.read(b"A=1\n# c\nB=a b\n").refused, Some(3));
    assert_eq!(Reader::Python.read(b"A=1\r\n\r\nC=2\r\n").values["C"].line, 3);
    assert_eq!(Reader::Dotenvy.read(b"A=1\nA=2\n").values["A"].line, 1);
    assert_eq!(Reader::Systemd.read(b"A=1\nA=2\n").values["A"].line, 2);
}
