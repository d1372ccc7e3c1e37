//! What recovery does with an open run: a pure function of its records.

use super::record::{Body, Record};

/// What is to be done with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It has ended.
    Nothing,
    /// It died in *prepare*: nothing live was changed.
    Close,
    /// It died between the first change and `commit`.
    Undo,
    /// It died after `commit`.
    Finish,
    /// It died after a step that nothing undoes was begun.
    AskOperator,
}

/// Decides from the records alone.
pub fn decide(records: &[Record]) -> Decision {
    let has = |wanted: fn(&Body) -> bool| records.iter().any(|record| wanted(&record.body));
    match () {
        () if records.is_empty() || has(|body| matches!(body, Body::End(_))) => Decision::Nothing,
        () if has(|body| matches!(body, Body::Commit)) => Decision::Finish,
        () if has(|body| matches!(body, Body::PointOfNoReturn { .. })) => Decision::AskOperator,
        () if has(|body| matches!(body, Body::Intent { .. })) => Decision::Undo,
        () => Decision::Close,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Seen;
    use crate::run::record::{End, Outcome};

    fn decided(bodies: Vec<Body>) -> Decision {
        let seal = |(at, body)| Record::seal("run", at as u32 + 1, "", body);
        decide(&bodies.into_iter().enumerate().map(seal).collect::<Vec<_>>())
    }

    #[test]
    fn a_run_is_finished_only_after_commit_and_undone_only_before() {
        let prepared = || Body::Prepared { healthy: vec![] };
        let intent = || Body::Intent { action: 0, seen: Seen::Nothing };
        let done = || Body::Done { action: 0 };
        let abort = || Body::Abort { why: String::new() };
        let end = || Body::End(End { outcome: Outcome::Done, why: None, detail: vec![] });
        assert_eq!(decided(vec![]), Decision::Nothing);
        assert_eq!(decided(vec![prepared()]), Decision::Close);
        assert_eq!(decided(vec![prepared(), intent()]), Decision::Undo);
        assert_eq!(decided(vec![prepared(), intent(), done(), Body::Gate]), Decision::Undo);
        assert_eq!(decided(vec![prepared(), intent(), abort(), Body::Undone { action: 0 }]), Decision::Undo);
        assert_eq!(decided(vec![prepared(), intent(), done(), Body::Gate, Body::Commit]), Decision::Finish);
        assert_eq!(decided(vec![prepared(), Body::PointOfNoReturn { action: 0 }, intent()]), Decision::AskOperator);
        assert_eq!(decided(vec![prepared(), intent(), abort(), end()]), Decision::Nothing);
    }
}
