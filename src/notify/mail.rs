//! A mail: plain text and HTML, by SMTP or by this host's sendmail(8).

use std::io::ErrorKind;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lettre::address::Envelope;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, Message, SmtpTransport, Transport};

use super::news::News;
use super::render::Rendered;
use super::send::{Sent, WITHIN};
use crate::error::{Context, Error, Result};
use crate::host::process::{Command, Input};
use crate::manifest::notify::{Mail, Server, SmtpTls};
use crate::source::git::credential;

/// Sends it.
pub fn send(mail: &Mail, news: &News, rendered: &Rendered) -> Sent {
    let message = match message(mail, news, rendered) {
        Ok(message) => message,
        Err(error) => return Sent::Never(error.to_string()),
    };
    match &mail.server {
        Some(server) => by_smtp(server, &news.host, &message),
        None => by_sendmail(&message),
    }
}

/// The message as it is sent. The same news is the same message: its Message-ID and date do not depend on the try.
pub fn message(mail: &Mail, news: &News, rendered: &Rendered) -> Result<Message> {
    let host = domain(&news.host);
    let mailbox = |text: &str| {
        let address: Address = text.parse().with_context(|| format!("{text} is not an address"))?;
        Ok::<_, Error>(Mailbox::new(None, address))
    };
    let from = mail.from.clone().unwrap_or_else(|| format!("root@{host}"));
    let thread = format!("<{}@{host}>", word(&news.thread));
    let mut builder = Message::builder()
        .from(mailbox(&from)?)
        .subject(rendered.subject.clone())
        .date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(news.time).unwrap_or_default()))
        .message_id(Some(format!("<{}@{host}>", word(&news.id))))
        .in_reply_to(thread.clone())
        .references(thread)
        // RFC 3834: no answer by a machine.
        .header(AutoSubmitted);
    for to in &mail.to {
        builder = builder.to(mailbox(to)?);
    }
    let body = MultiPart::alternative_plain_html(rendered.text.clone(), rendered.html.clone());
    builder.multipart(body).context("the mail cannot be made")
}

#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> std::result::Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(AutoSubmitted)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".into())
    }
}

/// What may stand before the `@` of a Message-ID.
fn word(text: &str) -> String {
    let kept = text.chars().filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c)).take(128);
    let word: String = kept.collect();
    if word.is_empty() { "none".into() } else { word }
}

/// The host's name where it is one that mail takes.
fn domain(host: &str) -> String {
    let is_name = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    match host.split('.').all(is_name) && Address::new("root", host).is_ok() {
        true => host.to_owned(),
        false => "localhost".into(),
    }
}

fn by_smtp(server: &Server, host: &str, message: &Message) -> Sent {
    let password = match server.credential.as_ref().map(credential::read).transpose() {
        Ok(password) => password,
        Err(error) => return Sent::Later(error.to_string(), None),
    };
    let transport = match transport(server, host, password.as_deref()) {
        Ok(transport) => transport,
        Err(error) => return Sent::Later(error.to_string(), None),
    };
    let Err(error) = transport.send(message) else { return Sent::Yes };
    let why = crate::text::redact(&words(&error), &secrets(server, password.as_deref()));
    // A wrong password, or TLS that is missing, is the operator's to mend, and then the message is wanted.
    let is_final = error.is_permanent() && error.status().is_none_or(|code| !code.to_string().starts_with("53"));
    if is_final { Sent::Never(why) } else { Sent::Later(why, None) }
}

fn transport(server: &Server, host: &str, password: Option<&str>) -> Result<SmtpTransport> {
    let tls = || TlsParameters::new(server.host.clone()).context("TLS cannot be used");
    let tls = match server.tls {
        SmtpTls::Tls => Tls::Wrapper(tls()?),
        SmtpTls::Starttls => Tls::Required(tls()?),
        SmtpTls::None => Tls::None,
    };
    let mut builder = SmtpTransport::builder_dangerous(&server.host)
        .port(server.port)
        .tls(tls)
        .timeout(Some(WITHIN))
        .hello_name(ClientId::Domain(domain(host)));
    if let (Some(user), Some(password)) = (&server.user, password) {
        builder = builder.credentials(Credentials::new(user.clone(), password.to_owned()));
    }
    Ok(builder.build())
}

/// The error and its causes.
fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let is_late = |io: &std::io::Error| matches!(io.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        if inner.downcast_ref().is_some_and(is_late) {
            return "no answer in time".into();
        }
        let text = inner.to_string();
        if !words.contains(&text) {
            words.push_str(&format!(": {text}"));
        }
        cause = inner.source();
    }
    words
}

/// The password as it goes over the wire: a server may say it back.
fn secrets(server: &Server, password: Option<&str>) -> Vec<String> {
    let (Some(user), Some(password)) = (&server.user, password) else { return Vec::new() };
    let encoded = [format!("\0{user}\0{password}"), format!("{user}\0{user}\0{password}"), password.to_owned()];
    std::iter::once(password.to_owned()).chain(encoded.iter().map(|text| BASE64_STANDARD.encode(text))).collect()
}

fn by_sendmail(message: &Message) -> Sent {
    let envelope: &Envelope = message.envelope();
    let from = envelope.from().map(ToString::to_string).unwrap_or_default();
    let to = envelope.to().iter().map(ToString::to_string);
    // Its line ends are those of a file here.
    let text = String::from_utf8_lossy(&message.formatted()).replace("\r\n", "\n");
    let command = Command::new(["/usr/sbin/sendmail", "-i", "-f", &from, "--"]).args(to);
    match command.stdin(Input::Bytes(text.into_bytes())).timeout(WITHIN).output() {
        Ok(output) if output.success() => Sent::Yes,
        Ok(output) => {
            let last = output.stderr.last().map(|line| format!(": {line}")).unwrap_or_default();
            Sent::Later(format!("sendmail {}{last}", output.ending()), None)
        }
        Err(error) => Sent::Later(error.to_string(), None),
    }
}
