//! What differs between the kernels, each with its name as a type, so that it can be a backend's parameter.

use std::cell::Cell;
use std::marker::PhantomData;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::{self, Errno};
use selectors_core::backend::{Backend, Rebuilt, Token, Watched};
use selectors_core::{Error, Events, Interest, Kind};

use super::Kqueue;

/// A kernel, as its source has it or as it behaved when its code was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// What the manuals say, and `EPIPE` for a broken pipe.
    Plain,
    /// A broken pipe is `EBADF`, and time is counted in ticks.
    NetBsd,
    /// The filter of a pipe whose reader is closed fires once and is deleted.
    FreeBsd,
    /// Broken pipes are not refused. What is not there is `ENOENT`, whether the descriptor is open or not.
    MacOs,
    /// A kernel of before `EV_RECEIPT`: a change that is made is not acknowledged.
    NoReceipts,
}

thread_local! {
    static CURRENT: Cell<System> = const { Cell::new(System::Plain) };
}

impl System {
    pub const ALL: [Self; 5] = [Self::Plain, Self::NetBsd, Self::FreeBsd, Self::MacOs, Self::NoReceipts];

    /// Runs `action`. The queues that this thread opens in it are this kernel's.
    pub fn run<T>(self, action: impl FnOnce() -> T) -> T {
        let outer = CURRENT.replace(self);
        let result = action();
        CURRENT.set(outer);
        result
    }

    pub fn current() -> Self {
        CURRENT.get()
    }

    /// The answer to a change of a filter that can't be there, because the descriptor is closed.
    pub fn closed(self, adds: bool) -> Errno {
        if self == Self::MacOs && !adds { Errno::NOENT } else { Errno::BADF }
    }

    /// The answer to the filter for writing of a pipe without a reader.
    pub fn broken_pipe(self) -> Result<(), Errno> {
        match self {
            Self::NetBsd => Err(Errno::BADF),
            Self::MacOs => Ok(()),
            Self::Plain | Self::FreeBsd | Self::NoReceipts => Err(Errno::PIPE),
        }
    }

    /// How long a wait lasts, at least: NetBSD rounds up to ticks of its clock, and adds the one under way.
    pub fn rounded(self, time: Duration) -> Duration {
        const TICK: Duration = Duration::from_millis(10);
        if self != Self::NetBsd {
            return time;
        }
        let ticks = u32::try_from(time.as_nanos().div_ceil(TICK.as_nanos()) + 1);
        ticks.ok().and_then(|ticks| TICK.checked_mul(ticks)).unwrap_or(time)
    }
}

/// A kernel as a type.
pub trait Emulated: Send + Sync + 'static {
    const SYSTEM: System;
}

macro_rules! systems {
    ($($name:ident)*) => {
        $(pub struct $name;

        impl Emulated for $name {
            const SYSTEM: System = System::$name;
        })*
    };
}
systems! { NetBsd FreeBsd MacOs NoReceipts }

/// The backend on the kernel `E`.
pub struct On<E, const BATCH: usize = 64>(Kqueue<BATCH>, PhantomData<E>);

// SAFETY: each method is that of the backend inside.
unsafe impl<E: Emulated, const BATCH: usize> Backend for On<E, BATCH> {
    const KIND: Option<Kind> = Some(Kind::Kqueue);

    unsafe fn new() -> Result<Self, Error> {
        // SAFETY: the caller keeps the promises.
        E::SYSTEM.run(|| unsafe { Kqueue::new() }).map(|queue| Self(queue, PhantomData))
    }

    fn kind(&self) -> Kind {
        self.0.kind()
    }

    unsafe fn add(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> Result<(), Error> {
        // SAFETY: the caller keeps the promise.
        unsafe { self.0.add(fd, token, interest) }
    }

    unsafe fn modify(&mut self, old: &Watched<'_>, new: Interest) -> Result<(), Error> {
        // SAFETY: the caller keeps the promise.
        unsafe { self.0.modify(old, new) }
    }

    fn is_watched(&self, registration: &Watched<'_>) -> bool {
        self.0.is_watched(registration)
    }

    fn remove(&mut self, old: &Watched<'_>) {
        self.0.remove(old);
    }

    fn disarm(&mut self, fired: &Watched<'_>) {
        self.0.disarm(fired);
    }

    fn wait(&mut self, timeout: Option<&Timespec>) -> io::Result<usize> {
        self.0.wait(timeout)
    }

    fn peek(&mut self) -> Option<(Token, Events)> {
        self.0.peek()
    }

    fn advance(&mut self) {
        self.0.advance();
    }

    fn pending(&self) -> usize {
        self.0.pending()
    }

    fn take_wake(&mut self, token: Token) -> bool {
        self.0.take_wake(token)
    }

    unsafe fn rebuild<'a>(&mut self, watched: impl Iterator<Item = Watched<'a>>) -> Rebuilt {
        // SAFETY: the caller keeps the promise.
        unsafe { self.0.rebuild(watched) }
    }
}

impl<E, const BATCH: usize> AsFd for On<E, BATCH> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<E, const BATCH: usize> std::fmt::Debug for On<E, BATCH> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
