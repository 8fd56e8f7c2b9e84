//! An echo server whose keys carry callbacks.
//!
//! It ends after one client, like the Python program that it is a port of.
//!
//! Run `cargo run --example selectors_echo_server [HOST PORT]`, and
//! `selectors_echo_client` in another terminal.

use selectors_std::{DefaultSelector, Events, KeyId};
use socket2::Socket;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::{env, error, time::Duration};

type Selector = DefaultSelector<Socket, Data>;

struct Data {
    callback: fn(&mut Selector, KeyId, &mut bool),
    address: SocketAddr,
    unsent: Vec<u8>,
    has_spoken: bool,
}

fn main() -> Result<(), Box<dyn error::Error>> {
    let host = env::args().nth(1).unwrap_or("localhost".to_owned());
    let port = env::args().nth(2).unwrap_or("10000".to_owned()).parse()?;
    let server = TcpListener::bind((&*host, port))?;
    let address = server.local_addr()?;
    println!("starting up on {host} port {}", address.port());
    server.set_nonblocking(true)?;

    let mut selector = Selector::new()?;
    let data = Data { callback: accept, address, unsent: Vec::new(), has_spoken: false };
    let server = selector.register(server.into(), Events::READ, data)?.id();
    let mut keep_running = true;
    while keep_running {
        println!("waiting for I/O");
        selector.select(Some(Duration::from_secs(1)))?;
        let _ = selector.resume(server); // does nothing if it is not paused
        while let Some((key, _events)) = selector.next_ready() {
            let (id, callback) = (key.id(), key.data.callback);
            callback(&mut selector, id, &mut keep_running);
        }
    }
    println!("shutting down");
    Ok(())
}

/// Callback for new connections.
fn accept(selector: &mut Selector, id: KeyId, _keep_running: &mut bool) {
    let Some(mut key) = selector.get_key_mut(id) else { return };
    let Ok((connection, address)) = key.fileobj.accept() else {
        return key.pause(); // perhaps no descriptor is free; `main` resumes it
    };
    if let (Some(address), Ok(())) = (address.as_socket(), connection.set_nonblocking(true)) {
        println!("accept({address})");
        let data = Data { callback: read, address, unsent: Vec::new(), has_spoken: false };
        let _ = selector.register(connection, Events::READ, data); // closed if that fails
    }
}

/// Callback for connections.
fn read(selector: &mut Selector, id: KeyId, keep_running: &mut bool) {
    let Some(mut key) = selector.get_key_mut(id) else { return };
    let (connection, data) = key.parts();
    let result = match echo(connection, data) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        _ if data.unsent.is_empty() => key.modify(Events::READ).map_err(io::Error::from),
        _ => key.modify(Events::WRITE).map_err(io::Error::from),
    };
    let Err(error) = result else { return };
    println!("  closing");
    let data = key.unregister().data; // the key owned the connection
    // A peer that resets its connection, or sends nothing, was not a client.
    *keep_running &= error.kind() != ErrorKind::UnexpectedEof || !data.has_spoken;
}

/// Reads if the last echo is sent, and writes.
fn echo(mut connection: &Socket, data: &mut Data) -> io::Result<()> {
    if data.unsent.is_empty() {
        println!("read({})", data.address);
        let mut buffer = [0; 1024];
        let count = connection.read(&mut buffer)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        println!("  received b\"{}\"", buffer[..count].escape_ascii());
        data.unsent.extend_from_slice(&buffer[..count]);
        data.has_spoken = true;
    }
    let count = connection.write(&data.unsent)?;
    data.unsent.drain(..count);
    Ok(())
}
