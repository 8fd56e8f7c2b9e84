//! The command line, and the rows of one profile.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, io};

use crate::measure::Plan;
use crate::row::Row;
use crate::{arrays, chain, echo, keys, limits, memory, profiles, results, waits, wakes};

const HELP: &str = "\
cargo bench -p selectors-std -- [OPTION]...
  (none)           all rows in three profiles: writes benches/README.md, benches/results and the rows of
                   the README
  --quick          fewer and shorter rounds: writes its page to target/speed
  --only SECTION   only these rows, and no page: waits, keys, wakes, programs, arrays, echo, memory
  --profile NAME   only this profile, and no page: release, fat, size";

/// The argument with which the program measures one profile, which is named
/// next. It prints lines for `profiles`.
pub(crate) const MEASURE: &str = "--measure";

/// The options that limit what is measured.
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) only: Option<String>,
    pub(crate) profile: Option<String>,
}

pub(crate) fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let has = |option: &str| args.iter().any(|arg| arg == option);
    let after = |option: &str| args.iter().skip_while(|arg| *arg != option).nth(1).cloned();
    if args.first().is_some_and(|first| first == echo::client::CLIENT) {
        echo::client::main(&args[1..]);
        return ExitCode::SUCCESS;
    }
    // `cargo test --benches` runs this, too: there is nothing to test, and a
    // measurement takes minutes.
    if !has("--bench") || has("--help") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    limits::raise();
    let options =
        Options { quick: has("--quick"), only: after("--only"), profile: after("--profile") };
    let benches = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches");
    let done = match after(MEASURE) {
        Some(profile) => {
            measure(&profile, &options);
            Ok(())
        }
        None => all(&options, &benches),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The sections of the page, in its order.
pub(crate) const SECTIONS: [&str; 7] =
    ["waits", "keys", "wakes", "programs", "arrays", "echo", "memory"];

fn plan(quick: bool) -> Plan {
    if quick {
        Plan { rounds: 3, slice: Duration::from_millis(1) }
    } else {
        Plan { rounds: 13, slice: Duration::from_millis(4) }
    }
}

/// Measures this profile, and prints the rows as lines.
fn measure(profile: &str, options: &Options) {
    let plan = plan(options.quick);
    for section in SECTIONS {
        if options.only.as_deref().is_some_and(|only| only != section) {
            continue;
        }
        let mut print = |mut row: Row| {
            (row.section, row.profile) = (section.to_owned(), profile.to_owned());
            println!("{}", row.to_line());
        };
        match section {
            "waits" => waits::rows(plan, &mut print),
            "keys" => keys::rows(plan, &mut print),
            "wakes" => wakes::rows(plan, &mut print),
            "programs" => chain::rows(plan, &mut print),
            "arrays" => arrays::rows(plan, &mut print),
            "echo" => echo::rows(plan, &mut print),
            _ => memory::rows(&mut print),
        }
    }
}

fn all(options: &Options, benches: &Path) -> io::Result<()> {
    let run = profiles::run(options)?;
    let Plan { rounds, slice } = plan(options.quick);
    let rounds = format!("{rounds} rounds of {slice:?} for each subject");
    results::print(&run);
    if options.only.is_some() || options.profile.is_some() {
        return Ok(());
    }
    if options.quick {
        results::write(&run, &rounds, &profiles::target()?.join("speed"), None)
    } else {
        results::write(&run, &rounds, benches, Some(&benches.join("../../README.md")))
    }
}
