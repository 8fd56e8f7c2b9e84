//! The targets of the growable selector, and whether they were met.

use std::fmt::Write;

use crate::memory::{ALLOCATIONS, MEMORY};
use crate::profiles::PROFILES;
use crate::row::{Called, Row};
use crate::subjects::{BARE, CALLS, FIXED, GROWABLE, MIO};

/// A work, what its time is compared with, and the ratio that it may have at
/// most.
struct Target {
    work: &'static str,
    base: &'static str,
    limit: f64,
    /// The others are for both ways to call.
    only_inlined: bool,
}

const fn target(work: &'static str, base: &'static str, limit: f64) -> Target {
    Target { work, base, limit, only_inlined: false }
}

/// Where the program calls it in its loop.
const fn inlined(work: &'static str, base: &'static str, limit: f64) -> Target {
    Target { work, base, limit, only_inlined: true }
}

const TARGETS: [Target; 22] = [
    target("empty wait, 10000 registered, level", BARE, 1.05),
    target("wait, 1 ready of 10, level", BARE, 1.03),
    target("wait, 1 ready of 10000, level", BARE, 1.03),
    target("wait, 100 ready of 10000, level", BARE, 1.03),
    target("wait, 1000 ready of 10000, level", BARE, 1.03),
    target("wait, 1 ready of 10000, edge", MIO, 1.02),
    target("wait, 100 ready of 10000, edge", MIO, 1.02),
    target("wait, 1000 ready of 10000, edge", MIO, 1.02),
    target("register + unregister, 0 others, level", CALLS, 1.25),
    target("register + unregister, 100 others, level", CALLS, 1.25),
    target("register + unregister, 100 others, edge", CALLS, 1.25),
    target("register + unregister, 9999 others, level", CALLS, 1.25),
    inlined("modify, changed, 100 others, level", CALLS, 1.1),
    inlined("modify, changed, 100 others, edge", MIO, 0.75),
    inlined("wait and modify each, 64 ready, level", CALLS, 1.1),
    target("wake + wait", BARE, 0.7),
    target("burst of 100 wakes + wait", BARE, 0.08),
    target("chain, 5000 pairs, 1 active, level", BARE, 1.0),
    target("poll, 1 ready of 1000", BARE, 1.05),
    target("poll, 1000 ready of 1000", BARE, 1.05),
    target("select, 1 ready of 1000", BARE, 1.05),
    target("select, 1000 ready of 1000", BARE, 1.05),
];

/// Figures with limits of their own, for both tables.
const ABSOLUTE: [(&str, f64); 2] = [(MEMORY, 40.0), (ALLOCATIONS, 0.0)];

fn cell(reached: f64, limit: f64, is_target: bool) -> String {
    match (is_target, reached <= limit) {
        (true, true) => format!("{reached:.3}"),
        (true, false) => format!("**{reached:.3}**"),
        (false, _) => format!("({reached:.3})"),
    }
}

/// A table of all targets, in all profiles that were measured.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut head = "| growable selector | target |".to_owned();
    let mut cells = Vec::new();
    for profile in PROFILES {
        for called in Called::BOTH {
            let _ = write!(head, " {}, {} |", profile.name, called.name());
            cells.push((profile.name, called));
        }
    }
    let mut text = format!("{head}\n|---|---|{}\n", "---|".repeat(cells.len()));
    for Target { work, base, limit, only_inlined } in TARGETS {
        let ratio = |&(profile, called): &(&str, Called)| {
            let mut found = rows.iter().filter(|row| row.work == work && row.profile == profile);
            let row = found.find(|row| row.called == called)?;
            // Nothing can be a quarter ahead of mio where the bare calls are
            // not.
            let reachable = base != MIO || limit >= 1.0 || row.ratio(CALLS, MIO)?.median <= limit;
            let is_target = reachable && (called == Called::Inlined || !only_inlined);
            Some(cell(row.ratio(GROWABLE, base)?.median, limit, is_target))
        };
        let ratios: Vec<_> = cells.iter().map(ratio).collect();
        if ratios.iter().all(Option::is_none) {
            continue;
        }
        let base = if base == MIO {
            "mio"
        } else if base == CALLS {
            "the calls"
        } else {
            "the bare loop"
        };
        let _ = write!(text, "| {work} | ≤ {limit:.2} of {base} |");
        for ratio in ratios {
            let _ = write!(text, " {} |", ratio.unwrap_or_else(|| "–".to_owned()));
        }
        text.push('\n');
    }
    text
}

/// Those that are not ratios.
pub(crate) fn absolute(rows: &[Row]) -> String {
    let mut text = String::new();
    for (work, limit) in ABSOLUTE {
        for subject in [GROWABLE, FIXED] {
            let row = rows.iter().find(|row| row.work == work);
            if let Some(reached) = row.and_then(|row| row.median(subject)) {
                let reached = cell(reached, limit, true);
                let _ = writeln!(text, "- {work}, {subject}: {reached}, target ≤ {limit}");
            }
        }
    }
    text
}
