//! Servers and peers that do not behave as the ported clients do.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::net::{SendFlags, sockopt};

use super::python::numbered;
use crate::common::program::{
    LASTING, Program, SERVERS, assert_at_rest, assert_served, assert_served_next, assert_serves_on,
    connect, echo, limited, pattern, program, reset,
};
use crate::common::{at_once, closed_port, needs};

#[test]
fn peer_sends_nothing() {
    for name in SERVERS {
        let (server, port) = Program::serve(name);
        drop(connect(port));
        assert_serves_on(server, port);
    }
}

#[test]
fn peer_sends_nothing_while_others_are_served() {
    for name in LASTING {
        let (mut server, port) = Program::serve(name);
        let idle = connect(port);
        server.wait_for("  connection ");
        let others = [(); 3].map(|()| connect(port));
        for message in ["one", "two", "three"] {
            for other in &others {
                echo(other, message.as_bytes());
            }
        }
        drop(others);
        for _ in 0..3 {
            server.wait_for("closing ");
        }
        echo(&idle, b"at last");
        server.assert_running();
    }
}

#[test]
fn peer_resets() {
    at_once(SERVERS, |name| {
        // Immediately, after it was accepted, and with its echo unread.
        for stage in 0..3 {
            let (mut server, port) = Program::serve(name);
            let mut peer = connect(port);
            if stage > 0 {
                server.wait_for("127.0.0.1:");
            }
            if stage > 1 {
                peer.write_all(b"never mind").unwrap();
                server.wait_for("never mind");
            }
            reset(peer);
            assert_serves_on(server, port);
        }
    });
}

#[test]
fn peer_resets_before_it_is_accepted() {
    at_once(SERVERS, |name| {
        let (mut server, port) = Program::serve(name);
        server.stopped_during(|| reset(connect(port)));
        // Some systems do not report such a connection to the server at all.
        server.wait_for_silence();
        assert_served_next(server, port);
    });
}

#[test]
fn peer_closes_half_way() {
    let message = pattern(20_000);
    for name in SERVERS {
        let (server, port) = Program::serve(name);
        let mut peer = connect(port);
        // All of it, and its end, have come when the server begins to read.
        server.stopped_during(|| {
            peer.write_all(&message).unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
        });
        let mut response = Vec::new();
        peer.read_to_end(&mut response).unwrap();
        assert!(response == message, "{name}: {} bytes", response.len());
        drop(peer);
        assert_served(server, port);
    }
}

/// The peer sends more than the buffers on the way hold before it reads. The
/// server waits for it, is not busy, does not fill its memory, and loses no
/// byte.
#[test]
fn peer_reads_slowly() {
    // With the usual buffers of Linux, the peer can send the smaller amount to
    // its end.
    const MUCH: usize = 8 << 20;
    const LESS: usize = 5 << 20;
    at_once(SERVERS.into_iter().flat_map(|name| [(name, MUCH), (name, LESS)]), |(name, len)| {
        let (mut server, port) = Program::serve(name);
        let mut peer = connect(port);
        let message = pattern(len);
        let (sent, mut writer) = (message.clone(), peer.try_clone().unwrap());
        let writer = thread::spawn(move || {
            writer.write_all(&sent).unwrap();
            if len == LESS {
                writer.shutdown(Shutdown::Write).unwrap();
            }
        });
        server.wait_for("received ");
        server.wait_for_silence();
        let reads = server.seen.iter().filter(|line| line.contains("received ")).count();
        assert!(reads * 1024 < MUCH, "{name} reads on although its peer does not");

        let mut response = Vec::new();
        for _ in 0..50 {
            let mut piece = [0; 1000];
            let count = peer.read(&mut piece).unwrap();
            response.extend_from_slice(&piece[..count]);
            thread::sleep(Duration::from_millis(1));
        }
        let mut rest = vec![0; len - response.len()];
        peer.read_exact(&mut rest).unwrap();
        response.extend(rest);
        writer.join().unwrap();
        assert!(response == message, "{name}: {} bytes", response.len());
        drop(peer);
        assert_served(server, port);
    });
}

/// The same peer resets the connection instead of reading.
#[test]
fn peer_resets_instead_of_reading() {
    let message = pattern(8 << 20);
    at_once(SERVERS, |name| {
        let (mut server, port) = Program::serve(name);
        let peer = connect(port);
        let (sent, mut writer) = (message.clone(), peer.try_clone().unwrap());
        // This fails when the connection is reset.
        let writer = thread::spawn(move || writer.write_all(&sent).is_ok());
        server.wait_for("received ");
        server.wait_for_silence();
        sockopt::set_socket_linger(&peer, Some(Duration::ZERO)).unwrap();
        // The connection is reset at the close below, or on some systems here.
        let _ = peer.shutdown(Shutdown::Both);
        writer.join().unwrap();
        drop(peer);
        assert_serves_on(server, port);
    });
}

/// Urgent data is the exceptional condition that `select()` reports.
#[test]
fn peer_sends_urgent_data() {
    for name in ["select_echo_server", "select_echo_server_timeout"] {
        let (mut server, port) = Program::serve(name);
        let mut peer = connect(port);
        rustix::net::send(&peer, b"!", SendFlags::OOB).unwrap();
        server.wait_for("exception condition on 127.0.0.1:");
        assert_eq!(peer.read(&mut [0]).unwrap_or(0), 0);
        echo(&connect(port), b"next, please");
        server.assert_running();
    }

    // poll() reports it like other input.
    let (mut server, port) = Program::serve("select_poll_echo_server");
    let peer = connect(port);
    rustix::net::send(&peer, b"!", SendFlags::OOB).unwrap();
    server.wait_for_silence();
    echo(&peer, b"as usual");
    server.assert_running();
}

#[test]
fn more_peers_than_descriptors() {
    at_once(SERVERS, |name| {
        let Some(_reserved) = needs::descriptors(50) else { return };
        let mut command = limited(24);
        command.arg(program(name)).args(["127.0.0.1", "0"]);
        let (mut server, port) = Program::spawn(name, &mut command).on_port();
        let peers: Vec<TcpStream> = (0..40).map(|_| connect(port)).collect();
        if LASTING.contains(&name) {
            server.wait_for("cannot accept: ");
            echo(&peers[0], b"still there?");
        }
        assert_at_rest(&server);
        drop(peers);
        echo(&connect(port), b"next, please");
        if LASTING.contains(&name) {
            server.assert_running();
        } else {
            let (status, _) = server.finish();
            assert!(status.success(), "{status}");
        }
    });
}

/// `select()` can't watch descriptors from 1024 on.
#[test]
fn more_peers_than_select_can_watch() {
    let Some(_reserved) = needs::descriptors(1100) else { return };
    for name in ["select_echo_server", "select_echo_server_timeout"] {
        let mut command = limited(1100);
        command.arg(program(name)).args(["127.0.0.1", "0"]);
        let server = Program::spawn(name, &mut command);
        let (mut server, port) = server.on_port();
        let mut peers = Vec::new();
        loop {
            peers.push(connect(port));
            let line = server.wait_for("127.0.0.1:");
            if line.starts_with("  refused ") {
                break;
            }
        }
        // A few are its own, and perhaps inherited.
        assert!((900..1024).contains(&peers.len()), "{} peers", peers.len());
        echo(&peers[0], b"still there?");
        drop(peers);
        server.wait_for_silence();
        echo(&connect(port), b"next, please");
        server.assert_running();
    }
}

#[test]
fn clients_without_a_server() {
    for name in ["selectors_echo_client", "select_echo_multiclient", "select_echo_slow_client"] {
        let (_kept, address) = closed_port();
        let port = address.port().to_string();
        let mut command = Command::new(program(name));
        command.args(["127.0.0.1", &port]).stderr(Stdio::null());
        let (status, lines) = Program::spawn(name, &mut command).finish();
        assert!(!status.success());
        assert_eq!(numbered(lines), ["connecting to 127.0.0.1 port #0"]);
    }
}

#[test]
fn addresses() {
    for name in SERVERS {
        for host in ["localhost", "127.0.0.1"] {
            let mut server = Program::start(name, &[host, "0"]);
            let line = server.wait_for("");
            assert_eq!(numbered([line]), [format!("starting up on {host} port #0")]);
        }
        for args in [["localhost", "many"], ["256.0.0.1", "0"]] {
            let output = Command::new(program(name)).args(args).output().unwrap();
            assert!(!output.status.success());
            assert_eq!(output.stdout, b"");
        }
    }
}
