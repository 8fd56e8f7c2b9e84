//! Waking a selector from other threads and from signal handlers.

use core::fmt;
use core::ops::Deref;
use core::sync::atomic::{self, AtomicI32, AtomicU32, Ordering};

use rustix::fd::{BorrowedFd, RawFd};
use rustix::io::Errno;
use rustix::process::getpid;

use crate::error::{Error, os};

mod attached;
mod ends;
mod state;
#[cfg(feature = "std")]
mod task;
pub(crate) use attached::{Attached, Hold};
use ends::Ends;
use state::{Attachment, Errand, State, Writing};

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
    /// Which process attached the cell last, and so made the descriptors; negative while it takes the cell from the process
    /// that it was forked from. 0 for none.
    ///
    /// A process is known by its number. A child with the number of the process that attached the cell, as the
    /// first ones of two process namespaces both have 1, takes its descriptors for its own: see `reset`.
    owner: AtomicI32,
    /// What the attachment uses.
    ends: Ends,
    /// What an earlier one used, while a wake is still being written to it.
    late: Ends,
}

impl WakeCell {
    /// A cell that belongs to no selector yet. Makes no system call.
    ///
    /// ```
    /// static WAKE: selectors_core::WakeCell = selectors_core::WakeCell::new();
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State { word: AtomicU32::new(0), writing: AtomicU32::new(0) },
            owner: AtomicI32::new(0),
            ends: Ends::none(),
            late: Ends::none(),
        }
    }

    /// Wakes the selector that holds this cell now.
    ///
    /// This is for signal handlers, which find the cell in a `static`. A [`Waker`] wakes only the selector that it was
    /// made by.
    ///
    /// # Errors
    ///
    /// As [`Waker::wake`], with [`Error::WakerClosed`] if no selector holds the cell.
    ///
    /// ```
    /// # use selectors_core::{Error, WakeCell};
    /// let cell = WakeCell::new();
    /// assert_eq!(cell.wake(), Err(Error::WakerClosed)); // no selector has it
    /// ```
    #[inline]
    pub fn wake(&self) -> Result<(), Error> {
        self.wake_of(None)
    }

    #[inline]
    fn wake_of(&self, attachment: Option<Attachment>) -> Result<(), Error> {
        match self.state.try_to_wake(attachment, || self.ends.write()) {
            Some(errand) => self.run(errand),
            None => self.keep_waking(attachment),
        }
    }

    #[cold]
    fn keep_waking(&self, attachment: Option<Attachment>) -> Result<(), Error> {
        self.run(self.state.wake(attachment, || self.ends.write()))
    }

    #[inline]
    #[allow(unsafe_code)]
    fn run(&self, errand: Errand<RawFd>) -> Result<(), Error> {
        let (fd, writing) = match errand {
            Errand::Write(fd, writing) => (fd, writing),
            Errand::Pending => return Ok(()),
            Errand::Closed => return Err(Error::WakerClosed),
        };
        // SAFETY: it is not -1: the number is that of an open attachment, which has descriptors. This one is open, and stays so
        // until the end of the wake: `end` and `attach` close none while a wake is counted, and `drop` can't run
        // while `self` is borrowed.
        let end = unsafe {
            // `borrow_raw` would look, for each wake.
            core::hint::assert_unchecked(fd != -1);
            BorrowedFd::borrow_raw(fd)
        };
        match rustix::io::write(end, &1_u64.to_ne_bytes()) {
            Ok(_) if self.state.try_to_end(writing) => Ok(()),
            Ok(_) => self.written(Ok(()), writing),
            Err(errno) => self.write_again(end, errno, writing),
        }
    }

    /// The end of a wake.
    #[cold]
    fn written(&self, done: Result<(), Error>, writing: Writing) -> Result<(), Error> {
        self.state.written(writing);
        done
    }

    /// After a write that failed.
    #[cold]
    fn write_again(&self, end: BorrowedFd<'_>, mut errno: Errno, writing: Writing) -> Result<(), Error> {
        let done = loop {
            match errno {
                Errno::INTR => {}
                // Full: the wait will end all the same.
                Errno::AGAIN => break Ok(()),
                _ => {
                    self.state.forget_wake(writing);
                    break Err(os("write", None, errno));
                }
            }
            match rustix::io::write(end, &1_u64.to_ne_bytes()) {
                Ok(_) => break Ok(()),
                Err(again) => errno = again,
            }
        };
        self.written(done, writing)
    }

    /// Forgets the cell's descriptors without closing them, and every selector that holds the cell.
    ///
    /// This is for a program that closes all descriptors, as daemons do after `fork`, and can't drop its selectors
    /// before: their sources would be closed with them. It is like a new cell then. Wakers made before
    /// return [`Error::WakerClosed`].
    ///
    /// **A selector that is dropped before needs no reset.**
    /// ```
    /// # use selectors_core::{DefaultSelector, Error, WakeCell};
    /// # use rustix::fd::OwnedFd;
    /// static WAKE: WakeCell = WakeCell::new();
    ///
    /// let mut selector = DefaultSelector::<OwnedFd, (), 4>::new()?;
    /// let waker = selector.waker_in(&WAKE)?;
    /// // Here the program forks, and the child calls `closefrom(3)`.
    /// std::mem::forget(selector); // it owns descriptors which are closed already
    /// // SAFETY: no selector uses the cell any more, and there is no other thread.
    /// unsafe { WAKE.reset() };
    ///
    /// let mut selector = DefaultSelector::<OwnedFd, (), 4>::new()?;
    /// let next = selector.waker_in(&WAKE)?;
    /// assert_eq!(waker.wake(), Err(Error::WakerClosed));
    /// next.wake()?;
    /// assert_eq!(selector.select(None)?, 1);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Safety
    ///
    /// The caller must ensure that
    ///
    /// - no selector that holds the cell is used again, except that it may be dropped if its own descriptors are still open;
    /// - no other thread uses the cell or one of its wakers during this call, nor was in the middle of a wake
    ///   when the descriptors were closed.
    #[allow(unsafe_code)]
    pub unsafe fn reset(&self) {
        self.forget();
        self.owner.store(0, Ordering::Release);
        self.state.release();
    }

    /// Goes on without what another process has, or what is closed already.
    fn forget(&self) {
        self.state.take_over();
        // After the exchange in there: a wake which finds one of these gone finds its attachment gone, too.
        self.ends.forget();
        self.late.forget();
    }

    /// Takes the cell for a selector.
    fn attach(&self) -> Result<Attachment, Error> {
        self.take(getpid().as_raw_pid())?;
        self.close_unused();
        if self.ends.are_open() {
            // In use by a wake that is late, and by one before it.
            self.watched().into_iter().for_each(ends::drain);
        } else if let Err(error) = self.ends.open() {
            self.state.release();
            return Err(error);
        }
        Ok(self.state.open())
    }

    fn take(&self, this: i32) -> Result<(), Error> {
        let owner = self.owner.load(Ordering::Acquire);
        if owner == this {
            return if self.state.take() { Ok(()) } else { Err(Error::WakerInUse) };
        }
        // No thread of this process has attached it: it is new, or this process was forked. The descriptors are
        // shared with the other process then, or even closed. The first thread gets it; there is no other one which could
        // have made the number negative.
        let first = owner != -this
            && self.owner.compare_exchange(owner, -this, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if !first {
            return Err(Error::WakerInUse);
        }
        self.forget();
        self.owner.store(this, Ordering::Release);
        Ok(())
    }

    /// Ends an attachment: its wakers have nothing to wake any more.
    fn end(&self, attachment: Attachment) {
        // A child that drops the selector which it has inherited ends nothing: neither its parent's attachment, nor
        // one that it has made itself since.
        if self.owner.load(Ordering::Acquire) != getpid().as_raw_pid() || !self.state.close(attachment) {
            return;
        }
        self.close_unused();
        if self.ends.are_open() && !self.late.are_open() {
            // A wake is being written to them, and must not wake the next selector.
            self.ends.move_to(&self.late);
        }
        self.state.release();
    }

    /// Closes the descriptors, unless a wake is still being written. The cell must be taken and not open.
    ///
    /// So a wake that is late ends no wait of the next selector, which has other descriptors. Except when one
    /// thread is in the middle of its write while two attachments end: the next one uses the descriptors of the
    /// second, and a wait of it may end without a wake if it was to this one that the thread writes. No wake is lost by that.
    #[allow(unsafe_code)]
    fn close_unused(&self) {
        if self.state.writes_are_over() {
            // SAFETY: nothing borrows them: no write is left, none begins, as the cell is not open, and the selector
            // which watched them has dropped its backend. And this process has not closed them: they are its own,
            // as the cell is taken, and `reset` has its caller call it after it closed them.
            unsafe {
                self.late.close();
                self.ends.close();
            }
        }
    }

    /// The descriptor to watch.
    #[inline]
    #[allow(unsafe_code)]
    fn watched(&self) -> Option<BorrowedFd<'_>> {
        // SAFETY: it is open, and stays so: the caller has taken the cell, and ends that with no borrow left.
        self.ends.are_open().then(|| unsafe { BorrowedFd::borrow_raw(self.ends.read()) })
    }
}

impl Drop for WakeCell {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: nothing borrows them, as nothing borrows the cell. `reset` is for those that were closed in another way.
        unsafe {
            self.late.close();
            self.ends.close();
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
#[derive(Clone, Copy)]
pub struct Waker<W> {
    cell: W,
    attachment: Attachment,
}

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
        self.cell.wake_of(Some(self.attachment))
    }
}

impl<W: fmt::Debug> fmt::Debug for Waker<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Waker").field(&self.cell).finish()
    }
}

#[cfg(test)]
mod tests;
