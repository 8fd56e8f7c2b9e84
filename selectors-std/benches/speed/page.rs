//! The page of results.

use std::fmt::Write;

use crate::profiles::{PROFILES, Run};
use crate::row::Row;
use crate::run::SECTIONS;
use crate::subjects::ALL;
use crate::{machine, targets};

const INTRODUCTION: &str = "\
# Speed

`cargo bench -p selectors-std` measures on Linux and writes this page, `results/table.csv`, the chart and the rows
in the README of the workspace. `cargo bench -p selectors-std -- --quick` takes one to two minutes and writes its page to
`target/speed`. Other options: `--help`. `.ci/instructions` counts user instructions, which don't vary from run to run:
`results/instructions.csv`.

All subjects do the same work in the same process, a short while each in turn, round after round. The first
column of a table is a time. The others are ratios to it: the median of the rounds, and the quartiles in brackets.
Ratios within one run can be compared. Times of different runs can't.

The subjects:

- *calls*: the bare system calls of a program that needs no table, through rustix;
- *bare*: an epoll loop of these calls with a table whose generations detect stale events;
- *growable* and *fixed*: `selectors_std::DefaultSelector` and `selectors_core::DefaultSelector`, with all of their checks;
- *mio* and *polling*: each with a slab. mio has only edges. polling is in its level or edge mode.

*Called* is how the handler of the events is called, or, where there are no events, the measured function. It is
either inlined into the loop or behind a pointer that the compiler can't see through. *Level* is measured next to
level, and *edge* next to edge.
";

/// What stands above the tables of a section.
fn introduction(section: &str) -> &'static str {
    match section {
        "waits" => {
            "## Waits\n\nWaits with a timeout of zero. The handler adds one to the data of the key.\n"
        }
        "keys" => {
            "## Register, unregister, modify\n\nKeys are named by what `register` returned: a `KeyId`, or the token of the \
             other libraries. *By number* is a look-up by file descriptor, for which a fixed table is searched.\n"
        }
        "wakes" => "## Wakes\n\nA thread that wakes itself and then waits.\n",
        "programs" => {
            "## Chains and two threads\n\nIn a chain of socket pairs, each event reads from one pair and writes to the \
             next. Ping-pong is a byte between two threads with a selector each.\n"
        }
        "arrays" => {
            "## poll and select\n\nThe backends next to the bare calls of a program that keeps its arrays.\n"
        }
        "echo" => {
            "## Echo server\n\nA server on one thread, over TCP on the loopback. The client is a process of its own, the \
             same for all servers, and keeps one message of 64 bytes on its way on each connection. The time is from \
             message to message for all connections together; *processor time* is that of the server's thread.\n"
        }
        _ => {
            "## Memory\n\nBytes of the heap, counted by the allocator. They don't depend on the profile. The kernel's \
             memory is the same for all.\n"
        }
    }
}

fn figure(value: f64) -> String {
    if value >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

fn cell(row: &Row, subject: &str) -> Option<String> {
    let own = row.median(subject)?;
    let ratio = row.ratio(subject, row.base()).filter(|_| row.is_timed() && subject != row.base());
    Some(match ratio {
        Some(ratio) => format!("{:.2} [{:.2}–{:.2}]", ratio.median, ratio.low, ratio.high),
        None if row.is_timed() => format!("{} {}", figure(own), row.unit),
        None => figure(own),
    })
}

/// A line of a Markdown table.
pub(crate) fn line(row: &Row, columns: &[&str]) -> String {
    let mut line = format!("| {:<48} | {:<7} |", row.work, row.called.name());
    for subject in columns {
        let cell = cell(row, subject).unwrap_or_else(|| "–".to_owned());
        let _ = write!(line, " {cell:<16} |");
    }
    line
}

fn table(text: &mut String, rows: &[&Row]) {
    let columns: Vec<_> =
        ALL.into_iter().filter(|name| rows.iter().any(|row| row.median(name).is_some())).collect();
    let _ = write!(text, "| {:<48} | {:<7} |", "work", "called");
    for name in &columns {
        let _ = write!(text, " {name:<16} |");
    }
    let _ = writeln!(text, "\n|---|---|{}", "---|".repeat(columns.len()));
    for row in rows {
        let _ = writeln!(text, "{}", line(row, &columns));
    }
    text.push('\n');
}

pub(crate) fn page(run: &Run, rounds: &str) -> String {
    let mut text = format!("{INTRODUCTION}\n| | |\n|---|---|\n");
    for (name, value) in machine::facts() {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    let _ = writeln!(text, "| Load before the run | {} |", run.load);
    let _ = writeln!(text, "| Duration | {:.0?}, {rounds} |", run.took);
    text += "\nThe profiles:\n\n";
    for profile in PROFILES {
        let _ = writeln!(text, "- *{}*: {}", profile.name, profile.description);
    }
    text += "\n## Targets\n\nMissed ones are bold. Figures in parentheses have no target here: those of calls \
             behind a pointer, and those that the bare calls miss on this machine. Whether `modify` can be far ahead \
             of mio depends on the kernel: one that guards its returns makes each return after a system call \
             expensive.\n\n";
    text += &targets::table(&run.rows);
    text += "\n";
    text += &targets::absolute(&run.rows);
    text += "\n![Time next to the bare system calls](results/chart.svg)\n\n";
    for section in SECTIONS {
        text += introduction(section);
        text.push('\n');
        for profile in PROFILES {
            let of = |row: &&Row| row.section == section && row.profile == profile.name;
            let rows: Vec<_> = run.rows.iter().filter(of).collect();
            // Memory does not depend on the profile.
            if rows.is_empty() || section == "memory" && profile.name != PROFILES[0].name {
                continue;
            }
            let _ = writeln!(text, "### Profile {}: {section}\n", profile.name);
            table(&mut text, &rows);
        }
    }
    text
}
