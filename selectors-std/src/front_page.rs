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
    let mut selector = DefaultSelector::new()?;
    selector.register(Source::Listener(listener), Events::READ, ())?;
    let mut resting = None; // the listener, for a moment after a failure
    loop {
        selector.select(resting.as_ref().map(|_| Duration::from_millis(10)))?;
        if let Some(listener) = resting.take() {
            selector.register(listener, Events::READ, ())?;
        }
        while let Some((key, _ready)) = selector.next_ready() {
            let fd = key.fd;
            match key.fileobj {
                Source::Listener(listener) => match accept(listener) {
                    Ok(peer) => {
                        // If this fails, the peer is dropped: closed.
                        let _ = selector.register(peer, Events::READ, ());
                    }
                    // If no descriptor is free, the listener stays ready.
                    Err(_) => resting = Some(selector.unregister(fd)?.fileobj),
                },
                Source::Peer(peer) => {
                    if !echo(peer) {
                        drop(selector.unregister(fd)?); // the key owns it
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

/// Returns false at the end, and if the peer does not read its echo.
fn echo(mut peer: &TcpStream) -> bool {
    let mut buffer = [0; 1024];
    match peer.read(&mut buffer) {
        Ok(0) => false,
        Ok(n) => peer.write(&buffer[..n]).is_ok_and(|sent| sent == n),
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}
