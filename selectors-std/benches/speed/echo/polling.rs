use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use polling::{Event, Events, PollMode, Poller};
use slab::Slab;

use super::{Server, accept};
use crate::subjects::{EVENTS, Watch};

/// polling and a slab.
pub(super) struct Polling {
    poller: Poller,
    events: Events,
    listener: OwnedFd,
    connections: Slab<OwnedFd>,
    mode: PollMode,
}

/// `usize::MAX` is taken by polling itself.
const LISTENER: usize = usize::MAX - 1;

/// Keeps to the contract of `add_with_mode`: `turn` deletes each source before
/// it closes it, and the poller is the first field, so that it is closed before
/// the others.
#[allow(unsafe_code)]
fn register(poller: &Poller, source: &OwnedFd, key: usize, mode: PollMode) {
    // SAFETY: see above.
    unsafe { poller.add_with_mode(source.as_raw_fd(), Event::readable(key), mode) }.unwrap();
}

impl Server for Polling {
    fn open(listener: OwnedFd, watch: Watch) -> Self {
        let poller = Poller::new().unwrap();
        let mode = if watch.edge { PollMode::Edge } else { PollMode::Level };
        register(&poller, &listener, LISTENER, mode);
        let events = Events::with_capacity(NonZeroUsize::new(EVENTS).unwrap());
        Self { poller, events, listener, connections: Slab::new(), mode }
    }

    #[inline(always)]
    fn turn(&mut self, mut serve: impl FnMut(BorrowedFd<'_>) -> bool) {
        self.events.clear();
        self.poller.wait(&mut self.events, None).unwrap();
        for event in self.events.iter() {
            if event.key == LISTENER {
                while let Some(connection) = accept(&self.listener) {
                    let slot = self.connections.vacant_entry();
                    register(&self.poller, &connection, slot.key(), self.mode);
                    slot.insert(connection);
                }
                continue;
            }
            let Some(connection) = self.connections.get(event.key) else { continue };
            if !serve(connection.as_fd()) {
                self.poller.delete(connection).unwrap();
                self.connections.remove(event.key);
            }
        }
    }
}
