use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use rustix::fd::RawFd;
use selectors_core::WakeCell;
use selectors_core::storage::{Index, List, Storage};

/// A storage that grows, with a hash map from descriptors to slots.
///
/// `register` and look-ups by descriptor use the map. Events, and look-ups by
/// id, find their key without it. Its hash is made for small integers, which is
/// safe because the kernel chooses the numbers of descriptors, and no peer
/// does. Tables keep their memory, so nothing is allocated once they have
/// grown.
///
/// # Examples
///
/// ```
/// use selectors_std::{Growable, Selector, backend::Poll};
/// use std::net::TcpStream;
///
/// // PollSelector is an alias of this type.
/// let selector = Selector::<Poll<Growable>, TcpStream, (), Growable>::new()?;
/// # Ok::<(), selectors_std::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Growable {}

#[allow(unsafe_code)]
// SAFETY: the containers are below, and an `Arc` and its clones lead to one
// cell for as long as any of them lives.
unsafe impl Storage for Growable {
    type List<T> = GrowableList<T>;
    type Index = HashIndex;
    type Wake = Arc<WakeCell>;
    const INLINE: bool = true;
}

/// A `Vec` that refuses an item if there is no memory.
///
/// `Vec::push` would abort the program. This one grows by an eighth, where
/// `Vec` doubles. So a program with many keys does not pay for twice the
/// memory.
///
/// # Examples
///
/// ```
/// use selectors_std::{GrowableList, storage::List};
///
/// let mut list = GrowableList::default();
/// assert_eq!(list.push("item"), Ok(()));
/// assert_eq!((list.len(), list.pop()), (1, Some("item")));
/// ```
#[derive(Debug)]
pub struct GrowableList<T>(Vec<T>);

impl<T> Default for GrowableList<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Makes the compiler treat the items as used until the list is dropped.
///
/// `Vec` allows a borrowed source to end before the selector that watches it.
/// Such a program does not compile with this.
impl<T> Drop for GrowableList<T> {
    fn drop(&mut self) {}
}

impl<T> Deref for GrowableList<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for GrowableList<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

#[allow(unsafe_code)]
// SAFETY: a `Vec` that refuses a push when there is no memory;
// `try_reserve_exact` makes room before the push, so nothing panics.
unsafe impl<T> List<T> for GrowableList<T> {
    fn push(&mut self, item: T) -> Result<(), T> {
        let (len, room) = (self.0.len(), self.0.capacity());
        if len == room && self.0.try_reserve_exact(len / 8 + 8).is_err() {
            return Err(item);
        }
        self.0.push(item);
        Ok(())
    }

    fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }
}

/// A hash map from descriptors to slots.
///
/// # Examples
///
/// ```
/// use selectors_std::{HashIndex, storage::Index};
///
/// let mut index = HashIndex::default();
/// assert!(index.reserve(1));
/// assert_eq!(index.insert(7, 0, || None, [].into_iter()), None);
/// assert_eq!(index.insert(7, 1, || None, [].into_iter()), Some(0));
/// assert_eq!(index.find(7, || None), Some(1));
/// ```
// A descriptor stays in the map when its key is removed. The kernel soon uses
// the number again. So both to register and to unregister are one look-up.
// Removals would also leave marks in the map, which use up its capacity.
#[derive(Debug, Default)]
pub struct HashIndex(FxHashMap<RawFd, u32>);

impl HashIndex {
    /// Inserts a descriptor that is not in the map. If the map is full, all
    /// descriptors without a key are removed first.
    #[cold]
    fn insert_new(&mut self, fd: RawFd, slot: u32, live: impl Iterator<Item = (RawFd, u32)>) {
        if self.0.len() == self.0.capacity() {
            self.0.clear();
            self.0.extend(live);
        }
        self.0.insert(fd, slot);
    }
}

#[allow(unsafe_code)]
// SAFETY: a hash map of integers, whose hash and comparison don't panic. Only
// descriptors without a key are removed. `HashMap::insert` has the capacity
// that `reserve` has made.
unsafe impl Index for HashIndex {
    fn find(&self, fd: RawFd, _scan: impl FnOnce() -> Option<u32>) -> Option<u32> {
        self.0.get(&fd).copied()
    }

    fn reserve(&mut self, keys: usize) -> bool {
        // A quarter more for descriptors without a key. They are removed all at
        // once when it is used up, which costs little for each of them.
        let room = keys + keys / 4 + 1;
        self.0.try_reserve(room.saturating_sub(self.0.len())).is_ok()
    }

    fn insert(
        &mut self,
        fd: RawFd,
        slot: u32,
        _scan: impl FnOnce() -> Option<u32>,
        live: impl Iterator<Item = (RawFd, u32)>,
    ) -> Option<u32> {
        if let Some(known) = self.0.get_mut(&fd) {
            return Some(mem::replace(known, slot));
        }
        self.insert_new(fd, slot, live);
        None
    }
}
