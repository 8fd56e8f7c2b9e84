//! A backend between selector and kernel refuses.
#![allow(unsafe_code, reason = "a backend of its own")]

use std::cell::Cell;
use std::io::Write;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::event::Timespec;
use rustix::io::Errno;
use selectors_core::backend::{Backend, Epoll, Poll, Rebuilt, Select, Token, Watched};
use selectors_core::storage::Fixed;
use selectors_core::{Error, Events, Interest, Kind, Mode};
use selectors_std::Growable;

use super::kernel::{names, os};
use super::{Cells, ERRNOS, NOW, Table, Watching, agree, found, opened, pair, ready};

thread_local! {
    /// Which call is refused, once, and with what.
    static NEXT: Cell<Option<(&'static str, Errno)>> = const { Cell::new(None) };
}

fn refuse(call: &'static str) -> Result<(), Error> {
    match NEXT.get() {
        Some((one, errno)) if one == call => {
            NEXT.set(None);
            Err(Error::Os { call, fd: None, errno, file: None })
        }
        _ => Ok(()),
    }
}

struct Refusing<B>(B);

// SAFETY: each method that does not refuse is that of the backend inside.
unsafe impl<B: Backend> Backend for Refusing<B> {
    const KIND: Option<Kind> = B::KIND;

    unsafe fn new() -> Result<Self, Error> {
        refuse("new")?;
        // SAFETY: the caller's promise.
        unsafe { B::new() }.map(Self)
    }

    fn kind(&self) -> Kind {
        self.0.kind()
    }

    unsafe fn add(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> Result<(), Error> {
        refuse("add")?;
        // SAFETY: the caller's promise.
        unsafe { self.0.add(fd, token, interest) }
    }

    unsafe fn modify(&mut self, old: &Watched<'_>, new: Interest) -> Result<(), Error> {
        refuse("modify")?;
        // SAFETY: the caller's promise.
        unsafe { self.0.modify(old, new) }
    }

    fn remove(&mut self, old: &Watched<'_>) {
        self.0.remove(old);
    }

    fn disarm(&mut self, fired: &Watched<'_>) {
        self.0.disarm(fired);
    }

    fn is_watched(&self, registration: &Watched<'_>) -> bool {
        self.0.is_watched(registration)
    }

    fn wait(&mut self, timeout: Option<&Timespec>) -> rustix::io::Result<usize> {
        if let Err(error) = refuse("wait") {
            return Err(error.errno().unwrap());
        }
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
        // SAFETY: the caller's promise.
        unsafe { self.0.rebuild(watched) }
    }
}

fn one<B: Backend, M: Table>(errno: Errno) {
    let error = |call| Error::Os { call, fd: None, errno, file: None };
    let next = |call| NEXT.set(Some((call, errno)));
    next("new");
    assert_eq!(Watching::<Refusing<B>, M>::new().map(|_| ()), Err(error("new")));
    let (mut selector, own) = opened::<Refusing<B>, M>();
    let (stream, mut peer) = pair();
    let fd = stream.as_raw_fd();

    next("add");
    let refused = selector.try_register(stream, Events::READ, 7).unwrap_err();
    assert_eq!((refused.error, refused.fileobj.as_raw_fd(), refused.data), (error("add"), fd, 7));
    agree(&selector, own, &[], 0);
    selector.register(refused.fileobj, Events::READ.one_shot(), 7).unwrap();

    peer.write_all(b"!").unwrap();
    next("wait");
    let refused = os(names(selector.kind()).wait.1, None, errno);
    let answer = if errno == Errno::INTR { Ok(true) } else { Err(refused) };
    assert_eq!(selector.select(NOW).map(|result| result.interrupted()), answer);
    assert!(selector.next_ready().is_none());
    next("modify");
    assert_eq!(selector.modify(fd, Events::WRITE), Err(error("modify")));
    agree(&selector, own, &[(fd, Events::READ, Mode::OneShot)], 0);
    assert_eq!(ready(&mut selector), [(fd, Events::READ)].into());
    // Of one that fired: it stays silent.
    next("modify");
    assert_eq!(selector.modify(fd, Events::WRITE), Err(error("modify")));
    assert!(ready(&mut selector).is_empty());
    selector.modify(fd, Events::WRITE).unwrap();
    assert_eq!(ready(&mut selector), [(fd, Events::WRITE)].into());

    next("add");
    let cell = M::cell();
    assert_eq!(selector.waker_in(cell.clone()).map(|_| ()), Err(error("add")));
    let waker = selector.waker_in(cell).unwrap();
    waker.wake().unwrap();
    assert_eq!(found(selector.select(NOW)), Ok((1, true)));
    agree(&selector, own, &[(fd, Events::WRITE, Mode::Level)], 1);
    assert_eq!(selector.unregister(fd).unwrap().data, 7);
    agree(&selector, own, &[], 1);
    assert_eq!(NEXT.get(), None);
}

pub(crate) fn all(cells: &mut Cells) {
    type Few = Fixed<8>;
    for errno in ERRNOS {
        one::<Epoll, Few>(errno);
        one::<Poll<Few>, Few>(errno);
        one::<Select<Few>, Few>(errno);
        one::<Epoll, Growable>(errno);
        one::<Poll<Growable>, Growable>(errno);
        one::<Select<Growable>, Growable>(errno);
        for backend in ["epoll", "poll", "select"] {
            for call in ["new", "add", "wait", "modify", "modify, fired", "waker: add"] {
                for table in ["fixed", "growable"] {
                    cells.ran(&format!("{backend}, {table}, seam"), call);
                }
            }
        }
    }
}
