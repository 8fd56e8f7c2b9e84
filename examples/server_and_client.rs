//! A server and a client in one loop.
//!
//! A selector watches the listener and both ends of a connection.
//!
//! ```text
//! cargo run --example server_and_client
//! ```

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpListener;

use selectors_std::{DefaultSelector, Events, connect};
use socket2::Socket;

const MESSAGE: &[u8] = b"This is the message. It will be repeated.";

#[derive(Clone, Copy, Debug)]
enum Role {
    Listener,
    Server,
    Client,
}

struct Data {
    role: Role,
    unsent: Vec<u8>,
    received: usize,
}

impl Data {
    fn new(role: Role, unsent: &[u8]) -> Self {
        Self { role, unsent: unsent.to_vec(), received: 0 }
    }
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let client = connect(listener.local_addr()?)?;

    let mut selector = DefaultSelector::<Socket, Data>::new()?;
    selector.register(listener.into(), Events::READ, Data::new(Role::Listener, b""))?;
    selector.register(client.into(), Events::WRITE, Data::new(Role::Client, MESSAGE))?;
    let mut buffer = [0; 16];

    // Only the listener is still there when the client and the server have
    // closed.
    while selector.get_map().len() > 1 {
        selector.select(None)?;
        while let Some((mut key, events)) = selector.next_ready() {
            let role = key.data.role;
            if let Role::Listener = role {
                let (connection, _address) = key.fileobj.accept()?;
                connection.set_nonblocking(true)?;
                selector.register(connection, Events::READ, Data::new(Role::Server, b""))?;
                println!("Listener: accepted a connection");
            } else if events.is_writable() {
                let (mut socket, data) = key.parts();
                let count = socket.write(&data.unsent)?;
                println!("{role:?}: sent b\"{}\"", data.unsent[..count].escape_ascii());
                data.unsent.drain(..count);
                if data.unsent.is_empty() {
                    key.modify(Events::READ)?; // or every wait would return immediately
                }
            } else {
                let count = match key.read(&mut buffer) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                    result => result?,
                };
                println!("{role:?}: received b\"{}\"", buffer[..count].escape_ascii());
                key.data_mut().received += count;
                if count == 0
                    || (matches!(role, Role::Client) && key.data.received == MESSAGE.len())
                {
                    println!("{role:?}: closing");
                    drop(key.unregister());
                } else if let Role::Server = role {
                    key.data_mut().unsent.extend_from_slice(&buffer[..count]);
                    key.modify(Events::WRITE)?;
                }
            }
        }
    }
    Ok(())
}
