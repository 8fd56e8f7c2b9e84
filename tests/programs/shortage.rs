//! The servers continue after calls that the kernel refuses: no descriptor is
//! free, memory is short, a peer has left.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use crate::common::program::{Program, assert_at_rest, connect, limited, program};
use crate::common::{at_once, needs};
use crate::counterparts::{echo_everything, listening};

/// A server, its arguments, and whether it serves a connection.
struct Server(&'static str, &'static str, fn(&TcpStream) -> bool);

const SERVERS: [Server; 6] = [
    Server("chat", "127.0.0.1:0", greets),
    Server("http_hello", "127.0.0.1:0", responds),
    Server("sharded_echo", "127.0.0.1:0 2", echoes),
    Server("tcp_proxy", "127.0.0.1:0 UPSTREAM", echoes),
    Server("workers", "127.0.0.1:0 2", echoes),
    Server("select_echo_server", "127.0.0.1 0", echoes),
];

fn echoes(mut stream: &TcpStream) -> bool {
    let mut response = [0; 5];
    stream.write_all(b"hello").is_ok()
        && stream.read_exact(&mut response).is_ok()
        && &response == b"hello"
}

fn greets(stream: &TcpStream) -> bool {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).is_ok() && line == "Your name?\n"
}

fn responds(mut stream: &TcpStream) -> bool {
    let mut line = String::new();
    let request = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n";
    stream.write_all(request).is_ok()
        && BufReader::new(stream).read_line(&mut line).is_ok()
        && line == "HTTP/1.1 200 OK\r\n"
}

/// An upstream for the proxy, which echoes.
fn upstream() -> SocketAddr {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap();
    echo_everything(upstream);
    address
}

impl Server {
    /// Starts it by a command that gets the program and its arguments as its
    /// last arguments.
    fn start(&self, mut command: Command) -> (Program, u16) {
        let upstream = upstream().to_string();
        let arguments =
            self.1.split(' ').map(|word| if word == "UPSTREAM" { &upstream } else { word });
        let server = Program::spawn(self.0, command.arg(program(self.0)).args(arguments));
        if self.0 == "select_echo_server" {
            return server.on_port();
        }
        let (server, address) = listening(server);
        (server, address.port())
    }
}

#[test]
fn no_descriptor_is_free() {
    at_once(&SERVERS, |server| {
        let Some(_reserved) = needs::descriptors(100) else { return };
        let (mut process, port) = server.start(limited(24));
        let mut clients: Vec<_> = (0..30).map(|_| connect(port)).collect();
        assert_at_rest(&process);
        // The last one is served when others have left.
        let last = clients.pop().unwrap();
        drop(clients);
        assert!(server.2(&last), "{}", server.0);
        process.assert_running();
    });
}

/// Runs each server under strace, which makes some system calls of each thread
/// fail.
#[cfg(target_os = "linux")]
fn with_failures(call: &str, errors: &[&str], when: &str, check: fn(&Server, &mut Program, u16)) {
    if !needs::strace() {
        return;
    }
    at_once(&SERVERS, |server| {
        let Some(_reserved) = needs::descriptors(60) else { return };
        for error in errors {
            let mut command = Command::new("strace");
            // As a grandchild, so that the process that is started is the
            // server itself.
            command.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e"]).arg(format!("trace={call}"));
            command.args(["-e", &format!("inject={call}:error={error}:when={when}")]);
            let (mut process, port) = server.start(command);
            check(server, &mut process, port);
            process.assert_running();
        }
    });
}

/// A failure costs one connection at most, and each thread sees three.
#[cfg(target_os = "linux")]
fn most_are_served(server: &Server, _process: &mut Program, port: u16) {
    let served = (0..24).filter(|_| server.2(&connect(port))).count();
    assert!(served >= 12, "{}: {served} of 24 were served", server.0);
}

#[test]
#[cfg(target_os = "linux")]
fn accept_fails_for_a_while() {
    let errors = ["EMFILE", "ENOBUFS", "ECONNABORTED", "EPERM"];
    with_failures("accept4", &errors, "1..3", most_are_served);
}

#[test]
#[cfg(target_os = "linux")]
fn accept_fails_for_good() {
    with_failures("accept4", &["ENOMEM"], "1+", |_, process, port| {
        let _waiting = connect(port);
        assert_at_rest(process);
    });
}

/// The first calls are those of the listeners.
#[test]
#[cfg(target_os = "linux")]
fn a_peer_leaves_before_its_socket_is_set_up() {
    with_failures("setsockopt", &["EINVAL"], "6+", most_are_served);
}

#[test]
#[cfg(target_os = "linux")]
fn registration_fails() {
    with_failures("epoll_ctl", &["ENOMEM", "ENOSPC"], "8..10", most_are_served);
}
