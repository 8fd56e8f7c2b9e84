use core::fmt;

use crate::engine::Engine;
use crate::entry::{KeyMut, SelectorType};
use crate::map::Shown;
use crate::storage::Storage;
use crate::table::Keys;

/// A cursor over all keys of a selector, which can act.
///
/// [`Selector::walk`](crate::Selector::walk) returns it. It visits each key
/// once, in no particular order. Each key can be changed, paused and
/// unregistered. The cursor is not an iterator, because each key borrows it.
///
/// # Examples
///
/// This sends a line to all peers:
///
/// ```
/// # #[cfg(feature = "std")] {
/// # use selectors_core::{DefaultSelector, Events};
/// # let (one, two) = std::os::unix::net::UnixStream::pair()?;
/// # let mut selector = DefaultSelector::<_, Vec<u8>, 4>::new()?;
/// # selector.register(&one, Events::READ, Vec::new())?;
/// # selector.register(&two, Events::READ, Vec::new())?;
/// let mut walk = selector.walk();
/// while let Some(mut key) = walk.next() {
///     key.data_mut().extend_from_slice(b"hello\n");
///     key.modify(Events::READ | Events::WRITE)?;
/// }
/// assert!(selector.get_map().iter().all(|key| key.data == b"hello\n"));
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "a walk does nothing until `next` is called"]
pub struct Walk<'a, Sel: SelectorType> {
    engine: &'a mut Engine<Sel::Backend>,
    keys: Keys<'a, Sel::Source, Sel::Data, <Sel::Storage as Storage>::Index>,
    next: usize,
}

impl<'a, Sel: SelectorType> Walk<'a, Sel> {
    pub(crate) fn new(
        engine: &'a mut Engine<Sel::Backend>,
        keys: Keys<'a, Sel::Source, Sel::Data, <Sel::Storage as Storage>::Index>,
    ) -> Self {
        Self { engine, keys, next: 0 }
    }

    /// Returns the next key, or `None` after the last one.
    ///
    /// # Examples
    ///
    /// See [`Walk`].
    // Not the method of `Iterator`, as the key borrows the walk.
    #[allow(clippy::should_implement_trait)]
    #[allow(unsafe_code)]
    pub fn next(&mut self) -> Option<KeyMut<'_, Sel>> {
        let rest = self.keys.slots.get(self.next..)?;
        let position = self.next + rest.iter().position(|slot| slot.key.is_some())?;
        self.next = position + 1;
        // SAFETY: the slot was found, and has a key.
        Some(unsafe { KeyMut::new(self.engine, self.keys.reborrow(), position) })
    }
}

impl<Sel: SelectorType> fmt::Debug for Walk<'_, Sel> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = self.keys.slots.iter().skip(self.next).filter_map(|slot| slot.key.as_ref());
        f.debug_map().entries(rest.map(|key| (key.id, Shown::of(key)))).finish()
    }
}
