//! What a verb takes, declared once it is called: a start would mostly declare the options of all the others.

use std::ops::Deref;

use clap::{ArgMatches, Args, Command, FromArgMatches, Id};

/// The arguments of a verb.
#[derive(Debug)]
pub struct Late<T>(T);

impl<T> Deref for Late<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Args> Args for Late<T> {
    fn augment_args(verb: Command) -> Command {
        verb.defer(declare::<T>)
    }

    fn augment_args_for_update(verb: Command) -> Command {
        Self::augment_args(verb)
    }

    fn group_id() -> Option<Id> {
        T::group_id()
    }
}

impl<T: FromArgMatches> FromArgMatches for Late<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches(matches).map(Late)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

/// What is said of the verb stays: the arguments have words of their own.
fn declare<T: Args>(verb: Command) -> Command {
    let said = [verb.get_about(), verb.get_long_about(), verb.get_after_help()].map(Option::<&_>::cloned);
    let [about, long_about, after_help] = said;
    let nothing = None::<&str>;
    let mut verb = T::augment_args(verb).about(nothing).long_about(nothing);
    verb = about.into_iter().fold(verb, Command::about);
    verb = long_about.into_iter().fold(verb, Command::long_about);
    after_help.into_iter().fold(verb, Command::after_help)
}
