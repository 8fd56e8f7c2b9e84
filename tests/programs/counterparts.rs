//! Runs other programs, in a folder that is removed afterwards.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::common::needs;
use crate::common::program::Program;

/// A directory for a test, removed when dropped.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = needs::socket_folder().join(format!("selectors-{}-{number}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Starts a server that can't choose its port, on one that was free a moment
/// ago.
pub fn start_on_free_port(name: &str, command: impl Fn(u16) -> Command) -> (Program, SocketAddr) {
    for _ in 0..5 {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut server = Program::spawn(name, &mut command(address.port()));
        for _ in 0..200 {
            if TcpStream::connect(address).is_ok() {
                return (server, address);
            }
            if !server.is_running() {
                break; // another program took the port
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
    panic!("{name} does not start");
}

/// Runs a client, which must succeed, and returns what it prints.
pub fn run(name: &str, command: &mut Command) -> String {
    let (status, lines) = Program::spawn(name, command).finish();
    assert!(status.success(), "{name}: {status}\n{}", lines.join("\n"));
    lines.join("\n")
}

/// Runs wrk, and returns the requests per second. None may fail.
pub fn wrk(program: &Path, connections: usize, seconds: u32, url: &str) -> f64 {
    let mut command = Command::new(program);
    command.args(["--threads=1", "--timeout=20s", &format!("--connections={connections}")]);
    let output = run("wrk", command.args([&format!("--duration={seconds}s"), url]));
    for failure in ["Socket errors", "Non-2xx"] {
        assert!(!output.contains(failure), "{output}");
    }
    let rate = output.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    let rate: f64 = rate.unwrap_or_else(|| panic!("{output}")).trim().parse().unwrap();
    assert!(rate > 0.0, "{output}");
    rate
}

/// Starts an example that prints where it listens.
pub fn serve(name: &str, args: &[&str]) -> (Program, SocketAddr) {
    listening(Program::start(name, args))
}

pub fn listening(mut server: Program) -> (Program, SocketAddr) {
    let line = server.wait_for("listening on ");
    let address = line.split(' ').nth(2).unwrap().parse().unwrap();
    (server, address)
}

/// Echoes all that comes, each connection in a thread.
pub fn echo_everything(listener: TcpListener) {
    thread::spawn(move || {
        for peer in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let _ = std::io::copy(&mut &peer, &mut &peer);
            });
        }
    });
}

/// Asserts that netcat gets its echo, if it is installed.
pub fn echoes_netcat(address: SocketAddr) {
    let Some(program) = needs::installed("nc") else { return };
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "printf 'one\\ntwo\\n' | \"$0\" -N 127.0.0.1 \"$1\""]);
    let output = run("nc", command.arg(program).arg(address.port().to_string()));
    assert_eq!(output, "one\ntwo");
}
