//! An echo server with a timeout, after which it does other work.
//!
//! It is `select_echo_server`, and waits for a second at a time.
//!
//! ```text
//! cargo run --example select_echo_server_timeout [HOST PORT]
//! cargo run --example select_echo_slow_client [HOST PORT] # in another terminal
//! ```

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use std::{env, error};

use selectors_std::{AnySelector, Error, Events, KeyId, KeyMut, Kind};
use socket2::Socket;

/// How long to wait for events before doing other work.
const TIMEOUT: Duration = Duration::from_secs(1);

const READ_ONLY: Events = Events::READ.union(Events::PRIORITY);
const WRITE_ONLY: Events = Events::WRITE.union(Events::PRIORITY);
const READ_WRITE: Events = READ_ONLY.union(Events::WRITE);

/// A connection with this many messages to send is not read from until all are
/// sent. So a peer that does not read its echo does not fill the server's
/// memory.
const MAX_QUEUED: usize = 64;

type Selector = AnySelector<Socket, Data>;

struct Data {
    address: SocketAddr,
    /// The messages to be sent.
    queue: VecDeque<Vec<u8>>,
}

fn main() -> Result<(), Box<dyn error::Error>> {
    let host = env::args().nth(1).unwrap_or("localhost".to_owned());
    let port = env::args().nth(2).unwrap_or("10000".to_owned()).parse()?;
    let server = TcpListener::bind((&*host, port))?;
    let address = server.local_addr()?;
    println!("starting up on {host} port {}", address.port());
    server.set_nonblocking(true)?;

    // By name, because illumos has none and says so then. Elsewhere it is
    // `SelectSelector::new()`.
    let mut selector = Selector::of_kind(Kind::Select)?;
    let data = Data { address, queue: VecDeque::new() };
    let server = selector.register(server.into(), READ_ONLY, data)?.id();
    loop {
        println!("waiting for the next event");
        let result = selector.select(Some(TIMEOUT))?;
        let _ = selector.resume(server); // if it was paused, because no descriptor was free
        if result.timed_out() {
            println!("  timed out, do some other work here");
            continue;
        }

        // As with Python's select(): all that is readable comes first, then all
        // that is writable, and then the exceptional conditions. A look-up
        // finds nothing if the connection was closed just before.
        let mut ready = Vec::new();
        while let Some((key, events)) = selector.next_ready() {
            ready.push((key.id(), events));
        }
        for &(id, _) in ready.iter().filter(|(_, events)| events.is_readable()) {
            if id == server {
                accept(&mut selector, server);
            } else if let Some(key) = selector.get_key_mut(id) {
                read(key)?;
            }
        }
        for &(id, _) in ready.iter().filter(|(_, events)| events.is_writable()) {
            if let Some(key) = selector.get_key_mut(id) {
                write(key)?;
            }
        }
        for &(id, _) in ready.iter().filter(|(_, events)| events.is_priority()) {
            if let Some(key) = selector.get_key_mut(id) {
                println!("exception condition on {}", key.data.address);
                drop(key.unregister());
            }
        }
    }
}

fn accept(selector: &mut Selector, server: KeyId) {
    let Some(mut key) = selector.get_key_mut(server) else { return };
    let (connection, address) = match key.fileobj.accept() {
        Ok((connection, address)) => (connection, address.as_socket()),
        Err(error) => {
            // If no descriptor is free, the peer waits until others close.
            println!("  cannot accept: {error}");
            return key.pause();
        }
    };
    let (Some(address), Ok(())) = (address, connection.set_nonblocking(true)) else { return };
    println!("  connection from {address}");
    // select() can't watch descriptors from 1024 on.
    if let Err(refused) =
        selector.register(connection, READ_ONLY, Data { address, queue: VecDeque::new() })
    {
        println!("  refused {address}: {refused}");
    }
}

fn read(mut key: KeyMut<'_, Selector>) -> Result<(), Error> {
    let mut buffer = [0; 1024];
    match key.read(&mut buffer) {
        Ok(count) if count > 0 => {
            let received = &buffer[..count];
            println!("  received b\"{}\" from {}", received.escape_ascii(), key.data.address);
            key.data_mut().queue.push_back(received.to_vec());
            let is_full = key.data.queue.len() >= MAX_QUEUED;
            key.modify(if is_full { WRITE_ONLY } else { READ_WRITE })?;
        }
        // The peer may still wait for its echo. The end is read again after
        // that.
        Ok(_) if !key.data.queue.is_empty() => key.modify(WRITE_ONLY)?,
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        // The peer has closed the connection, or reset it.
        _ => {
            println!("closing {}", key.data.address);
            drop(key.unregister());
        }
    }
    Ok(())
}

fn write(mut key: KeyMut<'_, Selector>) -> Result<(), Error> {
    let (mut connection, Data { address, queue }) = key.parts();
    let Some(message) = queue.front_mut() else {
        println!("{address} queue empty");
        return key.modify(READ_ONLY); // or every wait would report it as writable
    };
    match connection.write(message) {
        Ok(count) => {
            println!("  sending b\"{}\" to {address}", message[..count].escape_ascii());
            message.drain(..count);
            if message.is_empty() {
                queue.pop_front();
            }
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(_) => {
            println!("closing {address}");
            drop(key.unregister());
        }
    }
    Ok(())
}
