//! A user-defined backend that implements only the required methods of the
//! trait.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use rustix::event::Timespec;
use selectors_core::backend::{Backend, Kind, Token, Watched};
use selectors_core::storage::Fixed;
use selectors_core::{Error, Events, Interest, Selector};

/// Reports at each wait that every descriptor can be written to, also those
/// that were removed.
#[derive(Debug)]
struct Eager {
    all: Vec<Token>,
    left: usize,
}

// SAFETY: it passes no descriptor to the kernel, and closes none.
unsafe impl Backend for Eager {
    const KIND: Option<Kind> = Some(Kind::Poll);

    unsafe fn new() -> Result<Self, Error> {
        Ok(Self { all: Vec::new(), left: 0 })
    }

    fn kind(&self) -> Kind {
        Kind::Poll
    }

    unsafe fn add(
        &mut self,
        _fd: BorrowedFd<'_>,
        token: Token,
        _interest: Interest,
    ) -> Result<(), Error> {
        self.all.push(token);
        Ok(())
    }

    unsafe fn modify(&mut self, _old: &Watched<'_>, _new: Interest) -> Result<(), Error> {
        Ok(())
    }

    fn remove(&mut self, _old: &Watched<'_>) {}

    fn disarm(&mut self, _fired: &Watched<'_>) {}

    fn wait(&mut self, _timeout: Option<&Timespec>) -> rustix::io::Result<usize> {
        self.left = self.all.len();
        Ok(self.left)
    }

    fn peek(&mut self) -> Option<(Token, Events)> {
        let place = self.left.checked_sub(1)?;
        Some((self.all[place], Events::WRITE))
    }

    fn advance(&mut self) {
        self.left -= 1;
    }

    fn pending(&self) -> usize {
        self.left
    }

    fn take_wake(&mut self, _token: Token) -> bool {
        false
    }
}

/// The backend can't recreate its set, so that each wait reports the removed
/// key, and the selector drops the event.
#[test]
fn stale_events_are_dropped_without_a_rebuild() {
    let (stays, goes) = (std::io::stdin(), std::io::stdout());
    let mut selector = Selector::<Eager, BorrowedFd<'_>, &str, Fixed<4>>::new().unwrap();
    selector.register(stays.as_fd(), Events::WRITE, "stays").unwrap();
    selector.register(goes.as_fd(), Events::WRITE, "goes").unwrap();
    let _ = selector.unregister(&goes).unwrap();
    for round in 1..4 {
        assert_eq!(selector.select(Some(Duration::ZERO)).map(|result| result.events()), Ok(2));
        let (key, events) = selector.next_ready().unwrap();
        assert_eq!((key.data, key.fd, events), ("stays", stays.as_raw_fd(), Events::WRITE));
        assert!(selector.next_ready().is_none());
        let stats = selector.stats();
        assert_eq!((stats.waits, stats.stale, stats.rebuilds), (round, round, 0));
    }
}
