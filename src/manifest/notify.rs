//! `[[notify]]`: who is told what, and by which way.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Credential, raw};

/// One way by which people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// What is told.
    pub on: Vec<Topic>,
    /// After how long what goes on is told again.
    pub remind: Duration,
    /// How often the source is expected to be asked; three times that without a check is told.
    pub expect_check: Duration,
    /// How.
    pub way: Way,
}

/// What people are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// A check or a run failed.
    Failure,
    /// It waits for an operator's decision.
    Decision,
    /// The source offers something new.
    New,
    /// Another release is activated.
    Success,
    /// A run that died was settled.
    Recovered,
    /// Nothing checks, or nobody recovers.
    Stale,
    /// Not now; it will be tried again by itself.
    Deferred,
}

/// How people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// A mail.
    Mail(Mail),
    /// An HTTP request.
    Webhook(Webhook),
    /// A command that reads the news as JSON.
    Command {
        /// Program and arguments.
        run: Vec<String>,
        /// The account that it runs as.
        account: String,
    },
}

/// `mail` of `[[notify]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Addresses.
    pub to: Vec<String>,
    /// The sender's address; `None`: root of this host.
    pub from: Option<String>,
    /// The server; `None`: this host's sendmail(8).
    pub server: Option<Server>,
}

/// An SMTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the conversation is protected.
    pub tls: SmtpTls,
    /// Who says that they send.
    pub user: Option<String>,
    /// Where the password is.
    pub credential: Option<Credential>,
}

/// How a conversation with an SMTP server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// TLS from the first byte.
    Tls,
    /// STARTTLS before anything else, or nothing is sent.
    Starttls,
    /// Not at all.
    None,
}

/// `webhook` of `[[notify]]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where to; it may hold a secret.
    pub url: WebhookUrl,
    /// What the body is.
    pub format: WebhookFormat,
    /// A file of root's with `Name: value` lines.
    pub headers: Option<PathBuf>,
    /// A file of root's with the key of the signature.
    pub secret: Option<PathBuf>,
}

/// The address of a webhook.
#[derive(Clone, PartialEq, Eq)]
pub enum WebhookUrl {
    /// As it stands in the manifest.
    Plain(String),
    /// In the first line of a file of root's.
    File(PathBuf),
}

/// What the body of a webhook is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookFormat {
    /// Our own.
    Json,
    /// As Slack, and what is compatible with it, take it.
    Slack,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Webhook({})", self.label())
    }
}

impl Webhook {
    /// Where it goes, without what may be a secret.
    pub fn label(&self) -> String {
        match &self.url {
            WebhookUrl::Plain(url) => host_of(url).to_owned(),
            WebhookUrl::File(path) => path.display().to_string(),
        }
    }
}

impl Way {
    /// The way in a few words, without a secret.
    pub fn label(&self) -> String {
        match self {
            Way::Mail(mail) => format!("mail to {}", mail.to.join(", ")),
            Way::Webhook(webhook) => format!("webhook {}", webhook.label()),
            Way::Command { run, .. } => format!("command {}", run.first().map(String::as_str).unwrap_or_default()),
        }
    }
}

/// The host and port of a URL.
pub fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

/// As the manifest takes it, with every default written out. A URL that stands in the manifest is shown without its path, which
/// may be a token.
pub(super) fn raw(notify: &Notify) -> raw::Notify {
    let span = |span| Some(super::effective::span(span));
    let mut raw = raw::Notify {
        on: Some(notify.on.iter().map(topic).collect()),
        remind: span(notify.remind),
        expect_check: span(notify.expect_check),
        ..raw::Notify::default()
    };
    let text = |path: &PathBuf| path.display().to_string();
    match &notify.way {
        Way::Mail(mail) => raw.mail = Some(raw_mail(mail)),
        Way::Webhook(webhook) => {
            let (url, url_file) = match &webhook.url {
                WebhookUrl::Plain(url) => (Some(without_path(url)), None),
                WebhookUrl::File(path) => (None, Some(text(path))),
            };
            let format = Some(match webhook.format {
                WebhookFormat::Json => raw::WebhookFormat::Json,
                WebhookFormat::Slack => raw::WebhookFormat::Slack,
            });
            let (headers_file, secret_file) = (webhook.headers.as_ref().map(text), webhook.secret.as_ref().map(text));
            raw.webhook = Some(raw::Webhook { url, url_file, format, headers_file, secret_file });
        }
        Way::Command { run, account } => {
            (raw.command, raw.account) = (Some(run.clone()), Some(account.clone()));
        }
    }
    raw
}

fn raw_mail(mail: &Mail) -> raw::Mail {
    let url = |server: &Server| {
        let scheme = if server.tls == SmtpTls::Tls { "smtps" } else { "smtp" };
        let user = server.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        let host = if server.host.contains(':') { format!("[{}]", server.host) } else { server.host.clone() };
        format!("{scheme}://{user}{host}:{}", server.port)
    };
    let server = mail.server.as_ref();
    raw::Mail {
        to: mail.to.clone(),
        from: mail.from.clone(),
        smtp: server.map(url),
        sendmail: server.is_none(),
        credential: server.and_then(|server| server.credential.as_ref()).map(|place| match place {
            Credential::Named(name) => name.clone(),
            Credential::File(path) => path.display().to_string(),
        }),
        tls: server.and_then(|server| match server.tls {
            SmtpTls::Tls => None,
            SmtpTls::Starttls => Some(raw::SmtpTls::Starttls),
            SmtpTls::None => Some(raw::SmtpTls::None),
        }),
    }
}

fn without_path(url: &str) -> String {
    let (scheme, _) = url.split_once("://").unwrap_or_default();
    format!("{scheme}://{}/<set>", host_of(url))
}

fn topic(topic: &Topic) -> raw::Topic {
    match topic {
        Topic::Failure => raw::Topic::Failure,
        Topic::Decision => raw::Topic::Decision,
        Topic::New => raw::Topic::New,
        Topic::Success => raw::Topic::Success,
        Topic::Recovered => raw::Topic::Recovered,
        Topic::Stale => raw::Topic::Stale,
        Topic::Deferred => raw::Topic::Deferred,
    }
}
