use core::fmt;
use core::str::FromStr;

use rustix::event::Timespec;
use rustix::fd::BorrowedFd;
use rustix::io;

use super::{Backend, Poll, Queue, Rebuilt, Sets};
use crate::error::Error;
use crate::events::{Events, Interest};
use crate::platform::{HALF_CLOSE, POLL_ERROR, POLL_HANGUP, is_shortage};
use crate::storage::{Fixed, Storage};
use crate::table::{Token, Watched};

/// The kind of a backend, named by its system call.
///
/// It is parsed from that name, for configuration files, and says what the
/// backend supports.
///
/// # Examples
///
/// ```
/// use selectors_core::Kind;
///
/// let kind: Kind = "poll".parse()?;
/// assert_eq!(kind, Kind::Poll);
/// assert!(!kind.supports_edge() && kind.is_available());
/// assert!("iocp".parse::<Kind>().is_err());
/// # Ok::<(), selectors_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Linux's epoll.
    Epoll,
    /// The kqueue of the BSDs and Apple.
    Kqueue,
    /// POSIX's poll.
    Poll,
    /// POSIX's select.
    Select,
}

impl Kind {
    /// All kinds, the best first.
    ///
    /// ```
    /// use selectors_core::Kind;
    /// for kind in Kind::ALL.iter().filter(|kind| kind.is_available()) {
    ///     println!("{kind} can be chosen here");
    /// }
    /// ```
    pub const ALL: &[Self] = &[Self::Epoll, Self::Kqueue, Self::Poll, Self::Select];

    /// Returns the name of the system call.
    ///
    /// It is `epoll`, `kqueue`, `poll` or `select`.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(selectors_core::Kind::Kqueue.name(), "kqueue");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Epoll => "epoll",
            Self::Kqueue => "kqueue",
            Self::Poll => "poll",
            Self::Select => "select",
        }
    }

    /// Returns the name of the call that waits, as in errors.
    pub(crate) const fn call(self) -> &'static str {
        match self {
            Self::Epoll => "epoll_wait",
            Self::Kqueue => "kevent",
            Self::Poll => "poll",
            Self::Select => "select",
        }
    }

    /// Returns whether this platform has the backend.
    ///
    /// The kernel may still forbid it.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(selectors_core::Kind::Poll.is_available()); // everywhere
    /// ```
    #[must_use]
    pub fn is_available(self) -> bool {
        let here = [Queue::<1>::KIND, Poll::<Fixed<1>>::KIND, Sets::<Fixed<1>>::KIND];
        here.contains(&Some(self))
    }

    /// Returns whether [`Mode::Edge`](crate::Mode::Edge) can be requested.
    ///
    /// # Examples
    ///
    /// ```
    /// use selectors_core::Kind;
    /// assert!(Kind::Epoll.supports_edge() && !Kind::Select.supports_edge());
    /// ```
    #[must_use]
    pub const fn supports_edge(self) -> bool {
        matches!(self, Self::Epoll | Self::Kqueue)
    }

    /// Returns whether [`Events::PRIORITY`] can be requested.
    ///
    /// # Examples
    ///
    /// ```
    /// use selectors_core::Kind;
    /// assert!(Kind::Select.supports_priority() && !Kind::Kqueue.supports_priority());
    /// ```
    #[must_use]
    pub const fn supports_priority(self) -> bool {
        !matches!(self, Self::Kqueue)
    }

    /// Returns whether [`Events::READ_HANGUP`] can be requested alone.
    ///
    /// Together with [`Events::READ`] it can be requested everywhere.
    ///
    /// # Examples
    ///
    /// ```
    /// use selectors_core::Kind;
    /// assert!(Kind::Epoll.supports_read_hangup());
    /// assert!(!Kind::Select.supports_read_hangup());
    /// ```
    #[must_use]
    pub const fn supports_read_hangup(self) -> bool {
        match self {
            Self::Epoll => true,
            Self::Poll => !HALF_CLOSE.is_empty(),
            Self::Kqueue | Self::Select => false,
        }
    }

    /// Returns whether [`Events::HANGUP`] is reported.
    ///
    /// Otherwise a hang-up is reported as readiness only. For poll this returns
    /// false on NetBSD and Windows. NetBSD's poll reports hang-ups of pipes,
    /// but not of sockets.
    ///
    /// # Examples
    ///
    /// ```
    /// use selectors_core::Kind;
    /// assert!(Kind::Epoll.reports_hangup() && !Kind::Select.reports_hangup());
    /// ```
    #[must_use]
    pub const fn reports_hangup(self) -> bool {
        match self {
            Self::Epoll | Self::Kqueue => true,
            Self::Poll => POLL_HANGUP,
            Self::Select => false,
        }
    }

    /// Returns whether [`Events::ERROR`] is reported.
    ///
    /// Otherwise an error is reported as readiness or a hang-up only. The poll
    /// of the BSDs and of Apple's systems does so.
    ///
    /// # Examples
    ///
    /// ```
    /// use selectors_core::Kind;
    /// assert!(Kind::Epoll.reports_error() && !Kind::Kqueue.reports_error());
    /// ```
    #[must_use]
    pub const fn reports_error(self) -> bool {
        match self {
            Self::Epoll => true,
            Self::Poll => POLL_ERROR,
            Self::Kqueue | Self::Select => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name).ok_or(Error::UnknownBackend)
    }
}

/// A backend that is chosen when the program runs.
///
/// [`Selector::new`](crate::Selector::new) chooses the first of [`Kind::ALL`]
/// whose system calls the kernel permits, as Python does: to create it, to add
/// to it and to wait. A seccomp filter may forbid any of them, and an emulator
/// or an old kernel may lack them.
/// [`Selector::of_kind`](crate::Selector::of_kind) opens the named one.
/// [`Selector::kind`](crate::Selector::kind) returns which one it is.
///
/// # Examples
///
/// ```
/// use rustix::fd::OwnedFd;
/// use selectors_core::AnySelector;
///
/// let selector = AnySelector::<OwnedFd, (), 4>::new()?;
/// println!("the kernel permits {}", selector.kind());
/// # Ok::<(), selectors_core::Error>(())
/// ```
pub struct Any<M: Storage, const BATCH: usize = 64>(Inner<M, BATCH>);

// The one with the batch is nearly always used. Without an allocator there is
// no box for it anyway.
#[allow(clippy::large_enum_variant)]
enum Inner<M: Storage, const BATCH: usize> {
    Queue(Queue<BATCH>),
    Poll(Poll<M>),
    Select(Sets<M>),
}

impl<M: Storage, const BATCH: usize> Any<M, BATCH> {
    /// Opens the backend of this kind.
    ///
    /// # Safety
    ///
    /// As [`Backend::new`].
    #[allow(unsafe_code)]
    pub(crate) unsafe fn of_kind(kind: Kind) -> Result<Self, Error> {
        let kind = Some(kind);
        // SAFETY: the caller keeps the promises, which are the same for each of
        // them.
        let inner = unsafe {
            if kind == Queue::<BATCH>::KIND {
                Inner::Queue(Queue::new()?)
            } else if kind == Poll::<M>::KIND {
                Inner::Poll(Poll::new()?)
            } else if kind == Sets::<M>::KIND {
                Inner::Select(Sets::new()?)
            } else {
                return Err(Error::UnknownBackend);
            }
        };
        Ok(Self(inner))
    }

    pub(crate) fn fileno(&self) -> Option<BorrowedFd<'_>> {
        match &self.0 {
            Inner::Queue(queue) => Some(rustix::fd::AsFd::as_fd(queue)),
            Inner::Poll(_) | Inner::Select(_) => None,
        }
    }
}

#[allow(unsafe_code)]
// SAFETY: each method is that of the backend inside.
unsafe impl<M: Storage, const BATCH: usize> Backend for Any<M, BATCH> {
    const KIND: Option<Kind> = None;

    unsafe fn new() -> Result<Self, Error> {
        let mut refusal = Error::UnknownBackend;
        for &kind in Kind::ALL.iter().filter(|kind| kind.is_available()) {
            // SAFETY: the caller keeps the promises.
            let opened = unsafe { Self::of_kind(kind) };
            let probed = opened.and_then(|mut backend| backend.probe().map(|()| backend));
            match probed {
                // A shortage is no reason to use the next one, which would be
                // slower for as long as the program runs.
                Ok(_) => return probed,
                Err(Error::Os { errno, .. }) if is_shortage(errno) => return probed,
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    fn kind(&self) -> Kind {
        match &self.0 {
            Inner::Queue(queue) => queue.kind(),
            Inner::Poll(poll) => poll.kind(),
            Inner::Select(select) => select.kind(),
        }
    }

    fn probe(&mut self) -> Result<(), Error> {
        match &mut self.0 {
            Inner::Queue(queue) => queue.probe(),
            Inner::Poll(poll) => poll.probe(),
            Inner::Select(select) => select.probe(),
        }
    }

    unsafe fn add(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> Result<(), Error> {
        // SAFETY: the caller keeps the promise.
        unsafe {
            match &mut self.0 {
                Inner::Queue(queue) => queue.add(fd, token, interest),
                Inner::Poll(poll) => poll.add(fd, token, interest),
                Inner::Select(select) => select.add(fd, token, interest),
            }
        }
    }

    unsafe fn modify(&mut self, old: &Watched<'_>, new: Interest) -> Result<(), Error> {
        // SAFETY: the caller keeps the promise.
        unsafe {
            match &mut self.0 {
                Inner::Queue(queue) => queue.modify(old, new),
                Inner::Poll(poll) => poll.modify(old, new),
                Inner::Select(select) => select.modify(old, new),
            }
        }
    }

    fn is_watched(&self, registration: &Watched<'_>) -> bool {
        match &self.0 {
            Inner::Queue(queue) => queue.is_watched(registration),
            Inner::Poll(poll) => poll.is_watched(registration),
            Inner::Select(select) => select.is_watched(registration),
        }
    }

    fn remove(&mut self, old: &Watched<'_>) {
        match &mut self.0 {
            Inner::Queue(queue) => queue.remove(old),
            Inner::Poll(poll) => poll.remove(old),
            Inner::Select(select) => select.remove(old),
        }
    }

    fn disarm(&mut self, fired: &Watched<'_>) {
        match &mut self.0 {
            Inner::Queue(queue) => queue.disarm(fired),
            Inner::Poll(poll) => poll.disarm(fired),
            Inner::Select(select) => select.disarm(fired),
        }
    }

    fn wait(&mut self, timeout: Option<&Timespec>) -> io::Result<usize> {
        match &mut self.0 {
            Inner::Queue(queue) => queue.wait(timeout),
            Inner::Poll(poll) => poll.wait(timeout),
            Inner::Select(select) => select.wait(timeout),
        }
    }

    fn peek(&mut self) -> Option<(Token, Events)> {
        match &mut self.0 {
            Inner::Queue(queue) => queue.peek(),
            Inner::Poll(poll) => poll.peek(),
            Inner::Select(select) => select.peek(),
        }
    }

    fn advance(&mut self) {
        match &mut self.0 {
            Inner::Queue(queue) => queue.advance(),
            Inner::Poll(poll) => poll.advance(),
            Inner::Select(select) => select.advance(),
        }
    }

    fn pending(&self) -> usize {
        match &self.0 {
            Inner::Queue(queue) => queue.pending(),
            Inner::Poll(poll) => poll.pending(),
            Inner::Select(select) => select.pending(),
        }
    }

    fn take_wake(&mut self, token: Token) -> bool {
        match &mut self.0 {
            Inner::Queue(queue) => queue.take_wake(token),
            Inner::Poll(poll) => poll.take_wake(token),
            Inner::Select(select) => select.take_wake(token),
        }
    }

    unsafe fn rebuild<'a>(&mut self, watched: impl Iterator<Item = Watched<'a>>) -> Rebuilt {
        match &mut self.0 {
            // SAFETY: the caller keeps the promise.
            Inner::Queue(queue) => unsafe { queue.rebuild(watched) },
            Inner::Poll(_) | Inner::Select(_) => Rebuilt::Unneeded,
        }
    }
}

impl<M: Storage, const BATCH: usize> fmt::Debug for Any<M, BATCH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Queue(queue) => queue.fmt(f),
            Inner::Poll(poll) => poll.fmt(f),
            Inner::Select(select) => select.fmt(f),
        }
    }
}
