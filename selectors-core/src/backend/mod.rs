//! The system calls that wait, one file for each, behind one trait.
//!
//! `platform.rs` says which of them a platform has.

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;

use crate::error::{Error, os, os_about};
use crate::events::{Events, Interest, Mode};
pub use crate::table::{Token, Watched};
use crate::{if_epoll, if_kqueue, if_no_queue, if_no_select, if_select, platform};

mod any;
mod poll;
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

/// A system call that waits for many descriptors.
///
/// [`Poll`] implements it, and so do `Epoll`, `Kqueue` and `Select` where the
/// platform has them. [`Any`] is one of these, chosen at run time. A program
/// names this trait in bounds, and has no reason to implement it. Safe code
/// can't call it, because it can't make a backend outside of a selector.
///
/// # Safety
///
/// The implementer must ensure that
///
/// - a backend passes a descriptor to the kernel only between the `add` and the
///   `remove` of its registration;
/// - it closes no descriptor but its own;
/// - no method panics.
///
/// # Examples
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
///
/// ```compile_fail,E0133
/// use selectors_core::backend::{Backend, Poll};
/// use selectors_core::storage::Fixed;
///
/// let backend = Poll::<Fixed<4>>::new(); // call to unsafe function
/// ```
#[allow(unsafe_code, reason = "unsafe to implement, and to call where a descriptor is kept")]
pub unsafe trait Backend: Sized {
    /// The kind of this backend, unless it is chosen at run time.
    const KIND: Option<Kind>;

    /// Whether the registrations are in an array of the backend's own, as for
    /// poll and select.
    ///
    /// Such an array is searched for the next event, and no event names a
    /// registration that was removed. A kernel that keeps the set may report
    /// one, because a duplicate of a closed descriptor keeps its entry alive.
    const IS_ARRAY: bool = false;

    /// Opens the kernel object, if there is one.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Os`] if the kernel refuses.
    ///
    /// # Safety
    ///
    /// The caller must ensure that no value of this type reaches code that does
    /// not keep the promises of `add`, `modify` and `rebuild`.
    unsafe fn new() -> Result<Self, Error>;

    /// Returns the kind of this backend.
    fn kind(&self) -> Kind;

    /// Makes the system calls that a selector will need, without an effect.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Os`] if the kernel refuses one of them.
    fn probe(&mut self) -> Result<(), Error> {
        match self.wait(Some(&NOW)) {
            Ok(_) => Ok(()),
            Err(errno) => Err(os(self.kind().call(), None, errno)),
        }
    }

    /// Begins to watch `fd`.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Os`] if the kernel refuses, and [`Error::FdOutOfRange`]
    /// if `fd` is too large. Then nothing is watched.
    ///
    /// # Safety
    ///
    /// The caller must ensure that `fd` stays open, and its number belongs to
    /// the same file, until the registration is removed or the backend is not
    /// used any more. For a raw registration the program must ensure that.
    ///
    /// The backend may be dropped after the descriptor was closed, so its
    /// `Drop` must not use the descriptor.
    unsafe fn add(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> Result<(), Error>;

    /// Changes the interest of a registration, and re-arms a one-shot that has
    /// fired.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Os`] if the kernel refuses. Then nothing has changed.
    ///
    /// # Safety
    ///
    /// The caller must ensure that `old` describes a registration that was
    /// added and not removed.
    unsafe fn modify(&mut self, old: &Watched<'_>, new: Interest) -> Result<(), Error>;

    /// Returns whether an armed registration is still watched.
    ///
    /// poll and select stop watching a number that they find closed.
    fn is_watched(&self, _registration: &Watched<'_>) -> bool {
        true
    }

    /// Ends a registration, also that of a closed descriptor, and withdraws its
    /// pending events.
    fn remove(&mut self, old: &Watched<'_>);

    /// Stops reporting a one-shot that was delivered, until `modify`.
    fn disarm(&mut self, fired: &Watched<'_>);

    /// Waits, and returns how many descriptors are ready.
    ///
    /// # Errors
    ///
    /// Returns the kernel's error number, that of an interruption by a signal
    /// (`EINTR`) included.
    fn wait(&mut self, timeout: Option<&Timespec>) -> rustix::io::Result<usize>;

    /// Returns a pending event, the same one until [`advance`](Self::advance).
    fn peek(&mut self) -> Option<(Token, Events)>;

    /// Does what `peek` does, but returns `None` if an [array](Self::IS_ARRAY)
    /// has to be searched for the event.
    ///
    /// A loop in which this and [`advance`](Self::advance) are inlined makes no
    /// call in between, so the compiler does not check in one what it has
    /// checked in the other.
    #[inline]
    fn peek_here(&mut self) -> Option<(Token, Events)> {
        self.peek()
    }

    /// Consumes the event that `peek` returned.
    fn advance(&mut self);

    /// Returns how many events are pending.
    fn pending(&self) -> usize;

    /// Consumes the event of `token`, a waker's, and returns whether there was
    /// one.
    fn take_wake(&mut self, token: Token) -> bool;

    /// Recreates the kernel's set, with nothing in it but `watched`.
    ///
    /// # Safety
    ///
    /// The caller must ensure that each of `watched` was added and not removed.
    unsafe fn rebuild<'a>(&mut self, _watched: impl Iterator<Item = Watched<'a>>) -> Rebuilt {
        Rebuilt::Unneeded
    }
}

/// The result of [`Backend::rebuild`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rebuilt {
    /// The set needs no rebuild.
    Unneeded,
    /// The kernel has refused. The old set is still in use.
    Refused,
    /// The set was recreated.
    Done,
    /// The set was recreated while its descriptor may be watched elsewhere.
    Replaced,
}

/// A timeout that does not wait.
pub(crate) const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// Refuses an interest that a backend does not support.
pub(crate) fn check_support(kind: Kind, interest: Interest) -> Result<(), Error> {
    let Interest { events, mode } = interest;
    let supported = (mode != Mode::Edge || kind.supports_edge())
        && (!events.contains(Events::PRIORITY) || kind.supports_priority())
        && (!events.contains(Events::READ_HANGUP)
            || events.contains(Events::READ)
            || kind.supports_read_hangup());
    if supported { Ok(()) } else { Err(Error::Unsupported { backend: kind.name(), events, mode }) }
}

/// Refuses a descriptor that is closed, or that the kernel can't poll.
///
/// poll reports such a descriptor in every wait, and select reports it as
/// ready, or fails. So ask before it is watched.
pub(crate) fn check_pollable(fd: BorrowedFd<'_>) -> Result<(), Error> {
    let mut one = [PollFd::from_borrowed_fd(fd, PollFlags::empty())];
    match platform::poll(&mut one, Some(&NOW)) {
        Ok(_) if one[0].revents().contains(PollFlags::NVAL) => {
            Err(os_about("poll", fd, Errno::BADF))
        }
        Ok(_) => Ok(()),
        // Refused for a reason of its own, as under a limit of no descriptors.
        Err(_) => platform::check_open(fd),
    }
}
