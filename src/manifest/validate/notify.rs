//! `[[notify]]`.

use std::path::PathBuf;
use std::time::Duration;

use super::super::document::Key;
use super::super::notify::{Mail, Notify, Server, SmtpTls, Topic, Way, Webhook, WebhookFormat, WebhookUrl};
use super::super::problem::{Fault, Looked};
use super::super::{raw, words};
use super::Look;

/// What is told where the manifest says nothing: what somebody has to do something about, and that it was settled.
const ON: [Topic; 4] = [Topic::Failure, Topic::Decision, Topic::Recovered, Topic::Stale];
/// After how long what goes on is told again, and how often a check is expected, where the manifest says nothing.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Who a command runs as where the manifest says nothing.
const NOBODY: &str = "nobody";
/// How many ways an install may have, and how many addresses a mail.
const MOST: usize = 20;

/// `None`: there was a fault.
pub(super) fn all(look: &mut Look<'_>, key: &Key, list: &[raw::Notify]) -> Option<Vec<Notify>> {
    if list.len() > MOST {
        look.fault(&key.index(MOST), Fault::new(format!("more than {MOST} ways")).help("let a mailing list do this"));
        return None;
    }
    let ways: Vec<Option<Notify>> = list.iter().enumerate().map(|(at, raw)| one(look, &key.index(at), raw)).collect();
    ways.into_iter().collect()
}

fn one(look: &mut Look<'_>, key: &Key, raw: &raw::Notify) -> Option<Notify> {
    let on = match raw.on.as_deref() {
        None => ON.to_vec(),
        Some([]) => {
            look.fault(&key.name("on"), Fault::new("is empty, so nothing would be told").help("leave it out"));
            return None;
        }
        Some(list) => list.iter().map(topic).collect(),
    };
    let remind = look.take_or(&key.name("remind"), raw.remind.as_deref().map(words::age), DAY);
    let expect = look.take_or(&key.name("expect-check"), raw.expect_check.as_deref().map(words::age), DAY);
    let way = match (&raw.mail, &raw.webhook, &raw.command) {
        (Some(raw), None, None) => mail(look, &key.name("mail"), raw).map(Way::Mail),
        (None, Some(raw), None) => webhook(look, &key.name("webhook"), raw).map(Way::Webhook),
        (None, None, Some(run)) => {
            let run = look.take(&key.name("command"), words::argv(run).and_then(absolute));
            let account = raw.account.as_deref().unwrap_or(NOBODY);
            let account = look.take(&key.name("as"), words::account(account));
            Some(Way::Command { run: run?, account: account? })
        }
        _ => {
            let fault = Fault::new("names not exactly one way");
            look.fault(
                key,
                fault.help("give one of `mail`, `webhook` and `command`; several ways are several [[notify]]"),
            );
            None
        }
    };
    if raw.account.is_some() && raw.command.is_none() {
        look.fault(&key.name("as"), Fault::new("is for `command` alone"));
        return None;
    }
    Some(Notify { on, remind: remind?, expect_check: expect?, way: way? })
}

fn topic(topic: &raw::Topic) -> Topic {
    match topic {
        raw::Topic::Failure => Topic::Failure,
        raw::Topic::Decision => Topic::Decision,
        raw::Topic::New => Topic::New,
        raw::Topic::Success => Topic::Success,
        raw::Topic::Recovered => Topic::Recovered,
        raw::Topic::Stale => Topic::Stale,
        raw::Topic::Deferred => Topic::Deferred,
    }
}

fn absolute(run: Vec<String>) -> Looked<Vec<String>> {
    match run.first().is_some_and(|program| program.starts_with('/')) {
        true => Ok(run),
        false => Err(Fault::new("the program's path is not absolute")
            .help("write the whole path, such as \"/usr/local/bin/page\"")),
    }
}

fn mail(look: &mut Look<'_>, key: &Key, raw: &raw::Mail) -> Option<Mail> {
    if raw.to.is_empty() || raw.to.len() > MOST {
        let fault = Fault::new(format!("has {} addresses", raw.to.len()));
        look.fault(&key.name("to"), fault.help(format!("write 1 to {MOST}")));
        return None;
    }
    let to = look.each(&key.name("to"), &raw.to, address);
    let from = look.take_optional(&key.name("from"), raw.from.as_deref().map(address));
    let server = match (&raw.smtp, raw.sendmail) {
        (Some(url), false) => Some(server(look, key, url, raw)),
        (None, true) => {
            for (name, is_given) in [("credential", raw.credential.is_some()), ("tls", raw.tls.is_some())] {
                if is_given {
                    look.fault(&key.name(name), Fault::new("is for `smtp` alone"));
                    return None;
                }
            }
            None
        }
        _ => {
            let fault = Fault::new("names not exactly one way to send");
            look.fault(key, fault.help("give smtp = \"smtp://HOST:587\", or sendmail = true"));
            return None;
        }
    };
    let server = match server {
        Some(server) => Some(server?),
        None => None,
    };
    Some(Mail { to: to?, from: from?, server })
}

fn address(text: &str) -> Looked<String> {
    let is_plain =
        text.len() < 255 && !text.chars().any(|c| c.is_control() || c.is_whitespace()) && !text.starts_with('-');
    match is_plain && text.parse::<lettre::Address>().is_ok() {
        true => Ok(text.to_owned()),
        false => Err(Fault::new(format!("\"{text}\" is not an address")).help("write it as in \"ops@example.org\"")),
    }
}

fn server(look: &mut Look<'_>, key: &Key, url: &str, raw: &raw::Mail) -> Option<Server> {
    let (host, port, is_tls, user) = look.take(&key.name("smtp"), smtp(url))?;
    let is_local = crate::host::net::is_loopback(&host);
    let tls = match (raw.tls, is_tls) {
        (None, true) => SmtpTls::Tls,
        (None, false) if is_local && raw.credential.is_none() => SmtpTls::None,
        (None, false) | (Some(raw::SmtpTls::Starttls), false) => SmtpTls::Starttls,
        (Some(raw::SmtpTls::None), false) => SmtpTls::None,
        (Some(_), true) => {
            look.fault(&key.name("tls"), Fault::new("smtps:// is TLS from the first byte").help("leave it out"));
            return None;
        }
    };
    if tls == SmtpTls::None && raw.credential.is_some() && !is_local {
        let fault = Fault::new("a password would go over the network in the clear");
        look.fault(&key.name("tls"), fault.help("leave `tls` out, so that STARTTLS protects it"));
        return None;
    }
    let credential = look.take_optional(&key.name("credential"), raw.credential.as_deref().map(words::credential))?;
    if credential.is_some() != user.is_some() {
        let fault = Fault::new("a user and a password belong together");
        look.fault(
            &key.name("smtp"),
            fault.help("write smtp://USER@HOST:587 and the file of the password in `credential`"),
        );
        return None;
    }
    if tls == SmtpTls::None && !is_local {
        look.warn("`notify.mail`: mails go over the network in the clear");
    }
    Some(Server { host, port, tls, user, credential })
}

type Parts = (String, u16, bool, Option<String>);

/// `smtp[s]://[USER@]HOST[:PORT]`
fn smtp(url: &str) -> Looked<Parts> {
    let form = "write smtp://HOST:587 (STARTTLS) or smtps://HOST:465, with USER@ before the host where it wants one";
    let wrong = |what: &str| Fault::new(what).help(form);
    let (is_tls, rest) = match (url.strip_prefix("smtps://"), url.strip_prefix("smtp://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err(wrong("is not the URL of a mail server")),
    };
    let rest = rest.trim_end_matches('/');
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => {
            return Err(Fault::new("holds a password, and every account of the host may read a manifest")
                .help("leave it out, and name the file that holds it in `credential`"));
        }
        Some((user, place)) => (Some(user.to_owned()), place),
        None => (None, rest),
    };
    let (host, port) = match place.rsplit_once(':').filter(|_| !place.ends_with(']')) {
        Some((host, port)) => {
            (host, port.parse().ok().filter(|port| *port > 0).ok_or_else(|| wrong("has no port but a word"))?)
        }
        None => (place, if is_tls { 465 } else { 587 }),
    };
    let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-[]:_".contains(c));
    match is_host {
        true => Ok((host.trim_matches(['[', ']']).to_owned(), port, is_tls, user)),
        false => Err(wrong("names no host")),
    }
}

fn webhook(look: &mut Look<'_>, key: &Key, raw: &raw::Webhook) -> Option<Webhook> {
    let url = match (&raw.url, &raw.url_file) {
        (Some(text), None) => look.take(&key.name("url"), url(text)).map(WebhookUrl::Plain),
        (None, Some(path)) => look.take(&key.name("url-file"), file(path)).map(WebhookUrl::File),
        _ => {
            let fault = Fault::new("names not exactly one address");
            look.fault(
                key,
                fault.help("give `url`, or where it holds a token `url-file`, the path of a file of root's"),
            );
            None
        }
    };
    let headers = look.take_optional(&key.name("headers-file"), raw.headers_file.as_deref().map(file));
    let secret = look.take_optional(&key.name("secret-file"), raw.secret_file.as_deref().map(file));
    let format = match raw.format {
        None | Some(raw::WebhookFormat::Json) => WebhookFormat::Json,
        Some(raw::WebhookFormat::Slack) => WebhookFormat::Slack,
    };
    if raw
        .url
        .as_deref()
        .is_some_and(|url| url.starts_with("http://") && !crate::host::net::is_loopback(plain_host(url)))
    {
        look.warn("`notify.webhook.url` is no https URL: what it tells goes over the network in the clear");
    }
    Some(Webhook { url: url?, format, headers: headers?, secret: secret? })
}

fn plain_host(url: &str) -> &str {
    let host = super::super::notify::host_of(url);
    match host.rsplit_once(':') {
        Some((name, _)) if !host.ends_with(']') => name,
        _ => host,
    }
}

fn url(text: &str) -> Looked<String> {
    let is_http = text.starts_with("https://") || text.starts_with("http://");
    let host = super::super::notify::host_of(text);
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let is_plain = !text.chars().any(|c| c.is_control() || c.is_whitespace());
    match is_http && is_plain && !host.is_empty() {
        // Nothing of it is repeated: it may hold a token.
        _ if rest.split('/').next().is_some_and(|authority| authority.contains('@')) => {
            Err(Fault::new("holds a password, and every account of the host may read a manifest")
                .help("write the URL into a file of root's, and its path into `url-file`"))
        }
        true => Ok(text.to_owned()),
        false => Err(Fault::new("is not an HTTP URL").help("write https://HOST/PATH")),
    }
}

fn file(text: &str) -> Looked<PathBuf> {
    words::trusted(text, None)
}
