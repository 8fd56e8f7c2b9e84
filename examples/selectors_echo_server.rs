//! An echo server whose keys carry callbacks: the data registered with a source
//! says which function handles its events. Like the Python program it is a port
//! of, it stops after it has served one client: a peer that resets its connection,
//! or leaves without a word, is not one.
//!
//! ```text
//! cargo run --example selectors_echo_server [HOST:PORT]
//! cargo run --example selectors_echo_client [HOST:PORT]   # in another terminal
//! ```

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::ops::ControlFlow::{self, Break, Continue};
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::time::Duration;

use selectors_std::{DefaultSelector, Events};

type Selector = DefaultSelector<Source, Handler>;
type Callback = fn(&mut Selector, RawFd, Events) -> io::Result<ControlFlow<()>>;

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

/// What is registered with a source: its callback, and the bytes that the peer
/// had no room for yet.
struct Handler {
    callback: Callback,
    unsent: Vec<u8>,
    has_spoken: bool,
}

impl Handler {
    fn new(callback: Callback) -> Self {
        Self { callback, unsent: Vec::new(), has_spoken: false }
    }
}

fn main() -> io::Result<()> {
    let (host, address) = address_from_args()?;
    let server = TcpListener::bind(address)?;
    server.set_nonblocking(true)?;
    println!("starting up on {host} port {}", server.local_addr()?.port());

    let mut selector = Selector::new()?;
    selector.register(Source::Server(server), Events::READ, Handler::new(accept))?;

    let mut keep_running = true;
    while keep_running {
        println!("waiting for I/O");
        selector.select(Some(Duration::from_secs(1)))?;
        while let Some((key, events)) = selector.next_ready() {
            // Copied out of the key, so that the callback may change the selector.
            let (fd, callback) = (key.fd, key.data.callback);
            if callback(&mut selector, fd, events)?.is_break() {
                keep_running = false;
            }
        }
    }

    println!("shutting down");
    Ok(())
}

/// Callback for new connections.
fn accept(selector: &mut Selector, fd: RawFd, _events: Events) -> io::Result<ControlFlow<()>> {
    let Some(Source::Server(server)) = selector.get_key(fd).map(|key| &key.fileobj) else {
        return Ok(Continue(()));
    };
    match server.accept() {
        Ok((connection, address)) => {
            println!("accept({address})");
            connection.set_nonblocking(true)?;
            let connection = Source::Connection(connection, address);
            selector.register(connection, Events::READ, Handler::new(read))?;
        }
        // The peer was gone before its turn came.
        Err(error) if is_transient(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(Continue(()))
}

/// Callback for read events.
fn read(selector: &mut Selector, fd: RawFd, events: Events) -> io::Result<ControlFlow<()>> {
    let Some(key) = selector.get_key_mut(fd) else {
        return Ok(Continue(()));
    };
    let Source::Connection(connection, address) = key.fileobj else {
        return Ok(Continue(()));
    };
    println!("read({address})");
    let mut buffer = [0; 1024];
    match (&*connection).read(&mut buffer) {
        Ok(count) if count > 0 => {
            let data = &buffer[..count];
            println!("  received b\"{}\"", data.escape_ascii());
            key.data.unsent.extend_from_slice(data);
            key.data.has_spoken = true;
            write(selector, fd, events)
        }
        Err(error) if is_transient(&error) => Ok(Continue(())),
        // The end of what the peer sends.
        Ok(_) if key.data.has_spoken => close(selector, fd, Break(())),
        _ => close(selector, fd, Continue(())),
    }
}

/// Callback for write events, which are asked for while the peer is slow to take
/// its echo. Nothing is read meanwhile, so that no more than one read piles up.
fn write(selector: &mut Selector, fd: RawFd, _events: Events) -> io::Result<ControlFlow<()>> {
    let Some(key) = selector.get_key_mut(fd) else {
        return Ok(Continue(()));
    };
    let Source::Connection(connection, _) = key.fileobj else {
        return Ok(Continue(()));
    };
    match (&*connection).write(&key.data.unsent) {
        Ok(count) => drop(key.data.unsent.drain(..count)),
        Err(error) if is_transient(&error) => {}
        Err(_) => return close(selector, fd, Continue(())),
    }
    if key.data.unsent.is_empty() {
        key.data.callback = read;
        selector.modify(fd, Events::READ)?;
    } else {
        key.data.callback = write;
        selector.modify(fd, Events::WRITE)?;
    }
    Ok(Continue(()))
}

/// Closes a connection, and says how the server goes on.
fn close(selector: &mut Selector, fd: RawFd, then: ControlFlow<()>) -> io::Result<ControlFlow<()>> {
    println!("  closing");
    // The key owns the connection: dropping it closes the socket.
    drop(selector.unregister(fd)?);
    Ok(then)
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
