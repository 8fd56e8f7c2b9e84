use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use slab::Slab;

use super::{Server, accept};
use crate::subjects::{Buffer, Watch, buffer, flags};

/// The system calls and a slab. No key is removed while an event of it may be
/// pending, so that it needs no generations.
pub(super) struct Bare {
    epoll: OwnedFd,
    buffer: Buffer,
    listener: OwnedFd,
    connections: Slab<OwnedFd>,
    flags: EventFlags,
}

const LISTENER: u64 = u64::MAX;

impl Server for Bare {
    fn open(listener: OwnedFd, watch: Watch) -> Self {
        let (epoll, flags) = (epoll::create(CreateFlags::CLOEXEC).unwrap(), flags(watch));
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), flags).unwrap();
        Self { epoll, buffer: buffer(), listener, connections: Slab::new(), flags }
    }

    #[inline(always)]
    fn turn(&mut self, mut serve: impl FnMut(BorrowedFd<'_>) -> bool) {
        let (ready, _) = epoll::wait(&self.epoll, &mut self.buffer[..], None).unwrap();
        for event in ready.iter() {
            let token = event.data.u64();
            if token == LISTENER {
                while let Some(connection) = accept(&self.listener) {
                    let slot = self.connections.vacant_entry();
                    let data = EventData::new_u64(slot.key() as u64);
                    epoll::add(&self.epoll, &connection, data, self.flags).unwrap();
                    slot.insert(connection);
                }
                continue;
            }
            let Ok(slot) = usize::try_from(token) else { continue };
            let Some(connection) = self.connections.get(slot) else { continue };
            if !serve(connection.as_fd()) {
                epoll::delete(&self.epoll, connection).unwrap();
                self.connections.remove(slot);
            }
        }
    }
}
