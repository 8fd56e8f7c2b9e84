//! The programs against each other, line for line.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use super::python::*;
use crate::common::program::{Program, connect};

#[test]
fn server_and_client_in_one_loop() {
    let (status, lines) = Program::start("server_and_client", &[]).finish();
    assert!(status.success(), "{status}");
    assert_eq!(lines.iter().filter(|line| *line == "Listener: accepted a connection").count(), 1);
    // How the echo is cut is up to the kernel.
    let bytes = |start: &str| -> String {
        lines.iter().filter_map(|line| line.strip_prefix(start)?.strip_suffix('"')).collect()
    };
    for start in
        ["Client: sent b\"", "Server: received b\"", "Server: sent b\"", "Client: received b\""]
    {
        assert_eq!(bytes(start), "This is the message. It will be repeated.", "{start}");
    }
    assert_eq!(lines.iter().filter(|line| line.ends_with(": closing")).count(), 2);
}

#[test]
fn selectors_server_and_client() {
    let (server, port) = Program::serve("selectors_echo_server");
    // The client sends everything before the server reads, as in Python's run.
    let client = server.stopped_during(|| {
        let mut client = Program::start("selectors_echo_client", &["127.0.0.1", &port.to_string()]);
        client.wait_for("switching to read-only");
        client
    });
    let (client_status, client) = client.finish();
    let (server_status, server) = server.finish();
    assert!(client_status.success() && server_status.success());
    assert_eq!(without_idling(numbered(client)), without_idling(transcript(SELECTORS_CLIENT)));
    assert_eq!(without_idling(numbered(server)), without_idling(transcript(SELECTORS_SERVER)));
}

/// The client's messages come back, whether it sends its last message or
/// receives its first echo first.
#[test]
fn selectors_server_and_client_run_freely() {
    for _ in 0..20 {
        let (server, port) = Program::serve("selectors_echo_server");
        let port = port.to_string();
        let client = Program::start("selectors_echo_client", &["127.0.0.1", &port]);
        for (program, verb) in [(client, "  received b\""), (server, "  received b\"")] {
            let (status, lines) = program.finish();
            assert!(status.success(), "{status}");
            let received: String = lines
                .iter()
                .filter_map(|line| line.strip_prefix(verb)?.strip_suffix('"'))
                .collect();
            assert_eq!(received, "This is the message.  It will be repeated.");
        }
    }
}

fn multiclient_with(server: &str, expected: &str) {
    let (mut server, port) = Program::serve(server);
    let client = Program::start("select_echo_multiclient", &["127.0.0.1", &port.to_string()]);
    let (status, client) = client.finish();
    assert!(status.success(), "{status}");
    assert_eq!(numbered(client), transcript(MULTICLIENT));

    server.wait_for("closing ");
    server.wait_for("closing ");
    server.wait_for("waiting for the next event");
    server.wait_for_silence();
    server.assert_running();
    let lines = without_idling(numbered(&server.seen));
    let expected = without_idling(transcript(expected));
    assert_eq!(by_connection(&lines), by_connection(&expected));
    assert_eq!(lines[..2], expected[..2]);
    assert_eq!(lines.last(), expected.last());
}

#[test]
fn select_server_and_multiclient() {
    multiclient_with("select_echo_server", SELECT_SERVER);
}

#[test]
fn poll_server_and_multiclient() {
    multiclient_with("select_poll_echo_server", POLL_SERVER);
}

/// The test is the client, and stops the server for a moment wherever both
/// connections act at the same time.
fn multiclient_in_step_with(server: &str, expected: &[String]) {
    let (mut server, port) = Program::serve(server);
    let mut connections = [(); 2].map(|()| {
        let connection = connect(port);
        server.wait_for("  connection ");
        server.wait_for("waiting for the next event");
        connection
    });
    for message in ["This is the message. ", "It will be sent ", "in parts."] {
        server.stopped_during(|| {
            for connection in &mut connections {
                connection.write_all(message.as_bytes()).unwrap();
            }
            thread::sleep(Duration::from_millis(200));
        });
        for _ in &connections {
            server.wait_for(" queue empty");
        }
        server.wait_for("waiting for the next event");
        for connection in &mut connections {
            let mut response = vec![0; message.len()];
            connection.read_exact(&mut response).unwrap();
            assert_eq!(response, message.as_bytes());
        }
    }
    server.stopped_during(|| {
        drop(connections);
        thread::sleep(Duration::from_millis(200));
    });
    server.wait_for("closing ");
    server.wait_for("closing ");
    server.wait_for("waiting for the next event");
    assert_eq!(without_idling(numbered(&server.seen)), expected);
}

#[test]
fn select_server_line_for_line() {
    // Python's second connection was late with its last part, which can't be
    // repeated. Here it comes in time.
    let (start, rest) =
        SELECT_SERVER.split_once("  received b'in parts.' from ('127.0.0.1', 61003)\n").unwrap();
    let (_, end) = rest.split_once("\n  closing").unwrap();
    let in_time = r"  received b'in parts.' from ('127.0.0.1', 61003)
  received b'in parts.' from ('127.0.0.1', 61004)
waiting for the next event
  sending b'in parts.' to ('127.0.0.1', 61003)
  sending b'in parts.' to ('127.0.0.1', 61004)
waiting for the next event
   ('127.0.0.1', 61003) queue empty
   ('127.0.0.1', 61004) queue empty
waiting for the next event";
    let expected = transcript(&format!("{start}{in_time}\n  closing{end}"));
    multiclient_in_step_with("select_echo_server", &expected);
}

#[test]
fn poll_server_line_for_line() {
    let mut expected = without_idling(transcript(POLL_SERVER));
    // Here both connections are closed at the same time.
    let last = expected.len() - 1;
    expected.remove(last - 2);
    multiclient_in_step_with("select_poll_echo_server", &expected);
}

#[test]
fn timeout_server_and_slow_client() {
    let (mut server, port) = Program::serve("select_echo_server_timeout");
    server.wait_for("timed out, do some other work here");
    let client = Program::start("select_echo_slow_client", &["127.0.0.1", &port.to_string()]);
    let (status, client) = client.finish();
    assert!(status.success(), "{status}");
    server.wait_for("closing ");
    server.wait_for("timed out, do some other work here");
    assert_eq!(
        without_idling(numbered(&server.seen)),
        // The last waiting was followed by a time-out.
        without_idling(transcript(TIMEOUT_SERVER)),
    );

    // The response is cut in the same way, unless the server was late for
    // seconds.
    let joined = |lines: Vec<String>| lines.concat().replace("\"received b\"", "");
    assert_eq!(joined(numbered(client)), joined(transcript(SLOW_CLIENT)));
}

/// The slow client reads the response in pieces of 16 bytes.
#[test]
fn slow_client_line_for_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = Program::start("select_echo_slow_client", &["127.0.0.1", &port.to_string()]);
    let (mut connection, _) = listener.accept().unwrap();
    // Everything together and early, so that the pieces do not depend on when
    // it comes.
    connection.write_all(b"Part one of the message.Part two of the message.").unwrap();
    let mut request = Vec::new();
    connection.read_to_end(&mut request).unwrap();
    assert_eq!(request, b"Part one of the message.Part two of the message.");
    let (status, client) = client.finish();
    assert!(status.success(), "{status}");
    assert_eq!(numbered(client), transcript(SLOW_CLIENT));
}
