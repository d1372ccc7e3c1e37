//! How lines of Compose files are shown.

use crate::plan::unit::arguments::without_secrets;

/// What the Compose specification calls things: any other name is the operator's own, a variable's or a label's, and its
/// value may be a secret.
const SHOWN: [&str; 26] = [
    "build",
    "cap_add",
    "cap_drop",
    "command",
    "container_name",
    "context",
    "cpus",
    "depends_on",
    "driver",
    "entrypoint",
    "env_file",
    "expose",
    "external",
    "healthcheck",
    "hostname",
    "image",
    "mem_limit",
    "network_mode",
    "networks",
    "ports",
    "privileged",
    "read_only",
    "restart",
    "user",
    "volumes",
    "working_dir",
];

/// A line of a Compose file without the value of a variable, and without anything else that may be a secret.
pub fn redacted(line: &str) -> String {
    let start = line.len() - line.trim_start_matches([' ', '-', '"', '\'', '#']).len();
    let rest = &line[start..];
    let name = &rest[..rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_.-".contains(c))).unwrap_or(rest.len())];
    let after = rest[name.len()..].trim_start_matches(['"', '\'']).trim_start();
    let is_set = match after.strip_prefix(':') {
        // Not what is bound, `80:80` and `data:/srv`: YAML wants a blank behind a key. A key alone has no value.
        Some(value) => value.starts_with([' ', '\t']) && !value.trim().is_empty() && !SHOWN.contains(&name),
        None => after.starts_with('='),
    };
    match is_set && !name.is_empty() {
        true => format!("{}{name}=***", &line[..start]),
        false => without_secrets(line, |_| "***"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_variables_are_hidden_in_every_notation() {
        for line in ["  - TOKEN=abc", "  TOKEN: abc", "  - \"TOKEN=abc\"", "  \"TOKEN\": abc"] {
            assert!(!redacted(line).contains("abc") && redacted(line).contains("TOKEN"), "{}", redacted(line));
        }
        assert_eq!(redacted("    image: app:2"), "    image: app:2");
    }

    #[test]
    fn what_the_operator_named_is_hidden_whatever_its_name_and_what_compose_names_is_shown() {
        for line in [
            "  - db_password=s3cr3t",
            "  db.pw: s3cr3t",
            "  # pw: s3cr3t",
            "  'x-key' : s3cr3t",
            "    command: app --token s3cr3t",
            "    command: app --db postgres://me:s3cr3t@db/x",
        ] {
            assert!(!redacted(line).contains("s3cr3t"), "{}", redacted(line));
        }
        for line in
            ["    ports:", "      - 80:80", "      - \"127.0.0.1:80:80\"", "      - data:/srv", "    restart: always"]
        {
            assert_eq!(redacted(line), line);
        }
    }
}
