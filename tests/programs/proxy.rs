//! The proxy between the test's peers.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::common::program::{
    Program, assert_at_rest, assert_filled, connect, echo, fill, limited, pattern, program,
    receive, reset,
};
use crate::common::{at_once, needs};
use crate::counterparts::{echo_everything, listening, serve};

/// Starts a proxy to a listener of the test.
fn proxy() -> (Program, SocketAddr, TcpListener) {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let (proxy, address) =
        serve("tcp_proxy", &["127.0.0.1:0", &upstream.local_addr().unwrap().to_string()]);
    (proxy, address, upstream)
}

/// Both ends of a carried connection.
fn carried(address: SocketAddr, upstream: &TcpListener) -> (TcpStream, TcpStream) {
    let client = connect(address.port());
    let (server, _) = upstream.accept().unwrap();
    server.set_read_timeout(client.read_timeout().unwrap()).unwrap();
    (client, server)
}

#[test]
fn many_connections_at_once() {
    let Some(_reserved) = needs::descriptors(400) else { return };
    let (_proxy, address, upstream) = proxy();
    echo_everything(upstream);
    let clients: Vec<_> = (0..200).map(|_| connect(address.port())).collect();
    for round in 0..3 {
        for (number, client) in clients.iter().enumerate() {
            echo(client, &pattern(1 + 100 * number + round));
        }
    }
}

/// A sender waits for a receiver that does not read, whichever side it is on.
/// The other direction goes on, and the proxy is neither busy nor big. When the
/// receiver reads, nothing is missing.
#[test]
fn back_pressure() {
    at_once([true, false], |client_sends| {
        let (proxy, address, upstream) = proxy();
        let (client, server) = carried(address, &upstream);
        let (sender, mut receiver) = if client_sends { (client, server) } else { (server, client) };
        let sent = fill(&sender);
        assert_at_rest(&proxy);
        assert_is_small(&proxy);

        receiver.write_all(b"still here").unwrap();
        receive(&sender, b"still here");

        sender.shutdown(Shutdown::Write).unwrap();
        let mut received = Vec::new();
        receiver.read_to_end(&mut received).unwrap();
        assert_eq!(received.len(), sent);
        assert_filled(&received);
    });
}

#[cfg(target_os = "linux")]
fn assert_is_small(proxy: &Program) {
    let kilobytes = crate::common::process::resident(proxy.pid());
    assert!(kilobytes < 16 << 10, "{kilobytes} kB");
}

#[cfg(not(target_os = "linux"))]
fn assert_is_small(_proxy: &Program) {}

#[test]
fn a_half_close_is_passed_on() {
    let (_proxy, address, upstream) = proxy();
    let message = pattern(1_000_000);
    for client_first in [true, false] {
        let (client, server) = carried(address, &upstream);
        let (mut first, mut second) =
            if client_first { (client, server) } else { (server, client) };
        let writer = {
            let (mut first, message) = (first.try_clone().unwrap(), message.clone());
            thread::spawn(move || {
                first.write_all(&message).unwrap();
                first.shutdown(Shutdown::Write).unwrap();
            })
        };
        let mut received = Vec::new();
        second.read_to_end(&mut received).unwrap();
        assert!(received == message);
        writer.join().unwrap();

        second.write_all(b"that was all, then").unwrap();
        drop(second);
        let mut reply = String::new();
        first.read_to_string(&mut reply).unwrap();
        assert_eq!(reply, "that was all, then");
    }
}

#[test]
fn a_reset_ends_both_sides() {
    let (mut proxy, address, upstream) = proxy();
    for client_resets in [true, false] {
        let (client, server) = carried(address, &upstream);
        let (gone, mut left) = if client_resets { (client, server) } else { (server, client) };
        reset(gone);
        // An end or an error, which depends on the system.
        assert_eq!(left.read(&mut [0]).unwrap_or(0), 0);
    }
    proxy.assert_running();
    assert_at_rest(&proxy);
    let (client, mut server) = carried(address, &upstream);
    (&client).write_all(b"x").unwrap();
    server.read_exact(&mut [0]).unwrap();
}

#[test]
fn an_upstream_that_refuses_and_comes_back() {
    let (mut proxy, address, upstream) = proxy();
    let upstream_address = upstream.local_addr().unwrap();
    drop(upstream);
    for _ in 0..3 {
        assert_eq!(connect(address.port()).read(&mut [0]).unwrap_or(0), 0);
    }
    proxy.assert_running();
    echo_everything(TcpListener::bind(upstream_address).unwrap());
    echo(&connect(address.port()), b"here again");
}

/// Clients that find no descriptor left wait in the queue until others have
/// closed.
#[test]
fn out_of_descriptors() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = limited(20);
    command
        .arg(program("tcp_proxy"))
        .args(["127.0.0.1:0", &upstream.local_addr().unwrap().to_string()]);
    let (mut proxy, address) = listening(Program::spawn("tcp_proxy", &mut command));
    echo_everything(upstream);

    let clients: Vec<_> = (0..30).map(|_| connect(address.port())).collect();
    echo(&clients[0], b"the first");
    assert_at_rest(&proxy);
    for client in clients {
        echo(&client, b"my turn");
    }
    echo(&connect(address.port()), b"as before");
    proxy.assert_running();
}
