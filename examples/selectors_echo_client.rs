//! An echo client that handles all events in its main loop: it sends its messages
//! while the socket has room, then asks for read events only, and ends when all
//! that it sent has come back.
//!
//! ```text
//! cargo run --example selectors_echo_client [HOST:PORT]
//! ```

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use selectors_std::{DefaultSelector, Events};

fn main() -> io::Result<()> {
    // Taken from the end.
    let mut outgoing: Vec<&[u8]> = vec![b"It will be repeated.", b"This is the message.  "];
    let mut bytes_sent = 0;
    let mut bytes_received = 0;

    let (host, address) = address_from_args()?;
    println!("connecting to {host} port {}", address.port());
    // Connecting blocks, so the socket becomes non-blocking only after that.
    let connection = TcpStream::connect(address)?;
    connection.set_nonblocking(true)?;

    let mut selector = DefaultSelector::<TcpStream, ()>::new()?;
    selector.register(connection, Events::READ | Events::WRITE, ())?;

    let mut keep_running = true;
    while keep_running {
        println!("waiting for I/O");
        selector.select(Some(Duration::from_secs(1)))?;
        while let Some((key, events)) = selector.next_ready() {
            let fd = key.fd;
            let mut connection = key.fileobj;
            println!("client({address})");

            if events.contains(Events::READ) {
                println!("  ready to read");
                let mut buffer = [0; 1024];
                match connection.read(&mut buffer) {
                    Ok(0) => keep_running = false,
                    Ok(count) => {
                        println!("  received b\"{}\"", buffer[..count].escape_ascii());
                        bytes_received += count;
                        keep_running = !outgoing.is_empty() || bytes_received < bytes_sent;
                    }
                    Err(error) if is_transient(&error) => {}
                    Err(error) => return Err(error),
                }
            }

            if events.contains(Events::WRITE) {
                println!("  ready to write");
                if let Some(message) = outgoing.pop() {
                    let count = match connection.write(message) {
                        Ok(count) => count,
                        Err(error) if is_transient(&error) => 0,
                        Err(error) => return Err(error),
                    };
                    println!("  sending b\"{}\"", message[..count].escape_ascii());
                    bytes_sent += count;
                    if count < message.len() {
                        outgoing.push(&message[count..]);
                    }
                } else {
                    // Else the selector would report it writable all the time.
                    println!("  switching to read-only");
                    selector.modify(fd, Events::READ)?;
                }
            }
        }
    }

    println!("shutting down");
    Ok(())
}

/// Errors that say "not now": the selector reports the source again.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
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
