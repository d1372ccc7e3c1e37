//! How lines of Compose files are shown.

/// A line of a Compose file without the value of a variable: it may be a secret.
pub fn redacted(line: &str) -> String {
    let start = line.len() - line.trim_start_matches([' ', '-', '"', '\'']).len();
    let rest = &line[start..];
    let name = rest.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')).unwrap_or(rest.len());
    let is_variable = name > 1 && rest[name..].trim_start_matches(['"', '\'']).starts_with(['=', ':']);
    match is_variable {
        true => format!("{}{}=***", &line[..start], &rest[..name]),
        false => line.to_owned(),
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
}
