use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::{Server, accept};
use crate::subjects::{EVENTS, Watch};

/// mio and a slab.
pub(super) struct Mio {
    poll: Poll,
    events: Events,
    listener: OwnedFd,
    connections: Slab<OwnedFd>,
}

const LISTENER: Token = Token(usize::MAX);

fn register(poll: &Poll, source: &OwnedFd, token: Token) {
    poll.registry()
        .register(&mut SourceFd(&source.as_raw_fd()), token, Interest::READABLE)
        .unwrap();
}

impl Server for Mio {
    fn open(listener: OwnedFd, _watch: Watch) -> Self {
        let poll = Poll::new().unwrap();
        register(&poll, &listener, LISTENER);
        Self { poll, events: Events::with_capacity(EVENTS), listener, connections: Slab::new() }
    }

    #[inline(always)]
    fn turn(&mut self, mut serve: impl FnMut(BorrowedFd<'_>) -> bool) {
        self.poll.poll(&mut self.events, None).unwrap();
        for event in &self.events {
            if event.token() == LISTENER {
                while let Some(connection) = accept(&self.listener) {
                    let slot = self.connections.vacant_entry();
                    register(&self.poll, &connection, Token(slot.key()));
                    slot.insert(connection);
                }
                continue;
            }
            let Token(slot) = event.token();
            let Some(connection) = self.connections.get(slot) else { continue };
            if !serve(connection.as_fd()) {
                self.poll.registry().deregister(&mut SourceFd(&connection.as_raw_fd())).unwrap();
                self.connections.remove(slot);
            }
        }
    }
}
