//! The programs of `examples/` as processes, and the test's ends of their
//! connections.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

#[cfg(target_os = "linux")]
use super::process::ticks;

/// How long anything may take before a test fails. This is far more than it
/// needs, also under an emulator.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub const SERVERS: [&str; 4] = [
    "selectors_echo_server",
    "select_echo_server",
    "select_echo_server_timeout",
    "select_poll_echo_server",
];

/// The servers that run until they are killed.
pub const LASTING: [&str; 3] =
    ["select_echo_server", "select_echo_server_timeout", "select_poll_echo_server"];

/// An example program as a process, killed when dropped.
pub struct Program {
    name: String,
    child: Child,
    lines: Receiver<String>,
    pub seen: Vec<String>,
}

impl Program {
    pub fn start(name: &str, args: &[&str]) -> Self {
        Self::spawn(name, Command::new(program(name)).args(args))
    }

    /// Starts a server on a free port.
    pub fn serve(name: &str) -> (Self, u16) {
        Self::start(name, &["127.0.0.1", "0"]).on_port()
    }

    pub fn spawn(name: &str, command: &mut Command) -> Self {
        Self::spawn_with_input(name, command.stdin(Stdio::null()))
    }

    pub fn spawn_with_input(name: &str, command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines() {
                if sender.send(line.unwrap()).is_err() {
                    break;
                }
            }
        });
        let name = name.to_owned();
        Self { name, child, lines, seen: Vec::new() }
    }

    pub fn on_port(mut self) -> (Self, u16) {
        let line = self.wait_for("starting up on ");
        let port = line.rsplit(' ').next().unwrap().parse().unwrap();
        self.wait_for("waiting for ");
        (self, port)
    }

    /// Waits for a line that holds `text`.
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(error) => panic!("{}: {error}, no {text:?}{}", self.name, self.tail()),
            }
        }
    }

    /// Waits until the program prints nothing for a while, because it waits or
    /// has ended.
    pub fn wait_for_silence(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(Duration::from_millis(300)) {
                Ok(line) => self.seen.push(line),
                Err(_) => return,
            }
            let late = Instant::now() > deadline;
            assert!(!late, "{} is busy{}", self.name, self.tail());
        }
    }

    /// Waits until the program ends.
    pub fn finish(mut self) -> (ExitStatus, Vec<String>) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(error) => panic!("{}: {error}{}", self.name, self.tail()),
            }
        }
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, std::mem::take(&mut self.seen));
            }
            assert!(Instant::now() < deadline, "{} does not end", self.name);
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn assert_running(&mut self) {
        assert!(self.is_running(), "{} has ended{}", self.name, self.tail());
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Stops the process while `action` runs. When it goes on, it finds all
    /// that the action did.
    pub fn stopped_during<T>(&self, action: impl FnOnce() -> T) -> T {
        let pid = self.pid();
        kill_process(pid, Signal::STOP).unwrap();
        waitpid(Some(pid), WaitOptions::UNTRACED).unwrap();
        let result = action();
        kill_process(pid, Signal::CONT).unwrap();
        result
    }

    fn tail(&self) -> String {
        let tail = self.seen.len().saturating_sub(20);
        let lines: Vec<String> =
            self.seen[tail..].iter().map(|line| line.chars().take(120).collect()).collect();
        format!(", after:\n{}", lines.join("\n"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the path of an example program, and builds it if it is not fresh.
///
/// Cargo builds the examples for `cargo test`, but not for
/// `cargo test --test programs`.
pub fn program(name: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        let test = env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap();
        let directory = profile.join("examples");
        if is_fresh(&directory) { directory } else { build_examples(profile) }
    });
    directory.join(format!("{name}{}", env::consts::EXE_SUFFIX))
}

/// Returns whether all example programs exist and are newer than their sources.
fn is_fresh(directory: &Path) -> bool {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let modified = |path: &Path| fs::metadata(path).and_then(|data| data.modified());
    fs::read_dir(sources)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|source| source.extension().is_some_and(|extension| extension == "rs"))
        .all(|source| {
            let name = source.file_stem().unwrap().to_str().unwrap();
            let program = directory.join(format!("{name}{}", env::consts::EXE_SUFFIX));
            modified(&program).is_ok_and(|built| built > modified(&source).unwrap())
        })
}

/// Builds the examples the way this test was built, and returns the directory
/// that Cargo puts them in.
fn build_examples(profile: &Path) -> PathBuf {
    // TARGET_DIR, or TARGET_DIR/TRIPLE for `cargo test --target`. Cargo has a
    // file in the first.
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let holds_all = |directory: &Path| directory.join(".rustc_info.json").exists();
    let above = directory.parent().filter(|above| !holds_all(directory) && holds_all(above));
    let profile = match profile.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        name => name,
    };
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["build", "--quiet", "--examples", "--message-format=json", "--profile", profile])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg("--target-dir")
        .arg(above.unwrap_or(directory));
    if above.is_some() {
        command.arg("--target").arg(directory.file_name().unwrap());
    }
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", output.status);
    let messages = String::from_utf8(output.stdout).unwrap();
    let executable =
        |line: &str| line.split_once("\"executable\":\"")?.1.split('"').next().map(PathBuf::from);
    messages.lines().find_map(executable).unwrap().parent().unwrap().into()
}

/// Returns a command that runs its arguments with few descriptors, and without
/// those that the test has inherited.
pub fn limited(descriptors: u32) -> Command {
    let mut command = Command::new("/bin/sh");
    let script = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; ulimit -n $0 && exec \"$@\"";
    command.args(["-c", script, &descriptors.to_string()]);
    command
}

pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Closes a connection with a reset, so that the other side gets an error.
pub fn reset(stream: TcpStream) {
    sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}

/// Sends a message and expects it back.
pub fn echo(mut stream: &TcpStream, message: &[u8]) {
    stream.write_all(message).unwrap();
    receive(stream, message);
}

/// Asserts that this message comes.
pub fn receive(mut stream: &TcpStream, message: &[u8]) {
    let mut received = vec![0; message.len()];
    stream.read_exact(&mut received).unwrap();
    assert_eq!(received, message);
}

/// Sends until the peer accepts no more, and returns the number of bytes that
/// it has accepted.
pub fn fill(mut sender: &TcpStream) -> usize {
    sender.set_nonblocking(true).unwrap();
    let (block, mut sent, mut refusals) = (block(), 0, 0);
    while refusals < 10 {
        match sender.write(&block[sent % block.len()..]) {
            Ok(count) => (sent, refusals) = (sent + count, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(50));
                refusals += 1;
            }
            Err(error) => panic!("{error}"),
        }
        assert!(sent < 256 << 20, "the peer keeps it all");
    }
    sender.set_nonblocking(false).unwrap();
    sent
}

/// Asserts that these bytes are the first that `fill` sends.
pub fn assert_filled(received: &[u8]) {
    let block = block();
    assert!(received.chunks(block.len()).all(|chunk| block.starts_with(chunk)), "bytes are lost");
}

/// What `fill` repeats. Its length is not a power of two, so that lost buffers
/// show.
fn block() -> Vec<u8> {
    pattern(99_991)
}

/// Asserts that the server survives the loss of its peer, and serves the next.
pub fn assert_serves_on(mut server: Program, port: u16) {
    server.wait_for("closing");
    assert_served_next(server, port);
}

/// Asserts that the server has served its peer to the end.
///
/// A lasting server serves the next peer. A server for a single client ends
/// without an error.
pub fn assert_served(mut server: Program, port: u16) {
    server.wait_for("closing");
    if LASTING.contains(&&*server.name) {
        assert_served_next(server, port);
    } else {
        assert_ended(server);
    }
}

/// Asserts that another peer is served, as by `assert_served`.
pub fn assert_served_next(mut server: Program, port: u16) {
    server.assert_running();
    echo(&connect(port), b"next, please");
    server.wait_for("closing");
    if LASTING.contains(&&*server.name) {
        server.wait_for_silence();
        server.assert_running();
    } else {
        assert_ended(server);
    }
}

fn assert_ended(server: Program) {
    let (status, lines) = server.finish();
    assert!(status.success(), "{status}");
    assert_eq!(lines[lines.len() - 2..], ["  closing", "shutting down"]);
}

/// Asserts that a process that has nothing to do uses no processor time for it.
#[cfg(target_os = "linux")]
pub fn assert_at_rest(server: &Program) {
    let before = ticks(server.pid());
    thread::sleep(Duration::from_secs(1));
    // A hundred ticks are a second.
    let used = ticks(server.pid()) - before;
    assert!(used < 20, "{used} ticks in a second");
}

#[cfg(not(target_os = "linux"))]
pub fn assert_at_rest(_server: &Program) {}

/// Returns bytes that would not look the same if some were missing.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| b'a' + u8::try_from((i / 1024 + i % 1021) % 26).unwrap()).collect()
}
