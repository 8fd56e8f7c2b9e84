//! A server and a client in one loop: one selector watches the listener and both ends of a connection.
//!
//! ```text
//! cargo run --example server_and_client
//! ```

use std::io::{self, Read, Write};
use std::net::TcpListener;

use selectors_std::{DefaultSelector, Events};
use socket2::{Domain, Socket, Type};

const MESSAGE: &[u8] = b"This is the message. It will be repeated.";

/// What a socket is for.
enum Role {
    Listener,
    Server,
    /// The number of bytes that have come back.
    Client(usize),
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    println!("server: listening on {address}");

    let client = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    client.connect(&address.into())?;
    client.set_nonblocking(true)?;

    let mut selector = DefaultSelector::new()?;
    let listener = selector.register(listener.into(), Events::READ, Role::Listener)?.id();
    selector.register(client, Events::WRITE, Role::Client(0))?;
    let mut buffer = [0; 16];
    while selector.get_map().len() > 1 || selector.get_key(listener).is_some() {
        selector.select(None)?;
        while let Some((mut key, events)) = selector.next_ready() {
            match key.data {
                _ => {}
            }
        }
    }
    Ok(())
}
