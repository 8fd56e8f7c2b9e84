//! Key storage, fixed or growable.

use core::ops::{Deref, DerefMut};

use rustix::fd::RawFd;

use crate::waker::WakeCell;

/// The containers that a selector keeps its keys in.
///
/// [`Fixed`] has a fixed capacity and needs no allocator. selectors-std adds
/// `Growable`. A program names this trait in bounds, and has no reason to
/// implement it.
///
/// # Safety
///
/// A selector keeps file descriptors in these containers, and unsafe code
/// relies on them. The implementer must ensure that:
///
/// - `List` and `Index` fulfil the requirements of their own traits;
/// - `Wake` always dereferences to the same cell, and so do its clones. The
///   cell lives, at the same address, as long as any of them. Neither
///   dereferencing nor cloning panics.
///
/// # Examples
///
/// ```
/// use selectors_core::storage::{FixedList, Scan, Storage};
/// use rustix::fd::OwnedFd;
/// use selectors_core::{Selector, WakeCell, backend::Poll};
///
/// /// Sixteen keys.
/// enum Sixteen {}
///
/// // SAFETY: the containers are this crate's own, and a reference always leads
/// // to the same cell.
/// unsafe impl Storage for Sixteen {
///     type List<T> = FixedList<T, 16>;
///     type Index = Scan;
///     type Wake = &'static WakeCell;
/// }
///
/// let selector = Selector::<Poll<Sixteen>, OwnedFd, (), Sixteen>::new()?;
/// # Ok::<(), selectors_core::Error>(())
/// ```
#[allow(unsafe_code, reason = "unsafe to implement")]
pub unsafe trait Storage {
    /// The list for slots and for the backends' own arrays.
    type List<T>: List<T>;
    /// The index that finds the slot of a descriptor.
    type Index: Index;
    /// The reference by which a selector and its wakers share their cell.
    type Wake: Deref<Target = WakeCell> + Clone;
    /// Whether `Selector::modify` is always compiled into its callers.
    ///
    /// This is faster, because no return follows the system call. Fixed
    /// storages leave it to the compiler, because each capacity would add a
    /// copy.
    const INLINE: bool = false;
}

/// A list whose capacity may be limited.
///
/// It has the methods that a selector needs in addition to those of a slice.
///
/// # Safety
///
/// The implementer must ensure that the list behaves as a `Vec` does. It is
/// empty at first. `push` and `pop` add and remove the last item. No item
/// appears, disappears or moves otherwise. The slice holds all items in order.
/// No method panics.
///
/// # Examples
///
/// See [`FixedList`].
#[allow(unsafe_code, reason = "unsafe to implement")]
pub unsafe trait List<T>: Default + Deref<Target = [T]> + DerefMut {
    /// Appends an item.
    ///
    /// # Errors
    ///
    /// Returns the item if the list is full, or there is no memory.
    fn push(&mut self, item: T) -> Result<(), T>;

    /// Removes the last item and returns it, or `None` if the list is empty.
    fn pop(&mut self) -> Option<T>;
}

/// An index from file descriptors to slots.
///
/// # Safety
///
/// The implementer must ensure that for a file descriptor with a key
///
/// - `find` returns the slot that `insert` was last called with, or it returns
///   what `scan` returns;
/// - `insert` returns what `find` would have returned before.
///
/// No method panics.
///
/// # Examples
///
/// ```
/// use selectors_core::storage::{Index, Scan};
///
/// assert_eq!(Scan.find(7, || Some(3)), Some(3)); // it has no index, and scans
/// ```
#[allow(unsafe_code, reason = "unsafe to implement")]
pub unsafe trait Index: Default {
    /// Returns the slot of a file descriptor.
    ///
    /// `scan` searches the slots one by one. For a file descriptor without a
    /// key, an index may return an old slot or `None`. The selector checks
    /// whether the key in the slot has this file descriptor.
    fn find(&self, fd: RawFd, scan: impl FnOnce() -> Option<u32>) -> Option<u32>;
    /// Reserves capacity for a number of keys in all.
    ///
    /// Returns whether that succeeded. The selector calls this before it adds a
    /// slot, and never has more keys than it has reserved capacity for. Over
    /// time it inserts more file descriptors than that.
    fn reserve(&mut self, keys: usize) -> bool;
    /// Stores that a file descriptor is in a slot.
    ///
    /// Returns what `find` would have returned before. `live` has the file
    /// descriptors with a key, and their slots. The index may forget all
    /// others.
    fn insert(
        &mut self,
        fd: RawFd,
        slot: u32,
        scan: impl FnOnce() -> Option<u32>,
        live: impl Iterator<Item = (RawFd, u32)>,
    ) -> Option<u32>;
}

/// Storage for `N` keys, without an allocator.
///
/// A waker uses the slot of one key. A look-up by file descriptor scans the `N`
/// slots. For the few dozen descriptors of an embedded daemon that is faster
/// than a map. Events and ids find their key without a search.
///
/// # Examples
///
/// ```
/// use rustix::fd::OwnedFd;
/// use selectors_core::{Selector, backend::Poll, storage::Fixed};
///
/// // PollSelector is an alias of this type.
/// let selector = Selector::<Poll<Fixed<100>>, OwnedFd, (), Fixed<100>>::new()?;
/// # Ok::<(), selectors_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Fixed<const N: usize> {}

#[allow(unsafe_code)]
// SAFETY: the containers are this crate's own, and a reference always leads to
// the same cell.
unsafe impl<const N: usize> Storage for Fixed<N> {
    type List<T> = FixedList<T, N>;
    type Index = Scan;
    type Wake = &'static WakeCell;
}

/// The list of [`Fixed`], which holds at most `N` items.
///
/// # Examples
///
/// ```
/// use selectors_core::storage::{FixedList, List};
///
/// let mut two = FixedList::<_, 2>::default();
/// assert_eq!([two.push('a'), two.push('b')], [Ok(()); 2]);
/// assert_eq!(two.push('c'), Err('c')); // it is full
/// ```
#[derive(Debug)]
pub struct FixedList<T, const N: usize>(heapless::Vec<T, N>);

impl<T, const N: usize> Default for FixedList<T, N> {
    fn default() -> Self {
        Self(heapless::Vec::new())
    }
}

impl<T, const N: usize> Deref for FixedList<T, N> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const N: usize> DerefMut for FixedList<T, N> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

#[allow(unsafe_code)]
// SAFETY: heapless's vector behaves as std's does. It refuses a push when it is
// full, and does not panic.
unsafe impl<T, const N: usize> List<T> for FixedList<T, N> {
    #[inline]
    fn push(&mut self, item: T) -> Result<(), T> {
        self.0.push(item)
    }

    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }
}

/// The index of [`Fixed`], which stores nothing and scans.
///
/// See [`Index`] for an example.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan;

#[allow(unsafe_code)]
// SAFETY: `find` returns what `scan` returns.
unsafe impl Index for Scan {
    fn find(&self, _fd: RawFd, scan: impl FnOnce() -> Option<u32>) -> Option<u32> {
        scan()
    }

    fn reserve(&mut self, _keys: usize) -> bool {
        true
    }

    fn insert(
        &mut self,
        _fd: RawFd,
        _slot: u32,
        scan: impl FnOnce() -> Option<u32>,
        _live: impl Iterator<Item = (RawFd, u32)>,
    ) -> Option<u32> {
        scan()
    }
}
