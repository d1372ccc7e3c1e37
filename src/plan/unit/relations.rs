//! Which units come before which, systemd.unit(5).

use super::settings::Settings;

/// What a unit says of the order in which it and others start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relations {
    /// Units that start before it.
    pub after: Vec<String>,
    /// Units that start after it.
    pub before: Vec<String>,
}

/// The order that a unit asks for: `After=`, `Before=`, what it requires, and what it starts by itself (a socket, a timer and a path
/// come before their service).
pub fn relations(unit: &str, drop_ins: &[&str], name: &str) -> Relations {
    let settings = Settings::of(unit, drop_ins);
    let words = |section: &str, keys: &[&str]| -> Vec<String> {
        let values = keys.iter().flat_map(|key| settings.values(&(section.to_owned(), (*key).to_owned())));
        values.flat_map(|(_, value)| value.split_ascii_whitespace()).map(str::to_owned).collect()
    };
    let (stem, kind) = name.rsplit_once('.').unwrap_or((name, ""));
    let mut after = words("Unit", &["After", "Requires", "Requisite", "BindsTo", "BindTo", "PartOf"]);
    after.extend(words("Service", &["Sockets"]));
    let mut before = words("Unit", &["Before"]);
    // What says that it comes before another does, even where it also requires it.
    after.retain(|unit| !before.contains(unit));
    let own = match kind {
        "socket" => Some(words("Socket", &["Service"])),
        "timer" => Some(words("Timer", &["Unit"])),
        "path" => Some(words("Path", &["Unit"])),
        _ => None,
    };
    if let Some(named) = own {
        let is_default = named.is_empty();
        before.extend(named);
        before.extend(is_default.then(|| format!("{stem}.service")));
    }
    Relations { after, before }
}

/// The places of the units in an order that keeps all relations, else as they are given. A circle is cut where it is met.
pub fn ordered(units: &[(String, Relations)]) -> Vec<usize> {
    let comes_before = |first: usize, second: usize| {
        let ((first_name, first_says), (second_name, second_says)) = (&units[first], &units[second]);
        second_says.after.contains(first_name) || first_says.before.contains(second_name)
    };
    let mut left: Vec<usize> = (0..units.len()).collect();
    let mut order = Vec::with_capacity(units.len());
    while !left.is_empty() {
        let is_free = |&at: &usize| left.iter().all(|&other| other == at || !comes_before(other, at));
        let next = left.iter().position(is_free).unwrap_or(0);
        order.push(left.remove(next));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(units: &[(&str, &str)]) -> Vec<String> {
        let told: Vec<_> = units.iter().map(|(name, text)| ((*name).to_owned(), relations(text, &[], name))).collect();
        ordered(&told).into_iter().map(|at| told[at].0.clone()).collect()
    }

    #[test]
    fn what_others_need_comes_first_and_the_rest_stays_in_its_order() {
        let units = [
            ("web.service", "[Unit]\nRequires=db.service\nAfter=db.service cache.service\n"),
            ("free.service", ""),
            ("db.service", "[Unit]\nAfter=network.target\n"),
            ("cache.service", "[Unit]\nBefore=web.service\n"),
        ];
        assert_eq!(order(&units), ["free.service", "db.service", "cache.service", "web.service"]);
        assert_eq!(
            order(&[("b.service", "[Unit]\nBindsTo=a.service\n"), ("a.service", "")]),
            ["a.service", "b.service"]
        );
    }

    #[test]
    fn sockets_timers_and_paths_come_before_what_they_start() {
        for kind in ["socket", "timer", "path"] {
            let name = format!("app.{kind}");
            assert_eq!(order(&[("app.service", ""), (&name, "")]), [&name, "app.service"]);
        }
        let named = [("web.service", ""), ("app.socket", "[Socket]\nListenStream=80\nService=web.service\n")];
        assert_eq!(order(&named), ["app.socket", "web.service"]);
        let sockets =
            [("web.service", "[Service]\nSockets=one.socket two.socket\n"), ("two.socket", ""), ("one.socket", "")];
        assert_eq!(order(&sockets), ["two.socket", "one.socket", "web.service"]);
    }

    #[test]
    fn a_circle_is_no_end() {
        let circle = [("a.service", "[Unit]\nAfter=b.service\n"), ("b.service", "[Unit]\nAfter=a.service\n")];
        assert_eq!(order(&circle), ["a.service", "b.service"]);
        let required = [("a.service", "[Unit]\nRequires=b.service\nBefore=b.service\n"), ("b.service", "")];
        assert_eq!(order(&required), ["a.service", "b.service"]);
    }
}
