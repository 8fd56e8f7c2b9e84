//! A cell, as the selector that holds it has it.

use core::ops::Deref;

use rustix::fd::BorrowedFd;

use super::ends::drain;
use super::state::Attachment;
use super::{WakeCell, Waker};
use crate::error::Error;

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

    /// Whether it is this cell.
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

/// The same, borrowed. A selector that was inherited over `fork` may hold a cell which another one has taken since: there
/// is nothing for it to watch or to see then.
#[derive(Clone, Copy)]
pub(crate) struct Hold<'a> {
    cell: &'a WakeCell,
    attachment: Attachment,
}

impl<'a> Hold<'a> {
    /// The descriptor to watch.
    pub(crate) fn watched(self) -> Option<BorrowedFd<'a>> {
        self.cell.watched().filter(|_| self.cell.state.is(self.attachment))
    }

    /// Marks the wakes so far as seen; those that come after need a system call again. Returns whether there were any.
    ///
    /// None is lost where there were none: a wake that no wait has seen is marked until here.
    #[inline]
    pub(crate) fn seen(self) -> bool {
        self.cell.state.seen(self.attachment)
    }

    /// Empties the descriptor, so that a level-triggered wait is not ended by it again.
    pub(crate) fn drain(self) {
        self.watched().into_iter().for_each(drain);
    }
}
