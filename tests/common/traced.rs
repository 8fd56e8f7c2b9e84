//! A test that runs itself again under `strace`, and reads its log.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, fs};

use rustix::fs::{Access, access};

use super::alone::{is_alone, run_under};
use super::needs;

/// Does something between two marks in the log.
pub fn marked<T>(name: &str, work: impl FnOnce() -> T) -> T {
    mark(&format!("{name}("));
    let result = work();
    mark(")");
    result
}

/// Makes a system call that does nothing, and is in the log.
pub fn mark(text: &str) {
    assert!(access(text, Access::EXISTS).is_err());
}

/// A system call.
#[derive(Debug)]
pub struct Call {
    thread: u32,
    /// Its name.
    pub name: String,
    /// Its arguments and its result, as strace writes them.
    rest: String,
}

impl Call {
    /// The path that it is about, if it is the call that the tests mark their
    /// log with.
    pub fn path(&self) -> Option<&str> {
        let marks = matches!(self.name.as_str(), "access" | "faccessat" | "faccessat2");
        marks.then(|| self.rest.split('"').nth(1)).flatten()
    }

    /// The timeout of a call that waits, if it has one.
    pub fn timeout(&self) -> Option<Duration> {
        if self.name == "epoll_pwait" {
            // `epoll_pwait(3, [], 64, 3, NULL, 8) = 0`
            let (arguments, _) = self.rest.rsplit_once(") = ")?;
            let milliseconds = arguments.rsplit(", ").nth(2)?;
            return milliseconds.parse().ok().map(Duration::from_millis);
        }
        // `ppoll([{fd=3, events=POLLIN}], 1, {tv_sec=0, tv_nsec=100000}, NULL, 8) = 0 (Timeout)`
        let number = |name| {
            let (_, after) = self.rest.split_once(name)?;
            after.split(|other: char| !other.is_ascii_digit()).next()?.parse::<u64>().ok()
        };
        Some(Duration::new(number("tv_sec=")?, u32::try_from(number("tv_nsec=")?).ok()?))
    }

    /// Whether it returned this error, named as `EINTR`.
    pub fn failed_with(&self, errno: &str) -> bool {
        let result = self.rest.rsplit_once(" = ").map(|(_, result)| result);
        result.is_some_and(|result| result.split_whitespace().nth(1) == Some(errno))
    }
}

/// Runs `work` in a process of its own under strace, and returns what the
/// thread that did it called.
///
/// Returns `None` in that process itself, and without strace, which is printed.
pub fn log(test: impl Fn(), work: impl FnOnce()) -> Option<Vec<Call>> {
    log_with(&[], test, work)
}

/// As `log`, with further options for strace.
pub fn log_with(options: &[&str], test: impl Fn(), work: impl FnOnce()) -> Option<Vec<Call>> {
    if is_alone() {
        work();
        return None;
    }
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let file = env::temp_dir().join(format!("selectors-trace-{}-{number}", std::process::id()));
    let mut strace = strace()?;
    strace.args(options).args(["-s", "200", "-o"]).arg(&file);
    run_under(strace, test);
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let calls: Vec<_> = text.lines().filter_map(parse).collect();
    let thread = calls
        .iter()
        .find(|call| call.path().is_some_and(|path| path.ends_with('(')))
        .unwrap()
        .thread;
    Some(calls.into_iter().filter(|call| call.thread == thread).collect())
}

/// The table of `strace -c` for the run of a test.
pub fn summary(test: impl Fn(), work: impl FnOnce()) -> Option<String> {
    if is_alone() {
        work();
        return None;
    }
    let mut strace = strace()?;
    strace.arg("-c");
    Some(run_under(strace, test))
}

fn strace() -> Option<Command> {
    let mut strace = Command::new("strace");
    strace.arg("-f");
    needs::strace().then_some(strace)
}

/// How many calls of a name are in such a table.
pub fn calls(table: &str, name: &str) -> u64 {
    let line = table.lines().find(|line| line.split_whitespace().last() == Some(name)).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap()
}

/// A line of the log: `1234  name(arguments) = result`. Lines that only
/// continue an earlier one, and those about signals and ends of processes, are
/// not calls.
fn parse(line: &str) -> Option<Call> {
    let (thread, call) = line.split_once(' ')?;
    let (name, rest) = call.trim_start().split_once('(')?;
    let named = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    // Processors of 32 bits have a second set of calls, for times after 2038.
    let name = name.trim_end_matches("_time64").to_owned();
    named.then(|| Call { thread: thread.parse().unwrap(), name, rest: rest.to_owned() })
}
