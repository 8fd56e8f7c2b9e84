use core::fmt;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use rustix::io::Errno;

use crate::error::{Error, os};
use crate::events::{Events, Interest, Mode};
use crate::platform::is_valid;

/// A source that is registered with a selector, and its interest and data.
///
/// A selector owns its keys. [`register`], [`get_key`] and the map return a
/// reference. [`next_ready`], [`get_key_mut`] and [`walk`] return a
/// [`KeyMut`](crate::KeyMut), which can act. `unregister` returns the key
/// itself. This is Python's `SelectorKey`.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// # use selectors_core::{DefaultSelector, Events};
/// use std::os::fd::AsRawFd;
///
/// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
/// let fd = ours.as_raw_fd();
/// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
/// let key = selector.register(ours, Events::READ, "data")?;
/// assert_eq!((key.fd, key.events, key.data), (fd, Events::READ, "data"));
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// [`register`]: crate::Selector::register
/// [`get_key`]: crate::Selector::get_key
/// [`get_key_mut`]: crate::Selector::get_key_mut
/// [`next_ready`]: crate::Selector::next_ready
/// [`walk`]: crate::Selector::walk
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "the key owns its source, which is closed when the key is dropped"]
pub struct SelectorKey<S, D> {
    /// The registered source.
    pub fileobj: S,
    /// The file descriptor of the source, or -1.
    ///
    /// It is -1 after a call of
    /// [`KeyMut::with_source`](crate::KeyMut::with_source) that panicked, or
    /// that left a source whose number is another key's or negative. The key is
    /// paused then.
    pub fd: RawFd,
    /// The events to watch for.
    pub events: Events,
    /// When the events are reported.
    pub mode: Mode,
    pub(crate) state: State,
    pub(crate) id: KeyId,
    /// Your data.
    pub data: D,
}

/// What the kernel's set has of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is in the set. A one-shot that was reported is disarmed.
    Watched,
    /// It is paused: not in the set.
    Paused,
    /// It is paused, and its one-shot had been reported before.
    PausedDisarmed,
    /// It was resumed after that, and is still disarmed.
    Disarmed,
}

impl<S, D> SelectorKey<S, D> {
    pub(crate) fn new(fileobj: S, fd: RawFd, interest: Interest, data: D) -> Self {
        let Interest { events, mode } = interest;
        Self { fileobj, fd, events, mode, state: State::Watched, id: KeyId::NONE, data }
    }

    /// Returns the id of the key, which names this registration only.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// let id = selector.register(ours, Events::READ, "data")?.id();
    /// assert_eq!(selector.get_key(id).map(|key| key.data), Some("data"));
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Returns the interest, which is the events and the mode.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// let key = selector.register(ours, Events::READ.one_shot(), ())?;
    /// assert_eq!(key.interest(), Events::READ.one_shot());
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn interest(&self) -> Interest {
        self.events.with_mode(self.mode)
    }

    /// Returns whether the key is paused.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// let id = selector.register(ours, Events::READ, ())?.id();
    /// selector.pause(id)?;
    /// assert!(selector.get_key(id).is_some_and(|key| key.is_paused()));
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn is_paused(&self) -> bool {
        matches!(self.state, State::Paused | State::PausedDisarmed)
    }

    pub(crate) fn set_interest(&mut self, interest: Interest) {
        self.events = interest.events;
        self.mode = interest.mode;
    }

    /// Returns the descriptor, for the system calls about this registration.
    ///
    /// The key must have a number.
    #[inline]
    #[allow(unsafe_code)]
    pub(crate) fn borrow(&self) -> BorrowedFd<'_> {
        // SAFETY: `assert_unchecked`: the number of a key that is watched, or
        // about to be, is not negative. Registration refuses others, and a key
        // that has lost its number is paused. The hint spares a check for -1,
        // which would bring all of the panic machinery into a small program.
        // `borrow_raw`: the number is that of the source, which the key owns.
        // Only `with_source` can change it, and looks at the number afterwards.
        // So it is open while `self` is borrowed. In a raw registration, the
        // caller has promised that.
        unsafe {
            core::hint::assert_unchecked(is_valid(self.fd));
            BorrowedFd::borrow_raw(self.fd)
        }
    }

    /// Returns the pending error of a socket, and clears it.
    ///
    /// [`Events::ERROR`] reports that there is one. `None` means that no error
    /// is pending. For a socket that was connecting and is ready now, it means
    /// connected.
    ///
    /// This makes one system call, `getsockopt` with `SO_ERROR`.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Os`] with `ENOTSOCK` if the source is not a socket.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// use std::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let peer = TcpStream::connect(listener.local_addr()?)?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// let key = selector.register(peer, Events::WRITE, ())?;
    /// assert_eq!(key.take_error()?, None); // it is connected
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "SO_ERROR")]
    #[doc(alias = "getsockopt")]
    pub fn take_error(&self) -> Result<Option<Errno>, Error>
    where
        S: AsFd,
    {
        let fd = self.fileobj.as_fd();
        match rustix::net::sockopt::socket_error(fd) {
            Ok(pending) => Ok(pending.err()),
            Err(errno) => Err(os("getsockopt", Some(fd.as_raw_fd()), errno)),
        }
    }
}

impl<S: fmt::Debug, D: fmt::Debug> fmt::Debug for SelectorKey<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelectorKey")
            .field("fileobj", &self.fileobj)
            .field("fd", &self.fd)
            .field("events", &self.events)
            .field("mode", &self.mode)
            .field("paused", &self.is_paused())
            .field("id", &self.id)
            .field("data", &self.data)
            .finish()
    }
}

/// The id of one registration of one selector.
///
/// A look-up by id finds that registration or nothing. It never finds a later
/// one, even if its file descriptor has the same number. The id stays the same
/// when the key is modified, paused or resumed, and when its source is
/// replaced.
///
/// Ids can be keys of maps and items of heaps, such as a heap of deadlines.
/// Their order has no meaning.
///
/// **An id must not be used with another selector**, where it may name any key.
/// After 2³² registrations of one selector, an id may be used again.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// # use selectors_core::{DefaultSelector, Events};
/// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
/// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
/// let id = selector.register(&ours, Events::READ, ())?.id();
/// let _ = selector.unregister(id)?;
/// selector.register(&ours, Events::READ, ())?; // the same file descriptor
/// assert!(selector.get_key(id).is_none());
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId {
    pub(crate) slot: u32,
    pub(crate) serial: u32,
}

impl KeyId {
    /// The id of a key that is not registered yet.
    pub(crate) const NONE: Self = Self { slot: u32::MAX, serial: u32::MAX };
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({}#{})", self.slot, self.serial)
    }
}

/// What a key is looked up by.
///
/// Methods that look up a key take `impl Into<Lookup>`. That is an id, a file
/// descriptor, or a reference to a source.
///
/// A look-up by id needs no search. A look-up by file descriptor searches the
/// table. A number that was never registered, or is not open, finds nothing. A
/// reference to anything with a descriptor stands for its number.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// # use selectors_core::{DefaultSelector, Events, Lookup};
/// use std::{os::fd::{AsRawFd, RawFd}, rc::Rc};
///
/// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
/// let shared = Rc::new(ours);
/// assert_eq!(Lookup::from(&shared), Lookup::Fd(shared.as_raw_fd()));
///
/// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
/// let id = selector.register(shared.clone(), Events::READ, ())?.id();
/// let fd: RawFd = shared.as_raw_fd();
/// assert!(selector.get_key(id).is_some());
/// assert!(selector.get_key(fd).is_some());
/// assert!(selector.get_key(&shared).is_some());
/// assert!(selector.get_key(-1).is_none());
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lookup {
    /// The id of the key.
    Id(KeyId),
    /// The file descriptor of its source.
    Fd(RawFd),
}

impl From<KeyId> for Lookup {
    #[inline]
    fn from(id: KeyId) -> Self {
        Self::Id(id)
    }
}

impl From<RawFd> for Lookup {
    #[inline]
    fn from(fd: RawFd) -> Self {
        Self::Fd(fd)
    }
}

impl<T: AsFd + ?Sized> From<&T> for Lookup {
    #[inline]
    fn from(source: &T) -> Self {
        Self::Fd(source.as_fd().as_raw_fd())
    }
}
