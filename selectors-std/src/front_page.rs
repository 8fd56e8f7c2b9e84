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
        let paused = selector.get_key(listener).is_some_and(|key| key.is_paused());
        selector.select(paused.then_some(Duration::from_millis(10)))?;
        let _ = selector.resume(listener); // if it is paused
        while let Some((mut key, _events)) = selector.next_ready() {
            match key.parts() {
                (Source::Listener(listener), _) => match accept(listener) {
                    Ok(peer) => {
                        // If this fails, the peer is dropped: closed.
                        let _ = selector.register(peer, Events::READ, Vec::new());
                    }
                    // If no descriptor is free, the listener stays ready.
                    Err(_) => key.pause(),
                },
                (Source::Peer(peer), unsent) => {
                    let closed = match echo(peer, unsent) {
                        Err(error) if error.kind() != ErrorKind::WouldBlock => true,
                        _ if unsent.is_empty() => key.modify(Events::READ).is_err(),
                        _ => key.modify(Events::WRITE).is_err(),
                    };
                    if closed {
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

/// Reads if the peer has taken all, and writes.
fn echo(mut peer: &TcpStream, unsent: &mut Vec<u8>) -> io::Result<()> {
    if unsent.is_empty() {
        let mut buffer = [0; 1024];
        let received = peer.read(&mut buffer)?;
        if received == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        unsent.extend_from_slice(&buffer[..received]);
    }
    let sent = peer.write(unsent)?;
    unsent.drain(..sent);
    Ok(())
}
