//! Long runs with many connections and many keys, in which memory and
//! descriptors must not grow.
//!
//! `SOAK_SECONDS` sets for how long the servers are troubled, and how often
//! keys come and go. The default is six. The numbers are read in `/proc`, so
//! this is for Linux.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use selectors_core::backend::{Backend, Epoll, Poll, Select};
use selectors_core::storage::Fixed;
use selectors_core::{Events, Selector, storage::Storage};
use selectors_std::Growable;

use crate::common::alone::alone;
use crate::common::process::{descriptors, resident};
use crate::common::support::NOW;
use crate::common::{Dice, at_once, needs, program, soak_seconds};

/// Descriptors, and resident memory in kilobytes.
fn size_of_this_process() -> (usize, usize) {
    (descriptors("self").count(), resident("self"))
}

fn event() -> OwnedFd {
    eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap()
}

fn many_descriptors<B: Backend, M: Storage>(number: usize) {
    let before = size_of_this_process().0;
    let mut selector = Selector::<B, OwnedFd, usize, M>::new().unwrap();
    let mut fds = Vec::new();
    for count in 0..number {
        fds.push(selector.register(event(), Events::READ, count).unwrap().fd);
    }
    assert!(selector.select(NOW).unwrap().timed_out());
    for fd in fds.iter().step_by(7) {
        rustix::io::write(&selector.get_key(*fd).unwrap().fileobj, &1_u64.to_ne_bytes()).unwrap();
    }
    let mut reported = 0;
    while selector.select(NOW).unwrap().events() > 0 {
        while let Some((key, events)) = selector.next_ready() {
            assert_eq!((key.data % 7, events), (0, Events::READ));
            rustix::io::read(&key.fileobj, &mut [0; 8]).unwrap();
            reported += 1;
        }
    }
    assert_eq!(reported, number.div_ceil(7));
    for fd in fds.iter().rev().step_by(2) {
        drop(selector.unregister(*fd).unwrap());
    }
    assert_eq!(selector.get_map().len(), number / 2);
    drop(selector);
    assert_eq!(size_of_this_process().0, before);
    println!("{number} descriptors");
}

#[test]
fn eighteen_thousand_descriptors() {
    alone(eighteen_thousand_descriptors, || {
        // As many as the machine allows, if that is fewer.
        let number = (needs::limit() - 100).min(18_000);
        many_descriptors::<Epoll<256>, Growable>(number);
        many_descriptors::<Poll<Growable>, Growable>(number);
        many_descriptors::<Select<Growable>, Growable>(number.min(900));
    });
}

fn cycles<B: Backend, M: Storage>(number: u64) {
    let sources: Vec<_> = (0..20).map(|_| event()).collect();
    let mut selector = Selector::<B, &OwnedFd, u64, M>::new().unwrap();
    let mut dice = Dice(42);
    let mut cycle = |count: u64| {
        let source = &sources[dice.roll(sources.len())];
        if selector.get_map().contains(source) {
            selector.modify(source, Events::READ | Events::WRITE).unwrap();
            let _ = selector.unregister(source).unwrap();
        } else {
            selector.register(source, Events::WRITE, count).unwrap();
        }
        if count.is_multiple_of(64) {
            let ready = selector.select(NOW).unwrap().events();
            assert_eq!(ready, selector.get_map().len());
            // Some events are handled, and the others dropped.
            for _ in 0..dice.roll(ready + 1) {
                assert!(selector.next_ready().is_some());
            }
            while selector.next_ready().is_some() {}
        }
    };
    (0..number / 10).for_each(&mut cycle);
    let before = size_of_this_process();
    (number / 10..number).for_each(&mut cycle);
    let after = size_of_this_process();
    assert_eq!(after.0, before.0);
    assert!(after.1 <= before.1 + 256, "memory grew from {} to {} kB", before.1, after.1);
    println!(
        "{number} registrations and removals: {before:?}, {after:?} descriptors and kilobytes"
    );
}

#[test]
fn keys_come_and_go() {
    alone(keys_come_and_go, || {
        // A million in a minute of soak.
        let number = (soak_seconds() * 20_000).min(1_000_000);
        cycles::<Epoll, Growable>(number);
        cycles::<Poll<Growable>, Growable>(number);
        cycles::<Select<Growable>, Growable>(number);
        cycles::<Epoll, Fixed<20>>(number);
        cycles::<Poll<Fixed<20>>, Fixed<20>>(number);
        cycles::<Select<Fixed<20>>, Fixed<20>>(number);
    });
}

/// The servers that are troubled in addition to `program::SERVERS`.
const OTHERS: [&str; 3] = ["sharded_echo", "workers", "tcp_proxy"];

struct Server {
    name: &'static str,
    process: Child,
    port: u16,
}

impl Server {
    fn start(name: &'static str, args: &[&str]) -> Self {
        let mut process =
            Command::new(program::program(name)).args(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        // The port is the only number of that size in the first line.
        let number = |line: String| line.split([' ', ':']).find_map(|word| word.parse().ok());
        let port =
            lines.find_map(|line| number(line.unwrap()).filter(|port| *port > 1000)).unwrap();
        thread::spawn(move || lines.for_each(drop));
        Self { name, process, port }
    }

    /// Descriptors that it should close once all peers have closed, and
    /// resident memory in kilobytes.
    ///
    /// A connection that it accepted and that is still established does not
    /// count, as its end was not reported. If the queue of connections is full,
    /// the kernel uses SYN cookies, and takes the last acknowledgement of an
    /// ended connection for the first one of a new connection, which has no
    /// peer. A proxy keeps a connection to its upstream for each of these.
    fn size(&self) -> (usize, usize) {
        const ESTABLISHED: &str = "01";
        let process = self.process.id();
        let port = format!(":{:04X}", self.port);
        let connections = fs::read_to_string("/proc/net/tcp").unwrap();
        let connections =
            connections.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        // The value says whether it was accepted.
        let established: HashMap<_, _> = connections
            .filter(|fields| fields.get(3) == Some(&ESTABLISHED))
            .map(|fields| (format!("socket:[{}]", fields[9]), fields[1].ends_with(&port)))
            .collect();
        let (mut others, mut made_up, mut made) = (0, 0, 0_usize);
        for descriptor in descriptors(process) {
            match established.get(&*descriptor.to_string_lossy()) {
                Some(true) => made_up += 1,
                Some(false) => made += 1,
                None => others += 1,
            }
        }
        (others + made.saturating_sub(made_up), resident(process))
    }

    /// Waits until it has noticed that all have closed, and has no more than
    /// the known number of descriptors.
    fn settled(&self, known: Option<usize>) -> (usize, usize) {
        let (begun, mut since, mut size) = (Instant::now(), Instant::now(), self.size());
        loop {
            // One of the servers does other work for a second.
            let still = since.elapsed() > Duration::from_millis(1500);
            if known.map_or(still, |known| size.0 <= known) {
                return size;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{} keeps {} descriptors",
                self.name,
                size.0
            );
            thread::sleep(Duration::from_millis(100));
            let next = self.size();
            if next.0 != size.0 {
                since = Instant::now();
            }
            size = next;
        }
    }

    /// Troubles it for this time. At the end it must be no larger than after a
    /// third of it.
    fn trouble(&self, time: Duration, may_speak: bool, inherited: usize) {
        let most = (needs::limit() - 100) / (program::SERVERS.len() + OTHERS.len());
        let (mut dice, mut peers, mut rounds) = (Dice(4711), Vec::new(), 0_u64);
        let mut run = |time: Duration, known: Option<usize>| {
            let begun = Instant::now();
            while begun.elapsed() < time {
                (0..100).for_each(|_| trouble(&mut dice, &mut peers, most, self.port, may_speak));
                rounds += 100;
            }
            peers.clear();
            if may_speak {
                self.serves();
            }
            self.settled(known)
        };
        // It grows to the size that it needs before it is measured.
        let before = run(time / 3, None);
        // What this process has inherited, its servers have inherited, too.
        assert!(before.0 < 25 + inherited, "{} keeps {} descriptors", self.name, before.0);
        let after = run(time * 2 / 3, Some(before.0));
        println!(
            "{}: {rounds} troubles, {before:?}, {after:?} descriptors and kilobytes",
            self.name
        );
        // Freed buffers of unsent bytes leave holes in the memory. A leak is
        // more than a megabyte in a minute.
        assert!(
            after.1 <= before.1 + 2048,
            "{} grew from {} to {} kB",
            self.name,
            before.1,
            after.1
        );
    }

    fn serves(&self) {
        program::echo(&program::connect(self.port), b"are you there?");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One of the things that peers do, on one of the connections there are.
fn trouble(dice: &mut Dice, peers: &mut Vec<TcpStream>, most: usize, port: u16, may_speak: bool) {
    let which = dice.roll(peers.len().max(1));
    match (dice.roll(8), peers.get_mut(which)) {
        (0..=1, _) | (_, None) => {
            if peers.len() < most.min(200) {
                let peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
                peer.set_nonblocking(true).unwrap();
                peers.push(peer);
            }
        }
        (2..=3, Some(peer)) if may_speak => drop(peer.write(&[7; 5000][..1 + dice.roll(4999)])),
        (2..=4, Some(peer)) => drop(peer.read(&mut [0; 9000])),
        (5, Some(peer)) => drop(peer.shutdown(Shutdown::Write)),
        (6, Some(_)) => drop(peers.swap_remove(which)),
        (_, Some(_)) => program::reset(peers.swap_remove(which)),
    }
}

#[test]
fn servers_under_trouble() {
    alone(servers_under_trouble, trouble_all);
}

/// All servers are troubled at the same time, as it takes a while until they
/// have noticed that all peers have left.
fn trouble_all() {
    let before = size_of_this_process().0;
    let time = Duration::from_secs(soak_seconds()) / 2;
    at_once(program::SERVERS.into_iter().chain(OTHERS), |name| match name {
        "sharded_echo" | "workers" => {
            Server::start(name, &["127.0.0.1:0", "2"]).trouble(time, true, before);
        }
        "tcp_proxy" => {
            let upstream = Server::start("select_poll_echo_server", &["127.0.0.1", "0"]);
            let at_rest = upstream.settled(None).0;
            let through = format!("127.0.0.1:{}", upstream.port);
            Server::start(name, &["127.0.0.1:0", &through]).trouble(time, true, before);
            upstream.settled(Some(at_rest));
        }
        "selectors_echo_server" => {
            // It ends after a client that sent something, so that comes last.
            let mut server = Server::start(name, &["127.0.0.1", "0"]);
            server.trouble(time, false, before);
            server.serves();
            assert!(server.process.wait().unwrap().success());
        }
        _ => Server::start(name, &["127.0.0.1", "0"]).trouble(time, true, before),
    });

    // The threads that read what the servers print end when those have ended.
    let begun = Instant::now();
    while size_of_this_process().0 > before + 1 {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the generator itself keeps descriptors"
        );
        thread::sleep(Duration::from_millis(10));
    }
}
