//! One message by one way: it ends within a bound, whatever the other side does.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;

use super::news::News;
use super::render::{Rendered, render};
use super::{mail, webhook};
use crate::host::account::Account;
use crate::host::process::{Command, Input};
use crate::manifest::Way;
use crate::text::{harmless, shortened};

/// How long one try may take.
pub const BOUND: Duration = Duration::from_secs(10);
/// How long a bounded conversation may take by its own account, so that its own words for it are heard.
pub const WITHIN: Duration = Duration::from_secs(9);
/// The longest reason, in characters.
const REASON: usize = 200;

/// What came of a try. The reasons hold no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// It was taken.
    Yes,
    /// Not now: why, and after how many seconds the other side wants to be asked again.
    Later(String, Option<u64>),
    /// It would not be taken later either.
    Never(String),
}

impl Sent {
    /// One line of words about why not.
    pub fn why(&self) -> Option<&str> {
        match self {
            Sent::Yes => None,
            Sent::Later(why, _) | Sent::Never(why) => Some(why),
        }
    }

    fn clean(self) -> Sent {
        let clean = |why: String| shortened(&harmless(&why), REASON);
        match self {
            Sent::Yes => Sent::Yes,
            Sent::Later(why, after) => Sent::Later(clean(why), after),
            Sent::Never(why) => Sent::Never(clean(why)),
        }
    }
}

/// Sends news by a way. `templates`: where the operator's are.
pub fn send(way: &Way, news: &News, templates: PathBuf) -> (Sent, Vec<String>) {
    let (sender, receiver) = mpsc::channel();
    let (way, news) = (way.clone(), news.clone());
    // A look-up of a name knows no bound of its own: who hangs in one is left behind, and ends with this program.
    std::thread::spawn(move || {
        let rendered = render(&news, &templates);
        let sent = match &way {
            Way::Mail(mail) => mail::send(mail, &news, &rendered),
            Way::Webhook(webhook) => webhook::send(webhook, &news, &rendered),
            Way::Command { run, account } => command(run, account, &news, &rendered),
        };
        sender.send((sent.clean(), rendered.warnings)).unwrap_or_default();
    });
    let late = |_| (Sent::Later(format!("no end within {} s", BOUND.as_secs()), None), Vec::new());
    receiver.recv_timeout(BOUND).unwrap_or_else(late)
}

/// News as a program reads it.
pub fn document(news: &News, rendered: &Rendered) -> serde_json::Value {
    let time = jiff::Timestamp::from_second(news.time).unwrap_or_default().to_string();
    json!({
        "version": 1,
        "id": news.id,
        "topic": news.topic,
        "stage": news.stage,
        "host": news.host,
        "install": news.install,
        "time": time,
        "since": jiff::Timestamp::from_second(news.since).unwrap_or_default().to_string(),
        "thread": news.thread,
        "subject": rendered.subject,
        "text": rendered.text,
        "headline": news.headline,
        "state": news.state,
        "next": news.next,
        "others": news.others,
        "happening": news.happening,
    })
}

fn command(run: &[String], account: &str, news: &News, rendered: &Rendered) -> Sent {
    let account = match Account::named(account) {
        Ok(account) => account,
        Err(error) => return Sent::Later(error.to_string(), None),
    };
    let bytes = serde_json::to_vec(&document(news, rendered)).unwrap_or_default();
    let command =
        Command::new(run).account(&account).env("RELIFT_ID", &news.id).stdin(Input::Bytes(bytes)).timeout(WITHIN);
    match command.output() {
        Ok(output) if output.success() => Sent::Yes,
        Ok(output) => {
            let last = output.stderr.last().map(|line| format!(": {line}")).unwrap_or_default();
            Sent::Later(format!("it {}{last}", output.ending()), None)
        }
        Err(error) => Sent::Later(error.to_string(), None),
    }
}
