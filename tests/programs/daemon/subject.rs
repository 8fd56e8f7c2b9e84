//! A daemon as a process: it is built, started, controlled and measured.

use std::env;
use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::program::{self, PATIENCE};
use crate::common::{needs, without_std};

/// Which of the two programs, where its file is, and what runs it.
pub struct Subject {
    pub name: &'static str,
    pub path: PathBuf,
    pub bare: bool,
    runner: Option<String>,
}

/// The daemon without std: of the machine, or the one that `DAEMON` names.
pub fn no_std() -> &'static Subject {
    static SUBJECT: OnceLock<Subject> = OnceLock::new();
    SUBJECT.get_or_init(|| match env::var_os("DAEMON") {
        Some(path) => Subject {
            name: "without std",
            path: path.into(),
            bare: true,
            runner: env::var("DAEMON_RUNNER").ok(),
        },
        None => Subject {
            name: "without std",
            path: without_std::build(
                "examples/no_std_daemon",
                "daemon",
                "no_std_daemon",
                &["--bin", "minimal"],
                &[],
            ),
            bare: true,
            runner: None,
        },
    })
}

/// The one with std: `examples/daemon.rs`.
pub fn with_std() -> &'static Subject {
    static SUBJECT: OnceLock<Subject> = OnceLock::new();
    SUBJECT.get_or_init(|| Subject {
        name: "with std, as this test was built",
        path: program::program("daemon"),
        bare: false,
        runner: None,
    })
}

impl Subject {
    /// Whether the process is the program itself, not an emulator's.
    pub fn is_native(&self) -> bool {
        self.runner.is_none()
    }

    pub fn size(&self) -> u64 {
        fs::metadata(&self.path).unwrap().len()
    }

    /// The words of a command line that starts it.
    pub fn words(&self) -> Vec<String> {
        let runner =
            self.runner.iter().flat_map(|runner| runner.split_whitespace().map(str::to_owned));
        runner.chain([self.path.to_str().unwrap().to_owned()]).collect()
    }

    pub fn start(&self, idle: u32) -> Daemon {
        self.start_by(&[], idle)
    }

    /// Starts it through another program, which takes it as its last arguments.
    pub fn start_by(&self, prefix: &[&str], idle: u32) -> Daemon {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("selectors-daemon-{}-{number}", std::process::id());
        let folder = needs::socket_folder();
        let (path, ours) = (folder.join(&name), folder.join(name + "-client"));
        let words: Vec<String> =
            prefix.iter().map(|word| (*word).to_owned()).chain(self.words()).collect();
        let child = Command::new(&words[0])
            .args(&words[1..])
            // The strings of an environment would count as its memory.
            .env_clear()
            .envs(env::var_os("PATH").map(|path| ("PATH", path)))
            .args(["127.0.0.1:0", path.to_str().unwrap(), &idle.to_string()])
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", words[0]));
        let _ = fs::remove_file(&ours);
        let control = UnixDatagram::bind(&ours).unwrap();
        control.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut daemon = Daemon { child, control, path, ours, port: 0 };
        let deadline = Instant::now() + PATIENCE;
        while daemon.control.connect(&daemon.path).is_err() {
            assert!(daemon.child.try_wait().unwrap().is_none(), "the daemon did not start");
            assert!(Instant::now() < deadline, "the daemon has no control channel");
            sleep(Duration::from_millis(5));
        }
        daemon.port = daemon.stat("port").try_into().unwrap();
        daemon
    }
}

/// A running daemon, killed when dropped.
pub struct Daemon {
    child: Child,
    control: UnixDatagram,
    pub path: PathBuf,
    ours: PathBuf,
    port: u16,
}

impl Daemon {
    /// Sends a command, and returns the reply.
    pub fn ask(&self, command: &str) -> String {
        self.control.send(command.as_bytes()).unwrap();
        let mut reply = [0; 4096];
        let length = self.control.recv(&mut reply).unwrap();
        String::from_utf8(reply[..length].to_vec()).unwrap()
    }

    /// The numbers of all lines with this name.
    pub fn stats(&self, name: &str) -> Vec<u64> {
        let reply = self.ask("stat\n");
        let lines = reply.lines().filter_map(|line| line.split_once(' '));
        lines.filter(|(word, _)| *word == name).map(|(_, number)| number.parse().unwrap()).collect()
    }

    pub fn stat(&self, name: &str) -> u64 {
        self.stats(name)
            .first()
            .copied()
            .unwrap_or_else(|| panic!("no {name} in {}", self.ask("stat")))
    }

    pub fn peers(&self) -> usize {
        self.stats("peer").len()
    }

    pub fn wait_for_peers(&self, count: usize) {
        self.wait_until(&format!("{count} peers"), || self.peers() == count);
    }

    pub fn wait_until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < deadline, "no {what}:\n{}", self.ask("stat"));
            sleep(Duration::from_millis(10));
        }
    }

    /// Fails if the daemon waits more often than the timer, this question and a
    /// straggler can explain.
    pub fn assert_does_not_spin(&self) {
        let before = self.stat("waits");
        sleep(Duration::from_millis(500));
        let waits = self.stat("waits") - before;
        assert!(waits < 25, "{waits} waits in half a second, with nothing to do");
    }

    pub fn connect(&self) -> TcpStream {
        program::connect(self.port)
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended by itself.
    pub fn ended(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the daemon does not end");
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.ours);
    }
}
