//! A client that pauses after each message, for a server that has other work to do
//! meanwhile, and reads the responses in small pieces at the end.
//!
//! ```text
//! cargo run --example select_echo_slow_client [HOST:PORT]
//! ```

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::Duration;

const MESSAGES: [&str; 2] = ["Part one of the message.", "Part two of the message."];

fn main() -> io::Result<()> {
    let (host, address) = address_from_args()?;
    println!("connecting to {host} port {}", address.port());
    let connection = TcpStream::connect(address)?;

    let result = talk(&connection);
    println!("closing socket");
    result
}

fn talk(mut connection: &TcpStream) -> io::Result<()> {
    thread::sleep(Duration::from_secs(1));

    let mut amount_expected = 0;
    for message in MESSAGES.map(str::as_bytes) {
        println!("sending b\"{}\"", message.escape_ascii());
        connection.write_all(message)?;
        amount_expected += message.len();
        thread::sleep(Duration::from_millis(1500));
    }

    while amount_expected > 0 {
        let mut buffer = [0; 16];
        let data = match connection.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        println!("received b\"{}\"", data.escape_ascii());
        amount_expected = amount_expected.saturating_sub(data.len());
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
