//! Who is measured: the same few verbs for each library.

mod bare;
mod mio;
mod ours;
mod polling;

use std::os::fd::BorrowedFd;

pub(crate) use self::bare::Bare;
pub(crate) use self::mio::Mio;
pub(crate) use self::ours::{Fixed, Growable, NewCell, Ours};
pub(crate) use self::polling::Polling;

/// What is asked of a descriptor.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) write: bool,
    pub(crate) edge: bool,
}

/// Readable, told as long as it is.
pub(crate) const LEVEL: Asked = Asked { write: false, edge: false };

/// How many events the peers' buffers hold. Ours are as they are shipped.
pub(crate) const EVENTS: usize = 1024;

/// A selector, or what a program without one writes: with a table from events to the source and a number, as all
/// programs need one.
pub(crate) trait Subject<'a>: Sized {
    /// How a registration is named.
    type Handle: Copy;
    /// Ends the wait from elsewhere.
    type Waker: Send;

    fn open() -> Self;
    fn add(&mut self, fd: BorrowedFd<'a>, asked: Asked, data: u64) -> Self::Handle;
    fn change(&mut self, handle: Self::Handle, asked: Asked);
    fn remove(&mut self, handle: Self::Handle);
    /// Waits, for ever or not at all, and calls `each` for what is ready. Answers how many that was.
    fn wait(&mut self, forever: bool, each: impl FnMut(BorrowedFd<'a>, &mut u64)) -> usize;
    /// A waker. `eventfd` is for those that have none of their own.
    fn waker(&mut self, eventfd: BorrowedFd<'a>) -> Self::Waker;
    fn wake(waker: &Self::Waker);
}
