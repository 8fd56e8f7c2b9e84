//! The servers of the README and on the first pages of both crates survive
//! peers that reset and peers that do not read. They wait without spinning
//! while no descriptor is free.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::{self, AddressFamily, SocketType};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::common::alone::alone;
use crate::common::program::{PATIENCE, connect, echo, reset};

#[allow(dead_code, reason = "its main is not called")]
mod readme {
    include!("readme.rs");

    pub(crate) fn start(listener: TcpListener) -> std::thread::JoinHandle<()> {
        std::thread::spawn(|| panic!("{:?}", serve(listener)))
    }
}

mod std_page {
    include!("../../selectors-std/src/front_page.rs");

    pub(crate) fn start(listener: TcpListener) -> std::thread::JoinHandle<()> {
        std::thread::spawn(|| panic!("{:?}", serve(listener)))
    }
}

mod core_page {
    include!("../../selectors-core/src/front_page.rs");

    pub(crate) fn start(listener: std::net::TcpListener) -> std::thread::JoinHandle<()> {
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(|| panic!("{:?}", serve(listener.into())))
    }
}

/// How long this process has run on a CPU.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap()
}

fn does_not_spin() {
    let (wait, used) = (Duration::from_secs(1), cpu_time());
    thread::sleep(wait);
    let used = cpu_time() - used;
    assert!(used < wait / 5, "{used:?} of CPU in {wait:?}: the server spins");
}

/// Runs `work` while this process can open no further descriptor.
fn without_descriptors(work: impl FnOnce()) {
    let before = getrlimit(Resource::Nofile);
    let next = rustix::io::dup(rustix::stdio::stdin()).unwrap().as_raw_fd();
    setrlimit(Resource::Nofile, Rlimit { current: Some(next.unsigned_abs().into()), ..before })
        .unwrap();
    work();
    setrlimit(Resource::Nofile, before).unwrap();
}

fn survives(start: fn(TcpListener) -> JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = start(listener);
    let healthy = connect(address.port());
    echo(&healthy, b"hello");

    // Twelve peers that reset: before they are accepted, and with an echo that
    // they have not read.
    for number in 0..12 {
        let mut client = connect(address.port());
        if number % 2 == 0 {
            client.write_all(b"never read").unwrap();
            assert!(client.peek(&mut [0]).unwrap() > 0);
        }
        reset(client);
        echo(&healthy, b"hello");
    }

    // One that only writes. The server closes it, or reads no more from it,
    // however much the kernel takes.
    let mut deaf = connect(address.port());
    deaf.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut taken = 0;
    let refused = loop {
        match deaf.write(&[0; 65536]) {
            Ok(count) => taken += count,
            Err(error) => break error,
        }
        assert!(taken < 256 << 20, "the server reads on, and keeps it all");
    };
    let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::WouldBlock];
    assert!(kinds.contains(&refused.kind()), "{refused}");
    echo(&healthy, b"hello");
    does_not_spin();
    // What it reads late is all there.
    if refused.kind() == ErrorKind::WouldBlock {
        deaf.read_exact(&mut vec![1; taken]).unwrap();
    }
    echo(&healthy, b"hello");

    let waiting: OwnedFd = net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    without_descriptors(|| {
        net::connect(&waiting, &address).unwrap();
        echo(&healthy, b"hello");
        does_not_spin();
        echo(&healthy, b"hello");
    });
    let waiting = TcpStream::from(waiting);
    waiting.set_read_timeout(Some(PATIENCE)).unwrap();
    echo(&waiting, b"hello");
    echo(&healthy, b"hello");
    assert!(!server.is_finished());
}

#[test]
fn the_readme_has_the_program_that_is_tested() {
    let program = include_str!("readme.rs");
    let program = &program[program.find("\nuse ").unwrap()..];
    assert!(include_str!("../../README.md").contains(program));
}

// Each runs in a process of its own, because the limit of descriptors and the
// processor time are those of all threads.

#[test]
fn the_server_of_the_readme_survives_its_peers() {
    alone(the_server_of_the_readme_survives_its_peers, || survives(readme::start));
}

#[test]
fn the_first_server_of_std_survives_its_peers() {
    alone(the_first_server_of_std_survives_its_peers, || survives(std_page::start));
}

#[test]
fn the_first_server_of_core_survives_its_peers() {
    alone(the_first_server_of_core_survives_its_peers, || survives(core_page::start));
}
