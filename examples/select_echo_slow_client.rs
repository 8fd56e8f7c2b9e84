//! A client that pauses after each message, for a server that has other work to
//! do.
//!
//! It reads the responses in small pieces at the end. It does not use a
//! selector.
//!
//! ```text
//! cargo run --example select_echo_slow_client [HOST PORT]
//! ```

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;
use std::{env, error};

const MESSAGES: [&str; 2] = ["Part one of the message.", "Part two of the message."];

fn main() -> Result<(), Box<dyn error::Error>> {
    let host = env::args().nth(1).unwrap_or("localhost".to_owned());
    let port = env::args().nth(2).unwrap_or("10000".to_owned()).parse()?;
    println!("connecting to {host} port {port}");
    let connection = TcpStream::connect((&*host, port))?;

    let result = talk(&connection);
    println!("closing socket");
    Ok(result?)
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
        let data = match connection.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => &buffer[..count],
        };
        println!("received b\"{}\"", data.escape_ascii());
        amount_expected = amount_expected.saturating_sub(data.len());
    }
    Ok(())
}
