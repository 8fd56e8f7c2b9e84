//! The descriptors of a cell: one that is watched, and one that is written to.

use core::sync::atomic::{AtomicI32, Ordering};

use rustix::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use rustix::io::{Errno, fcntl_dupfd_cloexec};

use crate::error::{Error, os};
use crate::platform::{if_eventfd, if_no_eventfd};

/// No descriptor.
const NONE: RawFd = -1;

/// The numbers of the two descriptors.
///
/// They are the same for an eventfd, and -1 if there are none.
pub(super) struct Ends {
    read: AtomicI32,
    write: AtomicI32,
}

impl Ends {
    pub(super) const fn none() -> Self {
        Self { read: AtomicI32::new(NONE), write: AtomicI32::new(NONE) }
    }

    pub(super) fn read(&self) -> RawFd {
        self.read.load(Ordering::Acquire)
    }

    #[inline]
    pub(super) fn write(&self) -> RawFd {
        self.write.load(Ordering::Acquire)
    }

    pub(super) fn are_open(&self) -> bool {
        self.read() != NONE
    }

    /// Opens the descriptors, of which there must be none.
    pub(super) fn open(&self) -> Result<(), Error> {
        let (read, write) = open()?;
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
        self.set(NONE, NONE);
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
            if fd != NONE {
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

/// Empties a descriptor, so that it does not end a level-triggered wait again.
pub(super) fn drain(fd: BorrowedFd<'_>) {
    let mut sink = [0_u8; 64];
    while let Ok(64) | Err(Errno::INTR) = rustix::io::read(fd, &mut sink) {}
}

/// Returns the descriptor, with another number if that is 0, 1 or 2.
///
/// Programs use these as their standard streams. What they print would be a
/// wake.
fn beyond_standard_streams(fd: OwnedFd) -> Result<OwnedFd, Error> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    fcntl_dupfd_cloexec(&fd, 3).map_err(|errno| os("fcntl", None, errno))
}

if_eventfd! {
    /// Opens a descriptor to watch and write to, or two.
    ///
    /// They are non-blocking and close-on-exec.
    fn open() -> Result<(OwnedFd, Option<OwnedFd>), Error> {
        use rustix::event::{EventfdFlags, eventfd};
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| os("eventfd", None, errno))?;
        Ok((beyond_standard_streams(fd)?, None))
    }
}
if_no_eventfd! {
    fn open() -> Result<(OwnedFd, Option<OwnedFd>), Error> {
        // Not pipe2, which Apple lacks; not EVFILT_USER, which NetBSD and
        // OpenBSD lack.
        let (read, write) = rustix::pipe::pipe().map_err(|errno| os("pipe", None, errno))?;
        for end in [&read, &write] {
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)
                .and_then(|()| rustix::io::ioctl_fionbio(end, true))
                .map_err(|errno| os("fcntl", None, errno))?;
        }
        Ok((beyond_standard_streams(read)?, Some(beyond_standard_streams(write)?)))
    }
}
