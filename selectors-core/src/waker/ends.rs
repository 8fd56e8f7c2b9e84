//! The descriptors of a cell: one that is watched, and one that is written to.

use core::sync::atomic::Ordering;

use rustix::fd::{IntoRawFd, RawFd};

use crate::error::Error;
use crate::platform::{AtomicFd, NO_FD, open_wake};

/// The numbers of the two descriptors.
///
/// They are the same for an eventfd, and -1 if there are none.
pub(super) struct Ends {
    read: AtomicFd,
    write: AtomicFd,
}

impl Ends {
    pub(super) const fn none() -> Self {
        Self { read: AtomicFd::new(NO_FD), write: AtomicFd::new(NO_FD) }
    }

    pub(super) fn read(&self) -> RawFd {
        self.read.load(Ordering::Acquire)
    }

    #[inline]
    pub(super) fn write(&self) -> RawFd {
        self.write.load(Ordering::Acquire)
    }

    pub(super) fn are_open(&self) -> bool {
        self.read() != NO_FD
    }

    /// Opens the descriptors, of which there must be none.
    pub(super) fn open(&self) -> Result<(), Error> {
        let (read, write) = open_wake()?;
        let read = read.into_raw_fd();
        self.set(read, write.map_or(read, IntoRawFd::into_raw_fd));
        Ok(())
    }

    fn set(&self, read: RawFd, write: RawFd) {
        self.write.store(write, Ordering::Release);
        self.read.store(read, Ordering::Release);
    }

    /// Forgets the descriptors, without closing them.
    pub(super) fn forget(&self) {
        self.set(NO_FD, NO_FD);
    }

    /// Moves the descriptors to `other`, which must have none.
    pub(super) fn move_to(&self, other: &Self) {
        other.set(self.read(), self.write());
        self.forget();
    }

    /// Closes the descriptors, if there are any.
    ///
    /// # Safety
    ///
    /// The caller must ensure that nothing borrows them, and that this process
    /// has not closed them in another way.
    #[allow(unsafe_code)]
    pub(super) unsafe fn close(&self) {
        let (read, write) = (self.read(), self.write());
        self.forget();
        for fd in [read, write].into_iter().take(if read == write { 1 } else { 2 }) {
            if fd != NO_FD {
                // Not as an `OwnedFd`, which in debug builds makes a system
                // call first to see whether it is open. A sandbox may refuse
                // that. SAFETY: it is open: the number is not -1, so `open` has
                // stored it, and nothing has closed it since, as the caller
                // ensures. It is owned: `open` gave up the owner, and the cell
                // has forgotten the number. Nothing borrows it, as the caller
                // ensures.
                unsafe { rustix::io::close(fd) };
            }
        }
    }
}
