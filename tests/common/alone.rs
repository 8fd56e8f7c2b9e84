//! A test that runs itself again in a process of its own.
//!
//! This is for tests that change or measure what all threads of a process
//! share, such as its limits, its descriptors and its memory, and for those
//! that fork or are traced.

use std::process::Command;
use std::{any, env, io};

use super::needs::{self, ALONE};

/// Whether this is such a process.
pub fn is_alone() -> bool {
    env::var_os(ALONE).is_some()
}

/// Does `work` in a process in which no other test runs. Panics if `work` does.
///
/// `test` is the test that calls this.
pub fn alone(test: impl Fn(), work: impl FnOnce()) {
    if is_alone() {
        return work();
    }
    run(Command::new(env::current_exe().unwrap()), name_of(&test));
}

/// Runs the test that calls this in a process of its own, by a command such as
/// strace, whose last argument is the program.
///
/// Returns what the process has printed.
pub fn run_under(mut command: Command, test: impl Fn()) -> String {
    command.arg(env::current_exe().unwrap());
    run(command, name_of(&test))
}

/// The name of a test as the harness knows it: the path of the function without
/// the crate's name.
fn name_of<T: Fn()>(_test: &T) -> &'static str {
    any::type_name::<T>().split_once("::").unwrap().1
}

fn run(mut command: Command, test: &str) -> String {
    command.args(["--exact", test, "--nocapture", "--include-ignored", "--test-threads=1"]);
    let output = command.env(ALONE, test).output().unwrap();
    let [text, errors] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    // Also if this process is not run with `--nocapture`.
    for line in errors.lines().filter(|line| line.starts_with(needs::SKIPPED)) {
        let _ = io::Write::write_all(&mut io::stderr(), format!("{line}\n").as_bytes());
    }
    println!("{text}");
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{}: {text}{errors}",
        output.status
    );
    text + &errors
}
