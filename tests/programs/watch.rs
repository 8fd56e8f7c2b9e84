//! The program that watches descriptors of all kinds, and what it prints of
//! each.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::common::needs::installed;
use crate::common::program::{Program, program};
use crate::counterparts::{Directory, run};

/// What it prints with any input.
const ALWAYS: [&str; 8] = [
    "pipe: a thread was here",
    "pipe: end",
    "child's output: to its output",
    "child's output: end",
    "child: exit status: 7",
    "child's errors: to its errors",
    "child's errors: end",
    "counter: 3",
];

fn watching(input: impl Into<Stdio>, args: &[&str]) -> Program {
    let mut command = Command::new(program("watch_fds"));
    Program::spawn_with_input("watch_fds", command.args(args).stdin(input))
}

fn assert_ends(program: Program, also: &[&str]) {
    let (status, mut lines) = program.finish();
    assert!(status.success(), "{status}");
    assert_eq!(lines.pop().unwrap(), "nothing is left");
    // Ticks and counts come one by one or together, and with too little
    // processor time there may be a tick too many.
    let ticks = lines.iter().filter_map(|line| line.strip_prefix("timer: ")?.parse::<u64>().ok());
    assert_eq!(ticks.filter(|ticks| *ticks >= 3).count(), 1, "{lines:#?}");
    for expected in ALWAYS.iter().chain(also) {
        assert_eq!(
            lines.iter().filter(|line| line == expected).count(),
            1,
            "{expected} in {lines:#?}"
        );
    }
    lines.retain(|line| !line.starts_with("timer: ") && !line.starts_with("counter: "));
    assert_eq!(lines.len(), ALWAYS.len() - 1 + also.len() + 1, "{lines:#?}");
}

/// A new terminal: our side of it, and the program's.
fn terminal() -> (File, OwnedFd) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = rustix::fs::open(name, flags, Mode::empty()).unwrap();
    (ours.into(), theirs)
}

#[test]
fn a_terminal() {
    let (mut ours, theirs) = terminal();
    let mut program = watching(theirs, &[]);
    ours.write_all(b"a line\n").unwrap();
    program.wait_for("terminal: a line");
    ours.write_all(b"\x04").unwrap(); // Ctrl-D
    assert_ends(program, &["terminal: a line", "terminal: end"]);
}

#[test]
fn a_terminal_that_hangs_up() {
    let (mut ours, theirs) = terminal();
    let mut program = watching(theirs, &[]);
    ours.write_all(b"a line\n").unwrap();
    program.wait_for("terminal: a line");
    drop(ours);
    assert_ends(program, &["terminal: a line", "terminal: end"]);
}

#[test]
fn a_pipe_and_a_file_and_nothing() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let program = watching(reader, &[]);
    writer.write_all(b"some bytes").unwrap();
    drop(writer);
    assert_ends(program, &["input: some bytes", "input: end"]);

    let directory = Directory::new();
    let path = directory.path().join("file");
    std::fs::write(&path, "twelve bytes").unwrap();
    assert_ends(watching(File::open(path).unwrap(), &[]), &["file: 12 bytes"]);
    assert_ends(watching(Stdio::null(), &[]), &["file: 0 bytes"]);
}

#[test]
fn datagrams() {
    let directory = Directory::new();
    let path = directory.path().join("socket");
    let mut program = watching(Stdio::null(), &[path.to_str().unwrap()]);
    program.wait_for("watching ");
    let peer = UnixDatagram::unbound().unwrap();
    peer.send_to(b"one", &path).unwrap();
    peer.send_to(b"two", &path).unwrap();
    peer.send_to(b"bye", &path).unwrap();
    assert_ends(program, &["file: 0 bytes", "datagram: one", "datagram: two", "datagram: bye"]);
    assert!(!path.exists());
}

#[test]
fn datagrams_of_netcat() {
    let Some(nc) = installed("nc") else { return };
    let directory = Directory::new();
    let path = directory.path().join("socket");
    let mut program = watching(Stdio::null(), &[path.to_str().unwrap()]);
    program.wait_for("watching ");
    for message in ["hello", "bye"] {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "cd \"$2\" && echo \"$0\" | \"$1\" -uU -q 0 ./socket", message]);
        run("nc", command.arg(&nc).arg(directory.path()));
    }
    assert_ends(program, &["file: 0 bytes", "datagram: hello", "datagram: bye"]);
}
