// The program of the README, which a test compares with it.

use selectors_std::{DefaultSelector, Events};
use socket2::Socket;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::time::Duration;

fn main() -> io::Result<()> {
    serve(TcpListener::bind("localhost:7777")?)
}

fn serve(listener: TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut selector = DefaultSelector::<Socket>::new()?;
    let listener = selector.register(listener.into(), Events::READ, ())?.id();
    let mut buffer = [0; 4096];
    loop {
        // `None` waits indefinitely.
        let key = selector.get_key(listener);
        let paused = key.is_some_and(|key| key.is_paused());
        selector.select(paused.then_some(Duration::from_millis(10)))?;
        let _ = selector.resume(listener); // if that fails, it stays paused
        while let Some((mut key, _events)) = selector.next_ready() {
            if key.id() == listener {
                match accept(&key.fileobj) {
                    Ok(client) => {
                        // If this fails, the client is dropped: closed.
                        let _ = selector.register(client, Events::READ, ());
                    }
                    Err(_) => key.pause(), // perhaps no descriptor is free
                }
                continue;
            }
            match key.read(&mut buffer) {
                Ok(n) if n > 0 && key.write(&buffer[..n]).ok() == Some(n) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => drop(key.unregister()), // closes the client
            }
        }
    }
}

fn accept(listener: &Socket) -> io::Result<Socket> {
    let (client, _address) = listener.accept()?;
    client.set_nonblocking(true)?;
    Ok(client)
}
