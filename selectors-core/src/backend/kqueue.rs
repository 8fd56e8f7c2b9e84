use core::fmt;
use core::mem::MaybeUninit;

use rustix::event::Timespec;
use rustix::event::kqueue::{self as sys, Event, EventFilter, EventFlags};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::Errno;

use super::{Backend, Kind};
use crate::error::{Error, os};
use crate::events::{Events, Interest, Mode};
use crate::table::{Token, Watched};

/// The kqueue of the BSDs and Apple's systems: the time of a wait does not grow with the number of descriptors.
///
/// The kernel watches for reading and for writing with two filters, which tell their events one by one; those
/// of one descriptor that arrive together are told together. [`Events::PRIORITY`] is
/// [`Error::Unsupported`], [`Events::ERROR`] never told: a failed connection is readable, writable and hung up, and
/// [`SelectorKey::take_error`](crate::SelectorKey::take_error) says why.
///
/// A wait brings at most `BATCH` events. One wait is one system call, `kevent`, exact to the nanosecond. A kqueue is not
/// inherited across `fork`: a child opens its own.
pub struct Kqueue<const BATCH: usize = 64> {
    fd: OwnedFd,
    ready: heapless::Vec<(Token, Events), BATCH>,
    next: usize,
}

/// `EV_DISPATCH`, for which rustix has no name: the filter disables itself when it fires.
const DISPATCH: EventFlags = EventFlags::from_bits_retain(0x80);

const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// The filters there are, and the events they stand for.
const FILTERS: [(Events, fn(RawFd) -> EventFilter); 2] =
    [(Events::READ, EventFilter::Read), (Events::WRITE, EventFilter::Write)];

fn adding(mode: Mode) -> EventFlags {
    // ADD alone would not enable a filter that fired once, ENABLE alone not look at it anew.
    let add = EventFlags::ADD | EventFlags::ENABLE;
    match mode {
        Mode::Level => add,
        Mode::Edge => add | EventFlags::CLEAR,
        Mode::OneShot => add | DISPATCH,
    }
}

fn to_udata(token: Token) -> *mut core::ffi::c_void {
    // On 32-bit targets the table numbers slots and generations within 16 bits.
    let half = usize::BITS / 2;
    core::ptr::without_provenance_mut((token.generation as usize) << half | token.slot as usize)
}

#[allow(clippy::cast_possible_truncation, reason = "the halves are taken apart")]
fn from_udata(udata: *mut core::ffi::c_void) -> Token {
    let half = usize::BITS / 2;
    let packed = udata.addr();
    Token { slot: (packed & ((1 << half) - 1)) as u32, generation: (packed >> half) as u32 }
}

impl<const BATCH: usize> Kqueue<BATCH> {
    /// With an empty buffer kevent would return at once, so such a selector must not compile.
    const HAS_ROOM: () = assert!(BATCH > 0, "a batch holds at least one event");

    /// Applies one change to the filters of `events`, and stops at the first refusal.
    #[allow(unsafe_code)]
    fn change(&self, fd: BorrowedFd<'_>, token: Token, events: Events, flags: EventFlags) -> Result<(), Errno> {
        for (_, filter) in FILTERS.iter().filter(|(event, _)| events.contains(*event)) {
            let filter = filter(fd.as_raw_fd());
            let change = Event::new(filter, flags | EventFlags::RECEIPT, to_udata(token));
            let mut receipt = [MaybeUninit::uninit(); 1];
            // SAFETY: `fd` is open now; its key owns the source, and takes the filters out before
            // it lets go of it. A descriptor closed all the same leaves the kqueue by itself.
            let (receipts, _) = unsafe { sys::kevent_timespec(&self.fd, &[change], &mut receipt, Some(&NOW)) }?;
            // A receipt is an event with the error bit set; 0 means that all is well.
            let refusal = receipts.iter().find(|receipt| receipt.flags().contains(EventFlags::ERROR));
            match refusal.map_or(0, Event::data) {
                0 => {}
                // A pipe whose reader is gone: some kernels refuse the filter. What else the
                // caller waits for must not suffer.
                data if data == i64::from(Errno::PIPE.raw_os_error()) => {}
                data => return Err(Errno::from_raw_os_error(i32::try_from(data).unwrap_or(0))),
            }
        }
        Ok(())
    }

    fn delete(&self, fd: BorrowedFd<'_>, token: Token, events: Events) {
        for event in events.iter() {
            // Gone already: closed (EBADF), or refused when it was added (ENOENT).
            let _ = self.change(fd, token, event, EventFlags::DELETE);
        }
    }

    fn refused(fd: BorrowedFd<'_>, errno: Errno) -> Error {
        os("kevent", Some(fd.as_raw_fd()), errno)
    }

    /// Remembers an event; both filters of one registration make one item.
    fn collect(&mut self, event: &Event) {
        let eof = event.flags().contains(EventFlags::EOF);
        let events = match event.filter() {
            _ if event.flags().contains(EventFlags::ERROR) => return,
            EventFilter::Read(_) if eof => Events::READ | Events::READ_HANGUP,
            EventFilter::Read(_) => Events::READ,
            EventFilter::Write(_) if eof => Events::WRITE | Events::HANGUP,
            EventFilter::Write(_) => Events::WRITE,
            _ => return,
        };
        let token = from_udata(event.udata());
        match self.ready.iter_mut().find(|(other, _)| *other == token) {
            Some((_, told)) => *told |= events,
            None => drop(self.ready.push((token, events))),
        }
    }
}

impl<const BATCH: usize> Backend for Kqueue<BATCH> {
    const KIND: Option<Kind> = Some(Kind::Kqueue);

    fn new() -> Result<Self, Error> {
        const { Self::HAS_ROOM };
        let fd = sys::kqueue().map_err(|errno| os("kqueue", None, errno))?;
        rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)
            .map_err(|errno| os("fcntl", Some(fd.as_raw_fd()), errno))?;
        Ok(Self { fd, ready: heapless::Vec::new(), next: 0 })
    }

    fn kind(&self) -> Kind {
        Kind::Kqueue
    }

    fn add(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> Result<(), Error> {
        self.change(fd, token, interest.events, adding(interest.mode)).map_err(|errno| {
            self.delete(fd, token, interest.events);
            Self::refused(fd, errno)
        })
    }

    fn modify(&mut self, old: &Watched<'_>, new: Interest) -> Result<(), Error> {
        let Watched { fd, token, interest: before, .. } = *old;
        if before.mode != new.mode {
            // Adding what is there already would not change its mode.
            self.delete(fd, token, before.events);
        }
        self.change(fd, token, new.events, adding(new.mode)).map_err(|errno| {
            self.delete(fd, token, new.events);
            if old.armed {
                let _ = self.change(fd, token, before.events, adding(before.mode));
            }
            Self::refused(fd, errno)
        })?;
        self.delete(fd, token, before.events.difference(new.events));
        Ok(())
    }

    fn remove(&mut self, old: &Watched<'_>) {
        self.delete(old.fd, old.token, old.interest.events);
        for (token, _) in self.ready.iter_mut().skip(self.next) {
            if *token == old.token {
                *token = Token::NONE;
            }
        }
    }

    fn disarm(&mut self, fired: &Watched<'_>) {
        // The filter that fired has disabled itself, the other has not.
        if fired.interest.events == Events::READ | Events::WRITE {
            let _ = self.change(fired.fd, fired.token, fired.interest.events, EventFlags::DISABLE);
        }
    }

    #[allow(unsafe_code)]
    fn wait(&mut self, timeout: Option<&Timespec>) -> Result<usize, Error> {
        self.ready.clear();
        self.next = 0;
        let mut buffer = [MaybeUninit::uninit(); BATCH];
        // SAFETY: no changes; what is watched already was added under the promise there.
        let (events, _) = unsafe { sys::kevent_timespec(&self.fd, &[], &mut buffer, timeout) }
            .map_err(|errno| os("kevent", None, errno))?;
        for event in events.iter() {
            self.collect(event);
        }
        Ok(self.ready.len())
    }

    fn peek(&mut self) -> Option<(Token, Events)> {
        self.ready.get(self.next).copied()
    }

    fn advance(&mut self) {
        self.next += 1;
    }

    fn pending(&self) -> usize {
        self.ready.len() - self.next
    }

    fn take_wake(&mut self, token: Token) -> bool {
        let found = self.ready.iter_mut().find(|(other, _)| *other == token);
        found.map(|(token, _)| *token = Token::NONE).is_some()
    }
}

impl<const BATCH: usize> AsFd for Kqueue<BATCH> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl<const BATCH: usize> AsRawFd for Kqueue<BATCH> {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl<const BATCH: usize> fmt::Debug for Kqueue<BATCH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kqueue").field("fd", &self.fd.as_raw_fd()).field("pending", &self.pending()).finish()
    }
}
