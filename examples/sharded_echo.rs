//! An echo server on every core: how to grow past one thread.
//!
//! A selector belongs to one thread. So each thread has its own, and its own listening socket on the same
//! address: with `SO_REUSEPORT` the kernel hands each connection to one of them, and they share nothing.
//! Only to end it do they hear of each other, by a flag and a waker each.
//!
//! ```text
//! cargo run --example sharded_echo 127.0.0.1:10000 4    # ends on Ctrl-C, or SIGTERM
//! ```
//!
//! Needs the crates selectors-std, rustix (feature net) and signal-hook. Linux spreads the connections
//! evenly. On FreeBSD that takes `set_socket_reuseport_lb` instead; elsewhere one of the threads may get all.

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::net::{AddressFamily, SocketType, sockopt};
use selectors_std::{DefaultSelector, Events, Waker};
use signal_hook::consts::{SIGINT, SIGTERM};

enum Source {
    Listener(TcpListener),
    Peer(TcpStream),
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Listener(listener) => listener.as_fd(),
            Self::Peer(peer) => peer.as_fd(),
        }
    }
}

/// What a thread owns. Made by the main thread, so that whatever fails does so before anything runs.
struct Shard {
    /// The data are bytes that a peer had no room for yet.
    selector: DefaultSelector<Source, Vec<u8>>,
    ending: Arc<AtomicBool>,
    served: usize,
}

fn main() -> io::Result<()> {
    let mut args = env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:10000".to_owned());
    let mut address = address.to_socket_addrs()?.next().ok_or(ErrorKind::NotFound)?;
    let shards = match args.next() {
        Some(shards) => shards.parse().map_err(|_| ErrorKind::InvalidInput)?,
        None => thread::available_parallelism()?.get(),
    };

    // A signal writes a byte to the other end of this.
    let (mut signalled, signal) = UnixStream::pair()?;
    for number in [SIGINT, SIGTERM] {
        signal_hook::low_level::pipe::register(number, signal.try_clone()?)?;
    }

    let ending = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    let mut wakers: Vec<Waker> = Vec::new();
    for _ in 0..shards {
        let listener = listen(address)?;
        address = listener.local_addr()?; // the others get the port that the first one was given
        let mut selector = DefaultSelector::new()?;
        selector.register(Source::Listener(listener), Events::READ, Vec::new())?;
        wakers.push(selector.waker()?);
        let shard = Shard { selector, ending: Arc::clone(&ending), served: 0 };
        threads.push(thread::spawn(move || shard.run()));
    }
    println!("listening on {address} with {shards} threads");

    signalled.read_exact(&mut [0])?;
    ending.store(true, Ordering::Relaxed); // seen by whoever is woken after it
    for waker in &wakers {
        // A thread that has failed has dropped its selector; it says why when it is joined.
        let _ = waker.wake();
    }
    for (number, thread) in threads.into_iter().enumerate() {
        let served = thread.join().map_err(|_| io::Error::other("a thread panicked"))??;
        println!("thread {number} served {served} connections");
    }
    Ok(())
}

impl Shard {
    /// Serves until it is woken and finds that all is ending. Answers how many connections there were.
    fn run(mut self) -> io::Result<usize> {
        let mut buffer = vec![0; 16 << 10];
        while !self.ending.load(Ordering::Relaxed) {
            self.selector.select(None)?;
            while let Some((key, _events)) = self.selector.next_ready() {
                let fd = key.fd;
                match key.fileobj {
                    Source::Listener(listener) => {
                        let accepted = listener.accept();
                        self.accept(accepted.map(|(peer, _)| peer))?;
                    }
                    Source::Peer(peer) => match echo(peer, key.data, &mut buffer) {
                        Ok(Some(events)) => self.selector.modify(fd, events)?,
                        // The peer has closed, or is gone. The key owned the connection.
                        Ok(None) | Err(_) => drop(self.selector.unregister(fd)?),
                    },
                }
            }
        }
        Ok(self.served)
    }

    fn accept(&mut self, accepted: io::Result<TcpStream>) -> io::Result<()> {
        match accepted {
            Ok(peer) => {
                peer.set_nonblocking(true)?;
                self.selector.register(Source::Peer(peer), Events::READ, Vec::new())?;
                self.served += 1;
                Ok(())
            }
            Err(error) if is_transient(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Echoes what is there, and keeps what the peer has no room for; nothing is read meanwhile. Answers
/// what to wait for next: nothing when the peer has closed.
fn echo(mut peer: &TcpStream, unsent: &mut Vec<u8>, buffer: &mut [u8]) -> io::Result<Option<Events>> {
    if unsent.is_empty() {
        match peer.read(buffer) {
            Ok(0) => return Ok(None),
            Ok(count) => unsent.extend_from_slice(&buffer[..count]),
            Err(error) if is_transient(&error) => return Ok(Some(Events::READ)),
            Err(error) => return Err(error),
        }
    }
    match peer.write(unsent) {
        Ok(count) => drop(unsent.drain(..count)),
        Err(error) if is_transient(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(Some(if unsent.is_empty() { Events::READ } else { Events::WRITE }))
}

/// A listener that shares its address with others. `std` binds at once, so it can't ask for that before.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    #[cfg(not(any(target_os = "illumos", target_os = "solaris")))]
    sockopt::set_socket_reuseport(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, 1024)?;
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Errors that say "not now": the selector reports the source again.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted)
}
