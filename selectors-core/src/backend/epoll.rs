use core::fmt;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;

use super::{Backend, Kind};
use crate::error::{Error, os};
use crate::events::{Events, Interest, Mode};
use crate::table::{Token, Watched};

/// Linux's epoll: the time of a wait does not grow with the number of descriptors.
///
/// A wait brings at most `BATCH` events, for which the selector has twelve to sixteen bytes each; with more
/// ready the kernel takes turns. Regular files are refused (`EPERM`).
///
/// One wait is one system call, `epoll_wait`; a timeout below a millisecond makes it two, because
/// `epoll_wait` counts in milliseconds and its successor is not on every kernel.
///
/// Only this backend and kqueue have a descriptor of their own: see [`Selector`]'s `AsFd`.
///
/// A selector with another batch is one line:
///
/// ```
/// use rustix::fd::OwnedFd;
/// use selectors_core::{Selector, backend::Epoll, storage::Fixed};
///
/// type Thrifty<D> = Selector<Epoll<8>, OwnedFd, D, Fixed<16>>; // 16 keys, 8 events for each wait
/// let selector = Thrifty::<()>::new()?;
/// # Ok::<(), selectors_core::Error>(())
/// ```
///
/// [`Selector`]: crate::Selector
pub struct Epoll<const BATCH: usize = 64> {
    fd: OwnedFd,
    /// Whether somebody outside may be watching `fd`.
    lent: AtomicBool,
    ready: Batch<BATCH>,
    /// What is left of it to be taken.
    left: Range<usize>,
}

/// What a wait brought, as the kernel wrote it: an event is decoded when it is taken.
struct Batch<const N: usize>([Event; N]);

#[allow(unsafe_code)]
// SAFETY: an event is a number of 32 bits and one of 64, of which the latter might be a pointer for somebody
// who made it from one. Here all are made from numbers, by `data`, and nothing else is read out.
unsafe impl<const N: usize> Send for Batch<N> {}
#[allow(unsafe_code)]
// SAFETY: as above, and nothing changes an event through a shared reference.
unsafe impl<const N: usize> Sync for Batch<N> {}

impl<const BATCH: usize> Epoll<BATCH> {
    /// epoll refuses an empty buffer, so such a selector must not compile.
    const HAS_ROOM: () = assert!(BATCH > 0, "a batch holds at least one event");

    #[inline]
    fn ask(&mut self, timeout: Option<&Timespec>) -> Result<usize, Error> {
        match epoll::wait(lend(&self.fd), &mut self.ready.0, timeout) {
            Ok(ready) => {
                self.left = 0..ready;
                Ok(ready)
            }
            Err(errno) => Err(os("epoll_wait", None, errno)),
        }
    }

    /// What epoll's own wait can't: less than a millisecond.
    #[cold]
    fn is_ready_within(&self, time: &Timespec) -> Result<bool, Error> {
        let mut own = [PollFd::from_borrowed_fd(lend(&self.fd), PollFlags::IN)];
        match rustix::event::poll(&mut own, Some(time)) {
            Ok(ready) => Ok(ready > 0),
            Err(errno) => Err(os("poll", None, errno)),
        }
    }

    fn control(result: rustix::io::Result<()>, fd: BorrowedFd<'_>) -> Result<(), Error> {
        result.map_err(|errno| os("epoll_ctl", Some(fd.as_raw_fd()), errno))
    }
}

// Not inlined: the test that looks for ways to panic knows it by name.
#[inline(never)]
fn create() -> Result<OwnedFd, Error> {
    epoll::create(CreateFlags::CLOEXEC).map_err(|errno| os("epoll_create1", None, errno))
}

fn flags(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::from_bits_retain(interest.events.bits().into());
    if interest.events.contains(Events::READ) {
        flags |= EventFlags::RDHUP;
    }
    match interest.mode {
        Mode::Level => flags,
        Mode::Edge => flags | EventFlags::ET,
        Mode::OneShot => flags | EventFlags::ONESHOT,
    }
}

/// The names of the bits differ from ours, their values don't.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the bits above are flags of the request")]
fn events(flags: EventFlags) -> Events {
    const _: () = assert!(
        EventFlags::IN.bits() == Events::READ.bits() as u32
            && EventFlags::PRI.bits() == Events::PRIORITY.bits() as u32
            && EventFlags::OUT.bits() == Events::WRITE.bits() as u32
            && EventFlags::ERR.bits() == Events::ERROR.bits() as u32
            && EventFlags::HUP.bits() == Events::HANGUP.bits() as u32
            && EventFlags::RDHUP.bits() == Events::READ_HANGUP.bits() as u32
    );
    Events::from_bits_retain(flags.bits() as u16)
}

fn data(token: Token) -> EventData {
    EventData::new_u64(token.to_u64())
}

/// As `as_fd`, without its check for -1, which would bring all of the panic machinery into a small program.
#[inline]
#[allow(unsafe_code)]
fn lend(fd: &OwnedFd) -> BorrowedFd<'_> {
    // SAFETY: an `OwnedFd` is never -1, as its constructors demand.
    unsafe { core::hint::assert_unchecked(fd.as_raw_fd() != -1) };
    fd.as_fd()
}

impl<const BATCH: usize> Backend for Epoll<BATCH> {
    const KIND: Option<Kind> = Some(Kind::Epoll);

    fn new() -> Result<Self, Error> {
        const { Self::HAS_ROOM };
        let none = Event { flags: EventFlags::empty(), data: data(Token::NONE) };
        Ok(Self { fd: create()?, lent: AtomicBool::new(false), ready: Batch([none; BATCH]), left: 0..0 })
    }

    fn kind(&self) -> Kind {
        Kind::Epoll
    }

    fn add(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> Result<(), Error> {
        let added = match epoll::add(lend(&self.fd), fd, data(token), flags(interest)) {
            // Nobody has this number in the table. So the entry is of a registration that was forgotten
            // while its descriptor was closed, and a duplicate has brought the same file back there.
            Err(Errno::EXIST) => epoll::modify(lend(&self.fd), fd, data(token), flags(interest)),
            added => added,
        };
        Self::control(added, fd)
    }

    fn modify(&mut self, old: &Watched<'_>, new: Interest) -> Result<(), Error> {
        Self::control(epoll::modify(lend(&self.fd), old.fd, data(old.token), flags(new)), old.fd)
    }

    fn remove(&mut self, old: &Watched<'_>) {
        // A closed descriptor has left by itself (EBADF), or its number belongs to a file that was
        // never added (ENOENT). What a duplicate keeps alive is met as a stale event.
        let _ = epoll::delete(lend(&self.fd), old.fd);
        for event in self.ready.0.get_mut(self.left.clone()).into_iter().flatten() {
            if event.data.u64() == old.token.to_u64() {
                event.data = data(Token::NONE);
            }
        }
    }

    fn disarm(&mut self, _fired: &Watched<'_>) {} // the kernel has done it

    #[inline]
    fn wait(&mut self, timeout: Option<&Timespec>) -> Result<usize, Error> {
        match timeout {
            Some(time) if time.tv_sec == 0 && time.tv_nsec < 1_000_000 => {
                if time.tv_nsec > 0 && !self.is_ready_within(time)? {
                    return Ok(0);
                }
                self.ask(Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))
            }
            _ => self.ask(timeout),
        }
    }

    #[inline]
    fn peek(&mut self) -> Option<(Token, Events)> {
        if self.left.is_empty() {
            return None;
        }
        let event = self.ready.0.get(self.left.start)?;
        Some((Token::from_u64(event.data.u64()), events(event.flags)))
    }

    #[inline]
    fn advance(&mut self) {
        self.left.start += 1;
    }

    #[inline]
    fn pending(&self) -> usize {
        self.left.len()
    }

    fn take_wake(&mut self, _token: Token) -> bool {
        false // edge-triggered: `EventFlags::ET` tells each write once, nothing needs to be drained
    }

    fn rebuild<'a>(&mut self, watched: impl Iterator<Item = Watched<'a>>) -> Result<bool, Error> {
        let fresh = create()?;
        for entry in watched {
            // After a one-shot fired, the kernel keeps the entry but no events.
            let flags = if entry.armed { flags(entry.interest) } else { EventFlags::ONESHOT };
            match epoll::add(lend(&fresh), entry.fd, data(entry.token), flags) {
                // Closed behind our back, or a number that has a new file which epoll refuses:
                // nothing could be told of it, and its owner finds out by using it.
                Ok(()) | Err(Errno::BADF | Errno::PERM) => {}
                Err(errno) => return Err(os("epoll_ctl", Some(entry.fd.as_raw_fd()), errno)),
            }
        }
        // The same number, so that whoever remembers it finds the new instance there.
        let fresh = lend(&fresh);
        let _ = lend(&self.fd); // is not -1, which dup3 checks
        rustix::io::dup3(fresh, &mut self.fd, rustix::io::DupFlags::CLOEXEC)
            .map_err(|errno| os("dup3", None, errno))?;
        if self.lent.swap(false, Ordering::Relaxed) {
            return Err(Error::Replaced { fd: self.fd.as_raw_fd() });
        }
        Ok(true)
    }
}

impl<const BATCH: usize> AsFd for Epoll<BATCH> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lent.store(true, Ordering::Relaxed);
        self.fd.as_fd()
    }
}

impl<const BATCH: usize> fmt::Debug for Epoll<BATCH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Epoll").field("fd", &self.fd.as_raw_fd()).field("pending", &self.pending()).finish()
    }
}
