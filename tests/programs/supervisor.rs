//! The supervisor and its children.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process, test_kill_process};

use crate::common::at_once;
use crate::common::program::{Program, assert_at_rest, limited, program};
use crate::counterparts::Directory;

#[test]
fn children_print_and_are_started_again() {
    let mut supervisor = Program::start(
        "supervisor",
        &[
            "echo one; echo two >&2; printf three; exit 3",
            "echo four >&2; kill -9 $$",
            "sleep 1000",
        ],
    );
    // The last delay that is awaited here.
    supervisor.wait_for("0 has ended: exit status: 3; it starts again in 400ms");
    supervisor.wait_for("0 out: three");
    let last = "1 has ended: signal: 9 (SIGKILL); it starts again in 200ms";
    if !supervisor.seen.iter().any(|seen| seen == last) {
        supervisor.wait_for(last);
    }
    let count = |line: &str| supervisor.seen.iter().filter(|seen| *seen == line).count();
    for line in ["0 has started", "0 out: one", "0 err: two", "0 out: three"] {
        assert!(count(line) >= 3, "{line} in {:#?}", supervisor.seen);
    }
    for delay in ["100ms", "200ms"] {
        assert_eq!(count(&format!("0 has ended: exit status: 3; it starts again in {delay}")), 1);
        assert_eq!(
            count(&format!("1 has ended: signal: 9 (SIGKILL); it starts again in {delay}")),
            1,
            "{:#?}",
            supervisor.seen
        );
    }
    assert!(count("1 err: four") >= 2);
    assert_eq!(count("2 has started"), 1);
}

/// A child whose output another process holds is started again all the same,
/// and a child that closes its outputs and goes on is not.
#[test]
fn outputs_and_ends_are_apart() {
    let supervisor = Program::start(
        "supervisor",
        &["(sleep 1; echo late) & exit 1", "exec >&- 2>&-; sleep 1000"],
    );
    let mut supervisor = supervisor;
    supervisor.wait_for("0 has ended: exit status: 1; it starts again in 200ms");
    supervisor.wait_for("0 out: late");
    assert!(!supervisor.seen.iter().any(|line| line.starts_with("1 has ended")));
}

/// No child is left behind, also if it or its own children do not end by
/// themselves.
#[test]
fn sigterm_ends_all() {
    at_once([Signal::TERM, Signal::INT], |signal| {
        let directory = Directory::new();
        let pids = directory.path().join("pids");
        let note = format!("echo $$ >>\"{}\"", pids.display());
        let polite = format!("{note}; echo here; sleep 1000");
        let stubborn =
            format!("trap '' TERM; {note}; sh -c '{note}; sleep 1000' & echo here; wait");
        let late = "trap 'echo ending; exit 7' TERM; echo here; while :; do sleep 0.1; done";
        let mut supervisor = Program::start("supervisor", &[&polite, &stubborn, late]);
        for _ in 0..3 {
            supervisor.wait_for("out: here");
        }
        let read = || fs::read_to_string(&pids).unwrap_or_default();
        let begun = Instant::now();
        while read().lines().count() < 3 {
            assert!(begun.elapsed() < Duration::from_secs(30), "{}", read());
            thread::sleep(Duration::from_millis(10));
        }
        assert_at_rest(&supervisor);
        kill_process(supervisor.pid(), signal).unwrap();
        let (status, lines) = supervisor.finish();
        assert!(status.success(), "{status}");
        for expected in [
            "0 has ended: signal: 15 (SIGTERM)",
            "1 has ended: signal: 9 (SIGKILL)",
            "2 out: ending",
            "2 has ended: exit status: 7",
        ] {
            assert!(lines.iter().any(|line| line == expected), "{expected} in {lines:#?}");
        }
        assert_eq!(lines.last().unwrap(), "all have ended");
        for pid in read().lines() {
            let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
            // The last of them are reaped by another process.
            let begun = Instant::now();
            while is_running(pid) {
                assert!(begun.elapsed() < Duration::from_secs(30), "{pid} is left");
                thread::sleep(Duration::from_millis(10));
            }
        }
    });
}

/// A process that has ended and was not reaped yet does not count.
fn is_running(pid: rustix::process::Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    test_kill_process(pid).is_ok() && !stat.is_ok_and(|stat| stat.contains(") Z "))
}

/// If no descriptor is free for its pipes, a child is started later.
#[test]
fn out_of_descriptors() {
    let mut command = limited(16);
    command.arg(program("supervisor")).args([
        "sleep 1; exit 1",
        "sleep 1000",
        "sleep 1000",
        "sleep 1000",
    ]);
    let mut supervisor = Program::spawn("supervisor", &mut command);
    supervisor.wait_for("it starts again in 400ms");
    assert!(
        supervisor.seen.iter().any(|line| line.contains("Too many open files")),
        "{:#?}",
        supervisor.seen
    );
    supervisor.assert_running();
}
