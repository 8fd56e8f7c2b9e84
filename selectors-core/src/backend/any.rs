use core::fmt;
use core::str::FromStr;

use rustix::event::Timespec;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;

use super::{Backend, Poll, Queue, Sets};
use crate::error::Error;
use crate::events::{Events, Interest};
use crate::storage::{Fixed, Storage};
use crate::table::{Token, Watched};

/// The kinds of backends, by their system calls' names.
///
/// Parsed from those names, for configuration files, and says what each of them can.
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
    /// for kind in selectors_core::Kind::ALL.into_iter().filter(|kind| kind.is_available()) {
    ///     println!("{kind} can be chosen here");
    /// }
    /// ```
    pub const ALL: [Self; 4] = [Self::Epoll, Self::Kqueue, Self::Poll, Self::Select];

    /// The name: `epoll`, `kqueue`, `poll` or `select`.
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

    /// Whether this platform has it; the kernel may still forbid it.
    ///
    /// ```
    /// assert!(selectors_core::Kind::Poll.is_available()); // everywhere
    /// ```
    #[must_use]
    pub fn is_available(self) -> bool {
        let here = [Queue::<1>::KIND, Poll::<Fixed<1>>::KIND, Sets::<Fixed<1>>::KIND];
        here.contains(&Some(self))
    }

    /// Whether [`Mode::Edge`](crate::Mode::Edge) can be asked for.
    ///
    /// ```
    /// use selectors_core::Kind;
    /// assert!(Kind::Epoll.supports_edge() && !Kind::Select.supports_edge());
    /// ```
    #[must_use]
    pub const fn supports_edge(self) -> bool {
        matches!(self, Self::Epoll | Self::Kqueue)
    }

    /// Whether [`Events::PRIORITY`] can be asked for.
    ///
    /// ```
    /// use selectors_core::Kind;
    /// assert!(Kind::Select.supports_priority() && !Kind::Kqueue.supports_priority());
    /// ```
    #[must_use]
    pub const fn supports_priority(self) -> bool {
        !matches!(self, Self::Kqueue)
    }

    /// Whether [`Events::HANGUP`] is told apart from plain readiness.
    ///
    /// ```
    /// use selectors_core::Kind;
    /// assert!(Kind::Poll.tells_hangup() && !Kind::Select.tells_hangup());
    /// ```
    #[must_use]
    pub const fn tells_hangup(self) -> bool {
        !matches!(self, Self::Select)
    }

    /// Whether [`Events::ERROR`] is told apart from plain readiness.
    ///
    /// ```
    /// use selectors_core::Kind;
    /// assert!(Kind::Epoll.tells_error() && !Kind::Kqueue.tells_error());
    /// ```
    #[must_use]
    pub const fn tells_error(self) -> bool {
        matches!(self, Self::Epoll | Self::Poll)
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
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(Error::UnknownBackend)
    }
}

/// A backend chosen when the program runs: by probing, as Python does, or by name.
///
/// [`Selector::new`](crate::Selector::new) takes the first of [`Kind::ALL`] that the kernel grants: epoll may be
/// forbidden by a seccomp filter, or unknown to an emulator. [`Selector::of_kind`](crate::Selector::of_kind) takes the one
/// that is named. [`Selector::kind`](crate::Selector::kind) says which one it is.
///
/// ```
/// let selector = selectors_core::AnySelector::<rustix::fd::OwnedFd, (), 4>::new()?;
/// println!("the kernel grants {}", selector.kind());
/// # Ok::<(), selectors_core::Error>(())
/// ```
pub struct Any<M: Storage, const BATCH: usize = 64>(Inner<M, BATCH>);

// The one with the batch is the one that is nearly always taken; without an allocator there is no
// box to put it into anyway.
#[allow(clippy::large_enum_variant)]
enum Inner<M: Storage, const BATCH: usize> {
    Queue(Queue<BATCH>),
    Poll(Poll<M>),
    Select(Sets<M>),
}

impl<M: Storage, const BATCH: usize> Any<M, BATCH> {
    /// The backend of this kind.
    pub(crate) fn of_kind(kind: Kind) -> Result<Self, Error> {
        let kind = Some(kind);
        Ok(Self(if kind == Queue::<BATCH>::KIND {
            Inner::Queue(Queue::new()?)
        } else if kind == Poll::<M>::KIND {
            Inner::Poll(Poll::new()?)
        } else if kind == Sets::<M>::KIND {
            Inner::Select(Sets::new()?)
        } else {
            return Err(Error::UnknownBackend);
        }))
    }

    /// As `of_kind`, and asks the kernel whether it may be used.
    fn probe(kind: Kind) -> Result<Self, Error> {
        let mut backend = Self::of_kind(kind)?;
        backend.wait(Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        Ok(backend)
    }

    pub(crate) fn fileno(&self) -> Option<BorrowedFd<'_>> {
        match &self.0 {
            Inner::Queue(queue) => Some(rustix::fd::AsFd::as_fd(queue)),
            Inner::Poll(_) | Inner::Select(_) => None,
        }
    }
}

impl<M: Storage, const BATCH: usize> Backend for Any<M, BATCH> {
    const KIND: Option<Kind> = None;

    fn new() -> Result<Self, Error> {
        let mut refusal = Error::UnknownBackend;
        for kind in Kind::ALL.into_iter().filter(|kind| kind.is_available()) {
            let probed = Self::probe(kind);
            match probed {
                // Too little of something is no reason to take the next, which would be slower
                // for as long as the program runs.
                Ok(_) | Err(Error::Os { errno: Errno::MFILE | Errno::NFILE | Errno::NOMEM, .. }) => {
                    return probed;
                }
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

    fn add(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> Result<(), Error> {
        match &mut self.0 {
            Inner::Queue(queue) => queue.add(fd, token, interest),
            Inner::Poll(poll) => poll.add(fd, token, interest),
            Inner::Select(select) => select.add(fd, token, interest),
        }
    }

    fn modify(&mut self, old: &Watched<'_>, new: Interest) -> Result<(), Error> {
        match &mut self.0 {
            Inner::Queue(queue) => queue.modify(old, new),
            Inner::Poll(poll) => poll.modify(old, new),
            Inner::Select(select) => select.modify(old, new),
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

    fn wait(&mut self, timeout: Option<&Timespec>) -> Result<usize, Error> {
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

    fn rebuild<'a>(&mut self, watched: impl Iterator<Item = Watched<'a>>) -> Result<bool, Error> {
        match &mut self.0 {
            Inner::Queue(queue) => queue.rebuild(watched),
            Inner::Poll(_) | Inner::Select(_) => Ok(false),
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
