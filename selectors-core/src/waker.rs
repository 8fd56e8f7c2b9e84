//! Waking a selector from other threads and from signal handlers.

use core::fmt;
use core::sync::atomic::{self, AtomicI32, AtomicU32, Ordering};

use rustix::fd::{BorrowedFd, RawFd};
use rustix::io::Errno;

use crate::error::{Error, os};
use crate::platform::{NO_FD, drain_wake, is_valid, process, write_wake};

mod ends;
mod handles;
mod state;
#[cfg(feature = "std")]
mod task;
use ends::Ends;
pub(crate) use handles::Attached;
pub use handles::Waker;
use state::{Attachment, Errand, State, Writing};

/// The state that a selector shares with its [`Waker`]s.
///
/// It is the descriptor that a wake writes to, and a flag that makes a burst of
/// wakes cost one system call. Without an allocator it is a `static`.
/// selectors-std keeps it in an `Arc`.
///
/// A selector holds the cell from [`waker_in`](crate::Selector::waker_in) until
/// it is dropped. The cell has a descriptor during that time: an eventfd, or
/// the two ends of a pipe. Their numbers are never 0, 1 or 2, even if the
/// program has closed its standard streams.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// # use selectors_core::{DefaultSelector, Error, WakeCell};
/// static WAKE: WakeCell = WakeCell::new();
///
/// # let mut selector = DefaultSelector::<rustix::fd::OwnedFd, (), 4>::new()?;
/// let waker = selector.waker_in(&WAKE)?;
/// std::thread::spawn(move || waker.wake());
/// selector.select(None)?; // returns when the thread has woken it
/// drop(selector);
/// assert_eq!(waker.wake(), Err(Error::WakerClosed));
/// # }
/// # Ok::<(), selectors_core::Error>(())
/// ```
///
/// # fork
///
/// A child that is forked inherits a copy of the cell. It shares the descriptor
/// with its parent.
///
/// - The inherited cell and its wakers belong to the parent's selector. A wake
///   in the child may wake the parent. The parent loses no wake.
/// - Dropping the inherited selector in the child changes nothing for the
///   parent. It also changes nothing for a selector to which the child has
///   given the cell.
/// - The child may give the cell to a selector of its own, without a reset. The
///   cell then gets a descriptor of its own. The inherited one is neither read,
///   nor written to, nor closed. From then on the inherited wakers return
///   [`Error::WakerClosed`].
/// - **The child must not wait with the inherited selector.** It would consume
///   wakes of the parent.
///
/// A program that closes all its descriptors, as a daemon does with
/// `closefrom`, drops its selectors and its cells first. A `static` cell is not
/// dropped; its descriptor is closed with the selector. If the selectors can't
/// be dropped, see [`reset`](Self::reset).
///
/// A process is identified by its number, which `getpid` returns. **The first
/// processes of two PID namespaces both have the number 1.** If one of them is
/// forked by the other, it calls `reset` before it uses the cell.
pub struct WakeCell {
    state: State,
    /// The process that attached the cell last, and so made the descriptors.
    ///
    /// The number is negative while that process takes the cell from the one
    /// that it was forked from, and 0 if there is none.
    owner: AtomicI32,
    /// The descriptors of the attachment.
    ends: Ends,
    /// Those of an earlier one, while a wake is still being written to them.
    late: Ends,
}

impl WakeCell {
    /// Creates a cell that belongs to no selector yet.
    ///
    /// This does not make a system call.
    ///
    /// # Examples
    ///
    /// ```
    /// # use selectors_core::WakeCell;
    /// static WAKE: WakeCell = WakeCell::new();
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
    /// This is for signal handlers, which find the cell in a `static`. A
    /// [`Waker`] only wakes the selector that made it. In all other respects
    /// this does what [`Waker::wake`] does.
    ///
    /// # Errors
    ///
    /// - Returns [`Error::WakerClosed`] if no selector holds the cell.
    /// - Returns [`Error::Os`] if the kernel refuses the write. No case is
    ///   known.
    ///
    /// # Examples
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
        // SAFETY: it is not -1: the number is that of an open attachment, which
        // has descriptors. This one is open, and stays so until the end of the
        // wake: `end` and `attach` close none while a wake is counted, and
        // `drop` can't run while `self` is borrowed.
        let end = unsafe {
            // Otherwise `borrow_raw` would check it, for each wake.
            core::hint::assert_unchecked(fd != NO_FD);
            BorrowedFd::borrow_raw(fd)
        };
        match write_wake(end) {
            Ok(_) if self.state.try_to_end(writing) => Ok(()),
            Ok(_) => self.written(Ok(()), writing),
            Err(errno) => self.write_again(end, errno, writing),
        }
    }

    /// Ends a wake.
    #[cold]
    fn written(&self, done: Result<(), Error>, writing: Writing) -> Result<(), Error> {
        self.state.written(writing);
        done
    }

    /// Handles a write that failed, and ends the wake.
    #[cold]
    fn write_again(
        &self,
        end: BorrowedFd<'_>,
        mut errno: Errno,
        writing: Writing,
    ) -> Result<(), Error> {
        let done = loop {
            match errno {
                Errno::INTR => {}
                // The descriptor is full, so the wait ends anyway.
                Errno::AGAIN => break Ok(()),
                _ => {
                    self.state.forget_wake(writing);
                    break Err(os("write", None, errno));
                }
            }
            match write_wake(end) {
                Ok(_) => break Ok(()),
                Err(again) => errno = again,
            }
        };
        self.written(done, writing)
    }

    /// Forgets the descriptors of the cell and the selector that holds it.
    ///
    /// This is for a program that closes all its descriptors, as daemons do,
    /// and can't drop its selectors before. The cell is like a new one
    /// afterwards, and may be given to another selector. It does not close any
    /// descriptor. Wakers made before the reset return [`Error::WakerClosed`].
    ///
    /// A cell whose selector was dropped needs no reset.
    ///
    /// # Safety
    ///
    /// The caller must ensure that
    ///
    /// - a selector that holds the cell is not used afterwards. It may be
    ///   dropped if its own descriptors are still open;
    /// - no other thread uses the cell or its wakers during the call;
    /// - no thread was in the middle of a wake when the descriptors of the cell
    ///   were closed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use selectors_core::{DefaultSelector, Error, WakeCell};
    /// # use rustix::fd::OwnedFd;
    /// static WAKE: WakeCell = WakeCell::new();
    ///
    /// let mut selector = DefaultSelector::<OwnedFd, (), 4>::new()?;
    /// let waker = selector.waker_in(&WAKE)?;
    /// // Here the program becomes a daemon, and closes all descriptors.
    /// std::mem::forget(selector); // what it owns is closed already
    /// // SAFETY: no selector uses the cell, and there is no other thread.
    /// unsafe { WAKE.reset() };
    ///
    /// let mut selector = DefaultSelector::<OwnedFd, (), 4>::new()?;
    /// let next = selector.waker_in(&WAKE)?;
    /// assert_eq!(waker.wake(), Err(Error::WakerClosed));
    /// next.wake()?;
    /// assert!(selector.select(None)?.woken());
    /// # Ok::<(), Error>(())
    /// ```
    #[allow(unsafe_code)]
    pub unsafe fn reset(&self) {
        self.forget();
        self.owner.store(0, Ordering::Release);
        self.state.release();
    }

    /// Forgets descriptors that another process has, or that are closed
    /// already.
    fn forget(&self) {
        self.state.take_over();
        // After the exchange in there, so that a wake which reads -1 here finds
        // that its attachment has ended.
        self.ends.forget();
        self.late.forget();
    }

    /// Attaches the cell to a selector.
    fn attach(&self) -> Result<Attachment, Error> {
        self.take(process())?;
        self.close_unused();
        if self.ends.are_open() {
            // A wake is still being written to them, and an earlier one to
            // `late`.
            self.watched().into_iter().for_each(drain_wake);
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
        // No thread of this process has attached the cell. It is new, or this
        // process was forked. In a forked process the descriptors are shared
        // with the other process, or even closed. The first thread that comes
        // here takes the cell.
        let first = owner != -this
            && self
                .owner
                .compare_exchange(owner, -this, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok();
        if !first {
            return Err(Error::WakerInUse);
        }
        self.forget();
        self.owner.store(this, Ordering::Release);
        Ok(())
    }

    /// Ends an attachment, after which its wakers return `WakerClosed`.
    fn end(&self, attachment: Attachment) {
        // A child that drops an inherited selector does not end its parent's
        // attachment, or one that the child has made since.
        if self.owner.load(Ordering::Acquire) != process() || !self.state.close(attachment) {
            return;
        }
        self.close_unused();
        if self.ends.are_open() && !self.late.are_open() {
            // A wake is being written to them, and must not wake the next
            // selector.
            self.ends.move_to(&self.late);
        }
        self.state.release();
    }

    /// Closes the descriptors, unless a wake is still being written.
    ///
    /// The cell must be taken and not open.
    ///
    /// The next attachment has other descriptors, so that a late write ends no
    /// wait of the next selector. There is one exception, because there is one
    /// slot for `late`. Two threads may be in the middle of a write while two
    /// attachments end, one after the other. Then the third attachment uses the
    /// descriptors of the second. The second thread may end a wait of the third
    /// selector. That loses no wake.
    #[allow(unsafe_code)]
    fn close_unused(&self) {
        if self.state.writes_are_over() {
            // SAFETY: nothing borrows them. No write is left, and none begins
            // while the cell is not open. The selector that watched them has
            // dropped its backend before. This process has not closed them in
            // another way: that is unsafe, and needs `reset`, which forgets
            // them.
            unsafe {
                self.late.close();
                self.ends.close();
            }
        }
    }

    /// Returns the descriptor to watch.
    #[inline]
    #[allow(unsafe_code)]
    fn watched(&self) -> Option<BorrowedFd<'_>> {
        let fd = self.ends.read();
        // SAFETY: it is not -1. It is open, and stays so, if the caller holds
        // the cell, and ends that with no borrow left. A caller that does not
        // hold it any more finds that out before it uses the descriptor.
        is_valid(fd).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
    }
}

impl Drop for WakeCell {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: nothing borrows them, as nothing borrows the cell. If the
        // program has closed them in another way, `reset` has forgotten them.
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
        f.debug_struct("WakeCell")
            .field("open", &open)
            .field("pending", &pending)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
