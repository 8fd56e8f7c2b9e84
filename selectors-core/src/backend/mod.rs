//! How the kernel is asked: one file per system call, each behind the same trait.
//!
//! Which of them a platform has is told by `platform.rs`.

use rustix::event::Timespec;
use rustix::fd::{AsRawFd, BorrowedFd};

use crate::error::{Error, os};
use crate::events::{Events, Interest, Mode};
pub use crate::table::{Token, Watched};
use crate::{if_epoll, if_kqueue, if_no_queue, if_no_select, if_select};

mod any;
pub(crate) mod poll;
pub use any::{Any, Kind};
pub use poll::Poll;

if_epoll! {
    mod epoll;
    pub use epoll::Epoll;
    pub(crate) use epoll::Epoll as Queue;
}
if_kqueue! {
    use rustix::event::kqueue as kqueue_sys;

    mod kqueue;
    pub use kqueue::Kqueue;
    pub(crate) use kqueue::Kqueue as Queue;
}
if_select! {
    mod select;
    pub use select::Select;
    pub(crate) use select::Select as Sets;
}
if_no_queue! {
    mod absent;
    pub(crate) use absent::AbsentQueue as Queue;
}
if_no_select! {
    pub(crate) use absent::AbsentSets as Sets;
}

/// How a selector asks the kernel.
///
/// Implemented by [`Poll`] and, where the platform has them, `Epoll`, `Kqueue` and `Select`, and by
/// [`Any`], which is one of them chosen at run time. A selector calls it so that its table and
/// the kernel agree: every `add` has a token of its own, which comes back with the events.
///
/// Programs name it only where they are to work with any:
///
/// ```
/// use rustix::fd::OwnedFd;
/// use selectors_core::backend::{Any, Backend, Poll};
/// use selectors_core::{Error, Selector, storage::Fixed};
///
/// type Sixteen<B> = Selector<B, OwnedFd, (), Fixed<16>>;
///
/// fn describe<B: Backend>(selector: &Sixteen<B>) -> String {
///     format!("{} keys on {}", selector.get_map().len(), selector.kind())
/// }
///
/// assert_eq!(describe(&Sixteen::<Poll<Fixed<16>>>::new()?), "0 keys on poll");
/// println!("{}", describe(&Sixteen::<Any<Fixed<16>>>::new()?));
/// # Ok::<(), Error>(())
/// ```
pub trait Backend: Sized {
    /// Which one this is, unless that is found out at run time.
    const KIND: Option<Kind>;

    /// Opens the kernel object, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] when the kernel refuses.
    fn new() -> Result<Self, Error>;

    /// Which one this is, and with it what it can.
    fn kind(&self) -> Kind;

    /// Begins to watch `fd`.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] when the kernel refuses, [`Error::FdOutOfRange`]; then nothing is watched.
    fn add(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> Result<(), Error>;

    /// Watches for something else; also re-arms after a one-shot has fired.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] when the kernel refuses; then all is as before.
    fn modify(&mut self, old: &Watched<'_>, new: Interest) -> Result<(), Error>;

    /// Ends watching, of a closed descriptor, too, and withdraws events that wait to be taken.
    fn remove(&mut self, old: &Watched<'_>);

    /// A one-shot has been delivered: nothing more until `modify`.
    fn disarm(&mut self, fired: &Watched<'_>);

    /// Waits. Answers how many descriptors are ready.
    ///
    /// # Errors
    ///
    /// [`Error::Os`], `EINTR` included.
    fn wait(&mut self, timeout: Option<&Timespec>) -> Result<usize, Error>;

    /// One of the events that the wait brought, the same until [`advance`](Self::advance).
    fn peek(&mut self) -> Option<(Token, Events)>;

    /// Takes the event that `peek` shows.
    fn advance(&mut self);

    /// How many are left to take.
    fn pending(&self) -> usize;

    /// Whether the wait brought an event of `token`, a level-triggered waker's. It has no taker, and may
    /// as well be taken here.
    fn take_wake(&mut self, token: Token) -> bool;

    /// Makes the kernel's set anew from what should be in it. Answers whether it could and did.
    ///
    /// # Errors
    ///
    /// [`Error::Os`]: nothing has changed. [`Error::Replaced`]: done, see there.
    fn rebuild<'a>(&mut self, _watched: impl Iterator<Item = Watched<'a>>) -> Result<bool, Error> {
        Ok(false)
    }
}

/// The answer when a backend can't do what is asked.
pub(crate) fn check_support(kind: Kind, interest: Interest) -> Result<(), Error> {
    let Interest { events, mode } = interest;
    let supported = (mode != Mode::Edge || kind.supports_edge())
        && (!events.contains(Events::PRIORITY) || kind.supports_priority());
    if supported { Ok(()) } else { Err(Error::Unsupported { backend: kind.name(), events, mode }) }
}

/// poll and select accept closed descriptors silently; so that all backends answer alike, ask.
pub(crate) fn check_open(fd: BorrowedFd<'_>) -> Result<(), Error> {
    match rustix::io::fcntl_getfd(fd) {
        Ok(_) => Ok(()),
        Err(errno) => Err(os("fcntl", Some(fd.as_raw_fd()), errno)),
    }
}
