use core::time::Duration;
use rustix::fd::OwnedFd;
use rustix::io::{self, Errno};
use rustix::net::{self, SendFlags};
use selectors_core::{DefaultSelector, Error, Events};

/// Serves a listening socket, which must not block.
fn serve(listener: OwnedFd) -> Result<(), Error> {
    let mut selector = DefaultSelector::<OwnedFd, (), 64>::new()?;
    let listener = selector.register(listener, Events::READ, ())?.id();
    loop {
        // `None` waits indefinitely.
        let key = selector.get_key(listener);
        let paused = key.is_some_and(|key| key.is_paused());
        selector.select(paused.then_some(Duration::from_millis(10)))?;
        let _ = selector.resume(listener); // if that fails, it stays paused
        while let Some((mut key, _events)) = selector.next_ready() {
            if key.id() == listener {
                match accept(&key.fileobj) {
                    Ok(peer) => {
                        // If the table is full, the peer is dropped: closed.
                        let _ = selector.register(peer, Events::READ, ());
                    }
                    Err(_) => key.pause(), // perhaps no descriptor is free
                }
            } else if !echo(&key.fileobj) {
                drop(key.unregister()); // the key owns the peer
            }
        }
    }
}

fn accept(listener: &OwnedFd) -> Result<OwnedFd, Errno> {
    let peer = net::accept(listener)?;
    io::ioctl_fionbio(&peer, true)?; // non-blocking
    Ok(peer)
}

/// Returns false at the end, and if the peer does not read its echo.
fn echo(peer: &OwnedFd) -> bool {
    let mut buffer = [0; 256];
    match io::read(peer, &mut buffer) {
        Ok(0) => false,
        Ok(n) => net::send(peer, &buffer[..n], SendFlags::NOSIGNAL) == Ok(n),
        Err(errno) => errno == Errno::AGAIN,
    }
}
