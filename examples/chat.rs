//! A chat server: each line of a peer goes to all others.
//!
//! The first line of a peer is its name.
//!
//! One walk over the keys puts a line into the output buffer of each peer. A
//! peer that does not read is disconnected when its buffer is full. So it
//! neither stops the others nor fills the server's memory.
//!
//! ```text
//! cargo run --example chat 127.0.0.1:7000
//! nc 127.0.0.1 7000                        # in other terminals
//! ```
//!
//! It needs the crates selectors-std and socket2.

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use selectors_std::{DefaultSelector, Events, KeyId, SelectorKey};
use socket2::Socket;

type Selector = DefaultSelector<Socket, Peer>;

/// A line may be this long.
const LINE: usize = 1 << 10;

/// A name may be this long.
///
/// It is sent with each line, so many short lines with a long name would fill
/// the buffers of all peers.
const NAME: usize = 32;

/// A peer may leave this much unread.
const UNREAD: usize = 256 << 10;

#[derive(Default)]
struct Peer {
    /// The first line that the peer sent. The listener has none.
    name: Option<String>,
    /// The beginning of a line.
    received: Vec<u8>,
    unsent: Vec<u8>,
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:7000".to_owned());
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    println!("listening on {}", listener.local_addr()?);

    let mut selector = Selector::new()?;
    let listener = selector.register(listener.into(), Events::READ, Peer::default())?.id();
    loop {
        // The listener is paused if no descriptor was free. It is resumed after
        // a moment.
        let is_paused = selector.get_key(listener).is_some_and(|key| key.is_paused());
        selector.select(is_paused.then_some(Duration::from_millis(100)))?;
        let _ = selector.resume(listener); // if that fails, it stays paused

        while let Some((mut key, events)) = selector.next_ready() {
            let id = key.id();
            if id == listener {
                match accept(&key.fileobj) {
                    Ok(socket) => {
                        let peer = Peer { unsent: b"Your name?\n".to_vec(), ..Peer::default() };
                        let _ = selector.register(socket, Events::READ | Events::WRITE, peer);
                    }
                    Err(_) => key.pause(),
                }
            } else if serve(&mut selector, id, events).is_err() {
                leave(&mut selector, id);
            }
        }
    }
}

fn accept(listener: &Socket) -> io::Result<Socket> {
    let (socket, _address) = listener.accept()?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Reads and writes once. Returns an error at the end of the connection.
fn serve(selector: &mut Selector, id: KeyId, events: Events) -> io::Result<()> {
    let Some(mut key) = selector.get_key_mut(id) else { return Ok(()) };
    let (mut socket, peer) = key.parts();
    if events.is_writable() {
        match socket.write(&peer.unsent) {
            Ok(count) => drop(peer.unsent.drain(..count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if peer.unsent.is_empty() {
            key.modify(Events::READ)?;
        }
    }
    if events.is_readable() {
        let mut buffer = [0; 4096];
        let count = match key.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            result => result?,
        };
        for part in buffer[..count].split_inclusive(|&byte| byte == b'\n') {
            receive(selector, id, part)?;
        }
    }
    Ok(())
}

/// Handles a part of a line, which may be the last one.
fn receive(selector: &mut Selector, id: KeyId, part: &[u8]) -> io::Result<()> {
    let Some(mut key) = selector.get_key_mut(id) else { return Ok(()) };
    let peer = key.data_mut();
    peer.received.extend_from_slice(part);
    if peer.received.len() > LINE {
        return Err(ErrorKind::InvalidData.into());
    }
    if !part.ends_with(b"\n") {
        return Ok(());
    }
    let line = String::from_utf8_lossy(&peer.received).trim().to_owned();
    peer.received.clear();
    if line.is_empty() {
        return Ok(());
    }
    let message = match &peer.name {
        Some(name) => format!("{name}: {line}\n"),
        None if line.len() > NAME => return Err(ErrorKind::InvalidData.into()),
        None => {
            let message = format!("{line} has come\n");
            peer.name = Some(line);
            message
        }
    };
    send_to_all(selector, &message, id);
    Ok(())
}

/// Sends a message to all peers that have a name, except the one that it is
/// from.
fn send_to_all(selector: &mut Selector, message: &str, from: KeyId) {
    let mut left = Vec::new();
    let mut walk = selector.walk();
    while let Some(mut key) = walk.next() {
        if key.data.name.is_none() || key.id() == from {
            continue;
        }
        key.data_mut().unsent.extend_from_slice(message.as_bytes());
        let is_full = key.data.unsent.len() > UNREAD;
        if is_full || key.modify(Events::READ | Events::WRITE).is_err() {
            left.extend(key.unregister().data.name);
        }
    }
    for name in left {
        send_to_all(selector, &format!("{name} has left\n"), from);
    }
}

/// Closes a connection.
fn leave(selector: &mut Selector, id: KeyId) {
    if let Ok(SelectorKey { data: Peer { name: Some(name), .. }, .. }) = selector.unregister(id) {
        send_to_all(selector, &format!("{name} has left\n"), id);
    }
}
