//! Questions at a terminal about keys of configuration files, and the answers. Nothing is changed while they are asked.

use std::io::Read;
use std::os::fd::AsFd;

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

use super::output;
use super::style::{BOLD, DIM, paint};
use crate::error::{Error, Result};
use crate::plan::env::{Class, Decision, KeyChange, can_be_written};
use crate::plan::{Answer, EnvPlan, Plan};
use crate::text::wrapped;

/// The widest line of upstream's comments.
const COMMENT: usize = 90;

/// What may be answered: the letter, the words with the letter in brackets, and what it means.
type Choice = (char, &'static str, Meaning);

#[derive(Clone, Copy)]
enum Meaning {
    Keep,
    Default,
    Type,
    LeaveOut,
    Carry,
}

/// Asks about every key of the plan that only a person can decide about.
///
/// # Errors
/// `Refused` where the answers end before the questions do.
pub fn decisions(plan: &Plan) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for env in plan.components.iter().flat_map(|component| &component.env) {
        of_file(env, &mut answers)?;
    }
    Ok(answers)
}

fn of_file(env: &EnvPlan, answers: &mut Vec<Answer>) -> Result<()> {
    let open: Vec<&KeyChange> =
        env.changes.iter().filter(|change| change.is_question() && change.decided.is_none()).collect();
    // Renames first: a value that is carried over answers for the new key.
    let is_rename = |change: &&KeyChange| matches!(change.class, Class::MaybeRenamed { .. });
    let (renames, others): (Vec<&KeyChange>, Vec<&KeyChange>) = open.into_iter().partition(is_rename);
    if renames.len() + others.len() > 0 {
        let head = paint(BOLD, format!("{} needs decisions of yours.", env.file));
        output::message(&format!("\n{head} Ctrl-C stops; nothing is changed before you approve the plan.\n"));
    }
    for change in renames.into_iter().chain(others) {
        let is_answered = answers.iter().any(|answer| answer.file == env.file && answer.key == change.key);
        if !is_answered {
            let (key, decision) = ask(env, change)?;
            answers.push(Answer { file: env.file.clone(), key, decision });
        }
    }
    Ok(())
}

/// The key that the answer is about, and the answer.
fn ask(env: &EnvPlan, change: &KeyChange) -> Result<(String, Decision)> {
    let (question, choices) = question(change);
    output::message(&format!("\n  {} {question}\n", paint(BOLD, &change.key)));
    for line in change.comment.iter().flat_map(|line| wrapped(line, COMMENT)) {
        output::message(&format!("    {}\n", paint(DIM, format!("# {line}"))));
    }
    if let (Some(mine), Some(theirs)) = (&change.mine, &change.theirs) {
        output::message(&format!("    yours {mine}, upstream's {theirs}\n"));
    }
    let words: Vec<&str> = choices.iter().map(|(_, words, _)| *words).collect();
    loop {
        output::message(&format!("  {}: ", words.join(", ")));
        let answer = line(false)?.trim().to_ascii_lowercase();
        let Some((_, _, meaning)) = choices.iter().find(|(letter, ..)| answer == letter.to_string()) else {
            output::message("  answer with one of the letters in brackets\n");
            continue;
        };
        let decision = match meaning {
            Meaning::Keep => Decision::KeepMine,
            Meaning::Default => Decision::TakeDefault,
            Meaning::LeaveOut => Decision::LeaveOut,
            Meaning::Type => match value(env, &change.key)? {
                Some(value) => Decision::Set(value),
                None => continue,
            },
            Meaning::Carry => {
                let Class::MaybeRenamed { to } = &change.class else { continue };
                return Ok((to.clone(), Decision::CarryOver(change.key.clone())));
            }
        };
        return Ok((change.key.clone(), decision));
    }
}

fn question(change: &KeyChange) -> (String, Vec<Choice>) {
    const EDIT: Choice = ('e', "[e]nter a value", Meaning::Type);
    const KEEP: Choice = ('k', "[k]eep mine", Meaning::Keep);
    match &change.class {
        Class::MaybeRenamed { to } => (
            format!("is gone upstream, and {to} is new: perhaps it was renamed"),
            vec![
                ('k', "[k]eep them apart", Meaning::Keep),
                ('c', "[c]arry my value over to the new key", Meaning::Carry),
            ],
        ),
        Class::DefaultChanged { .. } if change.asks => {
            ("has upstream's old default here, and upstream now asks for a value of your own".into(), vec![EDIT, KEEP])
        }
        Class::DefaultChanged { .. } => (
            "has upstream's old default here, and upstream changed it".into(),
            vec![KEEP, ('d', "take the new [d]efault", Meaning::Default), EDIT],
        ),
        _ => (
            "is new, and upstream's default is a placeholder".into(),
            vec![
                EDIT,
                ('l', "[l]eave it out", Meaning::LeaveOut),
                ('d', "take the [d]efault as it is", Meaning::Default),
            ],
        ),
    }
}

/// A value for a key, hidden unless the key is public; `None`: another answer is wanted after all.
fn value(env: &EnvPlan, key: &str) -> Result<Option<String>> {
    let is_public = env.public.iter().any(|public| public == key);
    loop {
        let note = if is_public { "empty goes back" } else { "not shown, empty goes back" };
        output::message(&format!("  {key} ({note}): "));
        let typed = line(!is_public)?;
        if typed.is_empty() {
            return Ok(None);
        }
        match can_be_written(key, &typed) {
            Ok(()) => return Ok(Some(typed)),
            Err(error) => output::message(&format!("  {}\n", error.what)),
        }
    }
}

/// A line from the terminal, without its end.
fn line(is_hidden: bool) -> Result<String> {
    let _quiet = if is_hidden { Some(Hidden::start()?) } else { None };
    let mut bytes = Vec::new();
    let mut byte = [0];
    loop {
        match std::io::stdin().lock().read(&mut byte) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => crate::host::interrupt::check()?,
            Ok(1) => match byte[0] {
                b'\n' | b'\r' => break,
                // Ctrl-C and Ctrl-D, which a hidden line gets as bytes.
                3 | 4 if is_hidden => return Err(unanswered()),
                8 | 127 if is_hidden => pop_character(&mut bytes),
                21 if is_hidden => bytes.clear(),
                other => bytes.push(other),
            },
            _ => return Err(unanswered()),
        }
    }
    if is_hidden {
        output::message("\n");
    }
    String::from_utf8(bytes).map_err(|_| Error::usage("the answer is not UTF-8").hint("see locale(1)"))
}

fn pop_character(bytes: &mut Vec<u8>) {
    while bytes.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
}

fn unanswered() -> Error {
    output::message("\n");
    Error::refused("a question was left without an answer").hint("run it again, or set the keys in the file by hand")
}

/// A terminal that shows nothing of what is typed, until this value goes. Signals of the keyboard come as bytes, so that Ctrl-C
/// cannot leave it that way.
struct Hidden(Termios);

impl Hidden {
    fn start() -> Result<Hidden> {
        let failed =
            |errno: nix::errno::Errno| Error::failed("the terminal cannot hide what is typed").because(errno.desc());
        let before = tcgetattr(std::io::stdin().as_fd()).map_err(failed)?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG);
        tcsetattr(std::io::stdin().as_fd(), SetArg::TCSADRAIN, &quiet).map_err(failed)?;
        Ok(Hidden(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        tcsetattr(std::io::stdin().as_fd(), SetArg::TCSADRAIN, &self.0).unwrap_or_default();
    }
}
