//! What clients may expect of both daemons.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::subject::{Daemon, Subject};
use crate::common::program::{PATIENCE, echo, receive, reset};
use crate::common::{Dice, needs};

/// How many peers a daemon serves at a time.
pub const PLACES: usize = 64;

/// Clients that have their echo, and so a place.
pub fn served(daemon: &Daemon, count: usize) -> Vec<TcpStream> {
    let clients: Vec<_> = (0..count).map(|_| daemon.connect()).collect();
    for (number, client) in clients.iter().enumerate() {
        echo(client, format!("peer {number}\n").as_bytes());
    }
    clients
}

pub fn crowd(subject: &Subject) {
    let Some(_reserved) = needs::descriptors(PLACES + 200) else { return };
    let daemon = subject.start(600);
    let first = served(&daemon, PLACES);
    let rest: Vec<_> = (0..200).map(|_| daemon.connect()).collect();
    for (number, mut client) in rest.iter().enumerate() {
        writeln!(client, "waiting {number}").unwrap();
    }
    assert_eq!((daemon.peers(), daemon.stat("accepted")), (PLACES, PLACES as u64));
    daemon.assert_does_not_spin();
    for (number, client) in first.iter().enumerate() {
        echo(client, format!("still here {number}\n").as_bytes());
    }
    drop(first);
    // Each gives its place to the next, in the order of the backlog.
    for (number, client) in rest.into_iter().enumerate() {
        receive(&client, format!("waiting {number}\n").as_bytes());
    }
    daemon.wait_for_peers(0);
    assert_eq!((daemon.stat("accepted"), daemon.stat("expired")), (264, 0));
}

pub fn slow_readers(subject: &Subject) {
    const LENGTH: usize = 10_000_000;
    let daemon = subject.start(600);
    let clients: Vec<_> = (0..8_u64).map(|number| (number, daemon.connect())).collect();
    let sent = clients.iter().map(|(number, client)| {
        let (mut client, text) = (client.try_clone().unwrap(), noise(*number, LENGTH));
        thread::spawn(move || {
            client.write_all(&text).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            text
        })
    });
    let sent: Vec<_> = sent.collect();
    // No client reads, so all buffers fill up, and the daemon waits.
    let all_full =
        || daemon.stats("peer").iter().filter(|unsent| **unsent > 0).count() == clients.len();
    daemon.wait_until("full buffers", all_full);
    sleep(Duration::from_millis(300));
    daemon.assert_does_not_spin();
    let received = clients.into_iter().map(|(_, mut client)| {
        thread::spawn(move || {
            let (mut text, mut part) = (Vec::new(), vec![0; 100_000]);
            loop {
                match client.read(&mut part).unwrap() {
                    0 => return text,
                    count => text.extend_from_slice(&part[..count]),
                }
                sleep(Duration::from_millis(1));
            }
        })
    });
    let received: Vec<_> = received.collect();
    for (sent, received) in sent.into_iter().zip(received) {
        let (sent, received) = (sent.join().unwrap(), received.join().unwrap());
        assert_eq!(received.len(), LENGTH);
        assert!(sent == received, "some bytes came back changed");
    }
    daemon.wait_for_peers(0);
}

/// Bytes without a pattern, different for each seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut dice = Dice(seed.wrapping_mul(2).wrapping_add(0x9E37_79B9_7F4A_7C15));
    (0..length / 8).flat_map(|_| dice.next().to_ne_bytes()).collect()
}

pub fn idle_peers(subject: &Subject) {
    let daemon = subject.start(1);
    let (idle, busy) = (daemon.connect(), daemon.connect());
    let start = Instant::now();
    let closer = thread::spawn(move || {
        let end = (&idle).read(&mut [0; 8]).unwrap();
        (end, start.elapsed())
    });
    while start.elapsed() < Duration::from_secs(3) {
        echo(&busy, b"busy\n");
        sleep(Duration::from_millis(100));
    }
    let (end, lifetime) = closer.join().unwrap();
    assert_eq!(end, 0);
    assert!(lifetime >= Duration::from_millis(990), "closed after {lifetime:?}");
    assert_eq!((daemon.stat("expired"), daemon.peers()), (1, 1));
    // The last peer takes the timer with it: from then on nothing wakes the
    // daemon up.
    drop(busy);
    daemon.wait_until("end of the timer", || daemon.stats("timer").is_empty());
    // A peer that takes nothing is closed, too, though there is something to
    // send to it.
    let mut stuck = daemon.connect();
    stuck.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    while stuck.write(&[0; 65_536]).is_ok() {}
    daemon.wait_for_peers(0);
    assert_eq!(daemon.stat("expired"), 2);
}

pub fn control(subject: &Subject) {
    let daemon = subject.start(600);
    let _client = served(&daemon, 1);
    let reply = daemon.ask("stat\n");
    let names: Vec<_> = reply.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let (counters, mut keys) = (&names[..4], names[4..].to_vec());
    keys.sort_unstable();
    assert_eq!(counters, ["accepted", "expired", "waits", "events"]);
    assert_eq!(keys, ["control", "peer", "port", "timer"]);
    assert_eq!(daemon.ask("what?\n"), "stat or quit?\n");
    assert_eq!(daemon.ask("quit"), "bye\n");
    let path = daemon.path.clone();
    assert_eq!(daemon.ended().code(), Some(0));
    assert!(!fs::exists(path).unwrap(), "the control socket is left behind");
}

pub fn resets(subject: &Subject) {
    let daemon = subject.start(600);
    for round in 0..3 {
        for mut client in served(&daemon, PLACES) {
            // Some with an echo under way that they will not take.
            if round > 0 {
                client.set_write_timeout(Some(PATIENCE)).unwrap();
                client.write_all(&[0; 30_000]).unwrap();
            }
            reset(client);
        }
        daemon.wait_for_peers(0);
    }
    daemon.assert_does_not_spin();
    served(&daemon, PLACES);
}

pub fn half_closed(subject: &Subject) {
    let daemon = subject.start(600);
    for _ in 0..10 {
        let mut client = daemon.connect();
        client.write_all(&[7; 20_000]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut text = Vec::new();
        client.read_to_end(&mut text).unwrap();
        assert_eq!(text, [7; 20_000]);
    }
}

pub fn starvation(subject: &Subject) {
    // An emulator needs some for itself.
    let (limit, clients) = if subject.is_native() { (16, 20) } else { (24, 30) };
    let limit = format!("ulimit -n {limit}; exec \"$@\"");
    let daemon = subject.start_by(&["sh", "-c", &limit, "sh"], 600);
    let clients: Vec<_> = (0..clients).map(|_| daemon.connect()).collect();
    for (number, mut client) in clients.iter().enumerate() {
        writeln!(client, "client {number}").unwrap();
    }
    daemon.wait_until("peer", || daemon.peers() > 0);
    sleep(Duration::from_millis(100));
    assert!(daemon.peers() < clients.len());
    daemon.assert_does_not_spin();
    for (number, client) in clients.into_iter().enumerate() {
        receive(&client, format!("client {number}\n").as_bytes());
    }
    daemon.wait_for_peers(0);
}
