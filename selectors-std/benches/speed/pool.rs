//! Descriptors to watch.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// Eventfds, none of them ready.
pub(crate) struct Pool(Vec<OwnedFd>);

impl Pool {
    pub(crate) fn new(count: usize) -> Self {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Self((0..count).map(|_| eventfd(0, flags).unwrap()).collect())
    }

    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(AsFd::as_fd)
    }

    /// `count` of them, evenly from all over the pool: one is in its middle.
    pub(crate) fn some(&self, count: usize) -> impl Iterator<Item = BorrowedFd<'_>> {
        let step = self.0.len() / count.max(1);
        self.fds().skip(step / 2).step_by(step.max(1)).take(count)
    }
}

/// Makes an eventfd readable.
pub(crate) fn raise(fd: BorrowedFd<'_>) {
    rustix::io::write(fd, &1_u64.to_ne_bytes()).unwrap();
}

/// Makes it unreadable again.
pub(crate) fn clear(fd: BorrowedFd<'_>) {
    let _ = rustix::io::read(fd, &mut [0; 8]);
}
