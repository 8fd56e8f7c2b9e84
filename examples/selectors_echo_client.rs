//! An echo client that handles all events in its main loop.
//!
//! It sends its messages while the socket is writable. Then it waits for
//! reading only, and ends when it has received all that it sent.
//!
//! ```text
//! cargo run --example selectors_echo_client [HOST PORT]
//! ```

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use std::{env, error};

use selectors_std::{DefaultSelector, Events};

fn main() -> Result<(), Box<dyn error::Error>> {
    // The last one is sent first.
    let mut outgoing: Vec<&[u8]> = vec![b"It will be repeated.", b"This is the message.  "];
    let (mut bytes_sent, mut bytes_received) = (0, 0);

    let host = env::args().nth(1).unwrap_or("localhost".to_owned());
    let port = env::args().nth(2).unwrap_or("10000".to_owned()).parse()?;
    println!("connecting to {host} port {port}");
    // `connect` blocks, so the socket becomes non-blocking after it.
    let connection = TcpStream::connect((&*host, port))?;
    connection.set_nonblocking(true)?;
    let address = connection.peer_addr()?;

    let mut selector = DefaultSelector::new()?;
    selector.register(connection, Events::READ | Events::WRITE, ())?;
    let mut keep_running = true;
    while keep_running {
        println!("waiting for I/O");
        selector.select(Some(Duration::from_secs(1)))?;
        while let Some((mut key, events)) = selector.next_ready() {
            println!("client({address})");

            if events.is_readable() {
                println!("  ready to read");
                let mut buffer = [0; 1024];
                match key.read(&mut buffer) {
                    Ok(0) => keep_running = false,
                    Ok(count) => {
                        println!("  received b\"{}\"", buffer[..count].escape_ascii());
                        bytes_received += count;
                        keep_running = !outgoing.is_empty() || bytes_received < bytes_sent;
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                }
            }

            if events.is_writable() {
                println!("  ready to write");
                let Some(message) = outgoing.pop() else {
                    println!("  switching to read-only");
                    key.modify(Events::READ)?; // or every wait would report it as writable
                    continue;
                };
                let count = match key.write(message) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                    result => result?,
                };
                println!("  sending b\"{}\"", message[..count].escape_ascii());
                bytes_sent += count;
                if count < message.len() {
                    outgoing.push(&message[count..]);
                }
            }
        }
    }
    println!("shutting down");
    Ok(())
}
