//! The table, for people and for programs.

use std::fmt::Write;
use std::{fs, io, path::Path};

use crate::measure::{ALL, BARE, Row};

fn figure(value: f64) -> String {
    if value >= 100.0 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// A line of a Markdown table: what the bare call takes, then the others' ratios to it with the middle half of the rounds.
pub(crate) fn print(row: &Row) {
    let mut line = format!("| {:<40} |", row.work);
    for subject in ALL {
        let cell = match (row.median(subject), row.ratio(subject, BARE)) {
            (Some(own), _) if !row.is_timed() => format!("{} {}", figure(own), row.unit),
            (Some(own), None) => figure(own),
            (Some(own), Some(_)) if subject == BARE => format!("{} ns/{}", figure(own), row.unit),
            (Some(_), Some(ratio)) => format!("{:.3} [{:.2}–{:.2}]", ratio.median, ratio.low, ratio.high),
            (None, _) => "–".to_owned(),
        };
        let _ = write!(line, " {cell:<18} |");
    }
    println!("{line}");
}

pub(crate) fn print_head() {
    print!("| {:<40} |", "work");
    for subject in ALL {
        print!(" {subject:<18} |");
    }
    println!("\n|{}|{}", "-".repeat(42), format!("{}|", "-".repeat(20)).repeat(ALL.len()));
}

/// Every figure of every subject.
pub(crate) fn write_csv(rows: &[Row], path: &Path) -> io::Result<()> {
    let mut csv = String::from("work,unit,subject,figure,ratio to bare,lower quartile,upper quartile\n");
    for row in rows {
        for subject in ALL {
            let Some(own) = row.median(subject) else { continue };
            let _ = write!(csv, "\"{}\",{},{subject},{own:.1},", row.work, row.unit);
            let _ = match row.ratio(subject, BARE) {
                Some(ratio) => writeln!(csv, "{:.4},{:.4},{:.4}", ratio.median, ratio.low, ratio.high),
                None => writeln!(csv, ",,"),
            };
        }
    }
    fs::write(path, csv)
}
