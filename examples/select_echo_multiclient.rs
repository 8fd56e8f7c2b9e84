//! A client with two connections, to see an echo server handle several at once.
//!
//! It sends a message in parts through both, and reads the responses after each
//! part. It does not use a selector.
//!
//! ```text
//! cargo run --example select_echo_multiclient [HOST PORT]
//! ```

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::{env, error};

const MESSAGES: [&str; 3] = ["This is the message. ", "It will be sent ", "in parts."];

fn main() -> Result<(), Box<dyn error::Error>> {
    let host = env::args().nth(1).unwrap_or("localhost".to_owned());
    let port = env::args().nth(2).unwrap_or("10000".to_owned()).parse()?;
    println!("connecting to {host} port {port}");
    let mut connections =
        [TcpStream::connect((&*host, port))?, TcpStream::connect((&*host, port))?];

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
                let count = connection.read(&mut buffer)?;
                let data = &buffer[..count];
                println!("{name}: received b\"{}\"", data.escape_ascii());
                if data.is_empty() {
                    println!("closing socket {name}");
                    return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
                }
                amount_received += data.len();
            }
        }
    }
    Ok(())
}
