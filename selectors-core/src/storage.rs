//! Where a selector keeps its keys: the one place in which fixed and growable selectors differ.

use core::ops::{Deref, DerefMut};

use rustix::fd::RawFd;

use crate::waker::WakeCell;

/// Chooses the containers of a selector.
///
/// [`Fixed`] has a fixed capacity and needs no allocator. selectors-std adds `Growable`. A program
/// names this trait in bounds and has no reason to implement it.
///
/// # Safety
///
/// A selector keeps the numbers of descriptors in these containers, and unsafe code relies on them.
/// The implementer must ensure that:
///
/// - `List` and `Index` are as their own traits demand;
/// - `Wake` always dereferences to the same cell, and so do its clones. The cell lives, at the same
///   address, as long as any of them. Neither dereferencing nor cloning panics.
///
/// # Examples
///
/// ```
/// use selectors_core::storage::{FixedList, Scan, Storage};
/// use selectors_core::{Selector, WakeCell, backend::Poll};
///
/// /// Sixteen keys.
/// enum Sixteen {}
///
/// // SAFETY: the containers are this crate's own, and a reference always leads to the same cell.
/// unsafe impl Storage for Sixteen {
///     type List<T> = FixedList<T, 16>;
///     type Index = Scan;
///     type Wake = &'static WakeCell;
/// }
///
/// let selector = Selector::<Poll<Sixteen>, rustix::fd::OwnedFd, (), Sixteen>::new()?;
/// # Ok::<(), selectors_core::Error>(())
/// ```
#[allow(unsafe_code, reason = "unsafe to implement")]
pub unsafe trait Storage {
    /// A list that slots and the backends' own arrays are kept in.
    type List<T>: List<T>;
    /// How the slot of a descriptor is found.
    type Index: Index;
    /// How a selector and its wakers share their cell.
    type Wake: Deref<Target = WakeCell> + Clone;
}

/// A list that may be bounded.
///
/// These are the methods that a selector needs beyond those of a slice.
///
/// # Safety
///
/// The implementer must ensure that the list behaves as a `Vec` does. It is empty at first. `push` and
/// `pop` add and remove the last item, and no item appears, disappears or moves otherwise. The slice
/// holds all items in order. No method panics.
///
/// # Examples
///
/// See [`FixedList`].
#[allow(unsafe_code, reason = "unsafe to implement")]
pub unsafe trait List<T>: Default + Deref<Target = [T]> + DerefMut {
    /// Appends, or gives the item back when there is no room.
    ///
    /// # Errors
    ///
    /// The item, when the list is full.
    fn push(&mut self, item: T) -> Result<(), T>;

    /// Removes the last item.
    fn pop(&mut self) -> Option<T>;
}

/// Finds the slot of a registered descriptor.
///
/// # Safety
///
/// The implementer must ensure that `find` returns the slot that `insert` was last called with for
/// this descriptor, unless `remove` was called since, or else what `scan` returns. No method panics.
///
/// # Examples
///
/// ```
/// use selectors_core::storage::{Index, Scan};
///
/// assert_eq!(Scan.find(7, || Some(3)), Some(3)); // remembers nothing, and so scans
/// ```
#[allow(unsafe_code, reason = "unsafe to implement")]
pub unsafe trait Index: Default {
    /// The slot of `fd`. `scan` searches the slots one by one, for indexes that remember nothing.
    fn find(&self, fd: RawFd, scan: impl FnOnce() -> Option<u32>) -> Option<u32>;
    /// Makes room for one more descriptor and returns whether there is room.
    ///
    /// The selector calls it before any system call.
    fn reserve(&mut self) -> bool;
    /// Remembers that `fd` is in `slot`. `reserve` has made room.
    fn insert(&mut self, fd: RawFd, slot: u32);
    /// Forgets `fd`.
    fn remove(&mut self, fd: RawFd);
}

/// Room for `N` keys, without an allocator. A waker takes the place of one key.
///
/// Descriptors are found by a scan of the `N` slots, which for the few dozen descriptors of an
/// embedded daemon is faster than a map; events find their key without any search.
///
/// ```
/// use rustix::fd::OwnedFd;
/// use selectors_core::{Selector, backend::Poll, storage::Fixed};
///
/// let selector = Selector::<Poll<Fixed<100>>, OwnedFd, (), Fixed<100>>::new()?; // PollSelector's long name
/// # Ok::<(), selectors_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Fixed<const N: usize> {}

#[allow(unsafe_code)]
// SAFETY: the containers are this crate's own, and a reference always leads to the same cell.
unsafe impl<const N: usize> Storage for Fixed<N> {
    type List<T> = FixedList<T, N>;
    type Index = Scan;
    type Wake = &'static WakeCell;
}

/// The list of [`Fixed`]: at most `N` items, without an allocator.
///
/// # Examples
///
/// ```
/// use selectors_core::storage::{FixedList, List};
///
/// let mut two = FixedList::<_, 2>::default();
/// assert_eq!([two.push('a'), two.push('b')], [Ok(()); 2]);
/// assert_eq!(two.push('c'), Err('c')); // given back
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
// SAFETY: heapless's vector behaves as std's does. It refuses a push when it is full, and does not panic.
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

/// The index of [`Fixed`], which remembers nothing and scans. See [`Index`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan;

#[allow(unsafe_code)]
// SAFETY: `find` returns what `scan` returns.
unsafe impl Index for Scan {
    fn find(&self, _fd: RawFd, scan: impl FnOnce() -> Option<u32>) -> Option<u32> {
        scan()
    }

    fn reserve(&mut self) -> bool {
        true
    }

    fn insert(&mut self, _fd: RawFd, _slot: u32) {}

    fn remove(&mut self, _fd: RawFd) {}
}
