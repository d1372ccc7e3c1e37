//! `[Install]`: the links that enabling makes, systemd.unit(5).

use super::settings::Settings;

/// What `systemctl enable NAME` links, relative to the directory of unit files: `multi-user.target.wants/app.service`, `alias.service`.
pub fn install_links(unit: &str, drop_ins: &[&str], name: &str) -> Vec<String> {
    let settings = Settings::of(unit, drop_ins);
    let words = |key: &str| -> Vec<String> {
        let values = settings.values(&("Install".to_owned(), key.to_owned())).iter();
        values.flat_map(|(_, value)| value.split_ascii_whitespace()).map(|word| expanded(word, name)).collect()
    };
    let mut links = words("Alias");
    for (key, kind) in [("WantedBy", "wants"), ("RequiredBy", "requires"), ("UpheldBy", "upholds")] {
        links.extend(words(key).iter().map(|target| format!("{target}.{kind}/{name}")));
    }
    links
}

/// What is enabled and disabled together with a unit: `Also=`.
pub fn also(unit: &str, drop_ins: &[&str]) -> Vec<String> {
    let settings = Settings::of(unit, drop_ins);
    let values = settings.values(&("Install".to_owned(), "Also".to_owned())).iter();
    values.flat_map(|(_, value)| value.split_ascii_whitespace()).map(str::to_owned).collect()
}

/// The specifiers that `[Install]` knows, as far as they come from the name.
fn expanded(word: &str, name: &str) -> String {
    let (stem, _) = name.rsplit_once('.').unwrap_or((name, ""));
    let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
    let last = prefix.rsplit('-').next().unwrap_or(prefix);
    let specifiers = [("%n", name), ("%N", stem), ("%p", prefix), ("%i", instance), ("%j", last)];
    specifiers.iter().fold(word.to_owned(), |word, (specifier, value)| word.replace(specifier, value))
}
