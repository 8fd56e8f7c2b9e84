//! `selectors_echo_server` and `selectors_echo_client` in one program that ends by
//! itself: each side has a thread and a selector of its own, and prints what it
//! does.
//!
//! ```text
//! cargo run --example server_and_client [HOST:PORT]
//! ```

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::ops::ControlFlow::{self, Break, Continue};
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use selectors_std::{DefaultSelector, Events};

const TIMEOUT: Option<Duration> = Some(Duration::from_secs(1));

fn main() -> io::Result<()> {
    let (host, address) = address_from_args()?;
    let server = TcpListener::bind(address)?;
    server.set_nonblocking(true)?;
    let address = server.local_addr()?;
    println!("server | starting up on {host} port {}", address.port());

    println!("client | connecting to {host} port {}", address.port());
    let connection = TcpStream::connect(address)?;
    connection.set_nonblocking(true)?;

    // The server starts when the client has sent its messages, so that it reads
    // them at once and both sides say the same in every run.
    let (sending, all_sent) = mpsc::channel();
    let client = thread::spawn(move || run_client(connection, sending));
    // An error is what is waited for: the client has let go of its end.
    let _ = all_sent.recv();
    run_server(server)?;
    client.join().unwrap_or_else(|_| Err(io::Error::other("the client panicked")))
}

type ServerSelector = DefaultSelector<Source, Handler>;
type Callback = fn(&mut ServerSelector, RawFd, Events) -> io::Result<ControlFlow<()>>;

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

/// What the server registers with a source: its callback, and the bytes that the
/// peer had no room for yet.
struct Handler {
    callback: Callback,
    unsent: Vec<u8>,
}

impl Handler {
    fn new(callback: Callback) -> Self {
        Self { callback, unsent: Vec::new() }
    }
}

fn run_server(server: TcpListener) -> io::Result<()> {
    let mut selector = ServerSelector::new()?;
    selector.register(Source::Server(server), Events::READ, Handler::new(accept))?;

    let mut keep_running = true;
    while keep_running {
        println!("server | waiting for I/O");
        selector.select(TIMEOUT)?;
        while let Some((key, events)) = selector.next_ready() {
            // Copied out of the key, so that the callback may change the selector.
            let (fd, callback) = (key.fd, key.data.callback);
            if callback(&mut selector, fd, events)?.is_break() {
                keep_running = false;
            }
        }
    }

    println!("server | shutting down");
    Ok(())
}

/// Callback for new connections.
fn accept(selector: &mut ServerSelector, fd: RawFd, _events: Events) -> io::Result<ControlFlow<()>> {
    let Some(Source::Server(server)) = selector.get_key(fd).map(|key| &key.fileobj) else {
        return Ok(Continue(()));
    };
    match server.accept() {
        Ok((connection, address)) => {
            println!("server | accept({address})");
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
fn read(selector: &mut ServerSelector, fd: RawFd, events: Events) -> io::Result<ControlFlow<()>> {
    let Some(key) = selector.get_key_mut(fd) else {
        return Ok(Continue(()));
    };
    let Source::Connection(connection, address) = key.fileobj else {
        return Ok(Continue(()));
    };
    println!("server | read({address})");
    let mut buffer = [0; 1024];
    match (&*connection).read(&mut buffer) {
        Ok(count) if count > 0 => {
            let data = &buffer[..count];
            println!("server |   received b\"{}\"", data.escape_ascii());
            key.data.unsent.extend_from_slice(data);
            write(selector, fd, events)
        }
        Err(error) if is_transient(&error) => Ok(Continue(())),
        // The peer closed the connection, or reset it.
        _ => close(selector, fd),
    }
}

/// Callback for write events, which are asked for while the peer is slow to take
/// its echo. Nothing is read meanwhile, so that no more than one read piles up.
fn write(selector: &mut ServerSelector, fd: RawFd, _events: Events) -> io::Result<ControlFlow<()>> {
    let Some(key) = selector.get_key_mut(fd) else {
        return Ok(Continue(()));
    };
    let Source::Connection(connection, _) = key.fileobj else {
        return Ok(Continue(()));
    };
    match (&*connection).write(&key.data.unsent) {
        Ok(count) => drop(key.data.unsent.drain(..count)),
        Err(error) if is_transient(&error) => {}
        Err(_) => return close(selector, fd),
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

/// Closes a connection and tells the server's loop to stop.
fn close(selector: &mut ServerSelector, fd: RawFd) -> io::Result<ControlFlow<()>> {
    println!("server |   closing");
    // The key owns the connection: dropping it closes the socket.
    drop(selector.unregister(fd)?);
    Ok(Break(()))
}

fn run_client(connection: TcpStream, sending: Sender<()>) -> io::Result<()> {
    // Taken from the end.
    let mut outgoing: Vec<&[u8]> = vec![b"It will be repeated.", b"This is the message.  "];
    let mut sending = Some(sending);
    let mut bytes_sent = 0;
    let mut bytes_received = 0;

    let address = connection.peer_addr()?;
    let mut selector = DefaultSelector::<TcpStream, ()>::new()?;
    selector.register(connection, Events::READ | Events::WRITE, ())?;

    let mut keep_running = true;
    while keep_running {
        println!("client | waiting for I/O");
        selector.select(TIMEOUT)?;
        while let Some((key, events)) = selector.next_ready() {
            let fd = key.fd;
            let mut connection = key.fileobj;
            println!("client | client({address})");

            if events.contains(Events::READ) {
                println!("client |   ready to read");
                let mut buffer = [0; 1024];
                match connection.read(&mut buffer) {
                    Ok(0) => keep_running = false,
                    Ok(count) => {
                        let data = &buffer[..count];
                        println!("client |   received b\"{}\"", data.escape_ascii());
                        bytes_received += count;
                        keep_running = !outgoing.is_empty() || bytes_received < bytes_sent;
                    }
                    Err(error) if is_transient(&error) => {}
                    Err(error) => return Err(error),
                }
            }

            if events.contains(Events::WRITE) {
                println!("client |   ready to write");
                if let Some(message) = outgoing.pop() {
                    let count = match connection.write(message) {
                        Ok(count) => count,
                        Err(error) if is_transient(&error) => 0,
                        Err(error) => return Err(error),
                    };
                    let data = &message[..count];
                    println!("client |   sending b\"{}\"", data.escape_ascii());
                    bytes_sent += count;
                    if count < message.len() {
                        outgoing.push(&message[count..]);
                    }
                } else {
                    // Else the selector would report it writable all the time.
                    println!("client |   switching to read-only");
                    selector.modify(fd, Events::READ)?;
                    drop(sending.take());
                }
            }
        }
    }

    println!("client | shutting down");
    Ok(())
}

/// Errors that say "not now": the selector reports the source again.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted)
}

/// The address given as `HOST:PORT` or `HOST PORT`, else `localhost` and a port
/// that is free.
fn address_from_args() -> io::Result<(String, SocketAddr)> {
    let args: Vec<String> = env::args().skip(1).collect();
    let given = if args.is_empty() { "localhost:0".to_owned() } else { args.join(":") };
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
