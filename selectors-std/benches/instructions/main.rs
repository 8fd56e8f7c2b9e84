//! User-space instructions per operation, counted by valgrind:
//! `.ci/instructions`.
//!
//! A program of its own, with few calls of each function: what is inlined, and
//! with it the counts, does not depend on what `speed` measures.

#[cfg(target_os = "linux")]
mod counts;
#[cfg(target_os = "linux")]
#[path = "../speed/pool.rs"]
mod pool;
#[cfg(target_os = "linux")]
#[allow(dead_code, unused_imports, reason = "`speed` uses the rest")]
#[path = "../speed/subjects/mod.rs"]
mod subjects;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use std::path::Path;
    use std::process::ExitCode;

    const HELP: &str = "\
cargo bench -p selectors-std --bench instructions -- [OPTION]
  (none)     counts, writes benches/results/instructions.csv, and fails when a count is past its limit
  --record   sets the limits";

    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |option: &str| args.iter().any(|arg| arg == option);
    if has(counts::COUNTED) {
        counts::counted();
        return ExitCode::SUCCESS;
    }
    // `cargo test --benches` runs this, too, where valgrind may be missing.
    if !has("--bench") || has("--help") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results");
    match counts::main(&results, has("--record")) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("the bare loop of this benchmark needs epoll: Linux only");
}
