//! The smallest server: echoes what its peers send, on port 7777.
//!
//! It closes a peer that does not read its echo, and one that finds the table
//! full. It expects 70 descriptors to be free: with fewer it spins while a peer
//! waits to be accepted. `main.rs` does better.

#![no_std]
#![no_main]
#![deny(unsafe_code)]

#[path = "../start.rs"]
mod start;

use core::net::{Ipv4Addr, SocketAddrV4};

use rustix::fd::OwnedFd;
use rustix::io::{Errno, read};
use rustix::net::{self, AddressFamily, SendFlags, SocketFlags, SocketType, sockopt};
use selectors_core::{DefaultSelector, Events, SelectorCell};

enum Role {
    Listener,
    Peer,
}

static SELECTOR: SelectorCell<DefaultSelector<OwnedFd, Role, 64>> = SelectorCell::new();

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// Ends only when the system refuses something.
fn main(_: start::Arguments) -> i32 {
    listen().ok().and_then(serve);
    1
}

fn listen() -> Result<OwnedFd, Errno> {
    let listener = net::socket_with(AddressFamily::INET, SocketType::STREAM, FLAGS, None)?;
    sockopt::set_socket_reuseaddr(&listener, true)?;
    net::bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7777))?;
    net::listen(&listener, 128)?;
    Ok(listener)
}

fn serve(listener: OwnedFd) -> Option<()> {
    let selector = SELECTOR.open().ok()?;
    selector.register(listener, Events::READ, Role::Listener).ok()?;
    let mut buffer = [0; 512];
    loop {
        selector.select(None).ok()?;
        while let Some((key, _ready)) = selector.next_ready() {
            match key.data {
                Role::Listener => {
                    if let Ok(peer) = net::accept_with(&key.fileobj, FLAGS) {
                        let _ = selector.register(peer, Events::READ, Role::Peer);
                    }
                }
                Role::Peer => {
                    let echoed = match read(&key.fileobj, &mut buffer) {
                        Ok(0) => false,
                        Ok(count) => {
                            let text = buffer.get(..count).unwrap_or_default();
                            net::send(&key.fileobj, text, SendFlags::NOSIGNAL) == Ok(count)
                        }
                        Err(errno) => errno == Errno::AGAIN,
                    };
                    if !echoed {
                        drop(key.unregister());
                    }
                }
            }
        }
    }
}
