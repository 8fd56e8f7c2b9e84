//! What is asked for on the command line.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, io};

use crate::measure::{Plan, Row};
use crate::{arrays, chain, chart, instructions, keys, memory, report, targets, waits, wakes};

const HELP: &str = "\
cargo bench -p selectors-std -- [OPTION]...
  (none)           the whole table; writes it and the chart to benches/results
  --quick          a glance at it; writes nothing
  --only WORD      only these: waits, keys, chain, wakes, arrays, memory; writes nothing
  --instructions   user instructions per operation, by valgrind; fails when one is past its limit
  --record         with --instructions: sets the limits anew";

pub(crate) fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let has = |option: &str| args.iter().any(|arg| arg == option);
    if has(instructions::COUNTED) {
        instructions::counted();
        return ExitCode::SUCCESS;
    }
    // `cargo test --benches` runs this, too: there is nothing to test, and a measurement takes its time.
    if !has("--bench") || has("--help") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results");
    let done = if has("--instructions") {
        instructions::main(&results, has("--record"))
    } else {
        let only = args.iter().skip_while(|arg| *arg != "--only").nth(1);
        table(has("--quick"), only.map(String::as_str), &results).map(|()| true)
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn table(quick: bool, only: Option<&str>, results: &Path) -> io::Result<()> {
    let plan = if quick {
        Plan { rounds: 6, slice: Duration::from_micros(1500) }
    } else {
        Plan { rounds: 30, slice: Duration::from_millis(10) }
    };
    let begin = Instant::now();
    let mut rows = Vec::new();
    let mut push = |row: Row| {
        report::print(&row);
        rows.push(row);
    };
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    report::print_head();
    if wanted("waits") {
        waits::rows(plan, &mut push);
    }
    if wanted("keys") {
        keys::rows(plan, &mut push);
    }
    if wanted("chain") {
        chain::rows(plan, &mut push);
    }
    if wanted("wakes") {
        wakes::rows(plan, &mut push);
    }
    if wanted("arrays") {
        arrays::rows(plan, &mut push);
    }
    if wanted("memory") {
        memory::rows(&mut push);
    }
    targets::print(&rows);
    println!("\n{} rounds of {:?}, {:.0?}", plan.rounds, plan.slice, begin.elapsed());
    if !quick && only.is_none() {
        report::write_csv(&rows, &results.join("table.csv"))?;
        chart::write(&rows, &results.join("chart.svg"))?;
    }
    Ok(())
}
