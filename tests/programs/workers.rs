//! The echo server with worker threads.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, kill_process};

use crate::common::needs;
use crate::common::program::{
    Program, assert_at_rest, assert_filled, connect, echo, fill, limited, pattern, program, reset,
};
use crate::counterparts::{echoes_netcat, listening, serve};

fn start(workers: &str, most: &str) -> (Program, SocketAddr) {
    serve("workers", &["127.0.0.1:0", workers, most])
}

/// The numbers before this word, of all workers.
fn numbers(lines: &[String], word: &str) -> Vec<usize> {
    let number = |line: &String| {
        line.split([' ', ','])
            .zip(line.split([' ', ',']).skip(1))
            .find_map(|(number, next)| (next == word).then(|| number.parse().unwrap()))
    };
    lines.iter().filter_map(number).collect()
}

#[test]
fn all_workers_serve_and_end() {
    let Some(_reserved) = needs::descriptors(100) else { return };
    let (mut server, address) = start("3", "100");
    let mut clients: Vec<_> = (0..90).map(|_| connect(address.port())).collect();
    for (number, client) in clients.iter().enumerate() {
        echo(client, &pattern(1 + 500 * number));
    }
    assert_at_rest(&server);

    kill_process(server.pid(), Signal::USR1).unwrap();
    for _ in 0..3 {
        server.wait_for("worker ");
    }
    // Each connection goes to the worker with the fewest.
    assert_eq!(numbers(&server.seen, "open"), [30, 30, 30]);

    clients.truncate(45);
    kill_process(server.pid(), Signal::TERM).unwrap();
    let (status, lines) = server.finish();
    assert!(status.success(), "{status}");
    let ended: Vec<_> = lines.into_iter().filter(|line| line.contains("has ended")).collect();
    assert_eq!(numbers(&ended, "served"), [30, 30, 30]);
    assert_eq!(
        numbers(&ended, "bytes").iter().sum::<usize>(),
        (0..90).map(|number| 1 + 500 * number).sum()
    );
    // The first wait, one for each command, one for each connection's data, and
    // its end: it does not spin.
    assert!(numbers(&ended, "waits").iter().all(|&waits| waits < 1000), "{ended:#?}");
    for mut client in clients {
        assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
    }
}

/// If all workers are full, connections wait in the listener's queue, and cost
/// nothing.
#[test]
fn full_workers_leave_connections_in_the_queue() {
    let (server, address) = start("2", "5");
    let first: Vec<_> = (0..10).map(|_| connect(address.port())).collect();
    for client in &first {
        echo(client, b"first");
    }
    let rest: Vec<_> = (0..10).map(|_| connect(address.port())).collect();
    for mut client in &rest {
        client.write_all(b"queued").unwrap();
    }
    assert_at_rest(&server);
    rest[0].set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert_eq!((&rest[0]).read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    rest[0].set_read_timeout(rest[1].read_timeout().unwrap()).unwrap();
    for (served, mut next) in first.into_iter().zip(rest) {
        drop(served);
        let mut response = [0; 6];
        next.read_exact(&mut response).unwrap();
        assert_eq!(&response, b"queued");
    }
}

/// Peers that do not read stop their own connection only, at no cost, and get
/// all when they read.
#[test]
fn back_pressure_takes_no_processor_time() {
    let (server, address) = start("2", "100");
    let stuck: Vec<_> = (0..3).map(|_| connect(address.port())).collect();
    let sent: Vec<_> = stuck.iter().map(fill).collect();
    assert_at_rest(&server);
    for _ in 0..4 {
        echo(&connect(address.port()), b"others are served");
    }
    for (mut client, sent) in stuck.into_iter().zip(sent) {
        let mut received = vec![0; sent];
        client.read_exact(&mut received).unwrap();
        assert_filled(&received);
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
}

/// At the end what was received is sent first, and a peer that does not read is
/// waited for no longer than some seconds.
#[test]
fn sigterm_drains() {
    let (server, address) = start("2", "100");
    let (mut reader, deaf) = (connect(address.port()), connect(address.port()));
    let (sent, _) = (fill(&reader), fill(&deaf));
    kill_process(server.pid(), Signal::TERM).unwrap();
    thread::sleep(Duration::from_millis(300));
    // The listener is closed already.
    assert!(TcpStream::connect(address).is_err());
    let mut received = Vec::new();
    // An end, or a reset as there was more to read.
    let _ = reader.read_to_end(&mut received);
    assert!(!received.is_empty() && received.len() <= sent);
    assert_filled(&received);
    let (status, lines) = server.finish();
    assert!(status.success(), "{status}");
    assert_eq!(numbers(&lines, "open").iter().sum::<usize>(), 1, "{lines:#?}");
}

#[test]
fn peers_that_reset_and_no_descriptors() {
    let Some(_reserved) = needs::descriptors(50) else { return };
    let mut command = limited(32);
    command.arg(program("workers")).args(["127.0.0.1:0", "2"]);
    let (mut server, address) = listening(Program::spawn("workers", &mut command));
    for _ in 0..20 {
        let mut client = connect(address.port());
        client.write_all(b"never mind").unwrap();
        reset(client);
    }
    let clients: Vec<_> = (0..40).map(|_| connect(address.port())).collect();
    echo(&clients[0], b"the first");
    assert_at_rest(&server);
    for client in clients {
        echo(&client, b"my turn");
    }
    server.assert_running();
}

#[test]
fn netcat_gets_its_echo() {
    let (_server, address) = start("2", "100");
    echoes_netcat(address);
}
