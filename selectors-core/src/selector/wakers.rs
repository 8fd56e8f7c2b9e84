use rustix::fd::AsRawFd;

use super::Selector;
use crate::backend::Backend;
use crate::engine::Wake;
use crate::error::Error;
use crate::storage::Storage;
use crate::waker::{Attached, Waker};

/// Ending a wait from elsewhere.
impl<B: Backend, S, D, M: Storage> Selector<B, S, D, M> {
    /// Returns a waker, which ends a wait of this selector.
    ///
    /// It can be used by other threads and by signal handlers. The first call
    /// opens a descriptor and uses a slot of the key table. Further calls
    /// return another handle of the same waker.
    ///
    /// This is for selectors that allocate, as those of selectors-std do. For
    /// others there is [`waker_in`](Self::waker_in).
    ///
    /// # Errors
    ///
    /// - Returns [`Error::Os`] with `EMFILE` or `ENFILE` if no descriptor is
    ///   free.
    /// - Returns [`Error::Full`], [`Error::FdOutOfRange`] or [`Error::Os`] as
    ///   [`register`](Self::register) does.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{Selector, WakeCell, backend::Poll, storage::{FixedList, Scan, Storage}};
    /// # enum Growable {} // as that of selectors-std, which this crate can't use
    /// # // SAFETY: a list and an index of this crate, and an `Arc` and its clones lead to one cell.
    /// # unsafe impl Storage for Growable {
    /// #     type List<T> = FixedList<T, 4>;
    /// #     type Index = Scan;
    /// #     type Wake = std::sync::Arc<WakeCell>;
    /// # }
    /// # let mut selector = Selector::<Poll<Growable>, std::net::TcpStream, (), Growable>::new()?;
    /// let waker = selector.waker()?;
    /// std::thread::spawn(move || waker.wake());
    /// assert!(selector.select(None)?.woken());
    /// # }
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    #[doc(alias = "eventfd")]
    #[doc(alias = "EVFILT_USER")]
    #[doc(alias = "KQ_FILTER_SIGNAL")]
    #[doc(alias = "set_wakeup_fd")]
    #[doc(alias = "notify")]
    pub fn waker(&mut self) -> Result<Waker<M::Wake>, Error>
    where
        M::Wake: Default,
    {
        match &self.waker {
            Some(wake) => Ok(wake.cell.waker()),
            None => self.waker_in(M::Wake::default()),
        }
    }

    /// Returns a waker for this selector, with its state in the given cell.
    ///
    /// A cell serves one selector at a time. It is free again when that
    /// selector is dropped. The first call opens a descriptor and uses a slot
    /// of the key table. Further calls return another handle of the same waker.
    ///
    /// A forked child may use a cell that the parent's selector holds. See
    /// [`WakeCell`](crate::WakeCell#fork).
    ///
    /// # Errors
    ///
    /// - Returns [`Error::WakerInUse`] if another selector of this process
    ///   holds the cell, or if this selector has another cell.
    /// - Returns [`Error::AlreadyRegistered`] if the waker's descriptor got the
    ///   number of a raw registration that was closed without the selector's
    ///   knowledge. Unregister that one, and call this again.
    /// - Returns [`Error::Os`] with `EMFILE` or `ENFILE` if no descriptor is
    ///   free.
    /// - Returns [`Error::Full`], [`Error::FdOutOfRange`] or [`Error::Os`] as
    ///   [`register`](Self::register) does.
    ///
    /// # Examples
    ///
    /// ```
    /// # use selectors_core::{DefaultSelector, WakeCell};
    ///
    /// static WAKE: WakeCell = WakeCell::new();
    ///
    /// let mut selector = DefaultSelector::<rustix::fd::OwnedFd, (), 4>::new()?;
    /// let waker = selector.waker_in(&WAKE)?;
    /// waker.wake()?; // or WAKE.wake(), in a signal handler
    /// let result = selector.select(None)?; // returns immediately
    /// assert!(result.woken() && result.events() == 0); // a wake has no key
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub fn waker_in(&mut self, cell: M::Wake) -> Result<Waker<M::Wake>, Error> {
        if let Some(Wake { cell: held, .. }) = &self.waker {
            return if held.holds(&cell) { Ok(held.waker()) } else { Err(Error::WakerInUse) };
        }
        // From here on, dropping `held` frees the cell.
        let held = Attached::new(cell)?;
        let fd = held.hold().watched().ok_or(Error::WakerClosed)?;
        if self.table.get(fd.as_raw_fd().into()).is_some() {
            // Unregistering the closed one would remove the waker from the
            // kernel's set.
            return Err(Error::AlreadyRegistered { fd: fd.as_raw_fd() });
        }
        self.table.grow();
        // This calls code of the storage. So do it before the kernel knows the
        // descriptor.
        let waker = held.waker();
        let token = self.engine.register_waker(self.table.keys(), fd)?;
        self.waker = Some(Wake { cell: held, token });
        Ok(waker)
    }
}
