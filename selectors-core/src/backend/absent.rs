//! What stands for a backend that the platform lacks: it can't be opened, so it
//! does nothing.

use core::convert::Infallible;
use core::marker::PhantomData;

use rustix::event::Timespec;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io;

use super::{Backend, Kind};
use crate::error::Error;
use crate::events::{Events, Interest};
use crate::table::{Token, Watched};

pub(crate) struct Absent<M, const BATCH: usize>(Infallible, PhantomData<M>);

pub(crate) type AbsentQueue<const BATCH: usize> = Absent<(), BATCH>;
pub(crate) type AbsentSets<M> = Absent<M, 0>;

#[allow(unsafe_code)]
// SAFETY: there is no value of this type.
unsafe impl<M, const BATCH: usize> Backend for Absent<M, BATCH> {
    const KIND: Option<Kind> = None;

    unsafe fn new() -> Result<Self, Error> {
        Err(Error::UnknownBackend)
    }

    fn kind(&self) -> Kind {
        match self.0 {}
    }

    unsafe fn add(
        &mut self,
        _fd: BorrowedFd<'_>,
        _token: Token,
        _interest: Interest,
    ) -> Result<(), Error> {
        match self.0 {}
    }

    unsafe fn modify(&mut self, _old: &Watched<'_>, _new: Interest) -> Result<(), Error> {
        match self.0 {}
    }

    fn remove(&mut self, _old: &Watched<'_>) {
        match self.0 {}
    }

    fn disarm(&mut self, _fired: &Watched<'_>) {
        match self.0 {}
    }

    fn wait(&mut self, _timeout: Option<&Timespec>) -> io::Result<usize> {
        match self.0 {}
    }

    fn peek(&mut self) -> Option<(Token, Events)> {
        match self.0 {}
    }

    fn advance(&mut self) {
        match self.0 {}
    }

    fn pending(&self) -> usize {
        match self.0 {}
    }

    fn take_wake(&mut self, _token: Token) -> bool {
        match self.0 {}
    }
}

impl<M, const BATCH: usize> AsFd for Absent<M, BATCH> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }
}

impl<M, const BATCH: usize> core::fmt::Debug for Absent<M, BATCH> {
    fn fmt(&self, _f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {}
    }
}
