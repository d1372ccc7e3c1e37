//! What recovery does with an open run: a pure function of its records and of what is there.

use std::collections::BTreeMap;

use super::record::{Body, Record};
use crate::action::{Action, Sight};
use crate::plan::Plan;

/// What is there of the subject of each action that was begun, by its place in the plan.
pub type Sights = BTreeMap<usize, Sight>;

/// What is to be done with a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It has ended.
    Nothing,
    /// It died in *prepare*: nothing live was changed.
    Close,
    /// It died between the first change and `commit`: these actions are undone, in this order.
    Undo(Vec<Back>),
    /// It died after `commit`.
    Finish,
    /// It died after a step that nothing undoes was begun: these actions are made whole, in this order; then what runs is
    /// proven and committed.
    Forward(Vec<usize>),
    /// Neither way is open, for this reason.
    AskOperator(String),
}

/// An action on the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Back {
    /// Its place in the plan.
    pub action: usize,
    /// It has nothing to do: no step that it undoes was begun.
    pub is_moot: bool,
}

/// Decides from the records and what is there. `sights` matters only past the point of no return.
pub fn decide(records: &[Record], plan: &Plan, sights: &Sights) -> Decision {
    let has = |wanted: fn(&Body) -> bool| records.iter().any(|record| wanted(&record.body));
    match () {
        () if records.is_empty() || has(|body| matches!(body, Body::End(_))) => Decision::Nothing,
        () if has(|body| matches!(body, Body::Commit)) => Decision::Finish,
        () if past_return(records).is_some() => past(records, plan, sights),
        () if has(|body| matches!(body, Body::Intent { .. })) => Decision::Undo(way_back(records, plan)),
        () => Decision::Close,
    }
}

/// The step that nothing undoes and that was about to be made.
pub fn past_return(records: &[Record]) -> Option<usize> {
    records.iter().find_map(|record| match record.body {
        Body::PointOfNoReturn { action } => Some(action),
        _ => None,
    })
}

/// What was begun, and neither undone nor given up, the last first.
pub fn way_back(records: &[Record], plan: &Plan) -> Vec<Back> {
    let was_begun =
        |at: usize| records.iter().any(|record| matches!(record.body, Body::Intent { action, .. } if action == at));
    let was_undone = |at: usize| {
        let is_it =
            |body: &Body| matches!(body, Body::Undone { action } | Body::NotUndone { action, .. } if *action == at);
        records.iter().any(|record| is_it(&record.body))
    };
    let open = (0..plan.actions.len()).rev().filter(|at| was_begun(*at) && !was_undone(*at));
    open.map(|action| Back {
        action,
        is_moot: match &plan.actions[action] {
            Action::Rerun(rerun) => !was_begun(rerun.of),
            Action::Backup(backup) => !backup.of.iter().any(|step| was_begun(*step)),
            _ => false,
        },
    })
    .collect()
}

fn past(records: &[Record], plan: &Plan, sights: &Sights) -> Decision {
    let is_done = |at: usize| records.iter().any(|record| record.body == Body::Done { action: at });
    for (at, action) in plan.actions.iter().enumerate() {
        let Some(sight) = sights.get(&at) else { continue };
        let title = action.act().title();
        // What a step or a service made of it since is theirs; these stay as they were made.
        let stays = matches!(
            action,
            Action::Tree(_)
                | Action::Packages(_)
                | Action::Conffiles(_)
                | Action::EnvFile(_)
                | Action::Units(_)
                | Action::ComposeFiles(_)
        );
        if is_done(at) && stays && *sight != Sight::After {
            return Decision::AskOperator(format!("`{title}` was done, and is not as it was made any more"));
        }
        if !is_done(at) && *sight == Sight::Neither {
            return Decision::AskOperator(format!("`{title}` was begun, and somebody else changed it since"));
        }
        if !is_done(at) && !action.act().is_repeatable() {
            return Decision::AskOperator(format!(
                "the step `{title}` did not end: how far it came is not known, and it is not declared idempotent"
            ));
        }
    }
    // What failed its proof is started anew: whatever was mended since, it has not read.
    let has_failed = records.iter().any(|record| matches!(record.body, Body::Abort { .. }));
    let again = |at: &usize| has_failed && matches!(plan.actions[*at], Action::Service(_));
    Decision::Forward((0..plan.actions.len()).filter(|at| !is_done(*at) || again(at)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{self, Rerun, Seen, Step};
    use crate::manifest::StepUndo;
    use crate::run::record::{End, Outcome};

    fn records(bodies: Vec<Body>) -> Vec<Record> {
        let seal = |(at, body)| Record::seal("run", at as u32 + 1, "", body);
        bodies.into_iter().enumerate().map(seal).collect()
    }

    fn decided(bodies: Vec<Body>) -> Decision {
        let step = step(StepUndo::Pure, true);
        decide(&records(bodies), &plan(vec![Action::Step(step)]), &Sights::new())
    }

    fn step(undo: StepUndo, idempotent: bool) -> Step {
        Step {
            component: "manager".into(),
            base: None,
            path: "manager".into(),
            name: "migrate".into(),
            run: vec!["true".into()],
            as_root: false,
            timeout: 1,
            undo,
            undo_timeout: None,
            idempotent,
            origin: Default::default(),
            with: Default::default(),
        }
    }

    fn plan(actions: Vec<Action>) -> Plan {
        Plan { actions, ..Plan::empty("app") }
    }

    fn prepared() -> Body {
        Body::Prepared { healthy: vec![] }
    }

    fn intent(action: usize) -> Body {
        Body::Intent { action, seen: Seen::Nothing }
    }

    fn done(action: usize) -> Body {
        Body::Done { action }
    }

    #[test]
    fn a_run_is_finished_only_after_commit_and_undone_only_before() {
        let abort = || Body::Abort { why: String::new() };
        let end = || Body::End(End { outcome: Outcome::Done, why: None, detail: vec![] });
        let undo = Decision::Undo(vec![Back { action: 0, is_moot: false }]);
        assert_eq!(decided(vec![]), Decision::Nothing);
        assert_eq!(decided(vec![prepared()]), Decision::Close);
        assert_eq!(decided(vec![prepared(), intent(0)]), undo);
        assert_eq!(decided(vec![prepared(), intent(0), done(0), Body::Gate]), undo);
        assert_eq!(decided(vec![prepared(), intent(0), abort(), Body::Undone { action: 0 }]), Decision::Undo(vec![]));
        assert_eq!(decided(vec![prepared(), intent(0), done(0), Body::Gate, Body::Commit]), Decision::Finish);
        assert_eq!(decided(vec![prepared(), intent(0), abort(), end()]), Decision::Nothing);
    }

    #[test]
    fn the_last_is_undone_first_and_a_rerun_only_where_its_step_was_begun() {
        let rerun = step(StepUndo::Rerun, true);
        let actions = vec![
            Action::Rerun(Rerun { step: rerun.clone(), of: 2 }),
            Action::Step(step(StepUndo::Pure, true)),
            Action::Step(rerun),
        ];
        let begun = |last: usize| records((0..=last).flat_map(|at| [intent(at), done(at)]).collect());
        let back = |action, is_moot| Back { action, is_moot };
        let plan = plan(actions);
        assert_eq!(way_back(&begun(1), &plan), [back(1, false), back(0, true)]);
        assert_eq!(way_back(&begun(2), &plan), [back(2, false), back(1, false), back(0, false)]);
    }

    #[test]
    fn what_a_command_failed_to_undo_is_left_and_everything_before_it_is_undone() {
        let command = step(StepUndo::Run(vec!["false".into()]), true);
        let plan = plan(vec![Action::Step(step(StepUndo::Pure, true)), Action::Step(command)]);
        let given_up = Body::NotUndone { action: 1, why: "it exited with 1".into() };
        let records = records(vec![prepared(), intent(0), done(0), intent(1), done(1), given_up]);
        let left = vec![Back { action: 0, is_moot: false }];
        assert_eq!(decide(&records, &plan, &Sights::new()), Decision::Undo(left));
    }

    /// An env file that stays, a step that nothing undoes, and a check.
    fn irreversible(idempotent: bool) -> Plan {
        let swap = action::FileSwap { path: "manager/.env".into(), before: None, after: None };
        let command = step(StepUndo::Pure, true);
        plan(vec![
            Action::EnvFile(action::EnvFile { component: "manager".into(), swap }),
            Action::Step(step(StepUndo::Irreversible, idempotent)),
            Action::Check(action::Check { command }),
        ])
    }

    fn past_the_step(plan: &Plan, ended: bool, env: Sight) -> Decision {
        let mut bodies = vec![prepared(), intent(0), done(0), Body::PointOfNoReturn { action: 1 }, intent(1)];
        bodies.extend(ended.then(|| done(1)));
        let step = Sight::from_journal(ended);
        decide(&records(bodies), plan, &Sights::from([(0, env), (1, step)]))
    }

    #[test]
    fn past_the_point_of_no_return_a_run_goes_forward_and_never_back() {
        assert_eq!(past_the_step(&irreversible(false), true, Sight::After), Decision::Forward(vec![2]));
        assert_eq!(past_the_step(&irreversible(true), false, Sight::After), Decision::Forward(vec![1, 2]));
    }

    #[test]
    fn a_step_that_was_interrupted_and_is_not_idempotent_is_unknown_and_never_run_again() {
        let Decision::AskOperator(why) = past_the_step(&irreversible(false), false, Sight::After) else { panic!() };
        assert_eq!(
            why,
            "the step `manager: migrate` did not end: how far it came is not known, and it is not declared idempotent"
        );
    }

    #[test]
    fn a_run_does_not_go_forward_over_what_somebody_else_changed() {
        for sight in [Sight::Neither, Sight::Before, Sight::Mixed] {
            let Decision::AskOperator(why) = past_the_step(&irreversible(true), true, sight) else { panic!() };
            assert_eq!(why, "`write manager/.env` was done, and is not as it was made any more");
        }
    }

    #[test]
    fn a_run_that_an_earlier_version_left_open_is_read_and_would_be_undone() {
        let formats = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journal");
        for format in std::fs::read_dir(formats).unwrap() {
            let run = crate::run::runs::runs(&format.unwrap().path()).unwrap().remove(0);
            let journal = crate::run::journal::Journal::open(&run).unwrap();
            let plan = &journal.start().unwrap().plan;
            let Decision::Undo(back) = decide(journal.records(), plan, &Sights::new()) else { panic!() };
            assert_eq!(back.len(), plan.actions.len(), "{}", run.display());
        }
    }
}
