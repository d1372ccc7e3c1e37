//! What is there of an action's subject, beside what the action states as its before and after.

use serde::Serialize;

/// What is there of an action's subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sight {
    /// As before the action.
    Before,
    /// As after it.
    After,
    /// Between the two, as a kill leaves it; of a step that was begun and not ended, nobody can know more.
    Mixed,
    /// Neither: somebody else changed it.
    Neither,
}

impl Sight {
    /// In words, for the account of what is where.
    pub fn words(self) -> &'static str {
        match self {
            Sight::Before => "not made, or undone",
            Sight::After => "made",
            Sight::Mixed => "begun, and not known to be whole",
            Sight::Neither => "somebody else changed what it made",
        }
    }

    /// The sight of a subject that has parts; one without any is as before.
    pub fn of_parts(parts: impl IntoIterator<Item = Sight>) -> Sight {
        let mut parts = parts.into_iter();
        let first = parts.next().unwrap_or(Sight::Before);
        parts.fold(first, |whole, part| match (whole, part) {
            (Sight::Neither, _) | (_, Sight::Neither) => Sight::Neither,
            (whole, part) if whole == part => whole,
            _ => Sight::Mixed,
        })
    }

    /// Of an action that is never half made: what did not end is as before.
    pub fn whole_or_not(is_done: bool) -> Sight {
        if is_done { Sight::After } else { Sight::Before }
    }

    /// What the journal alone tells of an action that leaves nothing to look at.
    pub fn from_journal(is_done: bool) -> Sight {
        if is_done { Sight::After } else { Sight::Mixed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_as_before_or_after_only_when_all_of_its_parts_are() {
        use Sight::*;
        assert_eq!(Sight::of_parts([]), Before);
        assert_eq!(Sight::of_parts([After, After]), After);
        assert_eq!(Sight::of_parts([Before, After]), Mixed);
        assert_eq!(Sight::of_parts([After, Mixed]), Mixed);
        assert_eq!(Sight::of_parts([Mixed, Neither, After]), Neither);
    }
}
