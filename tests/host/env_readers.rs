//! systemd itself against its model: every tricky file as the `EnvironmentFile=` of a unit.

use std::collections::BTreeMap;

use relift::plan::env::readers::Reader;

use crate::harness::Host;

mod files {
    include!("../fixtures/env/files.rs");
}

/// What the manager sets by itself.
const OWN: &[&str] = &[
    "PATH",
    "LANG",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "SYSTEMD_EXEC_PID",
    "PWD",
    "SHLVL",
    "_",
    "USER",
    "HOME",
    "LOGNAME",
    "SHELL",
];

#[test]
fn systemd_reads_as_its_model() {
    let host = Host::boot();
    let files = files::all(700);
    // The archive goes in at once; tar(5) takes any bytes.
    let place = tempfile::tempdir().unwrap();
    for (index, file) in files.iter().enumerate() {
        std::fs::write(place.path().join(index.to_string()), file).unwrap();
    }
    let tar = std::process::Command::new("tar").arg("-C").arg(place.path()).args(["-c", "."]).output().unwrap();
    host.run(&["sh", "-c", "mkdir -p /srv/in /srv/out && tar -x -C /srv/in"], &tar.stdout).exits(0);
    let unit = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nEnvironmentFile=/srv/in/%i\n\
                ExecStart=/usr/bin/env -0\nStandardOutput=truncate:/srv/out/%i\n";
    host.write("/etc/systemd/system/read@.service", unit, 0o644, "root");
    let last = files.len() - 1;
    // Those that systemd refuses fail, which is what is looked at.
    host.sh(&format!("systemctl daemon-reload; systemctl start $(seq -f 'read@%.0f.service' 0 {last}) 2>/dev/null"));
    host.must(&format!(
        "cd /srv/out; for i in $(seq 0 {last}); do [ -s $i ] || echo $i; done > /srv/refused
         for i in $(cat /srv/refused); do systemctl show -P Result read@$i.service; done | sort -u | grep -vx resources && exit 1
         cat /srv/refused"
    ));
    let refused: Vec<usize> = host.read("/srv/refused").lines().map(|line| line.parse().unwrap()).collect();
    let out = std::process::Command::new("tar")
        .arg("-C")
        .arg(format!("/proc/{}/root/srv/out", host.twin().init()))
        .args(["-c", "."])
        .output()
        .unwrap();
    let results = tempfile::tempdir().unwrap();
    let archive = results.path().join("out.tar");
    std::fs::write(&archive, out.stdout).unwrap();
    assert!(
        std::process::Command::new("tar")
            .arg("-C")
            .arg(results.path())
            .arg("-xf")
            .arg(&archive)
            .status()
            .unwrap()
            .success()
    );

    let mut wrong = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let real = (!refused.contains(&index))
            .then(|| environment(&std::fs::read(results.path().join(index.to_string())).unwrap()));
        let reading = Reader::Systemd.read(file);
        let mut model = reading.refused.is_none().then(|| reading.set());
        if let Some(model) = &mut model {
            model.retain(|key, _| !OWN.contains(&key.as_str()));
        }
        if model != real {
            wrong.push(format!("{}\n  model {model:?}\n  real  {real:?}", file.escape_ascii()));
        }
    }
    assert!(refused.len() > 5, "systemd refuses some: {}", refused.len());
    assert!(
        wrong.is_empty(),
        "{} of {} differ:\n{}",
        wrong.len(),
        files.len(),
        wrong[..wrong.len().min(12)].join("\n")
    );
}

fn environment(bytes: &[u8]) -> BTreeMap<String, String> {
    let pairs = bytes.split(|byte| *byte == 0).filter(|pair| !pair.is_empty());
    let text = pairs.map(|pair| String::from_utf8(pair.to_vec()).unwrap());
    let split = text.map(|pair| pair.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())).unwrap());
    split.filter(|(key, _)| !OWN.contains(&key.as_str())).collect()
}
