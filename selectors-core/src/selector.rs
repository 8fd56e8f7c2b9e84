use core::fmt;
use core::mem::MaybeUninit;
use core::time::Duration;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use crate::backend::{Any, Backend, Kind};
use crate::engine::{Engine, Stats};
use crate::error::{Error, RegisterError};
use crate::events::{Events, Interest};
use crate::key::{Fileno, KeyMut, SelectorKey};
use crate::map::KeyMap;
use crate::storage::Storage;
use crate::table::Table;
use crate::waker::{Attached, Waker};

/// Waits until some of many descriptors are ready.
///
/// A selector owns what it watches: [`register`](Self::register) moves a source in, with the caller's data,
/// [`unregister`](Self::unregister) gives both back. So a watched descriptor can't be closed, nor its number reused,
/// by safe code, and a program needs no second map. The loop of a program is
///
/// ```
/// # #[cfg(feature = "std")] {
/// # use selectors_core::{DefaultSelector, Events};
/// # use std::io::{Read, Write};
/// # let (ours, mut theirs) = std::os::unix::net::UnixStream::pair()?;
/// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
/// # selector.register(ours, Events::READ, 0_usize)?;
/// # theirs.write_all(b"hello")?;
/// # drop(theirs);
/// # let mut buffer = [0; 64];
/// while !selector.get_map().is_empty() {
///     selector.select(None)?;
///     while let Some((key, _events)) = selector.next_ready() {
///         let (fd, mut peer) = (key.fd, key.fileobj); // &UnixStream reads and writes
///         match peer.read(&mut buffer)? {
///             0 => drop(selector.unregister(fd)?), // closed here: the key owned it
///             n => *key.data += n,
///         }
///     }
/// }
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Nobody names this type; so never mind its four parameters. [`DefaultSelector`](crate::DefaultSelector) is the best one of the platform; `EpollSelector`,
/// `KqueueSelector`, [`PollSelector`](crate::PollSelector) and `SelectSelector` name their system call, and
/// [`AnySelector`](crate::AnySelector) is chosen when the program runs. All have the same methods and keep the same contract. `S` is the
/// source, often an enum of one's own, and `D` the data; `B` is how the kernel is asked, `M` how keys are stored.
///
/// The examples leave out how the selector is made: `DefaultSelector::new()?` of selectors-std, or
/// `DefaultSelector::<_, _, 64>::new()?` of selectors-core, with a capacity.
///
/// Dropping a selector closes the kernel object first, then the sources.
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
/// It can go to another thread if its sources and data can:
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
/// goes::<DefaultSelector<Rc<File>, Arc<str>, 4>>(); // `Rc<File>` cannot be sent between threads safely
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
    waker: Option<Attached<M::Wake>>,
    table: Table<S, D, M>,
}

impl<B: Backend, S, D, M: Storage> Selector<B, S, D, M> {
    /// Opens a selector that watches nothing.
    ///
    /// Stands for `epoll_create1` or `kqueue`, close-on-exec; poll and select need no kernel object.
    ///
    /// # Errors
    ///
    /// [`Error::Os`]: no descriptor is free (`EMFILE`, `ENFILE`), or the call is forbidden or
    /// unknown (`EPERM`, `ENOSYS`); [`AnySelector`](crate::AnySelector) takes another one then.
    ///
    /// ```
    /// # use rustix::fd::OwnedFd;
    /// # use selectors_core::DefaultSelector;
    /// // In selectors-core: sources are OwnedFds, there is no data, and room for 64 of them.
    /// // In selectors-std: DefaultSelector::<OwnedFd>::new(), or DefaultSelector::new(), as register says the rest.
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

    /// As `new`, in the memory where it is going to stay: no part is made elsewhere and moved.
    #[allow(unsafe_code)]
    pub(crate) fn new_in(memory: &mut MaybeUninit<Self>) -> Result<&mut Self, Error> {
        let selector = memory.as_mut_ptr();
        // SAFETY: the fields of memory that is borrowed for writing, each written before the whole is called a selector. If
        // there is no engine, none of them needs to be dropped: the other two are not written yet.
        unsafe {
            Engine::<B>::new_in(&mut *(&raw mut (*selector).engine).cast())?;
            (&raw mut (*selector).waker).write(None);
            (&raw mut (*selector).table).write(Table::new());
            Ok(&mut *selector)
        }
    }

    /// Which backend this is, and with it what it supports.
    ///
    /// ```
    /// # use selectors_core::{Kind, PollSelector};
    /// let selector = PollSelector::<rustix::fd::OwnedFd, (), 4>::new()?;
    /// assert_eq!(selector.kind(), Kind::Poll);
    /// assert!(!selector.kind().supports_edge());
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub fn kind(&self) -> Kind {
        self.engine.backend.kind()
    }

    /// Begins to watch `fileobj` for `events`, and keeps it together with `data`.
    ///
    /// `events` is [`Events::READ`], [`Events::WRITE`], [`Events::PRIORITY`] or several of them; with
    /// [`edge`](Events::edge) or [`one_shot`](Events::one_shot) behind it not level-triggered. Anything with a descriptor
    /// is a source: owned, borrowed, shared (`&T`, `Rc`, `Arc`) or boxed, but one number can be registered only once. One
    /// system call on epoll, one per event on kqueue.
    ///
    /// # Errors
    ///
    /// Each gives the source and the data back and leaves the selector as it was.
    ///
    /// - [`Error::InvalidEvents`]: `events` is empty or has bits that are only told.
    /// - [`Error::Unsupported`]: the backend can't tell these events, or not in this mode.
    /// - [`Error::AlreadyRegistered`]: the descriptor is registered, perhaps through another object.
    /// - [`Error::Full`]: a fixed table has no room.
    /// - [`Error::FdOutOfRange`]: the descriptor is too large for `select`.
    /// - [`Error::Os`]: the kernel refused; for instance a regular file on epoll (`EPERM`).
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Error, Events};
    /// let (one, two) = std::os::unix::net::UnixStream::pair()?;
    /// let mut selector = DefaultSelector::<_, _, 1>::new()?; // of selectors-core, with room for one
    /// selector.register(one, Events::READ, "first")?;
    /// let refused = selector.register(two, Events::READ, "second").unwrap_err();
    /// assert_eq!(refused.error, Error::Full { capacity: 1 });
    /// let (_two, data) = (refused.fileobj, refused.data); // nothing is lost
    /// assert_eq!(data, "second");
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "epoll_ctl")]
    #[doc(alias = "EPOLL_CTL_ADD")]
    #[doc(alias = "EV_ADD")]
    #[doc(alias = "KQ_EV_ADD")]
    #[doc(alias = "kevent")]
    pub fn register(
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
    }

    /// As [`register`](Self::register), for a bare number or whatever else only vouches for one.
    ///
    /// # Safety
    ///
    /// The descriptor stays open, and its number this same file's, until it is unregistered or
    /// the selector dropped.
    ///
    /// (Should it be closed all the same, the selector keeps its head: see the notes on closed
    /// descriptors at [`select`](Self::select). But code elsewhere that owns the number's next file could find
    /// it being watched.)
    ///
    /// # Errors
    ///
    /// As `register`; a negative number is [`Error::InvalidFd`], a closed one [`Error::Os`] with `EBADF`, on every
    /// backend.
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
    /// assert_eq!(selector.select(None)?, 1);
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
    ) -> Result<&SelectorKey<S, D>, RegisterError<S, D>>
    where
        S: AsRawFd,
    {
        let fd = fileobj.as_raw_fd();
        self.insert(SelectorKey::new(fileobj, fd, events.into(), data))
    }

    fn insert(&mut self, key: SelectorKey<S, D>) -> Result<&SelectorKey<S, D>, RegisterError<S, D>> {
        let wakers = self.waker.as_ref().and_then(|held| held.hold().watched()).map(|fd| fd.as_raw_fd());
        self.table.grow();
        self.engine.register(self.table.keys(), key, wakers)
    }

    /// Watches a registered descriptor for something else from now on, and re-arms a one-shot that fired.
    ///
    /// No system call when that is what is asked already. Events of the last wait that were not taken
    /// yet are told only as far as they are still asked for. The data is not touched:
    /// [`get_key_mut`](Self::get_key_mut) changes it.
    ///
    /// # Errors
    ///
    /// All is then as before.
    ///
    /// - [`Error::InvalidEvents`], [`Error::Unsupported`]: as for `register`.
    /// - [`Error::NotRegistered`]: the descriptor is not.
    /// - [`Error::Os`]: the kernel refused; `EBADF` or `ENOENT` when the descriptor was closed behind the
    ///   selector's back.
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// let fd = selector.register(ours, Events::READ, b"to be sent".to_vec())?.fd;
    /// selector.modify(fd, Events::READ | Events::WRITE)?; // there is something to write
    /// selector.select(None)?;
    /// while let Some((key, events)) = selector.next_ready() {
    ///     let mut stream = key.fileobj;
    ///     if events.contains(Events::WRITE) {
    ///         let sent = stream.write(key.data)?;
    ///         key.data.drain(..sent);
    ///         if key.data.is_empty() {
    ///             selector.modify(fd, Events::READ)?; // or every wait would return at once
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
    pub fn modify(&mut self, fileobj: impl Fileno, events: impl Into<Interest>) -> Result<(), Error> {
        self.engine.modify(self.table.keys(), fileobj.fileno(), events.into())
    }

    /// Ends the watching of a descriptor, and gives its source and data back.
    ///
    /// Works, too, when the descriptor was closed meanwhile. Events of it that were not taken yet are dropped.
    ///
    /// # Errors
    ///
    /// [`Error::NotRegistered`]: the descriptor is not.
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// selector.register(ours, Events::READ, "data")?;
    /// # let fd = selector.get_map().iter().map(|key| key.fd).next().unwrap();
    /// let key = selector.unregister(fd)?;
    /// let (_stream, data) = (key.fileobj, key.data); // to be used elsewhere; a dropped key closes it
    /// assert_eq!(data, "data");
    /// assert!(selector.unregister(fd).is_err());
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "EPOLL_CTL_DEL")]
    #[doc(alias = "EV_DELETE")]
    #[doc(alias = "KQ_EV_DELETE")]
    #[doc(alias = "deregister")]
    #[doc(alias = "delete")]
    pub fn unregister(&mut self, fileobj: impl Fileno) -> Result<SelectorKey<S, D>, Error> {
        self.engine.unregister(self.table.keys(), fileobj.fileno())
    }

    /// Waits until a registered descriptor is ready, a waker wakes, or the timeout has passed.
    ///
    /// Answers how many there are to take with [`next_ready`](Self::next_ready), at most: 0 when the time has passed or a
    /// signal arrived; a wake counts as one. `None` waits for ever, zero not at all. The wait never ends before
    /// its time; it is exact to what the scheduler can do below a millisecond, and on epoll rounded up to whole
    /// milliseconds above that.
    ///
    /// Events that were not taken after the last wait come first: then there is no waiting and no
    /// system call. Else the call is one `epoll_wait`, `poll`, `select` or `kevent` (two with epoll and a timeout below a
    /// millisecond).
    ///
    /// **Closed descriptors.** Safe code can't close what is registered. A raw registration can be closed behind
    /// the selector's back, and a duplicate of it live on; epoll then tells its events for ever, though it was
    /// unregistered. The selector recognises these by their registration's number, tells nobody, and at the next wait
    /// makes its epoll instance anew. On poll and select a closed descriptor goes silent.
    ///
    /// # Errors
    ///
    /// - [`Error::Os`]: the kernel refused.
    /// - [`Error::Replaced`]: the epoll instance was made anew while its descriptor may be watched from
    ///   outside. The selector works on; this is told once.
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// selector.register(ours, Events::READ, ())?;
    /// assert_eq!(selector.select(Some(Duration::from_micros(100)))?, 0); // the time has passed
    /// theirs.write_all(b"!")?;
    /// assert_eq!(selector.select(None)?, 1);
    /// assert_eq!(selector.select(None)?, 1); // not taken, so still there
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
    // A program has one call of it, in its loop. Inlined there, most of the work on the timeout, which is known, and on the
    // result, which is looked at once, goes away; what is rare stays outside. And no `ret` follows the system call: on
    // kernels that guard their returns against speculation one costs more than all the rest of this, 40 ns when nothing
    // was ready and 140 ns when something was.
    #[inline(always)]
    pub fn select(&mut self, timeout: Option<Duration>) -> Result<usize, Error> {
        let mut left = timeout;
        loop {
            if self.engine.has_backlog() {
                let wake = self.waker.as_ref().map(Attached::wake);
                let pending = self.engine.clear_backlog(&self.table.keys(), wake)?;
                if pending > 0 {
                    return Ok(pending);
                }
            }
            let count = self.engine.wait(left)?;
            if count == 0 {
                return Ok(0);
            }
            let wake = self.waker.as_ref().map(Attached::wake);
            let woken = wake.is_some_and(|wake| self.engine.take_wake(wake));
            if woken || !self.engine.has_zombie() {
                return Ok(count);
            }
            match self.engine.pause_if_stale(self.table.slots()) {
                Ok(false) => return Ok(count),
                Ok(true) if left == Some(Duration::ZERO) => return Ok(0),
                Ok(true) => {}
                Err(errno) => return self.engine.end_wait(errno, "poll"),
            }
            // What passed before the first stale event is not known, and not subtracted.
            left = left.map(|left| left.saturating_sub(Duration::from_millis(1)));
        }
    }

    /// Takes the next of the ready descriptors: its key, and what it is ready for.
    ///
    /// `None` when all that the last [`select`](Self::select) found has been taken. Each event is looked at when it is
    /// taken: one for a key that was unregistered since the wait is dropped, one for a key that was modified is cut down
    /// to what is asked now. So anything may be registered, modified and unregistered between two calls. No
    /// system call.
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// selector.register(&ours, Events::READ, ())?;
    /// theirs.write_all(b"!")?;
    /// selector.select(None)?;
    /// while let Some((key, events)) = selector.next_ready() {
    ///     assert_eq!(events, Events::READ);
    ///     let fd = key.fd; // the key borrows the selector, the number doesn't
    ///     drop(selector.unregister(fd)?);
    /// }
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[inline]
    pub fn next_ready(&mut self) -> Option<(KeyMut<'_, S, D>, Events)> {
        self.engine.next_ready(self.table.slots_mut())
    }

    /// The key of a descriptor, or `None`, where Python raises `KeyError`. No system call.
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
    pub fn get_key(&self, fileobj: impl Fileno) -> Option<&SelectorKey<S, D>> {
        self.table.get(fileobj.fileno())
    }

    /// The key of a descriptor, with its data to change. No system call.
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// selector.register(&ours, Events::READ, 1)?;
    /// if let Some(key) = selector.get_key_mut(&ours) {
    ///     *key.data += 1;
    /// }
    /// assert_eq!(selector.unregister(&ours)?.data, 2);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn get_key_mut(&mut self, fileobj: impl Fileno) -> Option<KeyMut<'_, S, D>> {
        self.table.get_mut(fileobj.fileno()).map(SelectorKey::as_key_mut)
    }

    /// All keys: a live, read-only map from descriptors.
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

    /// What the selector has done so far.
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

    /// A waker for this selector: ends its wait from other threads and from signal handlers.
    ///
    /// The first call opens a descriptor and takes a place in the key table; further ones
    /// return another handle of the same. For storages that allocate; the others use
    /// [`waker_in`](Self::waker_in).
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::FdOutOfRange`], [`Error::Os`], as for [`register`](Self::register).
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{Selector, WakeCell, backend::Poll, storage::{Scan, Storage}};
    /// # enum Growable {} // as that of selectors-std, which this crate can't use
    /// # impl Storage for Growable {
    /// #     type List<T> = heapless::Vec<T, 4>;
    /// #     type Index = Scan;
    /// #     type Wake = std::sync::Arc<WakeCell>;
    /// # }
    /// # let mut selector = Selector::<Poll<Growable>, std::net::TcpStream, (), Growable>::new()?;
    /// let waker = selector.waker()?;
    /// std::thread::spawn(move || waker.wake());
    /// selector.select(None)?; // returns when the thread has woken it
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
            Some(held) => Ok(held.waker()),
            None => self.waker_in(M::Wake::default()),
        }
    }

    /// A waker for this selector, with its state in the given cell.
    ///
    /// A cell serves one selector at a time; after that
    /// was dropped it may be given to another.
    ///
    /// # Errors
    ///
    /// - [`Error::WakerInUse`]: another selector has the cell, or this selector another cell.
    /// - [`Error::AlreadyRegistered`]: the waker's descriptor got the number of a raw registration that was closed
    ///   behind the selector's back. Unregister that one, and ask again.
    /// - [`Error::Full`], [`Error::FdOutOfRange`], [`Error::Os`], as for [`register`](Self::register).
    ///
    /// ```
    /// # use selectors_core::{DefaultSelector, WakeCell};
    ///
    /// static WAKE: WakeCell = WakeCell::new();
    ///
    /// let mut selector = DefaultSelector::<rustix::fd::OwnedFd, (), 4>::new()?;
    /// let waker = selector.waker_in(&WAKE)?;
    /// waker.wake()?; // or WAKE.wake(), in a signal handler
    /// selector.select(None)?; // returns at once
    /// assert!(selector.next_ready().is_none()); // a wake has no key
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub fn waker_in(&mut self, cell: M::Wake) -> Result<Waker<M::Wake>, Error> {
        if let Some(held) = &self.waker {
            return if held.holds(&cell) { Ok(held.waker()) } else { Err(Error::WakerInUse) };
        }
        // From here on dropping it sets the cell free.
        let mut held = Attached::new(cell)?;
        let fd = held.hold().watched().ok_or(Error::WakerClosed)?;
        if self.table.get(fd.as_raw_fd()).is_some() {
            // To unregister the closed one would take the waker out of the kernel's set.
            return Err(Error::AlreadyRegistered { fd: fd.as_raw_fd() });
        }
        self.table.grow();
        held.token = self.engine.register_waker(self.table.keys(), fd)?;
        let waker = held.waker();
        self.waker = Some(held);
        Ok(waker)
    }

    /// Ends all: closes the kernel object, then the sources. As dropping it does, so it is seldom needed.
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// selector.register(ours, Events::READ, ())?;
    /// selector.close();
    /// assert_eq!(theirs.read(&mut [0])?, 0); // the other end was closed
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "__exit__")]
    pub fn close(self) {}
}

impl<S, D, M: Storage, const BATCH: usize> Selector<Any<M, BATCH>, S, D, M> {
    /// Opens a selector with the backend that is named.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownBackend`]: the platform has none of that kind. [`Error::Os`]: see [`new`](Self::new).
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
        // SAFETY: the engine keeps the promises, and gives the backend to no other code.
        let engine = Engine::with_backend(unsafe { Any::of_kind(kind)? });
        Ok(Self { engine, waker: None, table: Table::new() })
    }

    /// The selector's own descriptor, if its backend has one: epoll and kqueue.
    ///
    /// The selectors that are always on epoll or kqueue implement `AsFd` and `AsRawFd` instead.
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

/// The selector's own descriptor, Python's `fileno()`: readable when something is ready, so that the selector can be
/// registered in another one. epoll and kqueue only. Close-on-exec.
///
/// ```
/// # #[cfg(all(feature = "std", target_os = "linux"))] {
/// # use selectors_core::{EpollSelector, Events};
/// use std::{io::Write, os::unix::net::UnixStream};
///
/// let (ours, mut theirs) = UnixStream::pair()?;
/// let mut inner = EpollSelector::<_, _, 4>::new()?;
/// inner.register(ours, Events::READ, ())?;
/// let mut outer = EpollSelector::<_, _, 4>::new()?;
/// outer.register(inner, Events::READ, ())?;
/// theirs.write_all(b"!")?;
/// assert_eq!(outer.select(None)?, 1);
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

/// Names the backend and lists the keys, whatever sources and data are.
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
