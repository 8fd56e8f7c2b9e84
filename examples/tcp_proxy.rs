//! A TCP proxy, which carries every connection to an upstream.
//!
//! One thread and one selector serve as many connections as there are
//! descriptors. An end is read only if all that was read before is written to
//! the other end. So a fast sender waits for a slow receiver, and memory stays
//! small. If one direction ends, the end is passed on, and the other direction
//! continues.
//!
//! ```text
//! cargo run --example tcp_proxy 127.0.0.1:10000 127.0.0.1:6379
//! ```
//!
//! It needs the crates selectors-std, socket2 (feature all) and rustix (feature
//! process).

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, ToSocketAddrs};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use selectors_std::{DefaultSelector, Events, KeyId, connect};
use socket2::Socket;

/// The most that is read at once, and so the most that is kept of one
/// direction.
const CHUNK: usize = 64 << 10;

/// An end of a carried connection.
#[derive(Default)]
struct End {
    /// The other end. The listener has none.
    other: Option<KeyId>,
    /// What was read from the other end, and is not written to this one yet. It
    /// is nearly always empty, so that an idle connection needs no memory for
    /// it.
    unsent: Vec<u8>,
    /// The connection is not established yet.
    is_connecting: bool,
    /// This end will send no more.
    has_ended: bool,
    /// The end of the other one was passed on to this one.
    is_shut: bool,
}

struct Proxy {
    selector: DefaultSelector<Socket, End>,
    listener: KeyId,
    upstream: SocketAddr,
    buffer: Vec<u8>,
}

fn main() -> io::Result<()> {
    let [_, listen, upstream] = &*env::args().collect::<Vec<_>>() else {
        return Err(io::Error::other("usage: tcp_proxy LISTEN UPSTREAM"));
    };
    let upstream = upstream.to_socket_addrs()?.next().ok_or(ErrorKind::NotFound)?;
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    raise_descriptor_limit();
    println!("listening on {}", listener.local_addr()?);

    let mut selector = DefaultSelector::new()?;
    let listener = selector.register(listener.into(), Events::READ, End::default())?.id();
    let mut proxy = Proxy { selector, listener, upstream, buffer: vec![0; CHUNK] };
    loop {
        // The listener is paused if no descriptor was free. It is resumed after
        // a moment.
        let is_paused = proxy.selector.get_key(listener).is_some_and(|key| key.is_paused());
        proxy.selector.select(is_paused.then_some(Duration::from_millis(100)))?;
        let _ = proxy.selector.resume(listener); // if that fails, it stays paused

        while let Some((key, events)) = proxy.selector.next_ready() {
            match (key.id(), key.data.other) {
                (id, Some(other)) => {
                    if !proxy.carry(id, other, events).is_ok_and(|lives| lives) {
                        drop(proxy.selector.unregister(id));
                        drop(proxy.selector.unregister(other));
                    }
                }
                (_, None) => proxy.accept(),
            }
        }
    }
}

impl Proxy {
    fn accept(&mut self) {
        // The upstream's socket comes first. If there is none, the client stays
        // in the listener's queue.
        let upstream = connect(self.upstream);
        let Some(mut listener) = self.selector.get_key_mut(self.listener) else { return };
        if upstream.as_ref().is_err_and(is_short) {
            return listener.pause();
        }
        let Ok((client, _address)) = listener.fileobj.accept() else {
            return listener.pause();
        };
        let registered = upstream.and_then(|upstream| {
            client.set_nonblocking(true)?;
            // The peer may have closed already. The next read returns that.
            let _ = (client.set_tcp_nodelay(true), upstream.set_nodelay(true));
            self.register(client, upstream.into())
        });
        if let Err(error) = registered {
            eprintln!("closed a connection: {error}");
        }
    }

    fn register(&mut self, client: Socket, upstream: Socket) -> io::Result<()> {
        let end = End { is_connecting: true, ..End::default() };
        let upstream = self.selector.register(upstream, Events::WRITE, end)?.id();
        let end = End { other: Some(upstream), ..End::default() };
        let client = self.selector.register(client, Events::READ, end).map(|key| key.id());
        if let (Some(mut upstream), Ok(client)) = (self.selector.get_key_mut(upstream), client) {
            upstream.data_mut().other = Some(client);
            return Ok(());
        }
        drop(self.selector.unregister(upstream));
        Ok(client.map(drop)?)
    }

    /// Reads and writes at an end that is ready. Returns whether the connection
    /// continues.
    fn carry(&mut self, id: KeyId, other: KeyId, events: Events) -> io::Result<bool> {
        if events.is_writable() {
            self.send(id)?;
        }
        if events.is_readable() {
            self.receive(id, other)?;
        }
        let mut lives = false;
        for (id, other) in [(id, other), (other, id)] {
            lives |= !self.pass_end(id, other)?;
            self.watch(id, other)?;
        }
        Ok(lives)
    }

    /// Writes what is not written to this end yet.
    fn send(&mut self, id: KeyId) -> io::Result<()> {
        let Some(mut key) = self.selector.get_key_mut(id) else { return Ok(()) };
        if key.data.is_connecting {
            if let Some(errno) = key.take_error()? {
                eprintln!("no connection to {}: {errno}", self.upstream);
                return Err(errno.into());
            }
            key.data_mut().is_connecting = false;
        }
        let (socket, end) = key.parts();
        let count = write_some(socket, &end.unsent)?;
        end.unsent.drain(..count);
        if end.unsent.is_empty() {
            end.unsent = Vec::new();
        }
        Ok(())
    }

    /// Reads from this end, and writes to the other one as much as it accepts.
    fn receive(&mut self, id: KeyId, other: KeyId) -> io::Result<()> {
        if self.selector.get_key(other).is_none_or(|other| !other.data.unsent.is_empty()) {
            return Ok(());
        }
        let Some(mut key) = self.selector.get_key_mut(id) else { return Ok(()) };
        let received = match key.read(&mut self.buffer) {
            Ok(count) => &self.buffer[..count],
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        key.data_mut().has_ended = received.is_empty();
        let Some(mut key) = self.selector.get_key_mut(other) else { return Ok(()) };
        let (socket, end) = key.parts();
        let count = if end.is_connecting { 0 } else { write_some(socket, received)? };
        end.unsent.extend_from_slice(&received[count..]);
        Ok(())
    }

    /// Shuts this end down if the other one has ended and all is written.
    /// Returns whether that is done.
    fn pass_end(&mut self, id: KeyId, other: KeyId) -> io::Result<bool> {
        let has_ended = self.selector.get_key(other).is_none_or(|other| other.data.has_ended);
        let Some(mut key) = self.selector.get_key_mut(id) else { return Ok(true) };
        let (socket, end) = key.parts();
        if has_ended && !end.is_shut && !end.is_connecting && end.unsent.is_empty() {
            end.is_shut = true;
            socket.shutdown(Shutdown::Write)?;
        }
        Ok(end.is_shut)
    }

    /// Registers this end for what it waits for.
    ///
    /// It is `READ` if all is written to the other end, and `WRITE` if
    /// something is to be written to this one.
    fn watch(&mut self, id: KeyId, other: KeyId) -> io::Result<()> {
        let other_is_full =
            self.selector.get_key(other).is_none_or(|other| !other.data.unsent.is_empty());
        let Some(mut key) = self.selector.get_key_mut(id) else { return Ok(()) };
        let mut events = Events::empty();
        events.set(Events::READ, !key.data.has_ended && !other_is_full);
        events.set(Events::WRITE, key.data.is_connecting || !key.data.unsent.is_empty());
        if events.is_empty() {
            key.pause();
            return Ok(());
        }
        Ok(key.modify(events)?) // no system call if nothing changes
    }
}

/// Writes as much as the socket accepts.
fn write_some(mut socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    match socket.write(bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}

/// Returns whether descriptors or memory are short, which passes.
fn is_short(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}

/// Allows as many descriptors as the system does. The usual 1024 are 511
/// connections.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // If that fails, the limit stays as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
