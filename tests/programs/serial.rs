//! The gateway to a serial line, of `examples/no_std_daemon`, with a
//! pseudoterminal as the line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use crate::common::without_std;

const PATIENCE: Option<Duration> = Some(Duration::from_secs(60));

/// The gateway, the other end of its line, and what it prints.
struct Gateway {
    child: Child,
    line: File,
    errors: BufReader<ChildStderr>,
    port: u16,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Gateway {
    fn start() -> Self {
        let line = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&line).unwrap();
        unlockpt(&line).unwrap();
        let device = ptsname(&line, Vec::new()).unwrap().into_string().unwrap();
        let program =
            without_std::build("examples/no_std_daemon", "serial", "no_std_daemon", &[], &[]);
        let mut child = Command::new(program)
            .args([&device, "115200", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let port = Self::line_of(&mut errors).strip_prefix("port ").unwrap().parse().unwrap();
        Self { child, line: line.into(), errors, port }
    }

    fn line_of(errors: &mut BufReader<ChildStderr>) -> String {
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn connect(&self) -> TcpStream {
        let peer = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        peer.set_read_timeout(PATIENCE).unwrap();
        peer
    }

    /// Sends bytes in both directions, and compares what arrives.
    fn carries(&mut self, peer: &mut TcpStream, bytes: &[u8]) {
        let mut received = vec![0; bytes.len()];
        peer.write_all(bytes).unwrap();
        self.line.read_exact(&mut received).unwrap();
        assert_eq!(received, bytes);
        received.fill(0);
        self.line.write_all(bytes).unwrap();
        peer.read_exact(&mut received).unwrap();
        assert_eq!(received, bytes);
    }
}

#[test]
fn all_bytes_pass_unchanged_at_the_speed_that_was_set() {
    let mut gateway = Gateway::start();
    let settings = tcgetattr(&gateway.line).unwrap();
    assert_eq!((settings.input_speed(), settings.output_speed()), (115_200, 115_200));
    assert!(
        !settings.local_modes.intersects(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    );
    let mut peer = gateway.connect();
    gateway.carries(&mut peer, &(0..=255).collect::<Vec<_>>());
}

#[test]
fn a_fast_sender_waits_for_a_slow_line_and_a_slow_peer() {
    const COUNT: usize = 1 << 20;
    let gateway = Gateway::start();
    let bytes: Vec<u8> = (0..COUNT).map(|number| (number % 251) as u8).collect();
    let mut received = vec![0; COUNT];
    let (mut peer, mut line) = (gateway.connect(), &gateway.line);
    thread::scope(|scope| {
        scope.spawn(|| (&peer).write_all(&bytes).unwrap());
        line.read_exact(&mut received).unwrap();
    });
    assert!(received == bytes);
    received.fill(0);
    thread::scope(|scope| {
        scope.spawn(|| (&gateway.line).write_all(&bytes).unwrap());
        peer.read_exact(&mut received).unwrap();
    });
    assert!(received == bytes);
}

#[test]
fn the_next_peer_is_served_when_the_first_one_has_closed() {
    let mut gateway = Gateway::start();
    let mut first = gateway.connect();
    gateway.carries(&mut first, b"first");
    let mut second = gateway.connect();
    second.write_all(b"second").unwrap();
    gateway.carries(&mut first, b"still the first");
    drop(first);
    let mut received = [0; 6];
    gateway.line.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"second");
    gateway.carries(&mut second, b"more");
}

#[test]
fn it_ends_when_the_line_hangs_up() {
    let mut gateway = Gateway::start();
    let mut peer = gateway.connect();
    gateway.carries(&mut peer, b"hello");
    gateway.line = File::open("/dev/null").unwrap(); // closes the line
    assert_eq!(gateway.child.wait().unwrap().code(), Some(1));
    let error = Gateway::line_of(&mut gateway.errors);
    assert!(["read 5", "read 32"].contains(&&*error), "{error}"); // EIO, or EPIPE for the end
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
}

#[test]
fn it_says_what_is_wrong_with_its_arguments() {
    let program = without_std::build("examples/no_std_daemon", "serial", "no_std_daemon", &[], &[]);
    for (arguments, error) in [
        (&["/dev/null"][..], "usage: serial DEVICE BAUD ADDRESS, error 22\n"),
        (&["/nowhere", "9600", "127.0.0.1:0"], "open 2\n"),
        (&["/dev/null", "9600", "127.0.0.1:0"], "tcgetattr 25\n"),
    ] {
        let output = Command::new(&program).args(arguments).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), error);
        assert_eq!(output.status.code(), Some(1));
    }
}
