//! The libraries that are measured, each behind the same few functions.

mod arrays;
mod bare;
mod calls;
mod mio;
mod ours;
mod pointer;
mod polling;

use std::os::fd::BorrowedFd;

pub(crate) use self::arrays::{
    BareArrays, BarePoll, BareSelect, FixedPoll, FixedSelect, GrowingPoll, GrowingSelect,
};
pub(crate) use self::bare::{Bare, Buffer, buffer, flags};
pub(crate) use self::calls::Calls;
pub(crate) use self::mio::Mio;
pub(crate) use self::ours::{Fixed, FixedByNumber, Growable, GrowableByNumber, Ours, interest};
pub(crate) use self::pointer::Pointer;
pub(crate) use self::polling::Polling;

/// The names of the subjects, which are the columns of the tables.
pub(crate) const CALLS: &str = "calls";
pub(crate) const BARE: &str = "bare";
pub(crate) const GROWABLE: &str = "growable";
pub(crate) const FIXED: &str = "fixed";
pub(crate) const MIO: &str = "mio";
pub(crate) const POLLING: &str = "polling";
pub(crate) const ALL: [&str; 6] = [CALLS, BARE, GROWABLE, FIXED, MIO, POLLING];

/// What a descriptor is watched for: always for reading.
#[derive(Clone, Copy)]
pub(crate) struct Watch {
    pub(crate) write: bool,
    pub(crate) edge: bool,
}

pub(crate) const LEVEL: Watch = Watch { write: false, edge: false };
pub(crate) const EDGE: Watch = Watch { write: false, edge: true };

/// How many events the buffers of the others hold. Ours are as they are
/// shipped.
pub(crate) const EVENTS: usize = 1024;

/// A selector, or the code of a program without one. It has a table that leads
/// from an event to the source and a number, as most programs need one.
pub(crate) trait Subject<'a>: Sized {
    /// What the program keeps to name a registration.
    type Handle: Copy;
    /// Ends the wait from elsewhere.
    type Waker: Send;

    fn open() -> Self;
    fn add(&mut self, fd: BorrowedFd<'a>, watch: Watch, data: u64) -> Self::Handle;
    fn change(&mut self, handle: Self::Handle, watch: Watch);
    fn remove(&mut self, handle: Self::Handle);
    /// Waits indefinitely or not at all, and calls `each` for each event.
    /// Returns their number.
    fn wait(&mut self, block: bool, each: impl FnMut(BorrowedFd<'a>, &mut u64)) -> usize;
    /// Finds what is ready, and changes what each of these descriptors is
    /// watched for. Returns their number.
    fn wait_and_change(&mut self, watch: Watch) -> usize;
    /// Creates a waker. `eventfd` is for the subjects that have no waker of
    /// their own.
    fn waker(&mut self, eventfd: BorrowedFd<'a>) -> Self::Waker;
    fn wake(waker: &Self::Waker);
}

/// With all of `fds` registered.
pub(crate) fn registered<'a, S: Subject<'a>>(
    fds: impl Iterator<Item = BorrowedFd<'a>>,
    watch: Watch,
) -> S {
    let mut subject = S::open();
    for fd in fds {
        subject.add(fd, watch, 0);
    }
    subject
}
