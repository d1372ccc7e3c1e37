//! The page of a verb, and the one of the program.

use clap::{Arg, Command};
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::prose::{self, EXITS, FILES};
use super::{inline, paragraphs, see_also, terms, title};

/// The page of the program: its verbs, and what is the same for all of them.
pub(super) fn overview(command: &Command, verbs: &[&Command]) -> String {
    let mut roff = Roff::new();
    title(&mut roff, "relift", "1");
    roff.control("SH", ["NAME"]).text([roman(format!("relift - {}", lower(&about(command))))]);
    roff.control("SH", ["SYNOPSIS"]).text([bold("relift"), roman(" ["), italic("OPTIONS"), roman("] ")]);
    roff.text([italic("VERB"), roman(" ["), italic("ARGUMENTS"), roman("]")]);
    roff.control("SH", ["DESCRIPTION"]);
    paragraphs(&mut roff, prose::OVERVIEW);
    roff.control("SH", ["VERBS"]);
    for verb in verbs {
        roff.control("TP", []).text([bold(format!("relift-{}", verb.get_name())), roman("(1)")]);
        roff.text(inline(&about(verb)));
    }
    roff.control("SH", ["OPTIONS OF EVERY VERB"]);
    options(&mut roff, command.get_arguments().filter(|arg| arg.is_global_set()));
    roff.control("SH", ["EXIT STATUS"]);
    terms(&mut roff, EXITS.iter().map(|(status, _, meaning)| (*status, *meaning)));
    roff.control("SH", ["ENVIRONMENT"]);
    terms(&mut roff, prose::ENVIRONMENT.iter().copied());
    roff.control("SH", ["FILES"]);
    terms(&mut roff, FILES.iter().copied());
    let pages: Vec<String> = verbs.iter().map(|verb| format!("relift-{}(1)", verb.get_name())).collect();
    let pages: Vec<&str> = ["relift.toml(5)"].into_iter().chain(pages.iter().map(String::as_str)).collect();
    see_also(&mut roff, &pages);
    roff.to_roff()
}

/// The page of a verb, its sub-verbs with it.
pub(super) fn page(verb: &Command) -> String {
    let mut roff = Roff::new();
    let name = format!("relift-{}", verb.get_name());
    let said = prose::of(verb.get_name());
    title(&mut roff, &name, "1");
    roff.control("SH", ["NAME"]).text([roman(format!("{name} - {}", lower(&about(verb))))]);
    let forms: Vec<&Command> = verb.get_subcommands().filter(|form| !form.is_hide_set()).collect();
    roff.control("SH", ["SYNOPSIS"]);
    match forms.as_slice() {
        [] => synopsis(&mut roff, verb),
        forms => forms.iter().enumerate().for_each(|(number, form)| {
            if number > 0 {
                roff.control("br", []);
            }
            synopsis(&mut roff, form);
        }),
    }
    roff.control("SH", ["DESCRIPTION"]);
    let about = format!("{}.", about(verb));
    paragraphs(&mut roff, if said.text.is_empty() { &about } else { said.text });
    for form in &forms {
        roff.control("SS", [format!("relift {} {}", verb.get_name(), form.get_name()).as_str()]);
        roff.text(inline(&format!("{}.", self::about(form))));
        options(&mut roff, own(form));
    }
    if own(verb).next().is_some() {
        roff.control("SH", ["OPTIONS"]);
        options(&mut roff, own(verb));
    }
    roff.control("SH", ["OPTIONS OF EVERY VERB"]);
    options(&mut roff, verb.get_arguments().filter(|arg| arg.is_global_set() && !arg.is_hide_set()));
    let examples: Vec<String> = std::iter::once(verb).chain(forms.iter().copied()).flat_map(examples).collect();
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]).control("nf", []);
        examples.iter().for_each(|line| {
            roff.text([bold(line.clone())]);
        });
        roff.control("fi", []);
    }
    roff.control("SH", ["EXIT STATUS"]);
    let statuses = EXITS.iter().filter(|(status, is_usual, _)| *is_usual || said.exits.contains(status));
    terms(&mut roff, statuses.map(|(status, _, meaning)| (*status, *meaning)));
    roff.control("SH", ["FILES"]);
    terms(&mut roff, FILES.iter().copied().filter(|(file, _)| said.is_about(file)));
    let pages: Vec<&str> = ["relift(1)", "relift.toml(5)"].into_iter().chain(said.see.iter().copied()).collect();
    see_also(&mut roff, &pages);
    roff.to_roff()
}

/// What a verb says of itself in one line.
fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default().trim_end_matches('.').to_owned()
}

/// The same after a dash: small and plain, as whatis(1) lists it.
fn lower(text: &str) -> String {
    let text = text.replace('`', "");
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// How it is called: what clap says of its usage, without the word.
fn synopsis(roff: &mut Roff, command: &Command) {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim().trim_start_matches("Usage: ");
    let fixed: Vec<&str> =
        usage.split(' ').take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase())).collect();
    let fixed = fixed.join(" ");
    let rest = usage.strip_prefix(&fixed).unwrap_or_default();
    roff.text([bold(fixed), roman(rest)]);
}

fn own(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| {
        !arg.is_global_set() && !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str())
    })
}

fn options<'a>(roff: &mut Roff, args: impl Iterator<Item = &'a Arg>) {
    for arg in args {
        roff.control("TP", []);
        let short = arg.get_short().map(|short| format!("-{short}"));
        let long = arg.get_long().map(|long| format!("--{long}"));
        let mut line = Vec::new();
        for (number, flag) in short.into_iter().chain(long).enumerate() {
            line.extend([roman(if number > 0 { ", " } else { "" }), bold(flag)]);
        }
        if arg.get_action().takes_values() {
            let gap = if line.is_empty() { "" } else { " " };
            let id = [arg.get_id().as_str().to_uppercase()];
            let names =
                arg.get_value_names().map_or(id.to_vec(), |names| names.iter().map(|n| n.to_string()).collect());
            let many =
                if arg.get_num_args().is_some_and(|range| range.max_values() > names.len()) { "..." } else { "" };
            line.extend([roman(gap), italic(format!("{}{many}", names.join(" ")))]);
        }
        roff.text(line);
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        roff.text(inline(&format!("{help}{}", values(arg))));
    }
}

/// What an option may be set to, and to what it is set, where the help does not say so.
fn values(arg: &Arg) -> String {
    let join = |words: Vec<String>| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let is_flag = !arg.get_action().takes_values();
    let possible: Vec<String> = match is_flag {
        true => Vec::new(),
        false => arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect(),
    };
    let default: Vec<String> = match is_flag {
        true => Vec::new(),
        false => arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect(),
    };
    let possible = if possible.is_empty() { String::new() } else { format!(": {}", join(possible)) };
    let default = if default.is_empty() { String::new() } else { format!(" (default: {})", join(default)) };
    format!("{possible}{default}.")
}

/// The lines below `Examples:` of a help text.
fn examples(command: &Command) -> Vec<String> {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    text.lines().filter_map(|line| line.strip_prefix("  ")).map(|line| format!("# {line}")).collect()
}
