//! A plot for each row: every round of both sides, and their medians.

use plotters::prelude::*;

use crate::table::{Row, median};

const OURS: RGBColor = RGBColor(0x1b, 0x6c, 0xa8);
const THEIRS: RGBColor = RGBColor(0xb0, 0x5a, 0x1e);

/// Writes `tests/bench/plots/ROW.svg`, and removes those of rows that are no more; what each shows, and the names of the files.
pub fn write(rows: &[Row]) -> Vec<(String, String)> {
    let directory = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/plots"));
    std::fs::remove_dir_all(directory).unwrap_or_default();
    std::fs::create_dir_all(directory).unwrap();
    let mut written = Vec::new();
    for row in rows {
        let name = format!("{}.svg", file_name(row));
        let path = directory.join(&name);
        draw(row, &path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        written.push((format!("{} beside {}", row.name, row.against), name));
    }
    written
}

fn file_name(row: &Row) -> String {
    let plain = format!("{} {}", row.name, row.against).replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let words: Vec<&str> = plain.split('-').filter(|word| !word.is_empty()).collect();
    words.join("-").to_lowercase().chars().take(72).collect()
}

fn draw(row: &Row, path: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    let most = row.ours.iter().chain(&row.theirs).copied().fold(0.0, f64::max).max(1e-3) * 1.1;
    let area = SVGBackend::new(path, (720, 180)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(&row.name, ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(34)
        .y_label_area_size(8)
        .build_cartesian_2d(0.0..most, 0.0..3.0)?;
    chart.configure_mesh().disable_y_mesh().disable_y_axis().x_desc(row.unit).draw()?;
    for (side, height, colour, name) in
        [(&row.ours, 2.0, OURS, "relift"), (&row.theirs, 1.0, THEIRS, row.against.as_str())]
    {
        let middle = median(side);
        chart.draw_series([Rectangle::new(
            [(0.0, height - 0.35), (middle, height + 0.35)],
            colour.mix(0.25).filled(),
        )])?;
        chart.draw_series(side.iter().map(|figure| Circle::new((*figure, height), 3, colour.filled())))?;
        let label = format!("{name}: {middle:.1} {}", row.unit);
        chart.draw_series([Text::new(label, (most * 0.01, height + 0.3), ("sans-serif", 13).into_font())])?;
    }
    area.present()?;
    Ok(())
}
