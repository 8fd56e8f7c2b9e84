//! What is printed and written when all has been measured.

use std::fmt::Write;
use std::path::Path;
use std::{fs, io};

use crate::page::page;
use crate::profiles::{PROFILES, Run, write as write_file};
use crate::row::{Called, Row};
use crate::subjects::{ALL, BARE, GROWABLE, MIO, POLLING};
use crate::{chart, limits, targets};

/// The rows of the README.
const HEADLINES: [&str; 5] = [
    "empty wait, 10000 registered, edge",
    "wait, 100 ready of 10000, edge",
    "register + unregister, 100 others, edge",
    "modify, changed, 100 others, edge",
    "echo, 5000 connections, edge, processor time",
];

/// The rows of the chart.
pub(crate) const CHART: [&str; 18] = [
    "empty wait, 10000 registered, edge",
    "wait, 1 ready of 10000, edge",
    "wait, 100 ready of 10000, edge",
    "wait, 1000 ready of 10000, edge",
    "register + unregister, 100 others, edge",
    "modify, changed, 100 others, edge",
    "modify, unchanged, 100 others, level",
    "wait and modify each, 64 ready, edge",
    "wake + wait",
    "burst of 100 wakes + wait",
    "chain, 100 pairs, 1 active, edge",
    "chain, 5000 pairs, 100 active, edge",
    "ping-pong between two threads, edge",
    "poll, 1000 ready of 1000",
    "select, 1000 ready of 1000",
    "echo, 1 connection, edge, processor time",
    "echo, 100 connections, edge, processor time",
    "echo, 5000 connections, edge, processor time",
];

/// The row of this work that the README shows: in the release profile, with the
/// handler inlined.
pub(crate) fn shown<'a>(rows: &'a [Row], work: &str) -> Option<&'a Row> {
    let shown = |row: &&Row| row.profile == PROFILES[0].name && row.called == Called::Inlined;
    rows.iter().filter(shown).find(|row| row.work == work)
}

pub(crate) fn print(run: &Run) {
    println!("\n{}\n{}", targets::table(&run.rows), targets::absolute(&run.rows));
    println!("lowered for the limit of open files: {}", limits::lowered());
    println!("load before the run: {}, duration: {:.0?}", run.load, run.took);
}

/// Writes the page, the table and the chart, and puts the rows into the README.
pub(crate) fn write(
    run: &Run,
    rounds: &str,
    folder: &Path,
    readme: Option<&Path>,
) -> io::Result<()> {
    let results = folder.join("results");
    write_file(folder, "README.md", &page(run, rounds))?;
    write_file(&results, "table.csv", &csv(&run.rows))?;
    write_file(&results, "chart.svg", &chart::chart(&run.rows))?;
    println!("written: {}", folder.join("README.md").display());
    match readme {
        Some(readme) => put_into(readme, &headlines(&run.rows)),
        None => Ok(()),
    }
}

/// Every figure of every subject.
fn csv(rows: &[Row]) -> String {
    let mut csv = String::from(
        "section,profile,called,work,unit,subject,figure,ratio to the first,quartile,quartile\n",
    );
    for row in rows {
        for subject in ALL {
            let Some(own) = row.median(subject) else { continue };
            let Row { section, profile, called, work, unit, .. } = row;
            let _ = write!(
                csv,
                "{section},{profile},{},\"{work}\",{unit},{subject},{own:.1},",
                called.name()
            );
            let _ = match row.ratio(subject, row.base()) {
                Some(ratio) => {
                    writeln!(csv, "{:.4},{:.4},{:.4}", ratio.median, ratio.low, ratio.high)
                }
                None => writeln!(csv, ",,"),
            };
        }
    }
    csv
}

fn headlines(rows: &[Row]) -> String {
    let mut text =
        String::from("| work | bare | selectors | mio | polling |\n|---|---|---|---|---|\n");
    for row in HEADLINES.iter().filter_map(|work| shown(rows, work)) {
        let bare = row.median(BARE).unwrap_or(f64::NAN);
        let _ = write!(text, "| {} | {bare:.0} ns |", row.work);
        for subject in [GROWABLE, MIO, POLLING] {
            let ratio = row.ratio(subject, BARE).map_or(f64::NAN, |ratio| ratio.median);
            let _ = write!(text, " {ratio:.2} |");
        }
        text.push('\n');
    }
    text
}

/// Replaces the first table under this heading.
const HEADING: &str = "\n## Speed\n";

fn put_into(readme: &Path, table: &str) -> io::Result<()> {
    let text = fs::read_to_string(readme)?;
    let missing = || io::Error::other("the README has no table of speed");
    let (before, section) = text.split_once(HEADING).ok_or_else(missing)?;
    let (introduction, rest) = section.split_once("\n| ").ok_or_else(missing)?;
    let (_, after) = rest.split_once("|\n\n").ok_or_else(missing)?;
    fs::write(readme, format!("{before}{HEADING}{introduction}\n{table}\n{after}"))
}
