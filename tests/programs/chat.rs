//! The chat server between peers of the test's own.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use crate::common::needs::installed;
use crate::common::program::{Program, assert_at_rest, connect, limited, program, reset};
use crate::counterparts::{listening, serve};

/// A peer that has joined.
struct Peer(BufReader<TcpStream>);

impl Peer {
    fn join(address: SocketAddr, name: &str) -> Self {
        let mut peer = Self(BufReader::new(connect(address.port())));
        peer.expect("Your name?");
        peer.say(name);
        peer
    }

    fn say(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn expect(&mut self, expected: &str) {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert_eq!(line, format!("{expected}\n"));
    }
}

#[test]
fn each_line_goes_to_all_others() {
    let (server, address) = serve("chat", &["127.0.0.1:0"]);
    let mut ann = Peer::join(address, "ann");
    let mut bob = Peer::join(address, "bob");
    ann.expect("bob has come");
    let mut eve = Peer::join(address, "eve");
    ann.expect("eve has come");
    bob.expect("eve has come");
    // A peer without a name neither hears nor is heard.
    let _nameless = connect(address.port());

    eve.say("hello\r"); // as telnet ends its lines
    ann.expect("eve: hello");
    bob.expect("eve: hello");
    // Lines that come in parts, and several in one.
    ann.0.get_mut().write_all(b"o").unwrap();
    ann.0.get_mut().write_all(b"ne\ntwo\nthr").unwrap();
    ann.say("ee");
    for peer in [&mut bob, &mut eve] {
        peer.expect("ann: one");
        peer.expect("ann: two");
        peer.expect("ann: three");
    }

    reset(bob.0.into_inner());
    eve.expect("bob has left");
    drop(eve);
    ann.expect("bob has left");
    ann.expect("eve has left");
    assert_at_rest(&server);
}

#[test]
fn a_peer_that_does_not_read_is_disconnected() {
    let (server, address) = serve("chat", &["127.0.0.1:0"]);
    let mut deaf = Peer::join(address, "deaf");
    let mut ann = Peer::join(address, "ann");
    let mut bob = Peer::join(address, "bob");
    ann.expect("bob has come");
    let text = "x".repeat(900);
    let mut has_left = false;
    // In rounds, so that Ann keeps up. The last one comes when the buffers of
    // the kernel and the server are full.
    for round in 0..2000 {
        for _ in 0..50 {
            bob.say(&text);
        }
        bob.say(&format!("round {round}"));
        let mut line = String::new();
        while line != format!("bob: round {round}\n") {
            line.clear();
            assert!(
                ann.0.read_line(&mut line).unwrap() > 0,
                "the server has closed a peer that reads"
            );
            has_left |= line == "deaf has left\n";
        }
        if has_left {
            break;
        }
    }
    assert!(has_left, "the server keeps it all for a peer that does not read");
    // What was sent to it before, and the end.
    if let Err(error) = deaf.0.read_to_end(&mut Vec::new()) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    assert_at_rest(&server);
}

#[test]
fn peers_without_an_end_of_line_are_disconnected() {
    let (mut server, address) = serve("chat", &["127.0.0.1:0"]);
    let mut endless = connect(address.port());
    // The server may close before all is written.
    let _ = endless.write_all(&[b'x'; 100_000]);
    let _ = endless.read_to_end(&mut Vec::new());
    server.assert_running();
    let mut ann = Peer::join(address, "ann");
    Peer::join(address, "bob").say("bye");
    ann.expect("bob has come");
    ann.expect("bob: bye");
    ann.expect("bob has left");
}

/// A name is sent with each line, so short lines with a long name would fill
/// the buffers of all peers.
#[test]
fn short_lines_stay_short() {
    let (_server, address) = serve("chat", &["127.0.0.1:0"]);
    let mut ann = Peer::join(address, "ann");
    let mut long = Peer(BufReader::new(connect(address.port())));
    long.expect("Your name?");
    long.say(&"x".repeat(33));
    let mut bob = Peer::join(address, "bob");
    bob.say("");
    bob.say("hello");
    ann.expect("bob has come");
    ann.expect("bob: hello");
    assert_eq!(long.0.read_line(&mut String::new()).unwrap_or(0), 0, "it is still connected");
}

/// Peers that find no descriptor left wait until others leave.
#[test]
fn out_of_descriptors() {
    let (server, address) =
        listening(Program::spawn("chat", limited(16).arg(program("chat")).arg("127.0.0.1:0")));
    let mut ann = Peer::join(address, "ann");
    let waiting: Vec<_> = (0..20).map(|_| connect(address.port())).collect();
    let mut last = Peer(BufReader::new(connect(address.port())));
    assert_at_rest(&server);
    drop(waiting);
    last.expect("Your name?");
    last.say("bob");
    ann.expect("bob has come");
}

#[test]
fn netcat_chats() {
    let Some(nc) = installed("nc") else { return };
    let (_server, address) = serve("chat", &["127.0.0.1:0"]);
    let mut ann = Peer::join(address, "ann");
    let mut command = Command::new(nc);
    command.args(["127.0.0.1", &address.port().to_string()]).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut lines = BufReader::new(output).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "Your name?");
    input.write_all(b"bob\nhello\n").unwrap();
    ann.expect("bob has come");
    ann.expect("bob: hello");
    ann.say("and hello to you");
    assert_eq!(lines.next().unwrap().unwrap(), "ann: and hello to you");
    child.kill().unwrap();
    child.wait().unwrap();
    ann.expect("bob has left");
}
