//! An echo server that watches many connections at once with `select()`: which
//! are readable, which are writable, and which are in an exceptional condition
//! (urgent data has come, on a socket). Every connection has a queue of messages
//! that are sent when the peer has room for them. It runs until it is killed.
//!
//! ```text
//! cargo run --example select_echo_server [HOST:PORT]
//! cargo run --example select_echo_multiclient [HOST:PORT]   # in another terminal
//! ```

use std::collections::VecDeque;
use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::Duration;

use selectors_std::{AnySelector, Events, Kind};

const READ_ONLY: Events = Events::READ.union(Events::PRIORITY);
const WRITE_ONLY: Events = Events::WRITE.union(Events::PRIORITY);
const READ_WRITE: Events = READ_ONLY.union(Events::WRITE);

/// A connection with this many messages to send is not read from until all are sent: a
/// peer that does not read its echo must not fill the server's memory.
const MAX_QUEUED: usize = 64;

enum Source {
    Server(TcpListener),
    Connection(TcpStream, SocketAddr),
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Server(listener) => listener.as_fd(),
            Self::Connection(stream, _) => stream.as_fd(),
        }
    }
}

/// What is registered with a source: the messages to be sent through it.
type MessageQueue = VecDeque<Vec<u8>>;

fn main() -> io::Result<()> {
    let (host, address) = address_from_args()?;
    let server = TcpListener::bind(address)?;
    server.set_nonblocking(true)?;
    println!("starting up on {host} port {}", server.local_addr()?.port());

    // By name, because illumos has none and says so then; elsewhere it is `SelectSelector::new()`.
    let mut selector = AnySelector::of_kind(Kind::Select)?;
    selector.register(Source::Server(server), READ_ONLY, MessageQueue::new())?;

    loop {
        println!("waiting for the next event");
        selector.select(None)?;

        // As with select(): first all that is readable, then all that is writable,
        // then the exceptional conditions.
        let mut writable = Vec::new();
        let mut exceptional = Vec::new();

        while let Some((key, events)) = selector.next_ready() {
            let fd = key.fd;
            if events.contains(Events::WRITE) {
                writable.push(fd);
            }
            if events.contains(Events::PRIORITY) {
                exceptional.push(fd);
            }
            if !events.contains(Events::READ) {
                continue;
            }
            match key.fileobj {
                Source::Server(server) => match server.accept() {
                    Ok((connection, address)) => {
                        println!("  connection from {address}");
                        connection.set_nonblocking(true)?;
                        let connection = Source::Connection(connection, address);
                        // select() has no place for descriptors from 1024 on.
                        if let Err(refused) = selector.register(connection, READ_ONLY, MessageQueue::new()) {
                            println!("  refused {address}: {refused}");
                        }
                    }
                    Err(error) if is_transient(&error) => {}
                    Err(error) => {
                        // Out of descriptors, say: the peer waits until others close.
                        println!("  cannot accept: {error}");
                        thread::sleep(Duration::from_millis(100));
                    }
                },
                Source::Connection(connection, address) => {
                    let mut buffer = [0; 1024];
                    match (&*connection).read(&mut buffer) {
                        Ok(count) if count > 0 => {
                            let data = &buffer[..count];
                            println!("  received b\"{}\" from {address}", data.escape_ascii());
                            key.data.push_back(data.to_vec());
                            let is_full = key.data.len() >= MAX_QUEUED;
                            let events = if is_full { WRITE_ONLY } else { READ_WRITE };
                            selector.modify(fd, events)?;
                        }
                        // The peer may wait for its echo still: the end is read again after that.
                        Ok(_) if !key.data.is_empty() => selector.modify(fd, WRITE_ONLY)?,
                        Err(error) if is_transient(&error) => {}
                        // The peer closed the connection, or reset it.
                        _ => {
                            println!("  closing {address}");
                            drop(selector.unregister(fd)?);
                        }
                    }
                }
            }
        }

        for fd in writable {
            // None, if the connection was closed just before.
            let Some(key) = selector.get_key_mut(fd) else {
                continue;
            };
            let Source::Connection(connection, address) = key.fileobj else {
                continue;
            };
            if let Some(message) = key.data.front_mut() {
                match (&*connection).write(message) {
                    Ok(count) => {
                        let sent = message[..count].escape_ascii();
                        println!("  sending b\"{sent}\" to {address}");
                        message.drain(..count);
                        if message.is_empty() {
                            key.data.pop_front();
                        }
                    }
                    Err(error) if is_transient(&error) => {}
                    Err(_) => {
                        println!("  closing {address}");
                        drop(selector.unregister(fd)?);
                    }
                }
            } else {
                println!("   {address} queue empty");
                // Else the selector would report it writable all the time.
                selector.modify(fd, READ_ONLY)?;
            }
        }

        for fd in exceptional {
            if let Some(Source::Connection(_, address)) = selector.get_key(fd).map(|key| &key.fileobj) {
                println!("exception condition on {address}");
                drop(selector.unregister(fd)?);
            }
        }
    }
}

/// Errors that say "not now": the selector reports the source again.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted)
}

/// The address given as `HOST:PORT` or `HOST PORT`, else `localhost 10000`.
fn address_from_args() -> io::Result<(String, SocketAddr)> {
    let args: Vec<String> = env::args().skip(1).collect();
    let given = if args.is_empty() { "localhost:10000".to_owned() } else { args.join(":") };
    let usage = || io::Error::new(ErrorKind::InvalidInput, "usage: [HOST:PORT]");
    let (host, port) = given.rsplit_once(':').ok_or_else(usage)?;
    let host = host.trim_matches(['[', ']']);
    let port: u16 = port.parse().map_err(|_| usage())?;
    let address = (host, port)
        .to_socket_addrs()?
        // As Python's AF_INET: the IPv4 address of a name that has both.
        .min_by_key(SocketAddr::is_ipv6)
        .ok_or_else(usage)?;
    Ok((host.to_owned(), address))
}
