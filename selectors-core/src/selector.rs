use core::fmt;
use core::mem::MaybeUninit;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use crate::backend::{Any, Backend, Kind};
use crate::engine::{Engine, Wake};
use crate::entry::{SelectorType, sealed};
use crate::error::Error;
use crate::storage::Storage;
use crate::table::Table;

/// A set of sources to wait for.
///
/// A selector owns what it watches. [`register`](Self::register) moves a source
/// in, with your data, and [`unregister`](Self::unregister) returns both. So
/// the source stays open while it is watched, and a program needs no second
/// map. A program runs this loop:
///
/// ```
/// # #[cfg(feature = "std")] {
/// # use selectors_core::{DefaultSelector, Events};
/// # use std::io::{self, Read, Write};
/// # let (ours, mut theirs) = std::os::unix::net::UnixStream::pair()?;
/// # ours.set_nonblocking(true)?;
/// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
/// # selector.register(ours, Events::READ, 0_usize)?;
/// # theirs.write_all(b"hello")?;
/// # drop(theirs);
/// # let mut buffer = [0; 64];
/// while !selector.get_map().is_empty() {
///     selector.select(None)?;
///     while let Some((mut key, _events)) = selector.next_ready() {
///         match key.read(&mut buffer) {
///             Ok(0) => drop(key.unregister()), // closes the stream
///             Ok(n) => *key.data_mut() += n,
///             Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
///             Err(_) => drop(key.unregister()),
///         }
///     }
/// }
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// You rarely name this type with its four parameters. Use one of its aliases:
///
/// - [`DefaultSelector`](crate::DefaultSelector) is the best one of the
///   platform.
/// - `EpollSelector`, `KqueueSelector`, [`PollSelector`](crate::PollSelector)
///   and `SelectSelector` name their system call.
/// - [`AnySelector`](crate::AnySelector) is chosen when the program runs.
///
/// All have the same methods and keep the same contract. `S` is the source,
/// often an enum of your own, and `D` is your data. `B` is the backend, and `M`
/// is the storage of the keys.
///
/// The examples do not show how the selector is made. That is
/// `DefaultSelector::new()?` with selectors-std. With selectors-core it is
/// `DefaultSelector::<_, _, 64>::new()?`, where 64 is the capacity. With
/// selectors-std, leave out the capacity wherever an example has one.
///
/// Dropping a selector closes the kernel object first, then the sources.
///
/// # Examples
///
/// A closed selector can't be used:
///
/// ```compile_fail,E0382
/// # use selectors_core::{DefaultSelector, Events};
/// # fn misuse(mut selector: DefaultSelector<std::net::TcpStream, (), 4>) {
/// selector.close();
/// selector.select(None); // borrow of moved value
/// # }
/// ```
///
/// A selector can be sent to another thread if its sources and data can:
///
/// ```
/// # use selectors_core::DefaultSelector;
/// # use std::{fs::File, rc::Rc, sync::Arc};
/// fn goes<T: Send>() {}
/// goes::<DefaultSelector<Arc<File>, Arc<str>, 4>>();
/// ```
/// ```compile_fail,E0277
/// # use selectors_core::DefaultSelector;
/// # use std::{fs::File, rc::Rc, sync::Arc};
/// # fn goes<T: Send>() {}
/// // `Rc<File>` cannot be sent between threads safely:
/// goes::<DefaultSelector<Rc<File>, Arc<str>, 4>>();
/// ```
/// ```compile_fail,E0277
/// # use selectors_core::DefaultSelector;
/// # use std::{fs::File, rc::Rc, sync::Arc};
/// # fn goes<T: Send>() {}
/// goes::<DefaultSelector<Arc<File>, Rc<str>, 4>>();
/// ```
#[doc(alias = "BaseSelector")]
#[doc(alias = "Poller")]
pub struct Selector<B: Backend, S, D, M: Storage> {
    // Dropped in this order: the kernel object before the sources.
    engine: Engine<B>,
    waker: Option<Wake<M::Wake>>,
    table: Table<S, D, M>,
}

impl<B: Backend, S, D, M: Storage> SelectorType for Selector<B, S, D, M> {
    type Backend = B;
    type Source = S;
    type Data = D;
    type Storage = M;
}

impl<B: Backend, S, D, M: Storage> sealed::Sealed for Selector<B, S, D, M> {}

impl<B: Backend, S, D, M: Storage> Selector<B, S, D, M> {
    /// Creates a selector that watches nothing yet.
    ///
    /// This makes one system call, `epoll_create1` or `kqueue`. The descriptor
    /// is close-on-exec. poll and select need no kernel object.
    ///
    /// # Errors
    ///
    /// - Returns [`Error::Os`] with `EMFILE` or `ENFILE` if no descriptor is
    ///   free.
    /// - Returns [`Error::Os`] with `EPERM` or `ENOSYS` if a sandbox forbids
    ///   the call or the kernel lacks it. [`AnySelector`](crate::AnySelector)
    ///   uses another call then.
    /// - Returns [`Error::Os`] with `ENOMEM` if the kernel has no memory.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rustix::fd::OwnedFd;
    /// # use selectors_core::DefaultSelector;
    /// // With selectors-core: 64 sources, which are OwnedFds, without data.
    /// // With selectors-std: DefaultSelector::<OwnedFd>::new(), or
    /// // DefaultSelector::new() if the compiler infers the types.
    /// let selector = DefaultSelector::<OwnedFd, (), 64>::new()?;
    /// assert!(selector.get_map().is_empty());
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    #[doc(alias = "epoll_create")]
    #[doc(alias = "epoll_create1")]
    #[doc(alias = "EPOLL_CLOEXEC")]
    #[doc(alias = "kqueue")]
    pub fn new() -> Result<Self, Error> {
        Ok(Self { engine: Engine::new()?, waker: None, table: Table::new() })
    }

    /// Creates a selector in the memory where it is going to stay.
    ///
    /// No part is made elsewhere and moved.
    #[allow(unsafe_code)]
    pub(crate) fn new_in(memory: &mut MaybeUninit<Self>) -> Result<&mut Self, Error> {
        let selector = memory.as_mut_ptr();
        // SAFETY: the fields are in memory that is borrowed for writing.
        // `&mut *selector`: all of them are written. If there is no engine, the
        // other two are not written yet, and nothing needs to be dropped.
        unsafe {
            Engine::<B>::new_in(&mut *(&raw mut (*selector).engine).cast())?;
            (&raw mut (*selector).waker).write(None);
            (&raw mut (*selector).table).write(Table::new());
            Ok(&mut *selector)
        }
    }

    /// Returns the kind of the backend, which says what it supports.
    ///
    /// # Examples
    ///
    /// ```
    /// # use selectors_core::{Kind, PollSelector};
    /// let selector = PollSelector::<rustix::fd::OwnedFd, (), 4>::new()?;
    /// assert_eq!(selector.kind(), Kind::Poll);
    /// assert!(!selector.kind().supports_edge());
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.engine.backend.kind()
    }

    /// Closes the kernel object, then the sources.
    ///
    /// Dropping the selector does the same. No key has to be unregistered
    /// before.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// selector.register(ours, Events::READ, ())?;
    /// selector.close();
    /// assert_eq!(theirs.read(&mut [0])?, 0); // the source was closed
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "__exit__")]
    pub fn close(self) {}
}

// The documentation lists the methods in the order of these declarations. With
// empty lines between them, rustfmt does not sort them.
mod registration;

mod waits;

mod keys;

mod wakers;

/// Methods of a selector whose backend is chosen at run time.
impl<S, D, M: Storage, const BATCH: usize> Selector<Any<M, BATCH>, S, D, M> {
    /// Creates a selector with a backend of the given kind.
    ///
    /// # Errors
    ///
    /// - Returns [`Error::UnknownBackend`] if the platform has no backend of
    ///   that kind.
    /// - Returns [`Error::Os`] as [`new`](Self::new) does.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{AnySelector, Kind};
    /// let named = "poll".parse()?; // from a configuration file
    /// let selector = AnySelector::<std::net::TcpStream, (), 16>::of_kind(named)?;
    /// assert_eq!(selector.kind(), Kind::Poll);
    /// # }
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    #[allow(unsafe_code)]
    pub fn of_kind(kind: Kind) -> Result<Self, Error> {
        // SAFETY: the engine keeps the promises, and gives the backend to no
        // other code.
        let engine = Engine::with_backend(unsafe { Any::of_kind(kind)? });
        Ok(Self { engine, waker: None, table: Table::new() })
    }

    /// Returns the selector's own descriptor, if its backend has one.
    ///
    /// epoll and kqueue have one. The selectors that are always on epoll or
    /// kqueue implement `AsFd` and `AsRawFd` instead.
    ///
    /// # Examples
    ///
    /// ```
    /// # use selectors_core::{AnySelector, Kind};
    /// let selector = AnySelector::<rustix::fd::OwnedFd, (), 4>::of_kind(Kind::Poll)?;
    /// assert!(selector.fileno().is_none());
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    #[must_use]
    pub fn fileno(&self) -> Option<BorrowedFd<'_>> {
        self.engine.backend.fileno()
    }
}

/// Borrows the selector's own descriptor, which is readable if a key is ready.
///
/// So the selector can be registered in another one, or in another event loop.
/// Selectors on epoll and kqueue have such a descriptor. It is close-on-exec.
/// This is Python's `fileno()`.
///
/// **Drain the selector until [`pending`](Selector::pending) is zero.** Its
/// descriptor does not show events that it has fetched and not returned yet.
///
/// # Examples
///
/// ```
/// # #[cfg(all(feature = "std", target_os = "linux"))] {
/// # use selectors_core::{EpollSelector, Events};
/// use std::{io::Write, os::unix::net::UnixStream};
///
/// let (ours, mut theirs) = UnixStream::pair()?;
/// # let mut inner = EpollSelector::<_, _, 4>::new()?;
/// inner.register(ours, Events::READ, ())?;
/// # let mut outer = EpollSelector::<_, _, 4>::new()?;
/// outer.register(inner, Events::READ, ())?;
/// theirs.write_all(b"!")?;
/// assert_eq!(outer.select(None)?.events(), 1);
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
impl<B: Backend + AsFd, S, D, M: Storage> AsFd for Selector<B, S, D, M> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.engine.backend.as_fd()
    }
}

impl<B: Backend + AsFd, S, D, M: Storage> AsRawFd for Selector<B, S, D, M> {
    fn as_raw_fd(&self) -> RawFd {
        self.engine.backend.as_fd().as_raw_fd()
    }
}

/// Shows the backend and the keys, without sources and data.
impl<B: Backend, S, D, M: Storage> fmt::Debug for Selector<B, S, D, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selector")
            .field("kind", &self.kind())
            .field("keys", &self.get_map())
            .field("waker", &self.waker.is_some())
            .field("stats", &self.engine.stats)
            .finish()
    }
}
