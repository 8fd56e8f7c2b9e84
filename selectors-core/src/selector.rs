use core::fmt;
use core::mem::MaybeUninit;
use core::time::Duration;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use crate::backend::{Any, Backend, Kind};
use crate::engine::{Engine, STEP, Wake};
use crate::entry::{KeyMut, SelectorType, sealed};
use crate::error::{Error, RegisterError};
use crate::events::{Events, Interest};
use crate::key::{Lookup, SelectorKey};
use crate::map::KeyMap;
use crate::select_result::SelectResult;
use crate::stats::Stats;
use crate::storage::Storage;
use crate::table::Table;
use crate::waker::{Attached, Waker};
use crate::walk::Walk;

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

    /// Registers a source to be watched for events.
    ///
    /// `events` is [`Events::READ`], [`Events::WRITE`], [`Events::PRIORITY`] or
    /// [`Events::READ_HANGUP`], or several of them. They are level-triggered,
    /// unless [`edge`](Events::edge) or [`one_shot`](Events::one_shot) is
    /// called on them. A source is anything with a descriptor: owned, borrowed,
    /// shared (`&T`, `Rc`, `Arc`) or boxed. A descriptor can be registered only
    /// once.
    ///
    /// This makes one system call: `epoll_ctl` on epoll, `kevent` on kqueue,
    /// and a `poll` that does not wait on poll and select.
    ///
    /// **If this fails, the source and the data are dropped.**
    /// [`try_register`](Self::try_register) returns them.
    ///
    /// # Errors
    ///
    /// - Returns [`Error::InvalidEvents`] if `events` is empty or has an
    ///   output-only flag.
    /// - Returns [`Error::Unsupported`] if the backend does not support these
    ///   events, or not in this mode.
    /// - Returns [`Error::InvalidFd`] if the file descriptor is negative.
    /// - Returns [`Error::AlreadyRegistered`] if the file descriptor is
    ///   registered, perhaps through another object.
    /// - Returns [`Error::Full`] if a fixed table is full, or a growing one
    ///   finds no memory.
    /// - Returns [`Error::FdOutOfRange`] if the file descriptor is too large
    ///   for `select`.
    /// - Returns [`Error::Os`] with `EPERM` for a regular file, a directory and
    ///   some devices on epoll, or if a sandbox forbids the call.
    /// - Returns [`Error::Os`] with `EBADF` if the descriptor can't be polled,
    ///   as one opened with `O_PATH`.
    /// - Returns [`Error::Os`] with `ENOSPC` or `ENOMEM` if a limit of the
    ///   kernel is reached, and with `ELOOP` or `EINVAL` for selectors in a
    ///   circle.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// let id = selector.register(ours, Events::READ, "data")?.id();
    /// assert!(selector.get_key(id).is_some());
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "epoll_ctl")]
    #[doc(alias = "EPOLL_CTL_ADD")]
    #[doc(alias = "EV_ADD")]
    #[doc(alias = "KQ_EV_ADD")]
    #[doc(alias = "kevent")]
    #[inline]
    pub fn register(
        &mut self,
        fileobj: S,
        events: impl Into<Interest>,
        data: D,
    ) -> Result<&SelectorKey<S, D>, Error>
    where
        S: AsFd,
    {
        let fd = fileobj.as_fd().as_raw_fd();
        // The key that was not registered is dropped last, as its `Drop` may
        // panic.
        self.insert(SelectorKey::new(fileobj, fd, events.into(), data)).map_err(|(error, _key)| error)
    }

    /// Registers a source, or returns it inside the error.
    ///
    /// This does what [`register`](Self::register) does, except that a failure
    /// does not drop the source and the data.
    ///
    /// # Errors
    ///
    /// Returns a [`RegisterError`] with one of the errors of `register`.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Error, Events};
    /// let (one, two) = std::os::unix::net::UnixStream::pair()?;
    /// // Of selectors-core, with a capacity of one:
    /// let mut selector = DefaultSelector::<_, _, 1>::new()?;
    /// selector.register(one, Events::READ, "first")?;
    /// let refused = selector.try_register(two, Events::READ, "second").unwrap_err();
    /// assert_eq!(refused.error, Error::Full { capacity: 1 });
    /// let (_two, data) = (refused.fileobj, refused.data); // nothing is lost
    /// assert_eq!(data, "second");
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_register(
        &mut self,
        fileobj: S,
        events: impl Into<Interest>,
        data: D,
    ) -> Result<&SelectorKey<S, D>, RegisterError<S, D>>
    where
        S: AsFd,
    {
        let fd = fileobj.as_fd().as_raw_fd();
        self.insert(SelectorKey::new(fileobj, fd, events.into(), data))
            .map_err(|(error, key)| RegisterError { error, fileobj: key.fileobj, data: key.data })
    }

    /// Registers a file descriptor that the source does not own.
    ///
    /// This does what [`register`](Self::register) does, for sources that
    /// implement only `AsRawFd`, such as `RawFd`.
    ///
    /// # Errors
    ///
    /// Returns the errors of `register`. Also returns [`Error::Os`] with
    /// `EBADF` if the descriptor is closed, on every backend.
    ///
    /// # Safety
    ///
    /// The caller must ensure that the descriptor stays open until the key is
    /// unregistered or the selector is dropped. Until then its number must
    /// belong to the same file.
    ///
    /// If the descriptor is closed before, the selector may watch the next file
    /// that gets its number, which other code owns. See "Closed descriptors" at
    /// [`select`](Self::select).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// use std::os::fd::{AsRawFd, RawFd};
    ///
    /// let mut selector = DefaultSelector::<RawFd, (), 4>::new()?;
    /// // SAFETY: `ours` is closed after it was unregistered.
    /// unsafe { selector.register_raw(ours.as_raw_fd(), Events::READ, ())? };
    /// theirs.write_all(b"!")?;
    /// assert_eq!(selector.select(None)?.events(), 1);
    /// let _number = selector.unregister(&ours)?.fileobj;
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "fileno")]
    #[allow(unsafe_code)]
    pub unsafe fn register_raw(
        &mut self,
        fileobj: S,
        events: impl Into<Interest>,
        data: D,
    ) -> Result<&SelectorKey<S, D>, Error>
    where
        S: AsRawFd,
    {
        let fd = fileobj.as_raw_fd();
        self.insert(SelectorKey::new(fileobj, fd, events.into(), data)).map_err(|(error, _key)| error)
    }

    #[inline]
    #[allow(clippy::type_complexity, reason = "the key that was not registered")]
    fn insert(&mut self, key: SelectorKey<S, D>) -> Result<&SelectorKey<S, D>, (Error, SelectorKey<S, D>)> {
        let wakers = self.waker.as_ref().and_then(|wake| wake.cell.hold().watched()).map(|fd| fd.as_raw_fd());
        self.table.grow();
        self.engine.register(self.table.keys(), key, wakers)
    }

    /// Changes the interest of a key.
    ///
    /// This also arms a one-shot again and resumes a paused key. Pending events
    /// are masked by the new interest. The data does not change;
    /// [`get_key_mut`](Self::get_key_mut) gives access to it.
    ///
    /// This makes one system call, or none if the interest is the same. Two
    /// kinds of keys are armed again by a call with the same interest:
    ///
    /// - In edge mode, what is still ready is reported again.
    /// - A one-shot that was delivered is armed again. **Every `modify` does
    ///   that**, and nothing else does.
    ///
    /// # Errors
    ///
    /// - Returns [`Error::InvalidEvents`] or [`Error::Unsupported`] as
    ///   [`register`](Self::register) does.
    /// - Returns [`Error::NotRegistered`] if there is no such key.
    /// - Returns [`Error::Os`] with `EBADF` or `ENOENT` if the descriptor was
    ///   closed without the selector's knowledge. On epoll and kqueue, a call
    ///   with the same interest can't notice that.
    /// - Returns [`Error::Os`] with another number if the kernel refuses.
    /// - Returns the errors of [`resume`](Self::resume) if the key is paused.
    ///   It stays paused then.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// let id = selector.register(ours, Events::READ, b"to be sent".to_vec())?.id();
    /// selector.modify(id, Events::READ | Events::WRITE)?;
    /// selector.select(None)?;
    /// while let Some((mut key, events)) = selector.next_ready() {
    ///     if events.is_writable() {
    ///         let (mut stream, unsent) = key.parts();
    ///         let sent = stream.write(unsent)?;
    ///         unsent.drain(..sent);
    ///         if unsent.is_empty() {
    ///             key.modify(Events::READ)?; // or every wait would return immediately
    ///         }
    ///     }
    /// }
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "EPOLL_CTL_MOD")]
    #[doc(alias = "reregister")]
    #[doc(alias = "EV_ENABLE")]
    #[doc(alias = "KQ_EV_ENABLE")]
    #[doc(alias = "EV_DISABLE")]
    #[doc(alias = "KQ_EV_DISABLE")]
    // Inlined for the same reason as `select`.
    #[inline(always)]
    pub fn modify(&mut self, key: impl Into<Lookup>, events: impl Into<Interest>) -> Result<(), Error> {
        let (interest, key) = (events.into(), key.into());
        if M::INLINE {
            self.engine.modify_key(self.table.keys(), key, interest)
        } else {
            self.engine.modify_key_shared(self.table.keys(), key, interest)
        }
    }

    /// Stops watching a key until it is resumed or modified.
    ///
    /// The key stays registered, and look-ups find it. Pending events of the
    /// key are dropped. Pausing a paused key does nothing.
    ///
    /// **Nothing is reported for a paused key**, not even hang-ups or errors.
    /// So only the handler of another key, or of a timer, can resume it. To
    /// stop only reading, [`modify`](Self::modify) it to [`Events::WRITE`].
    ///
    /// This makes one system call on epoll and kqueue, and none on poll and
    /// select.
    ///
    /// # Errors
    ///
    /// Returns [`Error::NotRegistered`] if there is no such key.
    /// [`KeyMut::pause`] can't fail.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// theirs.write_all(b"!")?;
    /// let id = selector.register(ours, Events::READ, ())?.id();
    /// selector.pause(id)?;
    /// assert!(selector.select(Some(Duration::ZERO))?.timed_out());
    /// selector.resume(id)?;
    /// assert_eq!(selector.select(None)?.events(), 1);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn pause(&mut self, key: impl Into<Lookup>) -> Result<(), Error> {
        self.engine.pause_key(self.table.keys(), key.into())
    }

    /// Watches a paused key again, with the interest that it had.
    ///
    /// Resuming a key that is not paused does nothing. In edge mode, what is
    /// ready is reported again. This makes one system call, as
    /// [`register`](Self::register) does.
    ///
    /// **A one-shot that was delivered before the pause stays disarmed.**
    /// [`modify`](Self::modify) arms it again.
    ///
    /// # Errors
    ///
    /// The key stays paused.
    ///
    /// - Returns [`Error::NotRegistered`] if there is no such key.
    /// - Returns [`Error::Os`] if the kernel refuses the descriptor.
    /// - Returns [`Error::FdOutOfRange`] if `select` can't watch it.
    ///
    /// These are only returned if the source was
    /// [exchanged](KeyMut::with_source):
    ///
    /// - Returns [`Error::AlreadyRegistered`] if the new descriptor is another
    ///   key's.
    /// - Returns [`Error::InvalidFd`] if the new descriptor is negative.
    /// - Returns [`Error::Full`] if there is no memory.
    ///
    /// # Examples
    ///
    /// See [`pause`](Self::pause).
    pub fn resume(&mut self, key: impl Into<Lookup>) -> Result<(), Error> {
        self.engine.resume_key(self.table.keys(), key.into())
    }

    /// Stops watching a source, and returns it with its data.
    ///
    /// Pending events of the key are dropped. This also works if the descriptor
    /// was closed without the selector's knowledge.
    ///
    /// This makes one system call on epoll and kqueue, and none on poll and
    /// select.
    ///
    /// # Errors
    ///
    /// Returns [`Error::NotRegistered`] if there is no such key.
    /// [`KeyMut::unregister`] can't fail.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// let id = selector.register(ours, Events::READ, "data")?.id();
    /// let key = selector.unregister(id)?;
    /// // For use elsewhere. A dropped key closes the stream.
    /// let (_stream, data) = (key.fileobj, key.data);
    /// assert_eq!(data, "data");
    /// assert!(selector.unregister(id).is_err());
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "EPOLL_CTL_DEL")]
    #[doc(alias = "EV_DELETE")]
    #[doc(alias = "KQ_EV_DELETE")]
    #[doc(alias = "deregister")]
    #[doc(alias = "delete")]
    #[inline]
    pub fn unregister(&mut self, key: impl Into<Lookup>) -> Result<SelectorKey<S, D>, Error> {
        self.engine.unregister_key(self.table.keys(), key.into())
    }

    /// Waits for ready keys, a wake, a signal or the timeout.
    ///
    /// Then call [`next_ready`](Self::next_ready) until it returns `None`.
    ///
    /// The timeout `None` waits indefinitely, and zero does not wait. The
    /// timeout is a lower bound. On Linux and FreeBSD it is as exact as the
    /// kernel's timers. Elsewhere it may be rounded up to the kernel's ticks.
    ///
    /// **Pending events make this return immediately.** It makes no system call
    /// if `next_ready` was not called until it returned `None`. Otherwise it
    /// makes one: `epoll_wait`, `poll`, `select` or `kevent`. On epoll, a
    /// timeout with a fraction of a millisecond may take two or three.
    ///
    /// # Closed descriptors
    ///
    /// The descriptor of a [raw registration](Self::register_raw) can be closed
    /// without the selector's knowledge. Safe functions such as
    /// `rustix::stdio::dup2_stdin` can do that with descriptors 0 to 2.
    ///
    /// poll and select then stop watching the key. On epoll, a duplicate of the
    /// descriptor may be open. The kernel then keeps reporting its events, even
    /// after the key was unregistered. The selector drops these events, and
    /// recreates its epoll instance at the next wait. If the kernel refuses
    /// that, the selector keeps the old instance and tries again later. Until
    /// then a wait makes a system call every millisecond.
    ///
    /// # Errors
    ///
    /// - Returns [`Error::Os`] with `EINVAL` if poll has more descriptors than
    ///   `RLIMIT_NOFILE` allows.
    /// - Returns [`Error::Os`] with `ENOMEM` if the kernel has no memory, or
    ///   with another number if a sandbox forbids the call.
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
    /// assert!(selector.select(Some(Duration::from_micros(100)))?.timed_out());
    /// theirs.write_all(b"!")?;
    /// assert_eq!(selector.select(None)?.events(), 1);
    /// assert_eq!(selector.select(None)?.events(), 1); // still pending
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "epoll_wait")]
    #[doc(alias = "epoll_pwait")]
    #[doc(alias = "poll")]
    #[doc(alias = "ppoll")]
    #[doc(alias = "pselect")]
    #[doc(alias = "kevent")]
    #[doc(alias = "control")]
    #[doc(alias = "EVFILT_TIMER")]
    #[doc(alias = "KQ_FILTER_TIMER")]
    #[doc(alias = "wait")]
    // A program has one call of this, in its loop. Inlined there, most of the
    // work on the timeout and on the result disappears, and rare work stays
    // outside. Also, no `ret` follows the system call. On kernels that guard
    // their returns against speculation, one `ret` costs more than all the
    // remaining work. It costs 40 ns if nothing was ready, and 140 ns
    // otherwise.
    #[inline(always)]
    pub fn select(&mut self, timeout: Option<Duration>) -> Result<SelectResult, Error> {
        let mut left = timeout;
        loop {
            if self.engine.has_backlog() {
                if let Some(result) = self.engine.clear_backlog(&self.table.keys(), self.waker.as_ref()) {
                    return Ok(result);
                }
            }
            let in_steps = self.engine.waits_in_steps(left);
            let count = match self.engine.wait(if in_steps { Some(STEP) } else { left }) {
                Ok(count) => count,
                Err(Ok(result)) if in_steps && result.timed_out() => 0,
                Err(result) => return result,
            };
            if count > 0 {
                if let Some(wake) = &self.waker {
                    if self.engine.take_wake(wake) {
                        return Ok(SelectResult::wake_and(count - 1));
                    }
                }
                if !self.engine.has_zombie() {
                    return Ok(SelectResult::events_only(count));
                }
                if let Some(result) = self.engine.pause_if_stale(self.table.slots(), left, count) {
                    return result;
                }
            }
            left = left.map(|left| left.saturating_sub(STEP));
        }
    }

    /// Waits as [`select`](Self::select) does, until a point in time.
    ///
    /// If the deadline has passed, this does not wait. An event, a wake or a
    /// signal ends the wait early.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`select`](Self::select).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// use std::time::Instant;
    ///
    /// selector.register(ours, Events::READ, ())?;
    /// let deadline = Instant::now() + Duration::from_millis(5);
    /// assert!(selector.select_until(deadline)?.timed_out());
    /// assert!(Instant::now() >= deadline);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "timer")]
    #[doc(alias = "deadline")]
    #[doc(alias = "timeout")]
    #[cfg(feature = "std")]
    pub fn select_until(&mut self, deadline: std::time::Instant) -> Result<SelectResult, Error> {
        loop {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            let result = self.select(Some(left))?;
            // The clock of the wait may be a little ahead of that of the
            // deadline.
            if left.is_zero() || !result.timed_out() {
                return Ok(result);
            }
        }
    }

    /// Returns the next ready key, and the events it is ready for.
    ///
    /// Returns `None` if there is no pending event. You may register, modify
    /// and unregister keys between two calls, because each event is checked
    /// when it is returned:
    ///
    /// - An event of a key that was unregistered or paused is dropped.
    /// - An event of a key that was modified is masked by the new interest.
    ///
    /// This does not make a system call. On kqueue it makes one for a one-shot
    /// in both directions.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// selector.register(ours, Events::READ, "data")?;
    /// theirs.write_all(b"!")?;
    /// selector.select(None)?;
    /// while let Some((key, events)) = selector.next_ready() {
    ///     assert_eq!((key.data, events), ("data", Events::READ));
    ///     drop(key.unregister());
    /// }
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[inline]
    #[allow(unsafe_code)]
    pub fn next_ready(&mut self) -> Option<(KeyMut<'_, Self>, Events)> {
        let keys = self.table.keys();
        let (place, events) = self.engine.next_ready(keys.slots)?;
        // SAFETY: `Engine::next_ready` returns a slot that exists and has a
        // key.
        Some((unsafe { KeyMut::new(&mut self.engine, keys, place) }, events))
    }

    /// Returns the number of pending events, as an upper bound.
    ///
    /// The next [`select`](Self::select) does not wait if any of them has a
    /// key.
    ///
    /// **An outer event loop can't see pending events.** Drain a selector that
    /// is registered in another one, until this is zero or
    /// [`next_ready`](Self::next_ready) returns `None`.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// selector.register(ours, Events::WRITE, ())?;
    /// selector.select(None)?;
    /// assert_eq!(selector.pending(), 1);
    /// assert!(selector.next_ready().is_some());
    /// assert_eq!(selector.pending(), 0);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn pending(&self) -> usize {
        self.engine.backend.pending()
    }

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
        let place = keys.find(key.into())?;
        // SAFETY: `find` returns a slot that exists and has a key.
        Some(unsafe { KeyMut::new(&mut self.engine, keys, place) })
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

    /// Returns a waker, which ends a wait of this selector.
    ///
    /// It can be used by other threads and by signal handlers. The first call
    /// opens a descriptor and uses a slot of the key table. Further calls
    /// return another handle of the same waker.
    ///
    /// This is for selectors that allocate, as those of selectors-std do. For
    /// others there is [`waker_in`](Self::waker_in).
    ///
    /// # Errors
    ///
    /// - Returns [`Error::Os`] with `EMFILE` or `ENFILE` if no descriptor is
    ///   free.
    /// - Returns [`Error::Full`], [`Error::FdOutOfRange`] or [`Error::Os`] as
    ///   [`register`](Self::register) does.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{Selector, WakeCell, backend::Poll, storage::{FixedList, Scan, Storage}};
    /// # enum Growable {} // as that of selectors-std, which this crate can't use
    /// # // SAFETY: a list and an index of this crate, and an `Arc` and its clones lead to one cell.
    /// # unsafe impl Storage for Growable {
    /// #     type List<T> = FixedList<T, 4>;
    /// #     type Index = Scan;
    /// #     type Wake = std::sync::Arc<WakeCell>;
    /// # }
    /// # let mut selector = Selector::<Poll<Growable>, std::net::TcpStream, (), Growable>::new()?;
    /// let waker = selector.waker()?;
    /// std::thread::spawn(move || waker.wake());
    /// assert!(selector.select(None)?.woken());
    /// # }
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    #[doc(alias = "eventfd")]
    #[doc(alias = "EVFILT_USER")]
    #[doc(alias = "KQ_FILTER_SIGNAL")]
    #[doc(alias = "set_wakeup_fd")]
    #[doc(alias = "notify")]
    pub fn waker(&mut self) -> Result<Waker<M::Wake>, Error>
    where
        M::Wake: Default,
    {
        match &self.waker {
            Some(wake) => Ok(wake.cell.waker()),
            None => self.waker_in(M::Wake::default()),
        }
    }

    /// Returns a waker for this selector, with its state in the given cell.
    ///
    /// A cell serves one selector at a time. It is free again when that
    /// selector is dropped. The first call opens a descriptor and uses a slot
    /// of the key table. Further calls return another handle of the same waker.
    ///
    /// A forked child may use a cell that the parent's selector holds. See
    /// [`WakeCell`](crate::WakeCell#fork).
    ///
    /// # Errors
    ///
    /// - Returns [`Error::WakerInUse`] if another selector of this process
    ///   holds the cell, or if this selector has another cell.
    /// - Returns [`Error::AlreadyRegistered`] if the waker's descriptor got the
    ///   number of a raw registration that was closed without the selector's
    ///   knowledge. Unregister that one, and call this again.
    /// - Returns [`Error::Os`] with `EMFILE` or `ENFILE` if no descriptor is
    ///   free.
    /// - Returns [`Error::Full`], [`Error::FdOutOfRange`] or [`Error::Os`] as
    ///   [`register`](Self::register) does.
    ///
    /// # Examples
    ///
    /// ```
    /// # use selectors_core::{DefaultSelector, WakeCell};
    ///
    /// static WAKE: WakeCell = WakeCell::new();
    ///
    /// let mut selector = DefaultSelector::<rustix::fd::OwnedFd, (), 4>::new()?;
    /// let waker = selector.waker_in(&WAKE)?;
    /// waker.wake()?; // or WAKE.wake(), in a signal handler
    /// let result = selector.select(None)?; // returns immediately
    /// assert!(result.woken() && result.events() == 0); // a wake has no key
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub fn waker_in(&mut self, cell: M::Wake) -> Result<Waker<M::Wake>, Error> {
        if let Some(Wake { cell: held, .. }) = &self.waker {
            return if held.holds(&cell) { Ok(held.waker()) } else { Err(Error::WakerInUse) };
        }
        // From here on, dropping `held` frees the cell.
        let held = Attached::new(cell)?;
        let fd = held.hold().watched().ok_or(Error::WakerClosed)?;
        if self.table.get(fd.as_raw_fd().into()).is_some() {
            // Unregistering the closed one would remove the waker from the
            // kernel's set.
            return Err(Error::AlreadyRegistered { fd: fd.as_raw_fd() });
        }
        self.table.grow();
        // This calls code of the storage. So do it before the kernel knows the
        // descriptor.
        let waker = held.waker();
        let token = self.engine.register_waker(self.table.keys(), fd)?;
        self.waker = Some(Wake { cell: held, token });
        Ok(waker)
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
