use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::backend::Backend;
use crate::error::Error;
use crate::selector::Selector;
use crate::storage::Storage;

/// Memory for one selector, in a `static`.
///
/// The keys are then not on the stack, and are not moved when the selector is
/// opened. The linker counts them, so a program that does not fit into its
/// memory fails when it is built. The cell is in `.bss` and takes no room in
/// the executable file. In memory it takes the size of the selector and up to
/// eight bytes more.
///
/// # Examples
///
/// In selectors-std, write `selectors_std` and leave out the capacity, `64`.
/// The table is then allocated, and only the selector itself is in the cell.
///
/// ```
/// # #[cfg(feature = "std")] {
/// use rustix::fd::OwnedFd;
/// use selectors_core::{DefaultSelector, SelectorCell};
///
/// type Sources = DefaultSelector<OwnedFd, u32, 64>;
///
/// static SELECTOR: SelectorCell<Sources> = SelectorCell::new();
///
/// let selector: &'static mut _ = SELECTOR.open()?;
/// assert!(selector.get_map().is_empty());
/// # }
/// # Ok::<(), selectors_core::Error>(())
/// ```
pub struct SelectorCell<T> {
    taken: AtomicBool,
    memory: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the selector inside is reached through the one `&mut` that `open`
// gives out, to one thread; that it may be another one than the cell was made
// in is what `Send` means.
#[allow(unsafe_code)]
unsafe impl<T: Send> Sync for SelectorCell<T> {}

impl<T> SelectorCell<T> {
    /// Creates a cell without a selector.
    #[must_use]
    pub const fn new() -> Self {
        Self { taken: AtomicBool::new(false), memory: UnsafeCell::new(MaybeUninit::uninit()) }
    }
}

impl<B: Backend, S, D, M: Storage> SelectorCell<Selector<B, S, D, M>> {
    /// Opens the selector in this memory, for the rest of the program.
    ///
    /// # Errors
    ///
    /// - Returns [`Error::CellInUse`] if it was opened before.
    /// - Returns [`Error::Os`] as [`Selector::new`] does. You may try again.
    #[allow(unsafe_code)]
    #[allow(clippy::mut_from_ref, reason = "each cell gives it out once: the flag sees to that")]
    pub fn open(&'static self) -> Result<&'static mut Selector<B, S, D, M>, Error> {
        if self.taken.swap(true, Ordering::Acquire) {
            return Err(Error::CellInUse);
        }
        // SAFETY: only one call finds `taken` unset, and nothing else touches
        // the memory. `taken` is set back only where no reference into the
        // memory was returned.
        let memory = unsafe { &mut *self.memory.get() };
        match Selector::new_in(memory) {
            Err(error) => {
                self.taken.store(false, Ordering::Release);
                Err(error)
            }
            opened => opened,
        }
    }
}

impl<T> Default for SelectorCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for SelectorCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelectorCell").field("taken", &self.taken.load(Ordering::Relaxed)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::SelectorCell;
    use crate::PollSelector;
    use crate::error::Error;

    #[test]
    fn a_cell_holds_one_selector() {
        static CELL: SelectorCell<PollSelector<rustix::fd::OwnedFd, (), 4>> = SelectorCell::new();
        let selector = CELL.open().unwrap();
        assert!(selector.select(Some(core::time::Duration::ZERO)).unwrap().timed_out());
        assert_eq!(CELL.open().unwrap_err(), Error::CellInUse);
    }
}
