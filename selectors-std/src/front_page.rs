use selectors_std::{DefaultSelector, Events};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

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

fn serve(listener: TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = Source::Listener(listener);
    let mut selector = DefaultSelector::new()?;
    let listener = selector.register(listener, Events::READ, Vec::new())?.id();
    loop {
        // `None` waits indefinitely.
        let key = selector.get_key(listener);
        let paused = key.is_some_and(|key| key.is_paused());
        selector.select(paused.then_some(Duration::from_millis(10)))?;
        let _ = selector.resume(listener); // if that fails, it stays paused
        while let Some((mut key, _events)) = selector.next_ready() {
            match key.parts() {
                (Source::Listener(listener), _) => match accept(listener) {
                    Ok(peer) => {
                        // If this fails, the peer is dropped: closed.
                        let none = Vec::new();
                        let _ = selector.register(peer, Events::READ, none);
                    }
                    Err(_) => key.pause(), // perhaps no descriptor is free
                },
                (Source::Peer(peer), unsent) => {
                    let next = echo(peer, unsent);
                    if next.and_then(|next| Ok(key.modify(next)?)).is_err() {
                        drop(key.unregister()); // the key owns the peer
                    }
                }
            }
        }
    }
}

fn accept(listener: &TcpListener) -> io::Result<Source> {
    let (peer, _address) = listener.accept()?;
    peer.set_nonblocking(true)?;
    Ok(Source::Peer(peer))
}

/// Returns the next interest, or an error at the end.
fn echo(peer: &TcpStream, unsent: &mut Vec<u8>) -> io::Result<Events> {
    match transfer(peer, unsent) {
        Err(e) if e.kind() != ErrorKind::WouldBlock => Err(e),
        _ if unsent.is_empty() => Ok(Events::READ),
        _ => Ok(Events::WRITE),
    }
}

/// Reads if all is sent, and writes.
fn transfer(mut peer: &TcpStream, unsent: &mut Vec<u8>) -> io::Result<()> {
    if unsent.is_empty() {
        let mut buffer = [0; 1024];
        let count = peer.read(&mut buffer)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        unsent.extend_from_slice(&buffer[..count]);
    }
    let sent = peer.write(unsent)?;
    unsent.drain(..sent);
    Ok(())
}
