//! The key that `next_ready`, `get_key_mut` and `walk` return, which acts.

use core::fmt;
use core::ops::Deref;

use rustix::fd::{AsFd, AsRawFd, RawFd};

use crate::backend::Backend;
use crate::engine::Engine;
use crate::error::Error;
use crate::events::Interest;
use crate::key::SelectorKey;
use crate::storage::Storage;
use crate::table::Keys;

/// The parts of a selector's type.
///
/// Only [`Selector`](crate::Selector) implements it, so that the type of a key
/// is [`KeyMut<'_, MySelector>`](KeyMut). A function for any key with these
/// sources and data is generic over it. A function that calls methods of the
/// selector is written for one alias, or for `Selector<B, S, D, M>`.
///
/// # Examples
///
/// In selectors-std, write `selectors_std` for `selectors_core`.
///
/// ```
/// # #[cfg(feature = "std")] {
/// use selectors_core::{Events, KeyMut, SelectorType};
/// use std::net::TcpStream;
///
/// fn count<Sel>(mut key: KeyMut<'_, Sel>)
/// where
///     Sel: SelectorType<Source = TcpStream, Data = u32>,
/// {
///     *key.data_mut() += 1;
/// }
/// # }
/// ```
pub trait SelectorType: sealed::Sealed {
    /// The backend, which is a system call.
    type Backend: Backend;
    /// The type of the sources.
    type Source;
    /// The type of the data.
    type Data;
    /// The containers of the key table.
    type Storage: Storage;
}

/// Keeps other crates from implementing the trait.
pub(crate) mod sealed {
    pub trait Sealed {}
}

type Source<Sel> = <Sel as SelectorType>::Source;
type Data<Sel> = <Sel as SelectorType>::Data;
type Index<Sel> = <<Sel as SelectorType>::Storage as Storage>::Index;

/// A key that reads, writes, modifies, pauses and unregisters.
///
/// [`next_ready`](crate::Selector::next_ready),
/// [`get_key_mut`](crate::Selector::get_key_mut) and
/// [`walk`](crate::Selector::walk) return it. It dereferences to
/// [`SelectorKey`], so `key.fileobj`, `key.fd`, `key.events`, `key.data` and
/// `key.id()` can be read.
///
/// **A key borrows the selector.** To use the selector itself, copy the
/// [id](SelectorKey::id) out of the key first.
///
/// Dropping a `KeyMut` only ends the borrow. The source stays registered, and a
/// level-triggered key that is still ready is reported by the next wait.
///
/// With the feature `std` it implements `Read` and `Write` of `std::io` if the
/// source does. selectors-std always has that feature.
///
/// # Examples
///
/// A function that handles a key names the selector's type and this one. In
/// selectors-std, write `selectors_std` and leave out the capacity, `4`:
///
/// ```
/// # #[cfg(feature = "std")] {
/// use selectors_core::{DefaultSelector, Events, KeyMut};
/// use std::io::{self, Read, Write};
/// use std::os::unix::net::UnixStream;
///
/// type Peers = DefaultSelector<UnixStream, Vec<u8>, 4>;
///
/// fn receive(mut key: KeyMut<'_, Peers>) -> io::Result<()> {
///     let mut buffer = [0; 64];
///     match key.read(&mut buffer) {
///         Ok(0) => drop(key.unregister()), // the peer has closed
///         Ok(n) => key.data_mut().extend_from_slice(&buffer[..n]),
///         Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
///         Err(_) => drop(key.unregister()),
///     }
///     Ok(())
/// }
///
/// let (ours, mut theirs) = UnixStream::pair()?;
/// let mut selector = Peers::new()?;
/// selector.register(ours, Events::READ, Vec::new())?;
/// theirs.write_all(b"hello")?;
/// selector.select(None)?;
/// while let Some((key, _events)) = selector.next_ready() {
///     receive(key)?;
/// }
/// assert_eq!(selector.get_map().iter().next().unwrap().data, b"hello");
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct KeyMut<'a, Sel: SelectorType> {
    engine: &'a mut Engine<Sel::Backend>,
    keys: Keys<'a, Source<Sel>, Data<Sel>, Index<Sel>>,
    /// The number of a slot, which exists and has a key.
    position: usize,
}

impl<'a, Sel: SelectorType> KeyMut<'a, Sel> {
    /// # Safety
    ///
    /// The caller must ensure that the slot of this number exists and has a
    /// key.
    #[inline]
    #[allow(unsafe_code)]
    pub(crate) unsafe fn new(
        engine: &'a mut Engine<Sel::Backend>,
        keys: Keys<'a, Source<Sel>, Data<Sel>, Index<Sel>>,
        position: usize,
    ) -> Self {
        Self { engine, keys, position }
    }

    #[inline]
    #[allow(unsafe_code)]
    fn key_mut(&mut self) -> &mut SelectorKey<Source<Sel>, Data<Sel>> {
        // SAFETY: the slot exists, as none is ever removed. It has a key, which
        // only `unregister` takes out.
        unsafe { self.keys.slots.get_unchecked_mut(self.position).key.as_mut().unwrap_unchecked() }
    }

    /// Returns the number of the slot, in the type that tokens use.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "a table has fewer slots than that")]
    fn number(&self) -> u32 {
        self.position as u32
    }

    /// Returns a mutable reference to your data.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// let id = selector.register(ours, Events::READ, 1)?.id();
    /// if let Some(mut key) = selector.get_key_mut(id) {
    ///     *key.data_mut() += 1;
    /// }
    /// assert_eq!(selector.unregister(id)?.data, 2);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[inline]
    pub fn data_mut(&mut self) -> &mut Data<Sel> {
        &mut self.key_mut().data
    }

    /// Returns the source and a mutable reference to your data.
    ///
    /// Both can be used at the same time. `key.fileobj` can't be used together
    /// with [`data_mut`](Self::data_mut).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::Write, os::unix::net::UnixStream};
    /// # let (ours, _theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// let id = selector.register(ours, Events::WRITE, b"to be sent".to_vec())?.id();
    /// if let Some(mut key) = selector.get_key_mut(id) {
    ///     let (mut stream, unsent) = key.parts(); // &UnixStream writes
    ///     let sent = stream.write(unsent)?;
    ///     unsent.drain(..sent);
    /// }
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[inline]
    pub fn parts(&mut self) -> (&Source<Sel>, &mut Data<Sel>) {
        let key = self.key_mut();
        (&key.fileobj, &mut key.data)
    }

    /// Changes the interest of the key.
    ///
    /// This also arms a one-shot again and resumes a paused key. See
    /// [`Selector::modify`](crate::Selector::modify).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Selector::modify`](crate::Selector::modify),
    /// except [`Error::NotRegistered`].
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// # selector.register(ours, Events::WRITE, ())?;
    /// selector.select(None)?;
    /// while let Some((mut key, _events)) = selector.next_ready() {
    ///     key.modify(Events::READ)?; // there is nothing more to write
    /// }
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    // Inlined for the same reason as `Selector::select`.
    #[inline(always)]
    pub fn modify(&mut self, events: impl Into<Interest>) -> Result<(), Error> {
        let interest = events.into();
        self.engine.check(interest)?;
        let number = self.number();
        self.engine.modify(self.keys.reborrow(), number, interest)
    }

    /// Stops watching the key until it is resumed or modified.
    ///
    /// This can't fail. See [`Selector::pause`](crate::Selector::pause).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// # selector.register(ours, Events::WRITE, ())?;
    /// selector.select(None)?;
    /// while let Some((mut key, _events)) = selector.next_ready() {
    ///     key.pause(); // until there is something to write
    ///     assert!(key.is_paused());
    /// }
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn pause(&mut self) {
        let number = self.number();
        self.engine.pause(self.keys.reborrow(), number);
    }

    /// Watches a paused key again, with the interest that it had.
    ///
    /// See [`Selector::resume`](crate::Selector::resume).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Selector::resume`](crate::Selector::resume),
    /// except [`Error::NotRegistered`].
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// # let id = selector.register(ours, Events::WRITE, ())?.id();
    /// # selector.pause(id)?;
    /// if let Some(mut key) = selector.get_key_mut(id) {
    ///     key.resume()?;
    ///     assert!(!key.is_paused());
    /// }
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn resume(&mut self) -> Result<(), Error> {
        let number = self.number();
        self.engine.resume(self.keys.reborrow(), number)
    }

    /// Stops watching the source, and returns the owned key.
    ///
    /// This can't fail. Pending events of the key are dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// # selector.register(ours, Events::WRITE, "data")?;
    /// selector.select(None)?;
    /// while let Some((key, _events)) = selector.next_ready() {
    ///     let key = key.unregister();
    ///     // For use elsewhere. A dropped key closes the stream.
    ///     let (_stream, data) = (key.fileobj, key.data);
    ///     assert_eq!(data, "data");
    /// }
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "deregister")]
    #[allow(unsafe_code)]
    pub fn unregister(self) -> SelectorKey<Source<Sel>, Data<Sel>> {
        let number = self.number();
        let key = self.engine.unregister(self.keys, number);
        // SAFETY: the slot exists and has a key.
        unsafe { key.unwrap_unchecked() }
    }

    /// Calls a function with exclusive access to the source and your data.
    ///
    /// This is for sources whose I/O needs `&mut self`, and for exchanging a
    /// source, as in an upgrade to TLS. If the source has another file
    /// descriptor afterwards, the selector watches that one under the same key.
    ///
    /// If watching it fails, the key is [paused](crate::Selector::pause).
    /// [`resume`](Self::resume) tries again and returns the error. If the
    /// function panics, the key is paused too.
    ///
    /// **A new source with the old file descriptor is not noticed.** Pause and
    /// resume the key then.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// use std::io::Read;
    /// use std::process::{Command, Stdio};
    ///
    /// let mut command = Command::new("echo");
    /// let mut child = command.arg("hello").stdout(Stdio::piped()).spawn()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// selector.register(child.stdout.take().unwrap(), Events::READ, String::new())?;
    /// selector.select(None)?;
    /// while let Some((mut key, _events)) = selector.next_ready() {
    ///     key.with_source(|stdout, text| stdout.read_to_string(text))?;
    ///     assert_eq!(key.data, "hello\n");
    /// }
    /// # child.wait()?;
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[inline]
    pub fn with_source<R>(&mut self, work: impl FnOnce(&mut Source<Sel>, &mut Data<Sel>) -> R) -> R
    where
        Source<Sel>: AsFd,
    {
        /// Runs if `work` or `as_fd` panics. The number may be wrong then, and
        /// `as_fd`, which would return it, may panic again.
        struct OnPanic<'k, 'a, Sel: SelectorType<Source: AsFd>>(&'k mut KeyMut<'a, Sel>);

        impl<Sel: SelectorType<Source: AsFd>> Drop for OnPanic<'_, '_, Sel> {
            #[cold]
            fn drop(&mut self) {
                self.0.lose_number();
            }
        }

        let key = OnPanic(self);
        let SelectorKey { fileobj, data, .. } = key.0.key_mut();
        let result = work(fileobj, data);
        let fd = fileobj.as_fd().as_raw_fd();
        core::mem::forget(key);
        if fd != self.fd {
            self.follow(fd);
        }
        result
    }

    /// Watches the new descriptor of an exchanged source.
    #[cold]
    fn follow(&mut self, fd: RawFd)
    where
        Source<Sel>: AsFd,
    {
        let paused = self.is_paused();
        self.lose_number();
        let number = self.number();
        if self.keys.set_number(number, fd).is_ok() && !paused {
            // If this is refused, the key stays paused.
            let _ = self.resume();
        }
    }

    /// Pauses the key and forgets its number.
    ///
    /// The source may not own that number any more.
    fn lose_number(&mut self)
    where
        Source<Sel>: AsFd,
    {
        self.pause();
        let number = self.number();
        self.keys.lose_number(number);
    }
}

impl<Sel: SelectorType> Deref for KeyMut<'_, Sel> {
    type Target = SelectorKey<Sel::Source, Sel::Data>;

    #[inline]
    #[allow(unsafe_code)]
    fn deref(&self) -> &Self::Target {
        // SAFETY: the slot exists and has a key.
        unsafe { self.keys.slots.get_unchecked(self.position).key.as_ref().unwrap_unchecked() }
    }
}

impl<Sel: SelectorType<Source: fmt::Debug, Data: fmt::Debug>> fmt::Debug for KeyMut<'_, Sel> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyMut").field(&**self).finish()
    }
}

/// Reads from the source.
///
/// If the source gets another file descriptor by that, the selector watches the
/// new one, as after [`KeyMut::with_source`]. The sources of std keep theirs.
#[cfg(feature = "std")]
impl<Sel: SelectorType<Source: AsFd + std::io::Read>> std::io::Read for KeyMut<'_, Sel> {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.with_source(|source, _| source.read(buffer))
    }

    fn read_vectored(&mut self, buffers: &mut [std::io::IoSliceMut<'_>]) -> std::io::Result<usize> {
        self.with_source(|source, _| source.read_vectored(buffers))
    }
}

/// Writes to the source.
///
/// If the source gets another file descriptor by that, the selector watches the
/// new one, as after [`KeyMut::with_source`]. The sources of std keep theirs.
#[cfg(feature = "std")]
impl<Sel: SelectorType<Source: AsFd + std::io::Write>> std::io::Write for KeyMut<'_, Sel> {
    #[inline]
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.with_source(|source, _| source.write(buffer))
    }

    fn write_vectored(&mut self, buffers: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
        self.with_source(|source, _| source.write_vectored(buffers))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.with_source(|source, _| source.flush())
    }
}
