//! The targets of a Makefile, as far as they can be told without running make.

/// A target and its recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// Its name.
    pub name: String,
    /// The lines of its recipe, without the tab.
    pub recipe: Vec<String>,
}

/// The targets with plain names, in order. Pattern rules, variables and conditionals are passed over.
pub(super) fn targets(text: &str) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    let mut current = 0..0;
    for line in joined(text) {
        if let Some(recipe) = line.strip_prefix('\t') {
            targets[current.clone()].iter_mut().for_each(|target| target.recipe.push(recipe.to_owned()));
        } else if let Some(names) = names(&line) {
            let first = targets.len();
            targets.extend(names.map(|name| Target { name: name.to_owned(), recipe: Vec::new() }));
            current = first..targets.len();
        } else if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
            current = 0..0;
        }
    }
    targets
}

/// Lines whose final backslash joins the next one.
fn joined(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let (line, joins) = line.strip_suffix('\\').map_or((line, false), |line| (line, true));
        match lines.last_mut().filter(|_| open) {
            Some(last) => last.push_str(line.trim_start_matches('\t')),
            None => lines.push(line.to_owned()),
        }
        open = joins;
    }
    lines
}

fn names(line: &str) -> Option<impl Iterator<Item = &str>> {
    let (left, right) = line.split_once(':')?;
    let assigns = right.starts_with('=') || right.starts_with(":=") || left.contains('=');
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-. /".contains(c);
    let rule = !assigns && !left.trim().is_empty() && !left.starts_with([' ', '.']) && left.chars().all(plain);
    rule.then(|| left.split_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_told_from_variables_and_patterns() {
        let text = "UV ?= uv\nURL := http://x:80\nA:=b\n.PHONY: sync init\nall other: dep\n\t@echo a \\\n\t  b\n\n# c\n\
                    \tmore\n%.o: %.c\n\tcc\nsync:: x\n\tuv sync\nifdef X\ninit:\nendif\n";
        let found: Vec<(String, Vec<String>)> =
            targets(text).into_iter().map(|target| (target.name, target.recipe)).collect();
        let both = vec!["@echo a   b".to_owned(), "more".to_owned()];
        assert_eq!(
            found,
            [
                ("all".to_owned(), both.clone()),
                ("other".to_owned(), both),
                ("sync".to_owned(), vec!["uv sync".to_owned()]),
                ("init".to_owned(), vec![]),
            ]
        );
    }

    #[test]
    fn a_recipe_without_a_target_is_no_ones() {
        assert_eq!(targets("\techo\n"), []);
    }
}
