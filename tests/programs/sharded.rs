//! The echo server on every core, and how it ends.

use std::io::{Read, Write};
use std::thread;

use rustix::process::{Signal, kill_process};

use crate::common::program::{assert_at_rest, connect, echo, pattern, reset};
use crate::common::{at_once, needs};
use crate::counterparts::{echoes_netcat, serve};

#[test]
fn all_threads_serve_and_end() {
    at_once([("1", Signal::INT), ("3", Signal::TERM)], |(threads, signal)| {
        let Some(_reserved) = needs::descriptors(100) else { return };
        let (server, address) = serve("sharded_echo", &["127.0.0.1:0", threads]);
        let mut clients: Vec<_> = (0..90).map(|_| connect(address.port())).collect();
        for (number, client) in clients.iter().enumerate() {
            echo(client, &pattern(1 + 500 * number));
        }
        assert_at_rest(&server);
        // Some connections end before it, some by it.
        clients.truncate(45);
        kill_process(server.pid(), signal).unwrap();
        let (status, lines) = server.finish();
        assert!(status.success(), "{status}");
        let served: Vec<usize> = lines
            .iter()
            .filter_map(|line| {
                line.split_once(" served ")?.1.strip_suffix(" connections")?.parse().ok()
            })
            .collect();
        assert_eq!(served.len().to_string(), threads);
        assert_eq!(served.iter().sum::<usize>(), 90, "{served:?}");
        // That all of 90 go to one of three happens once in 10⁴².
        #[cfg(target_os = "linux")]
        assert!(
            served.len() == 1 || served.iter().filter(|served| **served > 0).count() > 1,
            "{served:?}"
        );
    });
}

/// Much more than the buffers hold, sent before anything is read.
#[test]
fn a_slow_reader_loses_nothing() {
    let (_server, address) = serve("sharded_echo", &["127.0.0.1:0", "2"]);
    let message = pattern(30_000_000);
    let mut client = connect(address.port());
    let writer = {
        let (mut client, message) = (client.try_clone().unwrap(), message.clone());
        thread::spawn(move || client.write_all(&message).unwrap())
    };
    let mut echoed = vec![0; message.len()];
    client.read_exact(&mut echoed).unwrap();
    writer.join().unwrap();
    assert!(echoed == message);
}

#[test]
fn peers_that_reset() {
    let (mut server, address) = serve("sharded_echo", &["127.0.0.1:0", "2"]);
    for _ in 0..20 {
        let mut client = connect(address.port());
        client.write_all(b"never mind").unwrap();
        reset(client);
    }
    for _ in 0..20 {
        echo(&connect(address.port()), b"next, please");
    }
    server.assert_running();
}

#[test]
fn netcat_gets_its_echo() {
    let (_server, address) = serve("sharded_echo", &["127.0.0.1:0", "2"]);
    echoes_netcat(address);
}
