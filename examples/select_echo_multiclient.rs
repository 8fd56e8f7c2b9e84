//! A client with two connections, to see an echo server hold several at once: it
//! sends a message in parts through both, and reads the responses after each part.
//!
//! ```text
//! cargo run --example select_echo_multiclient [HOST:PORT]
//! ```

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};

const MESSAGES: [&str; 3] = ["This is the message. ", "It will be sent ", "in parts."];

fn main() -> io::Result<()> {
    let (host, address) = address_from_args()?;
    println!("connecting to {host} port {}", address.port());
    let mut connections = [TcpStream::connect(address)?, TcpStream::connect(address)?];

    for message in MESSAGES.map(str::as_bytes) {
        for connection in &mut connections {
            let name = connection.local_addr()?;
            println!("{name}: sending b\"{}\"", message.escape_ascii());
            connection.write_all(message)?;
        }

        for connection in &mut connections {
            let name = connection.local_addr()?;
            let mut amount_received = 0;
            while amount_received < message.len() {
                let mut buffer = [0; 1024];
                let data = match connection.read(&mut buffer) {
                    Ok(count) => &buffer[..count],
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error),
                };
                println!("{name}: received b\"{}\"", data.escape_ascii());
                if data.is_empty() {
                    println!("closing socket {name}");
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                amount_received += data.len();
            }
        }
    }
    Ok(())
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
