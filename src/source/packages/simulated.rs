//! What `apt-get --simulate` says. Pure.

use super::package::{Change, Package, Transaction};

/// Reads its lines: `Inst NAME [OLD] (NEW ORIGIN [ARCHITECTURE])`, `Remv NAME [OLD]`; `Conf` repeats what is known.
pub fn read(text: &str) -> Transaction {
    let mut found = Transaction::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("Inst"), Some(name)) => found.changes.extend(change(name, line)),
            (Some("Remv" | "Purg"), Some(name)) => found.removes.push(name.to_owned()),
            _ => {}
        }
    }
    found
}

fn change(name: &str, line: &str) -> Option<Change> {
    let (head, rest) = line.split_once('(')?;
    let version = rest.split_whitespace().next()?;
    let arch = rest.split_once(')')?.0.rsplit_once('[')?.1.trim_end_matches(']');
    let old = head.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(old, _)| old);
    let package = |version: &str| Package { name: name.into(), version: version.into(), arch: arch.into() };
    Some(Change { name: name.into(), from: old.map(package), to: package(version) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_read_with_what_it_pulls_in_and_removes() {
        let told = read(
            "Remv old [1.0-1]\nInst appdep (1:1.0 App:stable [amd64]) []\nInst app [1.0-1] (2.0-1 localhost, local-deb [all])\n\
             Inst lib:i386 [1] (2 Debian:12/stable, x [i386])\nConf app (2.0-1 localhost [all])\n",
        );
        let lines: Vec<String> = told
            .changes
            .iter()
            .map(|one| format!("{} {:?} {}", one.name, one.from.as_ref().map(|from| &from.version), one.to))
            .collect();
        assert_eq!(
            lines,
            [
                "appdep None appdep=1:1.0 amd64",
                "app Some(\"1.0-1\") app=2.0-1 all",
                "lib:i386 Some(\"1\") lib:i386=2 i386"
            ]
        );
        assert_eq!(told.removes, ["old"]);
    }
}
