//! Who hears of an install: `[[notify]]` and `[monitoring]`.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_no;

/// What monitoring reads of this install. With the table, every account of the host may ask `relift status --nagios`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Monitoring {
    /// The directory of node_exporter's textfile collector, absolute: `/var/lib/prometheus/node-exporter` on Debian. After each
    /// verb `relift_NAME.prom` is written there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub textfile: Option<String>,
    /// Where spans of runs are sent, as OTLP over HTTP in JSON: `http://127.0.0.1:4318`; `/v1/traces` is added. Default:
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` of the environment, else nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp: Option<String>,
    /// Headers for it, one `Name: value` on each line: the name of a systemd credential (LoadCredential=), or the absolute path
    /// of a file that root alone may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_headers: Option<String>,
    /// How old the last check that got an answer may be before `--nagios` calls it critical. Default: `2d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale: Option<String>,
}

/// One way by which people are told. Give exactly one of `mail`, `webhook` and `command`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Notify {
    /// What is told: `failure`, `decision` (an operator is needed), `new` (a release), `success`, `recovered` (a run that died was
    /// settled), `stale` (nothing checks any more), `deferred`. Default: failure, decision, recovered, stale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<Topic>>,
    /// A mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<Mail>,
    /// An HTTP request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// A program, absolute, and its arguments. It reads the news as JSON on its standard input, and may take 10 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// The account that runs `command`. Default: `nobody`.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// After how long what goes on is told again: `12h`, `7d`. Default: `1d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remind: Option<String>,
    /// How often the source is expected to be asked. Three times that without a check is told. The least of all ways counts.
    /// Default: `1d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect_check: Option<String>,
}

/// What people are told of.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::manifest) enum Topic {
    Failure,
    Decision,
    New,
    Success,
    Recovered,
    Stale,
    Deferred,
}

/// A mail. Give either `smtp` or `sendmail`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Mail {
    /// Addresses.
    pub to: Vec<String>,
    /// The sender's address. Default: `root` at this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// A server: `smtp://USER@HOST:587` (STARTTLS, but for loopback) or `smtps://HOST:465`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp: Option<String>,
    /// Whether this host's sendmail(8) sends it.
    #[serde(default, skip_serializing_if = "is_no")]
    pub sendmail: bool,
    /// The password for `smtp`: the name of a systemd credential, or the absolute path of a file that root alone may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// `starttls`: nothing is sent without it. `none`: in the clear. Default: `starttls`; `none` for loopback without a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<SmtpTls>,
}

/// How `smtp://` is protected.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::manifest) enum SmtpTls {
    Starttls,
    None,
}

/// An HTTP request, POST. Give either `url` or `url-file`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Webhook {
    /// Where to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The same in the first line of a file that root alone may read, absolute: for a URL that holds a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_file: Option<String>,
    /// `json`: this program's own document. `slack`: as Slack, Mattermost and Rocket.Chat take it. Default: `json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<WebhookFormat>,
    /// A file that root alone may read, absolute, with a header (`Name: value`) in each line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers_file: Option<String>,
    /// A file that root alone may read, absolute, with a key in its first line: the header `X-Relift-Signature` is then
    /// `sha256=` and the HMAC-SHA256 of the body in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<String>,
}

/// What the body of a webhook is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::manifest) enum WebhookFormat {
    Json,
    Slack,
}
