use core::time::Duration;
use rustix::fd::OwnedFd;
use rustix::io::{self, Errno};
use rustix::net::{self, SendFlags};
use selectors_core::{DefaultSelector, Error, Events};

#[derive(Clone, Copy)]
enum Role {
    Listener,
    Peer,
}

/// Serves a listening socket, which must not block.
fn serve(listener: OwnedFd) -> Result<(), Error> {
    let mut selector = DefaultSelector::<OwnedFd, Role, 64>::new()?;
    selector.register(listener, Events::READ, Role::Listener)?;
    let mut resting = None; // the listener, for a moment after a failure
    loop {
        selector.select(resting.as_ref().map(|_| Duration::from_millis(10)))?;
        if let Some(listener) = resting.take() {
            selector.register(listener, Events::READ, Role::Listener)?;
        }
        while let Some((key, _ready)) = selector.next_ready() {
            let fd = key.fd;
            match key.data {
                Role::Listener => match accept(key.fileobj) {
                    Ok(peer) => {
                        // If the table is full, the peer is dropped: closed.
                        let role = Role::Peer;
                        let _ = selector.register(peer, Events::READ, role);
                    }
                    // If no descriptor is free, the listener stays ready.
                    Err(_) => resting = Some(selector.unregister(fd)?.fileobj),
                },
                Role::Peer => {
                    if !echo(key.fileobj) {
                        drop(selector.unregister(fd)?); // the key owns it
                    }
                }
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
