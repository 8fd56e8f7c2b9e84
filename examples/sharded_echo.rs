//! An echo server with a thread for every core.
//!
//! A selector belongs to one thread. So each thread has its own, and its own
//! listening socket on the same address. With `SO_REUSEPORT` the kernel gives
//! each connection to one of them, and they share nothing. A channel to each
//! thread ends it: when its sender is dropped, the selector wakes.
//!
//! ```text
//! cargo run --example sharded_echo 127.0.0.1:10000 4    # Ctrl-C ends it
//! ```
//!
//! It needs the crates selectors-std, signal-hook and socket2 (feature all).
//! Linux spreads the connections evenly. On FreeBSD that takes
//! `SO_REUSEPORT_LB`. Elsewhere one of the threads may get all.

use std::convert::Infallible;
use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use selectors_std::{DefaultSelector, Events, Inbox, KeyId, channel};
use signal_hook::consts::{SIGINT, SIGTERM};
use socket2::{Domain, Socket, Type};

/// What a thread owns. The main thread creates it, so that a failure shows
/// before anything runs.
struct Shard {
    /// The data are bytes that the peer has not read yet.
    selector: DefaultSelector<Socket, Vec<u8>>,
    listener: KeyId,
    /// No item is ever sent. The channel is closed when the program ends.
    end: Inbox<Infallible>,
    served: usize,
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:10000".to_owned());
    let mut address = address.to_socket_addrs()?.next().ok_or(ErrorKind::NotFound)?;
    let shards = match env::args().nth(2) {
        Some(shards) => shards.parse().map_err(io::Error::other)?,
        None => thread::available_parallelism()?.get(),
    };

    // A signal writes a byte to the other end of this.
    let (mut signalled, signal) = UnixStream::pair()?;
    for number in [SIGINT, SIGTERM] {
        signal_hook::low_level::pipe::register(number, signal.try_clone()?)?;
    }

    let (mut threads, mut senders) = (Vec::new(), Vec::new());
    for _ in 0..shards {
        let listener = listen(address)?;
        // All others get the port of the first one.
        address = listener.local_addr()?.as_socket().ok_or(ErrorKind::Unsupported)?;
        let mut selector = DefaultSelector::new()?;
        let listener = selector.register(listener, Events::READ, Vec::new())?.id();
        let (sender, end) = channel(&mut selector)?;
        senders.push(sender);
        let shard = Shard { selector, listener, end, served: 0 };
        threads.push(thread::spawn(move || shard.run()));
    }
    println!("listening on {address} with {shards} threads");

    signalled.read_exact(&mut [0])?;
    drop(senders);
    for (number, thread) in threads.into_iter().enumerate() {
        let served = thread.join().map_err(|_| io::Error::other("a thread panicked"))??;
        println!("thread {number} served {served} connections");
    }
    Ok(())
}

impl Shard {
    /// Serves until the channel is closed. Returns how many connections there
    /// were.
    fn run(mut self) -> io::Result<usize> {
        let mut buffer = vec![0; 16 << 10];
        while !self.end.is_closed() {
            // The listener is paused if no descriptor was free. It is resumed
            // after a moment.
            let is_paused = self.selector.get_key(self.listener).is_some_and(|key| key.is_paused());
            self.selector.select(is_paused.then_some(Duration::from_millis(100)))?;
            let _ = self.selector.resume(self.listener); // if that fails, it stays paused

            while let Some((mut key, _events)) = self.selector.next_ready() {
                if key.id() == self.listener {
                    match accept(&key.fileobj) {
                        Ok(peer) => {
                            // If this fails, the peer is dropped, which closes
                            // the connection.
                            let registered = self.selector.register(peer, Events::READ, Vec::new());
                            self.served += usize::from(registered.is_ok());
                        }
                        Err(_) => key.pause(),
                    }
                    continue;
                }
                let (peer, unsent) = key.parts();
                let next = echo(peer, unsent, &mut buffer);
                if next.and_then(|events| Ok(key.modify(events)?)).is_err() {
                    drop(key.unregister()); // the peer has closed, or reset the connection
                }
            }
        }
        Ok(self.served)
    }
}

fn accept(listener: &Socket) -> io::Result<Socket> {
    let (peer, _address) = listener.accept()?;
    peer.set_nonblocking(true)?;
    Ok(peer)
}

/// Echoes what there is, and keeps what the peer does not read yet. Then
/// nothing more is read.
///
/// Returns what to wait for next.
fn echo(mut peer: &Socket, unsent: &mut Vec<u8>, buffer: &mut [u8]) -> io::Result<Events> {
    if unsent.is_empty() {
        match peer.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => unsent.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Events::READ),
            Err(error) => return Err(error),
        }
    }
    match peer.write(unsent) {
        Ok(count) => drop(unsent.drain(..count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) => return Err(error),
    }
    Ok(if unsent.is_empty() { Events::READ } else { Events::WRITE })
}

/// Opens a listener that shares its address with others. `std` can't set that
/// before it binds.
fn listen(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    #[cfg(not(any(target_os = "illumos", target_os = "solaris")))]
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket)
}
