//! Waking a selector from other threads and from signal handlers.

use core::fmt;
use core::ops::Deref;
use core::sync::atomic::{self, AtomicI32, AtomicU8, Ordering};

use rustix::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use rustix::io::Errno;

use crate::engine::Wake;
use crate::error::{Error, os};
use crate::platform::{if_eventfd, if_no_eventfd};

mod state;
use state::{Errand, State};

/// What a selector and its [`Waker`]s share: the descriptor that is written to, and a flag that
/// makes one system call of a burst of wakes.
///
/// Without an allocator it is a `static`; selectors-std keeps it in an `Arc`.
///
/// ```
/// # #[cfg(feature = "std")] {
/// # use selectors_core::{DefaultSelector, Error, WakeCell};
/// use std::os::fd::OwnedFd;
///
/// static WAKE: WakeCell = WakeCell::new();
///
/// let mut selector = DefaultSelector::<OwnedFd, (), 4>::new()?;
/// let waker = selector.waker_in(&WAKE)?;
/// std::thread::spawn(move || waker.wake());
/// selector.select(None)?; // returns when the thread has woken it
/// drop(selector);
/// assert_eq!(waker.wake(), Err(Error::WakerClosed));
/// # }
/// # Ok::<(), selectors_core::Error>(())
/// ```
pub struct WakeCell {
    state: State,
    /// The end that is watched, and the end that is written to: the same for an eventfd. Once made
    /// they stay open as long as the cell lives, because a waker may be about to write.
    read: AtomicI32,
    write: AtomicI32,
}

impl WakeCell {
    /// A cell that belongs to no selector yet. Makes no system call.
    ///
    /// ```
    /// static WAKE: selectors_core::WakeCell = selectors_core::WakeCell::new();
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { state: State(AtomicU8::new(0)), read: AtomicI32::new(-1), write: AtomicI32::new(-1) }
    }

    /// Wakes the selector that holds this cell; see [`Waker::wake`].
    ///
    /// ```
    /// # use selectors_core::{Error, WakeCell};
    /// let cell = WakeCell::new();
    /// assert_eq!(cell.wake(), Err(Error::WakerClosed)); // no selector has it
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Waker::wake`].
    #[inline]
    pub fn wake(&self) -> Result<(), Error> {
        match self.state.wake() {
            Errand::Write => {}
            Errand::Pending => return Ok(()),
            Errand::Closed => return Err(Error::WakerClosed),
        }
        let Some(fd) = self.borrow(&self.write) else { return Err(Error::WakerClosed) };
        loop {
            match rustix::io::write(fd, &1_u64.to_ne_bytes()) {
                Err(Errno::INTR) => {}
                // Full: the wait will end all the same.
                Ok(_) | Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => {
                    self.state.forget_wake();
                    return Err(os("write", None, errno));
                }
            }
        }
    }

    /// Takes the cell for a selector, and answers with the descriptor to watch.
    pub(crate) fn attach(&self) -> Result<BorrowedFd<'_>, Error> {
        if !self.state.take() {
            return Err(Error::WakerInUse);
        }
        if self.read.load(Ordering::Acquire) < 0 {
            match open() {
                Ok((read, write)) => {
                    let write = write.map_or(read, |fd| fd);
                    self.write.store(write, Ordering::Release);
                    self.read.store(read, Ordering::Release);
                }
                Err(error) => {
                    self.detach();
                    return Err(error);
                }
            }
        }
        // Left over from an earlier selector.
        self.drain();
        self.state.open();
        self.borrow(&self.read).ok_or(Error::WakerClosed)
    }

    /// From now on wakes are told that nobody waits.
    pub(crate) fn detach(&self) {
        self.state.close();
    }

    /// The descriptor to watch.
    pub(crate) fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.borrow(&self.read)
    }

    /// Marks the wakes so far as seen; those that come after need a system call again.
    #[inline]
    pub(crate) fn seen(&self) -> bool {
        self.state.seen()
    }

    /// Empties the descriptor, so that a level-triggered wait is not ended by it again.
    pub(crate) fn drain(&self) {
        let Some(fd) = self.borrow(&self.read) else { return };
        let mut sink = [0_u8; 64];
        while let Ok(64) | Err(Errno::INTR) = rustix::io::read(fd, &mut sink) {}
    }

    #[inline]
    #[allow(unsafe_code)]
    fn borrow(&self, end: &AtomicI32) -> Option<BorrowedFd<'_>> {
        let fd = end.load(Ordering::Acquire);
        // SAFETY: the number is not -1, so it was stored by `attach`, which had opened it for this
        // cell; only `drop` closes it, and that can't run while `self` is borrowed.
        (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
    }
}

if_eventfd! {
    /// One non-blocking, close-on-exec descriptor that can be written to and watched, or two.
    fn open() -> Result<(RawFd, Option<RawFd>), Error> {
        use rustix::event::{EventfdFlags, eventfd};
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| os("eventfd", None, errno))?;
        Ok((fd.into_raw_fd(), None))
    }
}
if_no_eventfd! {
    fn open() -> Result<(RawFd, Option<RawFd>), Error> {
        // Not pipe2, which Apple lacks; not EVFILT_USER, which NetBSD and OpenBSD lack.
        let (read, write) = rustix::pipe::pipe().map_err(|errno| os("pipe", None, errno))?;
        for end in [&read, &write] {
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)
                .and_then(|()| rustix::io::ioctl_fionbio(end, true))
                .map_err(|errno| os("fcntl", None, errno))?;
        }
        Ok((read.into_raw_fd(), Some(write.into_raw_fd())))
    }
}

impl Drop for WakeCell {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        let (read, write) = (*self.read.get_mut(), *self.write.get_mut());
        for fd in [read, write].iter().take(if read == write { 1 } else { 2 }) {
            if *fd >= 0 {
                // SAFETY: opened by `attach` for this cell, which nobody borrows any more.
                drop(unsafe { OwnedFd::from_raw_fd(*fd) });
            }
        }
    }
}

impl Default for WakeCell {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WakeCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, pending) = self.state.open_and_pending();
        f.debug_struct("WakeCell").field("open", &open).field("pending", &pending).finish_non_exhaustive()
    }
}

/// Ends the wait of one selector, from any thread and from signal handlers.
///
/// Made by `Selector::waker` or [`Selector::waker_in`](crate::Selector::waker_in); a copy of it wakes
/// the same selector. Outlives its selector, and then says so.
///
/// ```
/// # use selectors_core::{DefaultSelector, Error, WakeCell};
///
/// static WAKE: WakeCell = WakeCell::new();
///
/// let mut selector = DefaultSelector::<rustix::fd::OwnedFd, (), 4>::new()?;
/// let waker = selector.waker_in(&WAKE)?;
/// waker.wake()?;
/// selector.select(None)?; // returns at once
/// drop(selector);
/// assert_eq!(waker.wake(), Err(Error::WakerClosed));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Waker<W>(pub(crate) W);

impl<W: Deref<Target = WakeCell>> Waker<W> {
    /// Ends the selector's wait, or the next one if it is not waiting: that returns without delay.
    ///
    /// Never blocks. A burst of wakes that no wait has seen yet is one system call, a `write`; wakes
    /// are not counted. May be called from a signal handler: it takes no lock and allocates nothing (on
    /// platforms where rustix calls libc it may set `errno`, which a handler should restore).
    ///
    /// What happened before the wake is visible to the selecting thread after its `select`.
    ///
    /// # Errors
    ///
    /// - [`Error::WakerClosed`]: the selector is gone.
    /// - [`Error::Os`]: the kernel refused the write; unknown in practice.
    ///
    /// ```
    /// # use selectors_core::{DefaultSelector, WakeCell};
    /// # static WAKE: WakeCell = WakeCell::new();
    /// # let mut selector = DefaultSelector::<rustix::fd::OwnedFd, (), 4>::new()?;
    /// # let waker = selector.waker_in(&WAKE)?;
    /// for _ in 0..100 {
    ///     waker.wake()?; // one system call for all of them
    /// }
    /// assert_eq!(selector.select(None)?, 1);
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    #[doc(alias = "notify")]
    #[inline]
    pub fn wake(&self) -> Result<(), Error> {
        self.0.wake()
    }
}

/// A selector's hold on its cell.
pub(crate) struct Attached<W: Deref<Target = WakeCell>> {
    pub(crate) cell: W,
    pub(crate) token: crate::table::Token,
}

impl<W: Deref<Target = WakeCell>> Attached<W> {
    pub(crate) fn wake(&self) -> Wake<'_> {
        Wake { cell: &self.cell, token: self.token }
    }
}

impl<W: Deref<Target = WakeCell>> Drop for Attached<W> {
    fn drop(&mut self) {
        self.cell.detach();
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use rustix::fd::{AsRawFd, RawFd};

    use super::WakeCell;
    use crate::backend::{Backend, Poll, Queue, Sets};
    use crate::error::Error;
    use crate::events::Events;
    use crate::selector::Selector;
    use crate::storage::Fixed;

    #[test]
    fn a_cell_belongs_to_one_selector_at_a_time() {
        let cell = WakeCell::new();
        assert_eq!(cell.wake(), Err(Error::WakerClosed));
        let first = cell.attach().unwrap().as_raw_fd();
        assert_eq!(cell.attach().unwrap_err(), Error::WakerInUse);
        assert_eq!(cell.wake(), Ok(()));
        cell.detach();
        assert_eq!(cell.wake(), Err(Error::WakerClosed));
        let again = cell.attach().unwrap().as_raw_fd();
        assert_eq!(first, again);
    }

    #[test]
    fn a_burst_is_one_write() {
        let cell = WakeCell::new();
        let fd = cell.attach().unwrap();
        for _ in 0..100 {
            cell.wake().unwrap();
        }
        let mut count = [0; 8];
        assert_eq!(rustix::io::read(fd, &mut count), Ok(8));
        assert_eq!(u64::from_ne_bytes(count), 1);
        cell.seen();
        cell.wake().unwrap();
        assert_eq!(rustix::io::read(fd, &mut count), Ok(8));
    }

    #[allow(unsafe_code)]
    fn a_number_is_the_wakers_or_a_keys<B: Backend>(cell: &'static WakeCell) {
        let Ok(mut selector) = Selector::<B, RawFd, (), Fixed<4>>::new() else {
            return assert_eq!(B::KIND, None, "the platform has it");
        };
        // As if a key's descriptor had been closed, and its number given to the waker's.
        let fd = cell.attach().unwrap().as_raw_fd();
        cell.detach();
        // SAFETY: the cell keeps it open.
        unsafe { selector.register_raw(fd, Events::READ, ()) }.unwrap();
        assert_eq!(selector.waker_in(cell).unwrap_err(), Error::AlreadyRegistered { fd });
        let _ = selector.unregister(fd).unwrap();

        let waker = selector.waker_in(cell).unwrap();
        // SAFETY: as above.
        let refused = unsafe { selector.register_raw(fd, Events::READ, ()) }.unwrap_err();
        assert_eq!(refused.error, Error::AlreadyRegistered { fd });
        waker.wake().unwrap();
        assert_eq!(selector.select(Some(Duration::from_secs(20))), Ok(1));
        assert!(selector.next_ready().is_none() && selector.get_map().is_empty());
    }

    #[test]
    fn a_number_is_watched_once() {
        static CELLS: [WakeCell; 3] = [const { WakeCell::new() }; 3];
        a_number_is_the_wakers_or_a_keys::<Queue<4>>(&CELLS[0]);
        a_number_is_the_wakers_or_a_keys::<Poll<Fixed<4>>>(&CELLS[1]);
        a_number_is_the_wakers_or_a_keys::<Sets<Fixed<4>>>(&CELLS[2]);
    }
}
