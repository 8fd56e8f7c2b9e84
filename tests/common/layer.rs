//! A backend around another one, for tests that change a part of what the one
//! inside does.
#![allow(unsafe_code, reason = "the interface of backends is")]
#![allow(unreachable_pub, reason = "nothing here is reached from elsewhere")]

use std::fmt;
use std::marker::PhantomData;

use rustix::event::Timespec;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io;
use selectors_core::backend::{Backend, Rebuilt, Token, Watched};
use selectors_core::{Error, Events, Interest, Kind};

/// What a test does around the calls of the backend inside. By default it does
/// nothing.
pub trait Layer {
    /// Runs `open`, which opens the backend inside.
    fn open<B>(open: impl FnOnce() -> Result<B, Error>) -> Result<B, Error> {
        open()
    }

    /// Returns an error if this call is to be refused instead of being made.
    fn before(_call: &'static str) -> Result<(), Error> {
        Ok(())
    }
}

/// The backend `B` inside the layer `L`.
pub struct Layered<B, L>(B, PhantomData<L>);

// SAFETY: each method that is not refused is that of the backend inside.
unsafe impl<B: Backend, L: Layer> Backend for Layered<B, L> {
    const KIND: Option<Kind> = B::KIND;

    unsafe fn new() -> Result<Self, Error> {
        L::before("new")?;
        // SAFETY: the caller keeps the promises.
        L::open(|| unsafe { B::new() }).map(|inside| Self(inside, PhantomData))
    }

    fn kind(&self) -> Kind {
        self.0.kind()
    }

    unsafe fn add(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> Result<(), Error> {
        L::before("add")?;
        // SAFETY: the caller keeps the promise.
        unsafe { self.0.add(fd, token, interest) }
    }

    unsafe fn modify(&mut self, old: &Watched<'_>, new: Interest) -> Result<(), Error> {
        L::before("modify")?;
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
        L::before("wait").map_err(|error| error.errno().unwrap())?;
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

impl<B: AsFd, L> AsFd for Layered<B, L> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<B: fmt::Debug, L> fmt::Debug for Layered<B, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
