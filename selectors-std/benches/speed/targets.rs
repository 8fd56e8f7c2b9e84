//! What is aimed at, and whether it was met.

use crate::measure::{BARE, FIXED, GROWABLE, MIO, Row};
use crate::memory::{ALLOCATIONS, MEMORY};

/// The growable selector at a work, as a ratio to somebody else, may cost at most this.
const TARGETS: [(&str, &str, f64); 25] = [
    ("empty wait, 10 registered", BARE, 1.05),
    ("empty wait, 10000 registered", BARE, 1.05),
    ("wait, 1 ready of 10", BARE, 1.03),
    ("wait, 1 ready of 10000", BARE, 1.03),
    ("wait, 100 ready of 10000", BARE, 1.03),
    ("wait, 1000 ready of 10000", BARE, 1.03),
    ("wait, 1 ready of 10000, edge", MIO, 1.02),
    ("wait, 100 ready of 10000, edge", MIO, 1.02),
    ("wait, 1000 ready of 10000, edge", MIO, 1.02),
    ("register + unregister, 0 others", BARE, 1.05),
    ("register + unregister, 100 others", BARE, 1.05),
    ("register + unregister, 10000 others", BARE, 1.05),
    ("chain, 9000 pairs, 1 active", BARE, 1.00),
    ("wake + wait", BARE, 0.70),
    ("burst of 100 wakes + wait", BARE, 0.08),
    ("poll, 0 ready of 100", BARE, 1.10),
    ("poll, 1 ready of 100", BARE, 1.10),
    ("poll, 100 ready of 100", BARE, 1.10),
    ("poll, 1 ready of 1000", BARE, 1.10),
    ("poll, 1000 ready of 1000", BARE, 1.10),
    ("select, 0 ready of 100", BARE, 1.10),
    ("select, 1 ready of 100", BARE, 1.10),
    ("select, 100 ready of 100", BARE, 1.10),
    ("select, 1 ready of 1000", BARE, 1.10),
    ("select, 1000 ready of 1000", BARE, 1.10),
];

/// Figures that may not grow with the number of registered descriptors, beyond a tenth more than the bare call's.
const CONSTANT: [(&str, &str); 3] = [
    ("empty wait, 10 registered", "empty wait, 10000 registered"),
    ("wait, 1 ready of 10", "wait, 1 ready of 10000"),
    ("register + unregister, 100 others", "register + unregister, 10000 others"),
];

/// Figures with a limit of their own.
const ABSOLUTE: [(&str, f64); 2] = [(MEMORY, 40.0), (ALLOCATIONS, 0.0)];

pub(crate) fn print(rows: &[Row]) {
    let find = |work: &str| rows.iter().find(|row| row.work == work);
    let line = |met: bool, what: String, reached: f64, target: f64| {
        println!("{} {what}: {reached:.3}, target {target:.2}", if met { "met   " } else { "MISSED" });
    };
    println!("\nThe growable selector's targets:\n");
    for (work, base, target) in TARGETS {
        if let Some(ratio) = find(work).and_then(|row| row.ratio(GROWABLE, base)) {
            let what = format!("{work}, beside {base} [{:.3}–{:.3}]", ratio.low, ratio.high);
            line(ratio.median <= target, what, ratio.median, target);
        }
    }
    for (few, many) in CONSTANT {
        let ratio = |work| find(work).and_then(|row| row.ratio(GROWABLE, BARE));
        if let (Some(few_ratio), Some(many_ratio)) = (ratio(few), ratio(many)) {
            let growth = many_ratio.median / few_ratio.median;
            line(growth <= 1.1, format!("{many}, beside {few}, each beside bare"), growth, 1.1);
        }
    }
    for (work, target) in ABSOLUTE {
        for subject in [GROWABLE, FIXED] {
            if let Some(reached) = find(work).and_then(|row| row.median(subject)) {
                line(reached <= target, format!("{work}, {subject}"), reached, target);
            }
        }
    }
}
