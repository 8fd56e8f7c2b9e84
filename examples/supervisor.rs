//! A supervisor, which restarts commands when they end and prints their output.
//!
//! One loop watches the outputs of all children and two pipes of signals, and
//! has a heap of deadlines. A child that ends is started again after a delay,
//! which doubles each time. On SIGTERM the supervisor ends its children, and
//! kills those that have not ended after a time.
//!
//! ```text
//! cargo run --example supervisor 'while sleep 1; do date; done' 'exit 1' 'sleep 3'
//! ```
//!
//! It needs the crates selectors-std, signal-hook and rustix (feature process).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::env;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, Signal, kill_process_group};
use selectors_std::{DefaultSelector, Events};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LAST_DELAY: Duration = Duration::from_secs(30);

/// A child that has run for this long starts with the first delay again.
const HEALTHY: Duration = Duration::from_secs(10);

/// How long a child may run after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// The number of signals that are handled.
const SIGNALS: usize = 3;

/// The longest line that is kept in memory.
const LINE: usize = 8 << 10;

/// Anything that can be watched and read: the outputs of children, and the
/// pipes of signals.
trait Source: AsFd + Read {}
impl<T: AsFd + Read> Source for T {}

enum Role {
    ChildEnded,
    Terminate,
    /// An output of a job, and the beginning of a line.
    Output(usize, &'static str, Vec<u8>),
}

struct Job {
    command: String,
    child: Option<Child>,
    started: Instant,
    delay: Duration,
}

/// What to do at a deadline.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    Start(usize),
    Kill,
}

struct Supervisor {
    selector: DefaultSelector<Box<dyn Source>, Role>,
    jobs: Vec<Job>,
    tasks: BinaryHeap<Reverse<(Instant, Task)>>,
    is_ending: bool,
}

fn main() -> io::Result<()> {
    let (now, delay) = (Instant::now(), FIRST_DELAY);
    let jobs: Vec<_> = env::args()
        .skip(1)
        .map(|command| Job { command, child: None, started: now, delay })
        .collect();
    let tasks = (0..jobs.len()).map(|job| Reverse((now, Task::Start(job)))).collect();

    let mut selector = DefaultSelector::<Box<dyn Source>, Role>::new()?;
    let roles =
        [(SIGCHLD, Role::ChildEnded), (SIGTERM, Role::Terminate), (SIGINT, Role::Terminate)];
    for (signal, role) in roles {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(signal, theirs)?;
        selector.register(Box::new(ours), Events::READ, role)?;
    }
    Supervisor { selector, jobs, tasks, is_ending: false }.run()
}

impl Supervisor {
    fn run(mut self) -> io::Result<()> {
        // At the end, only the pipes of signals are registered.
        while !self.is_ending || self.selector.get_map().len() > SIGNALS || self.has_children() {
            let deadline = self.tasks.peek().map(|Reverse((deadline, _))| *deadline);
            self.selector.select_until(deadline)?;
            self.read()?;
            while self
                .tasks
                .peek()
                .is_some_and(|Reverse((deadline, _))| *deadline <= Instant::now())
            {
                match self.tasks.pop() {
                    Some(Reverse((_, Task::Start(job)))) => self.start(job),
                    Some(Reverse((_, Task::Kill))) => self.kill(),
                    None => {}
                }
            }
        }
        println!("all have ended");
        Ok(())
    }

    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let (mut has_ended, mut is_stopped) = (false, false);
        while let Some((mut key, _events)) = self.selector.next_ready() {
            let bytes = match key.read(&mut buffer) {
                Ok(count) => &buffer[..count],
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(_) => &[],
            };
            match key.data_mut() {
                Role::ChildEnded => has_ended = true,
                Role::Terminate => is_stopped = true,
                Role::Output(job, name, line) => {
                    print(*job, name, line, bytes);
                    if bytes.is_empty() {
                        drop(key.unregister());
                    }
                }
            }
        }
        if is_stopped {
            self.terminate();
        }
        if has_ended { self.reap() } else { Ok(()) }
    }

    fn start(&mut self, number: usize) {
        let job = &mut self.jobs[number];
        job.started = Instant::now();
        // If that fails, descriptors or memory may be short.
        let Err(error) = spawn(&mut self.selector, number, job) else { return };
        match &job.child {
            Some(child) => signal(child, Signal::KILL), // it is started again when it has ended
            None => self.restart(number, &error.to_string()),
        }
    }

    /// Plans the next start of a job.
    fn restart(&mut self, number: usize, why: &str) {
        if self.is_ending {
            return println!("{number} has ended: {why}");
        }
        let job = &mut self.jobs[number];
        if job.started.elapsed() >= HEALTHY {
            job.delay = FIRST_DELAY;
        }
        println!("{number} has ended: {why}; it starts again in {:?}", job.delay);
        self.tasks.push(Reverse((Instant::now() + job.delay, Task::Start(number))));
        job.delay = LAST_DELAY.min(2 * job.delay);
    }

    /// Looks for children that have ended.
    fn reap(&mut self) -> io::Result<()> {
        for number in 0..self.jobs.len() {
            let Some(child) = &mut self.jobs[number].child else { continue };
            if let Some(status) = child.try_wait()? {
                self.jobs[number].child = None;
                self.restart(number, &status.to_string());
            }
        }
        Ok(())
    }

    fn terminate(&mut self) {
        self.is_ending = true;
        self.tasks.clear();
        self.tasks.push(Reverse((Instant::now() + GRACE, Task::Kill)));
        for child in self.jobs.iter().filter_map(|job| job.child.as_ref()) {
            signal(child, Signal::TERM);
        }
    }

    fn kill(&mut self) {
        for child in self.jobs.iter().filter_map(|job| job.child.as_ref()) {
            signal(child, Signal::KILL);
        }
        // Other processes may keep an output open.
        self.selector.retain(|key| !matches!(key.data, Role::Output(..)));
    }

    fn has_children(&self) -> bool {
        self.jobs.iter().any(|job| job.child.is_some())
    }
}

fn spawn(
    selector: &mut DefaultSelector<Box<dyn Source>, Role>,
    number: usize,
    job: &mut Job,
) -> io::Result<()> {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", &job.command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.process_group(0); // of its own, which is signalled together
    let child = job.child.insert(command.spawn()?);
    println!("{number} has started");
    if let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) {
        ioctl_fionbio(&output, true)?;
        ioctl_fionbio(&errors, true)?;
        selector.register(
            Box::new(output),
            Events::READ,
            Role::Output(number, "out", Vec::new()),
        )?;
        selector.register(
            Box::new(errors),
            Events::READ,
            Role::Output(number, "err", Vec::new()),
        )?;
    }
    Ok(())
}

/// Signals a child and its own children.
fn signal(child: &Child, signal: Signal) {
    // If that fails, they have ended.
    let _ = kill_process_group(Pid::from_child(child), signal);
}

/// Prints complete lines, and at the end the beginning of one.
fn print(job: usize, name: &str, line: &mut Vec<u8>, bytes: &[u8]) {
    for part in bytes.split_inclusive(|&byte| byte == b'\n') {
        line.extend_from_slice(part);
        if line.ends_with(b"\n") || line.len() > LINE {
            println!("{job} {name}: {}", String::from_utf8_lossy(line).trim_end());
            line.clear();
        }
    }
    if bytes.is_empty() && !line.is_empty() {
        println!("{job} {name}: {}", String::from_utf8_lossy(line));
    }
}
