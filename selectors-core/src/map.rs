use core::fmt;

use crate::events::Interest;
use crate::key::{Lookup, SelectorKey};
use crate::storage::Storage;
use crate::table::{Slot, Table};

/// A read-only view of all keys of a selector.
///
/// [`Selector::get_map`](crate::Selector::get_map) returns it.
/// [`Selector::walk`](crate::Selector::walk) visits keys that can be changed.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// # use selectors_core::{DefaultSelector, Events};
/// let (one, two) = std::os::unix::net::UnixStream::pair()?;
/// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
/// selector.register(&one, Events::READ, 1)?;
/// selector.register(&two, Events::WRITE, 2)?;
/// let map = selector.get_map();
/// assert_eq!((map.len(), map.contains(&one)), (2, true));
/// assert_eq!(map.iter().map(|key| key.data).sum::<i32>(), 3);
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct KeyMap<'a, S, D, M: Storage> {
    pub(crate) table: &'a Table<S, D, M>,
}

impl<'a, S, D, M: Storage> KeyMap<'a, S, D, M> {
    /// Returns the number of keys.
    ///
    /// A waker does not count.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// assert_eq!(selector.get_map().len(), 0);
    /// selector.register(&ours, Events::READ, ())?;
    /// assert_eq!(selector.get_map().len(), 1);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns whether there is no key.
    ///
    /// Many loops end then.
    ///
    /// # Examples
    ///
    /// ```
    /// # let mut selector = selectors_core::DefaultSelector::<rustix::fd::OwnedFd, (), 4>::new()?;
    /// while !selector.get_map().is_empty() {
    ///     selector.select(None)?;
    ///     // Handle ready keys, and unregister those that have ended.
    /// }
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether there is such a key.
    ///
    /// # Examples
    ///
    /// ```
    /// # let selector = selectors_core::DefaultSelector::<rustix::fd::OwnedFd, (), 4>::new()?;
    /// assert!(!selector.get_map().contains(0));
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    #[must_use]
    pub fn contains(&self, key: impl Into<Lookup>) -> bool {
        self.get(key).is_some()
    }

    /// Returns a key, as [`Selector::get_key`](crate::Selector::get_key) does.
    ///
    /// # Examples
    ///
    /// ```
    /// # let selector = selectors_core::DefaultSelector::<rustix::fd::OwnedFd, (), 4>::new()?;
    /// assert!(selector.get_map().get(0).is_none());
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    #[must_use]
    pub fn get(&self, key: impl Into<Lookup>) -> Option<&'a SelectorKey<S, D>> {
        self.table.get(key.into())
    }

    /// Returns an iterator over all keys, in no particular order.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # let (one, two) = std::os::unix::net::UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// # selector.register(&one, Events::READ, 1)?;
    /// # selector.register(&two, Events::WRITE, 2)?;
    /// let total: i32 = selector.get_map().iter().map(|key| key.data).sum();
    /// assert_eq!(total, 3);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn iter(&self) -> Iter<'a, S, D> {
        Iter { slots: self.table.slots().iter(), left: self.table.len() }
    }
}

impl<S, D, M: Storage> Clone for KeyMap<'_, S, D, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S, D, M: Storage> Copy for KeyMap<'_, S, D, M> {}

impl<'a, S, D, M: Storage> IntoIterator for KeyMap<'a, S, D, M> {
    type Item = &'a SelectorKey<S, D>;
    type IntoIter = Iter<'a, S, D>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// An iterator over the keys of a [`KeyMap`].
///
/// # Examples
///
/// ```
/// # let selector = selectors_core::DefaultSelector::<rustix::fd::OwnedFd, (), 4>::new()?;
/// let keys = selector.get_map().iter();
/// assert_eq!(keys.len(), 0); // known without counting
/// # Ok::<(), selectors_core::Error>(())
/// ```
#[must_use = "iterators do nothing until they are used"]
pub struct Iter<'a, S, D> {
    slots: core::slice::Iter<'a, Slot<S, D>>,
    left: usize,
}

impl<'a, S, D> Iterator for Iter<'a, S, D> {
    type Item = &'a SelectorKey<S, D>;

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.slots.find_map(|slot| slot.key.as_ref());
        self.left -= usize::from(key.is_some());
        key
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<S, D> ExactSizeIterator for Iter<'_, S, D> {}

impl<S, D, M: Storage> fmt::Debug for KeyMap<'_, S, D, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().fmt(f)
    }
}

impl<S, D> fmt::Debug for Iter<'_, S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = self.slots.as_slice().iter().filter_map(|slot| slot.key.as_ref());
        f.debug_map().entries(rest.map(|key| (key.fd, Shown::of(key)))).finish()
    }
}

/// What `Debug` shows of a key whose source and data may not have it.
pub(crate) struct Shown {
    interest: Interest,
    paused: bool,
}

impl Shown {
    pub(crate) fn of<S, D>(key: &SelectorKey<S, D>) -> Self {
        Self { interest: key.interest(), paused: key.is_paused() }
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.paused {
            f.debug_tuple("Paused").field(&self.interest).finish()
        } else {
            self.interest.fmt(f)
        }
    }
}
