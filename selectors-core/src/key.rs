use core::fmt;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use rustix::io::Errno;

use crate::error::{Error, os};
use crate::events::{Events, Interest, Mode};

/// One registration: the source, its descriptor, what is asked of it, and the caller's data.
///
/// Python's `SelectorKey`. A selector owns its keys; [`unregister`] hands one out for good,
/// [`register`] and [`get_key`] lend it.
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
/// [`unregister`]: crate::Selector::unregister
/// [`get_key`]: crate::Selector::get_key
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "the key owns its source, which is closed when the key is dropped"]
pub struct SelectorKey<S, D> {
    /// The registered source.
    pub fileobj: S,
    /// The descriptor the source gave when it was registered.
    pub fd: RawFd,
    /// The events asked for.
    pub events: Events,
    /// How long they are told.
    pub mode: Mode,
    /// The caller's data.
    pub data: D,
}

impl<S, D> SelectorKey<S, D> {
    pub(crate) fn new(fileobj: S, fd: RawFd, interest: Interest, data: D) -> Self {
        let Interest { events, mode } = interest;
        Self { fileobj, fd, events, mode, data }
    }

    /// What is asked: the events and the mode.
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
    pub fn interest(&self) -> Interest {
        self.events.with_mode(self.mode)
    }

    pub(crate) fn set_interest(&mut self, interest: Interest) {
        self.events = interest.events;
        self.mode = interest.mode;
    }

    /// The descriptor, for the kernel calls about this registration.
    #[allow(unsafe_code)]
    pub(crate) fn borrow(&self) -> BorrowedFd<'_> {
        // SAFETY: called only on keys that a table holds or is about to, whose fields nobody outside
        // can change. `fd` is not negative (checked at registration). It came from `fileobj`, which the key owns
        // and never lends mutably, so it is open while `self` is borrowed; or, in a raw
        // registration, the caller has promised as much. The hint saves a check for -1 that would bring all of the panic
        // machinery into a small program.
        unsafe {
            core::hint::assert_unchecked(self.fd >= 0);
            BorrowedFd::borrow_raw(self.fd)
        }
    }

    /// Takes the socket's pending error, leaving none: the reason behind [`Events::ERROR`].
    ///
    /// One system call, `getsockopt(SO_ERROR)`. `None` when no error is pending.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] with `ENOTSOCK` when the source is no socket.
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
        socket_error(self.fileobj.as_fd())
    }

    pub(crate) fn as_key_mut(&mut self) -> KeyMut<'_, S, D> {
        let Self { fileobj, fd, events, mode, data } = self;
        KeyMut { fileobj, fd: *fd, events: *events, mode: *mode, data }
    }
}

/// A key whose data can be changed, and nothing else.
///
/// What [`next_ready`](crate::Selector::next_ready) and [`get_key_mut`](crate::Selector::get_key_mut) lend. It borrows the
/// selector: copy `fd` out of it before the selector is used again.
///
/// ```
/// # #[cfg(feature = "std")] {
/// # use selectors_core::{DefaultSelector, Events};
/// use std::{io::{Read, Write}, os::unix::net::UnixStream};
///
/// let (ours, mut theirs) = UnixStream::pair()?;
/// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
/// selector.register(ours, Events::READ, 0)?;
/// theirs.write_all(b"hello")?;
/// selector.select(None)?;
/// while let Some((key, _events)) = selector.next_ready() {
///     let (fd, mut stream) = (key.fd, key.fileobj); // &UnixStream
///     *key.data += stream.read(&mut [0; 64])?;
///     selector.modify(fd, Events::READ | Events::WRITE)?; // `key` is not used any more
/// }
/// assert!(selector.get_map().iter().all(|key| key.data == 5));
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// The source is lent by shared reference only: through a mutable one it could be replaced, which
/// would close a descriptor that is being watched. `&TcpStream`, `&File` and their like read and
/// write all the same.
///
/// ```compile_fail,E0596
/// # use selectors_core::{DefaultSelector, Events};
/// use std::net::TcpStream;
///
/// fn replace(selector: &mut DefaultSelector<TcpStream, (), 4>, other: TcpStream) {
///     while let Some((mut key, _events)) = selector.next_ready() {
///         std::mem::replace(&mut *key.fileobj, other); // cannot borrow as mutable
///         return;
///     }
/// }
/// ```
#[non_exhaustive]
pub struct KeyMut<'a, S, D> {
    /// The registered source.
    pub fileobj: &'a S,
    /// The descriptor the source gave when it was registered.
    pub fd: RawFd,
    /// The events asked for.
    pub events: Events,
    /// How long they are told.
    pub mode: Mode,
    /// The caller's data.
    pub data: &'a mut D,
}

impl<S, D> KeyMut<'_, S, D> {
    /// Takes the socket's pending error; see [`SelectorKey::take_error`].
    ///
    /// # Errors
    ///
    /// [`Error::Os`] with `ENOTSOCK` when the source is no socket.
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// use std::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let peer = TcpStream::connect(listener.local_addr()?)?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// selector.register(peer, Events::WRITE, ())?;
    /// selector.select(None)?;
    /// while let Some((key, _events)) = selector.next_ready() {
    ///     assert_eq!(key.take_error()?, None); // the attempt to connect has ended well
    /// }
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn take_error(&self) -> Result<Option<Errno>, Error>
    where
        S: AsFd,
    {
        socket_error(self.fileobj.as_fd())
    }
}

impl<S: fmt::Debug, D: fmt::Debug> fmt::Debug for KeyMut<'_, S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyMut")
            .field("fileobj", self.fileobj)
            .field("fd", &self.fd)
            .field("events", &self.events)
            .field("mode", &self.mode)
            .field("data", self.data)
            .finish()
    }
}

fn socket_error(fd: BorrowedFd<'_>) -> Result<Option<Errno>, Error> {
    match rustix::net::sockopt::socket_error(fd) {
        Ok(pending) => Ok(pending.err()),
        Err(errno) => Err(os("getsockopt", Some(fd.as_raw_fd()), errno)),
    }
}

/// How a registration is named in look-ups: by descriptor number, or by a reference to the
/// object that has it.
///
/// `modify(key.fd, …)` and `modify(&stream, …)` both read well. A look-up only searches the
/// selector's table, so a number that was never registered, or is not open, is harmless.
///
/// A source behind an `Rc` or `Arc` is named by `&*source`.
///
/// ```
/// # #[cfg(feature = "std")] {
/// # use selectors_core::{DefaultSelector, Events, Fileno};
/// use std::os::fd::{AsRawFd, RawFd};
///
/// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
/// assert_eq!((&ours).fileno(), ours.as_raw_fd().fileno());
///
/// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
/// let fd: RawFd = selector.register(&ours, Events::READ, ())?.fd;
/// assert!(selector.get_key(fd).is_some() && selector.get_key(&ours).is_some());
/// assert!(selector.get_key(-1).is_none());
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Fileno: sealed::Sealed {
    /// The descriptor number.
    fn fileno(&self) -> RawFd;
}

impl Fileno for RawFd {
    fn fileno(&self) -> RawFd {
        *self
    }
}

impl<T: AsRawFd> Fileno for &T {
    fn fileno(&self) -> RawFd {
        self.as_raw_fd()
    }
}

mod sealed {
    use rustix::fd::{AsRawFd, RawFd};

    pub trait Sealed {}
    impl Sealed for RawFd {}
    impl<T: AsRawFd> Sealed for &T {}
}
