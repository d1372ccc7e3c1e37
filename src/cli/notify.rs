//! `relift notify test|list|flush`: who is told, tried out and looked after.

use std::time::Duration;

use serde_json::{Value, json};

use super::globals::Globals;
use super::output;
use super::session::must_be_root;
use super::status::when;
use super::style::{BAD, BOLD, DIM, GOOD, WARN, paint};
use crate::error::{Exit, Result};
use crate::manifest::{self, Install, Topic};
use crate::notify::{self, Message, Sent};

/// How long a flush waits for another one.
const PATIENCE: Duration = Duration::from_secs(15);

/// Sends test messages, shows what waits to be delivered, delivers it.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// What to do with messages.
#[derive(Debug, Clone, clap::Subcommand)]
enum Command {
    /// Send a marked test message by every way that the manifest declares; exits 1 when one was not taken
    #[command(after_help = "Examples:\n  relift notify test\n  relift notify test app --on failure")]
    Test {
        /// The install; all of them when it is left out
        name: Option<String>,
        /// What the message is an example of
        #[arg(long, value_name = "TOPIC", default_value = "success", value_parser = topic)]
        on: Topic,
    },
    /// List the messages that wait to be delivered
    List {
        /// The install; all of them when it is left out
        name: Option<String>,
    },
    /// Deliver what waits, tell of checks that are missed and of runs that died; what its timer runs
    Flush {
        /// The install; all of them when it is left out
        name: Option<String>,
    },
}

/// Does it.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    must_be_root()?;
    match &args.command {
        Command::Test { name, on } => test(&installs(name.as_deref(), globals)?, *on, globals),
        Command::List { name } => list(&installs(name.as_deref(), globals)?, globals),
        Command::Flush { name } => flush(name.as_deref(), globals),
    }
}

fn topic(text: &str) -> std::result::Result<Topic, String> {
    serde_json::from_value(json!(text))
        .map_err(|_| "is not one of failure, decision, new, success, recovered, stale, deferred".to_owned())
}

fn installs(name: Option<&str>, globals: &Globals) -> Result<Vec<Install>> {
    let (paths, config) = (globals.paths(), globals.config.as_deref());
    match name {
        Some(name) => manifest::named(&paths, config, Some(name)).map(|install| vec![install]),
        None => manifest::all(&paths, config),
    }
}

fn test(installs: &[Install], topic: Topic, globals: &Globals) -> Result<Exit> {
    let (mut exit, mut documents) = (Exit::Done, Vec::new());
    for install in installs {
        let name = &install.name;
        let sent = if globals.dry_run { Vec::new() } else { notify::test(&globals.paths(), install, topic) };
        if sent.iter().any(|(_, sent)| *sent != Sent::Yes) {
            exit = Exit::Failed;
        }
        let way = |(way, sent): &(String, Sent)| json!({"way": way, "sent": *sent == Sent::Yes, "why": sent.why()});
        documents.push(json!({"install": name, "ways": sent.iter().map(way).collect::<Vec<_>>()}));
        if globals.json {
            continue;
        }
        if install.notify.is_empty() {
            output::data(&format!("{name}: nobody is told: {} has no [[notify]]\n", install.file.display()));
        }
        for (way, sent) in &sent {
            let came = match sent.why() {
                None if globals.quiet => continue,
                None => paint(GOOD, "taken").to_string(),
                Some(why) => format!("{} {why}", paint(BAD, "not taken:")),
            };
            output::data(&format!("{}: {way}: {came}\n", paint(BOLD, name)));
        }
    }
    if globals.json {
        output::document(&json!({"format": 1, "installs": documents}));
    }
    Ok(exit)
}

fn list(installs: &[Install], globals: &Globals) -> Result<Exit> {
    let (mut documents, mut text) = (Vec::new(), String::new());
    for install in installs {
        let messages = notify::waiting(&globals.paths(), &install.name)?;
        documents.push(json!({"install": install.name, "messages": messages.iter().map(document).collect::<Vec<_>>()}));
        messages.iter().for_each(|message| text.push_str(&line(message)));
    }
    match globals.json {
        true => output::document(&json!({"format": 1, "installs": documents})),
        false if text.is_empty() && !globals.quiet => output::data("nothing waits to be delivered\n"),
        false => output::data(&text),
    }
    Ok(Exit::Done)
}

fn line(message: &Message) -> String {
    let news = &message.news;
    let fault = match &message.fault {
        None => "not tried yet".to_owned(),
        Some(why) => format!("tried {} times, again {}: {why}", message.attempts, when(message.next)),
    };
    let others = if news.others > 0 { format!(" (and {} others)", news.others) } else { String::new() };
    format!(
        "{} {}{others}\n  {} {}\n",
        paint(DIM, when(message.created)),
        news.headline,
        message.label,
        paint(WARN, fault)
    )
}

fn document(message: &Message) -> Value {
    let news = &message.news;
    json!({
        "id": news.id, "headline": news.headline, "topic": news.topic, "way": message.label, "created": message.created,
        "attempts": message.attempts, "next": message.next, "fault": message.fault, "others": news.others,
    })
}

/// One install that is declared wrongly does not keep the others from being looked after.
fn flush(name: Option<&str>, globals: &Globals) -> Result<Exit> {
    let paths = globals.paths();
    let installs = match name {
        Some(_) => installs(name, globals)?,
        None => {
            let (good, bad): (Vec<_>, Vec<_>) = manifest::each(&paths, globals.config.as_deref())?
                .into_iter()
                .map(|(_, one)| one)
                .partition(Result::is_ok);
            bad.iter().filter_map(|one| one.as_ref().err()).for_each(|error| super::error::print(error, globals.json));
            good.into_iter().flatten().collect()
        }
    };
    if !globals.dry_run {
        std::thread::scope(|scope| {
            for install in &installs {
                let paths = &paths;
                scope.spawn(move || notify::flush(paths, install, PATIENCE));
            }
        });
        notify::greet(&paths);
    }
    Ok(Exit::Done)
}
