//! The port scanner on ports that are open, closed, and do not respond.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::common::at_once;
use crate::common::program::{Program, limited, program};
use crate::counterparts::run;

/// An address of this machine where no other test listens.
const ADDRESS: [u8; 4] = [127, 77, 1, 1];

/// A count of the last line.
fn count(lines: &[String], name: &str) -> usize {
    let last = lines.last().unwrap();
    let count = last.split(", ").find_map(|count| count.strip_suffix(name));
    count.unwrap_or_else(|| panic!("no {name} in {last}")).trim().parse().unwrap()
}

fn scan(command: &mut Command) -> Vec<String> {
    run("port_scan", command).lines().map(str::to_owned).collect()
}

#[test]
fn open_and_closed_ports() {
    let address = SocketAddr::from((ADDRESS, 0));
    let listeners: Vec<_> = (0..3).map(|_| TcpListener::bind(address).unwrap()).collect();
    let ports: Vec<_> =
        listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
    at_once([240, 12], |limit| {
        let lines =
            scan(limited(limit).arg(program("port_scan")).args(["127.77.1.1", "1", "65535"]));
        for port in &ports {
            assert!(lines.contains(&format!("127.77.1.1:{port} is open")), "{port}");
        }
        let (open, refused) = (count(&lines, "open"), count(&lines, "refused"));
        assert!(open >= 3 && refused > 50_000, "{:?}", lines.last());
        assert_eq!(open + refused + count(&lines, "timed out") + count(&lines, "failed"), 65_535);
    });
}

/// A listener with a full queue does not respond to further attempts.
#[test]
fn ports_that_do_not_respond() {
    let full = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&full, &SocketAddr::from((ADDRESS, 0))).unwrap();
    rustix::net::listen(&full, 0).unwrap();
    let address = SocketAddr::try_from(rustix::net::getsockname(&full).unwrap()).unwrap();
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let waiting = (0..4).map(|_| {
        let socket =
            rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
        let _ = rustix::net::connect(&socket, &address);
        socket
    });
    let _waiting: Vec<_> = waiting.collect();
    let port = address.port().to_string();
    let lines = scan(Command::new(program("port_scan")).args(["127.77.1.1", &port, &port]));
    assert_eq!(lines.last().unwrap(), "0 open, 0 refused, 1 timed out, 0 failed");
}

#[test]
fn wrong_arguments() {
    for args in [&["localhost"][..], &["localhost", "1", "many"], &["256.0.0.1", "1", "2"]] {
        let mut command = Command::new(program("port_scan"));
        let (status, lines) = Program::spawn("port_scan", command.args(args)).finish();
        assert!(!status.success() && lines.is_empty());
    }
}
