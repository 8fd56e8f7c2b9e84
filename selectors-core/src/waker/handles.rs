//! The handles of a cell: the waker's and the selector's.

use core::fmt;
use core::ops::Deref;

use rustix::fd::BorrowedFd;

use super::WakeCell;
use super::state::Attachment;
use crate::error::Error;
use crate::platform::drain_wake;

/// A handle that ends a wait of one selector.
///
/// It can be used in any thread and in signal handlers. `Selector::waker` and
/// [`Selector::waker_in`](crate::Selector::waker_in) return it. A copy of it
/// wakes the same selector.
///
/// After that selector was dropped, its wakers return [`Error::WakerClosed`].
/// They never wake the next selector that holds the cell.
///
/// With the feature `std` it converts into `std::task::Waker`.
///
/// In a forked child a waker still belongs to the parent's selector: see
/// [`WakeCell`](WakeCell#fork).
///
/// # Examples
///
/// ```
/// # use selectors_core::{DefaultSelector, Error, WakeCell};
///
/// static WAKE: WakeCell = WakeCell::new();
///
/// let mut selector = DefaultSelector::<rustix::fd::OwnedFd, (), 4>::new()?;
/// let waker = selector.waker_in(&WAKE)?;
/// waker.wake()?;
/// assert!(selector.select(None)?.woken()); // returned immediately
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
    /// Ends the selector's wait, or its next wait if it is not waiting.
    ///
    /// That wait returns a result that is
    /// [`woken`](crate::SelectResult::woken). A wake has no key, and wakes are
    /// not counted. This never blocks. A burst of wakes before the next wait is
    /// one system call, a `write`.
    ///
    /// It may be called in a signal handler, because it takes no lock and
    /// allocates nothing. On platforms where rustix calls libc it may set
    /// `errno`, which a handler should restore.
    ///
    /// What happened before the wake is visible to the selector's thread after
    /// its `select`.
    ///
    /// # Errors
    ///
    /// - Returns [`Error::WakerClosed`] if the selector was dropped, or if the
    ///   cell belongs to a selector of this forked child.
    /// - Returns [`Error::Os`] if the kernel refuses the write. No case is
    ///   known.
    ///
    /// # Examples
    ///
    /// ```
    /// # use selectors_core::{DefaultSelector, WakeCell};
    /// # static WAKE: WakeCell = WakeCell::new();
    /// # let mut selector = DefaultSelector::<rustix::fd::OwnedFd, (), 4>::new()?;
    /// # let waker = selector.waker_in(&WAKE)?;
    /// for _ in 0..100 {
    ///     waker.wake()?; // one system call for all of them
    /// }
    /// assert!(selector.select(None)?.woken());
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

/// A selector's hold on its cell.
pub(crate) struct Attached<W: Deref<Target = WakeCell>> {
    cell: W,
    attachment: Attachment,
}

impl<W: Deref<Target = WakeCell>> Attached<W> {
    /// Takes the cell, which is free again when this is dropped.
    pub(crate) fn new(cell: W) -> Result<Self, Error> {
        let attachment = cell.attach()?;
        Ok(Self { cell, attachment })
    }

    /// Returns whether it is this cell.
    pub(crate) fn holds(&self, cell: &WakeCell) -> bool {
        core::ptr::eq(&raw const *self.cell, cell)
    }

    pub(crate) fn waker(&self) -> Waker<W>
    where
        W: Clone,
    {
        Waker { cell: self.cell.clone(), attachment: self.attachment }
    }

    pub(crate) fn hold(&self) -> Hold<'_> {
        Hold { cell: &self.cell, attachment: self.attachment }
    }
}

impl<W: Deref<Target = WakeCell>> Drop for Attached<W> {
    fn drop(&mut self) {
        self.cell.end(self.attachment);
    }
}

/// A borrowed `Attached`.
///
/// A selector that was inherited over `fork` may hold a cell which another one
/// has taken since. It then has no descriptor to watch, and no wake to see.
#[derive(Clone, Copy)]
pub(crate) struct Hold<'a> {
    cell: &'a WakeCell,
    attachment: Attachment,
}

impl<'a> Hold<'a> {
    /// Returns the descriptor to watch.
    pub(crate) fn watched(self) -> Option<BorrowedFd<'a>> {
        self.cell.watched().filter(|_| self.cell.state.is(self.attachment))
    }

    /// Clears the flag of a pending wake. The next wake writes again.
    #[inline]
    pub(crate) fn clear_pending(self) {
        self.cell.state.clear_pending(self.attachment);
    }

    /// Empties the descriptor, so that it does not end a level-triggered wait
    /// again.
    pub(crate) fn drain(self) {
        self.watched().into_iter().for_each(drain_wake);
    }
}
