//! An HTTP request: our own document, or Slack's.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::news::News;
use super::render::Rendered;
use super::send::{Sent, WITHIN, document};
use crate::host::fs::hex;
use crate::host::http::{self, Fault};
use crate::manifest::Credential;
use crate::manifest::notify::{Webhook, WebhookFormat, WebhookUrl};
use crate::source::git::credential;

/// How much text Slack takes in one block, in characters; what is more is cut.
const BLOCK: usize = 2_800;

/// Sends it. No redirect is followed: where the request goes, the manifest says.
pub fn send(webhook: &Webhook, news: &News, rendered: &Rendered) -> Sent {
    let (url, headers, body) = match request(webhook, news, rendered) {
        Ok(request) => request,
        Err(error) => return Sent::Later(error.to_string(), None),
    };
    match http::post(&url, &headers, &body, WITHIN) {
        Ok(response) => verdict(response.status, response.retry_after),
        Err(Fault::Unusable(why)) => Sent::Never(why.to_owned()),
        Err(Fault::Unreachable(why)) => Sent::Later(why, None),
    }
}

fn verdict(status: u16, retry_after: Option<u64>) -> Sent {
    match status {
        200..300 => Sent::Yes,
        408 | 425 | 429 | 500.. => Sent::Later(format!("it answered {status}"), retry_after),
        300..400 => Sent::Never(format!("it answered {status}: a redirect, which is not followed")),
        _ => Sent::Never(format!("it answered {status}")),
    }
}

type Request = (String, Vec<(String, String)>, Vec<u8>);

fn request(webhook: &Webhook, news: &News, rendered: &Rendered) -> crate::Result<Request> {
    let url = match &webhook.url {
        WebhookUrl::Plain(url) => url.clone(),
        WebhookUrl::File(path) => credential::read(&Credential::File(path.clone()))?,
    };
    let document = match webhook.format {
        WebhookFormat::Json => document(news, rendered),
        WebhookFormat::Slack => slack(rendered),
    };
    let body = serde_json::to_vec(&document).unwrap_or_default();
    let mut headers =
        vec![("Content-Type".into(), "application/json".into()), ("Idempotency-Key".to_owned(), news.id.clone())];
    if let Some(path) = &webhook.headers {
        let text = credential::text(&Credential::File(path.clone()))?;
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        headers.extend(lines.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())));
    }
    if let Some(path) = &webhook.secret {
        let key = credential::read(&Credential::File(path.clone()))?;
        headers.push(("X-Relift-Signature".into(), format!("sha256={}", signature(key.as_bytes(), &body))));
    }
    Ok((url, headers, body))
}

/// HMAC-SHA256 (RFC 2104) in hex.
fn signature(key: &[u8], body: &[u8]) -> String {
    // A key of any length will do.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| hex(&mac.chain_update(body).finalize().into_bytes()))
        .unwrap_or_default()
}

/// What an incoming webhook of Slack takes: its three control characters are escaped, so that no text is a link or a mention.
pub fn slack(rendered: &Rendered) -> Value {
    let subject = escaped(&rendered.subject);
    let mut text = rendered.text.clone();
    // A fence within the text would end the block.
    text = text.replace("```", "'''");
    let text = crate::text::shortened(text.trim(), BLOCK);
    json!({
        "text": subject,
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": format!("*{}*", subject.replace('*', "∗"))}},
            {"type": "section", "text": {"type": "mrkdwn", "text": format!("```{}```", cut(&escaped(&text), BLOCK))}},
        ],
    })
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// No more than `width` characters, and no half of an escape at the end.
fn cut(text: &str, width: usize) -> &str {
    let Some((end, _)) = text.char_indices().nth(width) else { return text };
    let text = &text[..end];
    match text.rfind('&') {
        Some(at) if !text[at..].contains(';') => &text[..at],
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_rfc_4231() {
        assert_eq!(
            signature(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn what_may_be_taken_later_is_tried_again_and_what_is_refused_is_not() {
        assert_eq!(verdict(204, None), Sent::Yes);
        assert_eq!(verdict(429, Some(30)), Sent::Later("it answered 429".into(), Some(30)));
        assert!(matches!(verdict(503, None), Sent::Later(..)));
        for status in [301, 307, 400, 401, 404, 410] {
            assert!(matches!(verdict(status, None), Sent::Never(_)), "{status}");
        }
    }

    #[test]
    fn no_text_is_a_link_or_a_mention_in_slack_and_none_is_too_long() {
        let evil = format!("<!channel> <https://evil.example|ok> *x* ```{}", "<&>".repeat(3_000));
        let rendered = Rendered { subject: evil.clone(), text: evil, html: String::new(), warnings: Vec::new() };
        let document = slack(&rendered);
        let text = document["blocks"][1]["text"]["text"].as_str().unwrap();
        assert!(!document.to_string().contains(['<', '>']), "{document}");
        assert!(text.len() <= 3_000 && text.matches("```").count() == 2 && text.ends_with(";```"), "{text}");
    }
}
