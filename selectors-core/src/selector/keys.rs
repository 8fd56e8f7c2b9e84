use super::Selector;
use crate::backend::Backend;
use crate::entry::KeyMut;
use crate::key::{Lookup, SelectorKey};
use crate::map::KeyMap;
use crate::stats::Stats;
use crate::storage::Storage;
use crate::walk::Walk;

/// Looking at keys.
impl<B: Backend, S, D, M: Storage> Selector<B, S, D, M> {
    /// Returns a key, or `None` if there is no such key.
    ///
    /// This does not make a system call. Python raises `KeyError` if there is
    /// no such key.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// selector.register(&ours, Events::READ, "data")?;
    /// assert_eq!(selector.get_key(&ours).map(|key| key.data), Some("data"));
    /// assert!(selector.get_key(&theirs).is_none());
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn get_key(&self, key: impl Into<Lookup>) -> Option<&SelectorKey<S, D>> {
        self.table.get(key.into())
    }

    /// Returns a key that can act, or `None` if there is no such key.
    ///
    /// This does not make a system call.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// let id = selector.register(ours, Events::READ, 1)?.id();
    /// if let Some(mut key) = selector.get_key_mut(id) {
    ///     *key.data_mut() += 1;
    ///     key.write_all(b"hello")?;
    /// }
    /// assert_eq!(selector.unregister(id)?.data, 2);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    #[inline]
    #[allow(unsafe_code)]
    pub fn get_key_mut(&mut self, key: impl Into<Lookup>) -> Option<KeyMut<'_, Self>> {
        let keys = self.table.keys();
        let position = keys.find(key.into())?;
        // SAFETY: `find` returns a slot that exists and has a key.
        Some(unsafe { KeyMut::new(&mut self.engine, keys, position) })
    }

    /// Returns a cursor over all keys, which can act.
    ///
    /// Each key can be changed, paused and unregistered. This does not make a
    /// system call.
    ///
    /// # Examples
    ///
    /// See [`Walk`].
    pub fn walk(&mut self) -> Walk<'_, Self> {
        Walk::new(&mut self.engine, self.table.keys())
    }

    /// Unregisters and drops all keys for which `keep` returns false.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// selector.register(&ours, Events::READ, "idle")?;
    /// selector.register(&theirs, Events::READ, "busy")?;
    /// selector.retain(|key| key.data == "busy");
    /// assert_eq!(selector.get_map().len(), 1);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn retain(&mut self, mut keep: impl FnMut(&mut KeyMut<'_, Self>) -> bool) {
        let mut walk = self.walk();
        while let Some(mut key) = walk.next() {
            if !keep(&mut key) {
                drop(key.unregister());
            }
        }
    }

    /// Returns a live, read-only map of all keys.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// selector.register(&ours, Events::READ, ())?;
    /// assert!(selector.get_map().contains(&ours));
    /// for key in selector.get_map() {
    ///     println!("{} is watched for {:?}", key.fd, key.events);
    /// }
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn get_map(&self) -> KeyMap<'_, S, D, M> {
        KeyMap { table: &self.table }
    }

    /// Returns counts of what the selector has done so far.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// selector.register(&ours, Events::WRITE, ())?;
    /// selector.select(None)?;
    /// assert_eq!((selector.stats().waits, selector.stats().events), (1, 1));
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.engine.stats
    }
}
