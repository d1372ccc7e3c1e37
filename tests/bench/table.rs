//! A row's figures, and the page that shows them.

/// What a row is to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// Ours by theirs, at most.
    Ratio(f64),
    /// Ours, at most, in the row's unit.
    AtMost(f64),
    /// None: the other is what nothing that does the same could do without.
    Limit,
}

/// One row: the same thing done by Relift and by what would be run instead.
#[derive(Debug, Clone)]
pub struct Row {
    /// What is measured.
    pub name: String,
    /// Beside what.
    pub against: String,
    /// The unit of all figures.
    pub unit: &'static str,
    /// What it is to reach.
    pub target: Target,
    /// Of Relift, one for each round.
    pub ours: Vec<f64>,
    /// Of the other.
    pub theirs: Vec<f64>,
}

impl Row {
    pub fn new(name: &str, against: &str, unit: &'static str, target: Target, [ours, theirs]: [Vec<f64>; 2]) -> Row {
        Row { name: name.to_owned(), against: against.to_owned(), unit, target, ours, theirs }
    }

    /// Both sides have a figure.
    pub fn is_measured(&self) -> bool {
        [&self.ours, &self.theirs].iter().all(|side| !side.is_empty() && side.iter().all(|figure| figure.is_finite()))
    }

    /// The medians' ratio; nothing where theirs is zero.
    pub fn ratio(&self) -> Option<f64> {
        let theirs = median(&self.theirs);
        (theirs > 0.0).then(|| median(&self.ours) / theirs)
    }

    /// Whether the target is reached; where it lies below what could not be left out, that.
    fn met(&self, all: &[Row]) -> String {
        let measure = |figure: f64| match self.target {
            Target::Ratio(_) => figure / median(&self.theirs),
            _ => figure,
        };
        let most = match self.target {
            Target::Ratio(most) | Target::AtMost(most) => most,
            Target::Limit => return "-".to_owned(),
        };
        let is_same = |row: &&Row| row.target == Target::Limit && (&row.name, row.unit) == (&self.name, self.unit);
        let limit = all.iter().filter(is_same).map(|row| measure(median(&row.theirs))).fold(0.0, f64::max);
        match measure(median(&self.ours)) <= most {
            true => "yes".to_owned(),
            false if limit > most => format!("no: below the limit, {}", short(limit)),
            false => "**no**".to_owned(),
        }
    }

    /// The row of the table that has all these.
    pub fn line(&self, all: &[Row]) -> String {
        format!("| {} |", self.cells(all).join(" | "))
    }

    fn cells(&self, all: &[Row]) -> [String; 7] {
        let ratio = self.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let target = match self.target {
            Target::Ratio(most) => format!("{most}"),
            Target::AtMost(most) => format!("{most} {}", self.unit),
            Target::Limit => "the limit".to_owned(),
        };
        let figure = |side: &[f64]| format!("{} {} (±{})", short(median(side)), self.unit, short(spread(side)));
        [
            self.name.clone(),
            self.against.clone(),
            figure(&self.ours),
            figure(&self.theirs),
            ratio,
            target,
            self.met(all),
        ]
    }
}

/// The one in the middle.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => (sorted[even / 2 - 1] + sorted[even / 2]) / 2.0,
    }
}

/// The median distance from the median.
fn spread(figures: &[f64]) -> f64 {
    let middle = median(figures);
    median(&figures.iter().map(|figure| (figure - middle).abs()).collect::<Vec<_>>())
}

fn short(figure: f64) -> String {
    match figure {
        figure if figure >= 100.0 => format!("{figure:.0}"),
        figure if figure >= 10.0 => format!("{figure:.1}"),
        figure => format!("{figure:.2}"),
    }
}

const HEAD: &str = "# Performance

Written by `tests/bench/run`. Each row does the same thing twice, by Relift and by what would be run instead, in turn within one run, on
throw-away hosts whose disk is this machine's: the figures are medians, with the median distance from them. *Ratio* is ours by theirs;
*target* is the ratio, or the figure, that we want to stay below; beside *the limit*, the other is what could not be left out; a target below that is no target, and the row says so. Which commands a
row runs stands in `tests/bench/rows/`; its plot in `tests/bench/plots/`.

";

/// Writes `tests/PERFORMANCE.md`, what was written there by hand below the table included.
pub fn write(rows: &[Row]) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/PERFORMANCE.md");
    let notes = std::fs::read_to_string(path).unwrap_or_default();
    let notes = notes.split_once("\n## ").map(|(_, notes)| format!("\n## {notes}")).unwrap_or_default();
    let mut text = format!("{HEAD}{}\n\n", machine());
    text += "| what | against | Relift | the other | ratio | target | met |\n|---|---|--:|--:|--:|--:|---|\n";
    text.extend(rows.iter().map(|row| format!("{}\n", row.line(rows))));
    std::fs::write(path, text + &notes).unwrap();
}

/// Puts the plots into the README, between the marks that are there for them.
pub fn show(plots: &[(String, String)]) {
    const MARKS: [&str; 2] = ["<!-- plots, written by tests/bench/run -->\n", "<!-- end of plots -->\n"];
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (head, rest) = text.split_once(MARKS[0]).expect("the README has a mark for plots");
    let (_, tail) = rest.split_once(MARKS[1]).expect("the README has a mark for the end of plots");
    let images = plots.iter().map(|(what, file)| format!("![{}](tests/bench/plots/{file})\n", what.replace('`', "")));
    std::fs::write(path, format!("{head}{}{}{}{tail}", MARKS[0], images.collect::<String>(), MARKS[1])).unwrap();
}

/// Where and when: processor, memory, kernel, versions, date.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let (cpu, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let gib = field(&memory, "MemTotal").trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1_048_576.0;
    let said = |argv: &[&str]| {
        let out = std::process::Command::new(argv[0]).args(&argv[1..]).output();
        let text = out.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
        text.lines().next().unwrap_or_default().to_owned()
    };
    format!(
        "{} cores of {}, {gib:.0} GiB, Linux {}; {}; {}; {}; relift {} ({}); {}.",
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        field(&cpu, "model name"),
        read("/proc/sys/kernel/osrelease").trim(),
        said(&["git", "--version"]),
        said(&["systemctl", "--version"]),
        said(&["ansible-pull", "--version"]),
        env!("CARGO_PKG_VERSION"),
        if std::env::var_os("RELIFT_PROGRAM").is_some() { "release" } else { "debug" },
        jiff::Zoned::now().strftime("%Y-%m-%d"),
    )
}
