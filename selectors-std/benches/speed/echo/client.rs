//! The client of the echo servers: each connection always has one message on
//! its way.

use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

/// The argument with which the program is the client. Port, connections and
/// milliseconds follow.
pub(crate) const CLIENT: &str = "--client";
/// Bytes of a message.
pub(crate) const MESSAGE: usize = 64;

fn socket(flags: SocketFlags) -> OwnedFd {
    rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        flags | SocketFlags::CLOEXEC,
        None,
    )
    .unwrap()
}

/// A listening socket, and its port.
pub(crate) fn listen() -> (OwnedFd, u16) {
    let listener = socket(SocketFlags::NONBLOCK);
    rustix::net::bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    rustix::net::listen(&listener, 4096).unwrap();
    let address = SocketAddrV4::try_from(rustix::net::getsockname(&listener).unwrap()).unwrap();
    (listener, address.port())
}

fn connect(port: u16) -> OwnedFd {
    let connection = socket(SocketFlags::empty());
    rustix::net::connect(&connection, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).unwrap();
    // Without TIME_WAIT in the end: there are more connections in a run than
    // ports.
    sockopt::set_socket_linger(&connection, Some(Duration::ZERO)).unwrap();
    rustix::io::ioctl_fionbio(&connection, true).unwrap();
    connection
}

fn send(connection: impl AsFd) {
    assert_eq!(rustix::io::write(connection, &[b'e'; MESSAGE]), Ok(MESSAGE));
}

struct Client {
    epoll: OwnedFd,
    connections: Vec<OwnedFd>,
}

impl Client {
    /// Receives what has been echoed, and sends the next message on each of
    /// these connections if `more`. Returns how many messages were received.
    fn turn(&self, more: bool) -> usize {
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        let (ready, _) = epoll::wait(&self.epoll, &mut buffer, Some(&second)).unwrap();
        let mut received = 0;
        for event in ready.iter() {
            let connection = &self.connections[usize::try_from(event.data.u64()).unwrap()];
            match rustix::io::read(connection, &mut [0; MESSAGE]) {
                Ok(MESSAGE) => received += 1,
                Err(Errno::AGAIN) => continue,
                other => panic!("no echo: {other:?}"),
            }
            if more {
                send(connection);
            }
        }
        received
    }
}

/// Connects, sends one message on each connection, and, once all have come
/// back, keeps one on each for a while. Then it resets the connections.
pub(crate) fn main(arguments: &[String]) {
    let [port, connections, milliseconds] = arguments else {
        panic!("{CLIENT} PORT CONNECTIONS MILLISECONDS")
    };
    let (port, connections): (u16, u64) = (port.parse().unwrap(), connections.parse().unwrap());
    let window = Duration::from_millis(milliseconds.parse().unwrap());
    let mut client =
        Client { epoll: epoll::create(CreateFlags::CLOEXEC).unwrap(), connections: Vec::new() };
    for index in 0..connections {
        let connection = connect(port);
        epoll::add(&client.epoll, &connection, EventData::new_u64(index), EventFlags::IN).unwrap();
        client.connections.push(connection);
    }
    client.connections.iter().for_each(send);
    let mut received = 0;
    while received < client.connections.len() {
        received += client.turn(false);
    }
    client.connections.iter().for_each(send);
    let begin = Instant::now();
    while begin.elapsed() < window {
        client.turn(true);
    }
}
