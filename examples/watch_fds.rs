//! Descriptors that are not connections, all in one loop on one thread.
//!
//! They are standard input, a pipe, the output of a child, a datagram socket,
//! and on Linux a timer and a counter.
//!
//! ```text
//! cargo run --example watch_fds            # Ctrl-D ends the input
//! cargo run --example watch_fds ./socket   # a datagram "bye" ends the socket
//! nc -uU ./socket                          # in another terminal
//! ```
//!
//! All of them are `OwnedFd`s here, because everything with a descriptor can
//! become one. The data says what each is for. Each ends in its own way, and
//! the program ends with the last of them.
//!
//! It needs the crates selectors-std and rustix (features event, termios and
//! time).

use std::env;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::io::{Errno, read};
use selectors_std::{DefaultSelector, Events};

type Selector = DefaultSelector<OwnedFd, Role>;

/// What a descriptor is for.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "timers and counters are Linux's"))]
enum Role {
    /// Bytes until their end.
    Stream(&'static str),
    /// A child's standard output. If that has ended, the child has, too, or
    /// will soon.
    Child(Child),
    /// Messages, one for each read.
    Datagrams,
    /// How often it has expired so far.
    Timer(u64),
    /// What was counted so far.
    Counter(u64),
}

/// The timer ends after this many ticks, and the counter at this value.
const ENOUGH: u64 = 3;

fn main() -> io::Result<()> {
    let mut selector = Selector::new()?;
    watch_input(&mut selector)?;
    watch_pipe(&mut selector)?;
    watch_child(&mut selector)?;
    #[cfg(target_os = "linux")]
    linux::watch(&mut selector)?;

    let socket = env::args().nth(1);
    if let Some(path) = &socket {
        let datagrams = UnixDatagram::bind(path)?;
        datagrams.set_nonblocking(true)?;
        selector.register(datagrams.into(), Events::READ, Role::Datagrams)?;
    }

    println!("watching {} descriptors", selector.get_map().len());
    let result = run(&mut selector);
    if let Some(path) = &socket {
        fs::remove_file(path)?;
    }
    result
}

fn run(selector: &mut Selector) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while !selector.get_map().is_empty() {
        selector.select(None)?;
        while let Some((mut key, events)) = selector.next_ready() {
            let count = match read(&key.fileobj, &mut buffer) {
                Ok(count) => count,
                Err(Errno::AGAIN) => continue,
                // A terminal whose other side is closed ends like this.
                Err(Errno::IO) if events.is_hangup() => 0,
                Err(errno) => return Err(errno.into()),
            };
            if handle(key.data_mut(), &buffer[..count])? {
                drop(key.unregister());
            }
        }
    }
    println!("nothing is left");
    Ok(())
}

/// Prints what was read. Returns whether it was the last.
fn handle(role: &mut Role, bytes: &[u8]) -> io::Result<bool> {
    let number = || bytes.try_into().map_or(0, u64::from_ne_bytes);
    Ok(match role {
        Role::Stream(name) => say(name, bytes),
        Role::Child(child) => {
            let ended = say("child's output", bytes);
            if ended {
                println!("child: {}", child.wait()?);
            }
            ended
        }
        Role::Datagrams => {
            say("datagram", bytes);
            bytes.starts_with(b"bye")
        }
        Role::Timer(ticks) => {
            *ticks += number();
            println!("timer: {ticks}");
            *ticks >= ENOUGH
        }
        Role::Counter(sum) => {
            *sum += number();
            println!("counter: {sum}");
            *sum >= ENOUGH
        }
    })
}

fn say(name: &str, bytes: &[u8]) -> bool {
    match String::from_utf8_lossy(bytes).trim_end() {
        _ if bytes.is_empty() => println!("{name}: end"),
        text => println!("{name}: {text}"),
    }
    bytes.is_empty()
}

/// Standard input stays blocking, as its other users share that. If it is
/// readable, one read does not block. A second one could.
fn watch_input(selector: &mut Selector) -> io::Result<()> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let name = if rustix::termios::isatty(&input) { "terminal" } else { "input" };
    match selector.try_register(input, Events::READ, Role::Stream(name)) {
        Ok(_) => {}
        // A file, or /dev/null. epoll refuses what is always ready, so it can
        // be read right away.
        Err(refused) if refused.error.errno() == Some(Errno::PERM) => {
            let mut all = Vec::new();
            fs::File::from(refused.fileobj).read_to_end(&mut all)?;
            println!("file: {} bytes", all.len());
        }
        Err(refused) => return Err(refused.into()),
    }
    Ok(())
}

/// A thread writes into a pipe, and ends it by closing its end.
fn watch_pipe(selector: &mut Selector) -> io::Result<()> {
    let (reader, mut writer) = io::pipe()?;
    selector.register(reader.into(), Events::READ, Role::Stream("pipe"))?;
    thread::spawn(move || writer.write_all(b"a thread was here\n"));
    Ok(())
}

/// A child with two outputs, which are two sources.
fn watch_child(selector: &mut Selector) -> io::Result<()> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", "echo to its output; echo to its errors >&2; exit 7"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) {
        selector.register(output.into(), Events::READ, Role::Child(child))?;
        selector.register(errors.into(), Events::READ, Role::Stream("child's errors"))?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{io, thread};

    use rustix::event::{EventfdFlags, eventfd};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use selectors_std::Events;

    use super::{ENOUGH, Role, Selector};

    pub(super) fn watch(selector: &mut Selector) -> io::Result<()> {
        // A timer is readable when it has expired, and reading returns how
        // often. A program with one such task gives `select` a timeout. Timers
        // are for several tasks that do not know each other.
        let tick = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        let times = Itimerspec { it_interval: tick, it_value: tick };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times)?;
        selector.register(timer, Events::READ, Role::Timer(0))?;

        // A counter is readable when it is not zero, and reading resets it. The
        // kernel (KVM, AIO) and other libraries report by counters. To wake
        // another thread, a `Waker` is simpler.
        let counter = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        let adder = counter.try_clone()?;
        selector.register(counter, Events::READ, Role::Counter(0))?;
        thread::spawn(move || -> io::Result<()> {
            for _ in 0..ENOUGH {
                rustix::io::write(&adder, &1_u64.to_ne_bytes())?;
            }
            Ok(())
        });
        Ok(())
    }
}
