//! What holds for the records of a journal, whatever is in them: the body of the fuzz target, which the tests run over its
//! seeds too.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::journal::chain;
use super::record::{FORMAT, Record, sum};

const RUN: &str = "01M7Z23769SFG9BKCXY6A46H3D";

/// Takes bytes for the bodies of records with a NUL between them, seals those that are JSON into a chain as a run does, and
/// reads it; then damages it in the place that the first bytes say.
///
/// # Panics
/// Where a record that was not written so is trusted.
pub fn any_bytes(bytes: &[u8]) {
    // Whatever it is, unsealed: never taken for a record, since no sum fits by chance.
    assert!(read(&[bytes.to_vec()]).is_none(), "bytes of anybody's are no record");
    let sealed = sealed(bytes);
    let Some(good) = read(&sealed) else { return };
    assert!(good.iter().zip(1..).all(|(record, number)| record.sequence == number), "numbered from 1");
    assert_eq!(good.len(), sealed.len(), "nothing is left out");
    let [place, change] = [0, 1].map(|at| bytes.get(at).copied().map_or(1, usize::from));
    for index in 0..sealed.len() {
        let mut damaged = sealed.clone();
        let at = place * 31 % damaged[index].len();
        damaged[index][at] ^= (change % 255 + 1) as u8;
        let is_refused = read(&damaged).is_none_or(|records| records == good);
        assert!(is_refused, "record {} changed at {at} is trusted", index + 1);
        let mut short = sealed.clone();
        short.remove(index);
        // A chain without its end is one that ended earlier.
        assert!(index + 1 == sealed.len() || read(&short).is_none(), "a gap at record {} goes unseen", index + 1);
        let mut swapped = sealed.clone();
        swapped.swap(index, (index + 1) % sealed.len());
        assert!(sealed.len() == 1 || read(&swapped).is_none(), "records in another order are trusted");
    }
}

fn read(records: &[Vec<u8>]) -> Option<Vec<Record>> {
    let named = records.iter().enumerate().map(|(index, bytes)| {
        (PathBuf::from(format!("/var/lib/relift/app/runs/{RUN}/{:05}-any.json", index + 1)), Ok(bytes.clone()))
    });
    chain(RUN, named).ok()
}

fn sealed(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut previous = String::new();
    let mut records = Vec::new();
    for body in bytes.split(|byte| *byte == 0).filter_map(|part| serde_json::from_slice::<Value>(part).ok()) {
        let mut record = json!({
            "format": FORMAT, "run": RUN, "sequence": records.len() + 1, "previous": previous, "time": 1, "body": body,
        });
        previous = sum(record.clone());
        record["sum"] = previous.clone().into();
        records.push(record.to_string().into_bytes());
    }
    records
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_seeds_of_the_fuzz_target_break_nothing() {
        crate::text::each_seed("journal", super::any_bytes);
    }
}
