//! poll and select as the kernels with a kqueue have them, over those of this
//! kernel.
//!
//! The kernels differ in what they report of a descriptor whose other end is
//! closed, or that has a pending error. What this kernel reports is translated
//! into what they report, so that the rows run where less is reported.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Debug};
use std::marker::PhantomData;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::fs::FileType;
use rustix::io;
use selectors_core::backend::{Backend, Token, Watched};
use selectors_core::{Error, Events, Interest, Kind};

use super::emulated::systems::{Emulated, System};
use crate::support::Reports;

const READ: Events = Events::READ;
const WRITE: Events = Events::WRITE;
const HANGUP: Events = Events::HANGUP;
const ENDS: Events = HANGUP.union(Events::ERROR);

/// How long a wait lasts before it looks again, if this kernel reports
/// something else than the other one.
const SLICE: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// The backend `B`, poll or select, as the kernel `E` has it.
pub struct As<E, B> {
    inside: B,
    keys: BTreeMap<u64, Key>,
    /// What the last wait has found.
    ready: VecDeque<(Token, Events)>,
    kernel: PhantomData<E>,
}

struct Key {
    fd: RawFd,
    kind: FileType,
    /// Empty while the key is disarmed.
    interest: Events,
}

/// What `Kind` says there.
pub fn reports(system: System, kind: Kind) -> Reports {
    let poll = kind == Kind::Poll;
    Reports {
        hangup: poll && system != System::NetBsd,
        error: false,
        read_hangup: poll && has_half_close(system),
        exact: false,
    }
}

/// Whether this system's poll has a flag for the half-close.
fn has_half_close(system: System) -> bool {
    system == System::FreeBsd
}

/// Refuses what the selector itself refuses on that system.
fn check_support(system: System, kind: Kind, interest: Interest) -> Result<(), Error> {
    let Interest { events, mode, .. } = interest;
    let alone = events.contains(Events::READ_HANGUP) && !events.contains(READ);
    if alone && !has_half_close(system) {
        return Err(Error::Unsupported { backend: kind.name(), events, mode });
    }
    Ok(())
}

impl Key {
    /// What poll of this system reports, where Linux's reports `found`.
    fn polled(&self, system: System, found: Events) -> Events {
        let mut events = found;
        if found.intersects(ENDS) {
            events |= self.interest & (READ | WRITE);
        }
        if found.contains(Events::ERROR) && self.kind != FileType::Socket {
            events |= HANGUP;
        }
        events -= Events::ERROR;
        if !has_half_close(system) {
            events -= Events::READ_HANGUP;
        }
        match system {
            System::NetBsd if self.kind == FileType::Socket => events - HANGUP,
            System::MacOs if events.contains(HANGUP) => events - WRITE,
            _ => events,
        }
    }

    /// Whether select of this system reports it as exceptional because it has
    /// hung up. Linux's does not.
    fn is_exceptional(&self, system: System) -> bool {
        if system != System::NetBsd
            || self.kind != FileType::Fifo
            || !self.interest.contains(Events::PRIORITY)
        {
            return false;
        }
        // SAFETY: not -1, since it was registered. If it is closed, poll says
        // so.
        let fd = unsafe { BorrowedFd::borrow_raw(self.fd) };
        let mut one = [PollFd::from_borrowed_fd(fd, PollFlags::empty())];
        rustix::event::poll(&mut one, Some(&NOW)).unwrap();
        one[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
    }
}

impl<E: Emulated, B: Backend> As<E, B> {
    fn watch(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) {
        let kind = rustix::fs::fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let kind = kind.unwrap_or(FileType::Unknown);
        self.keys
            .insert(token.to_u64(), Key { fd: fd.as_raw_fd(), kind, interest: interest.events });
    }

    /// Translates what the backend inside has found. Returns whether it has
    /// found anything.
    fn collect(&mut self) -> bool {
        let mut any = false;
        while let Some((token, found)) = self.inside.peek() {
            self.inside.advance();
            any = true;
            let Some(key) = self.keys.get(&token.to_u64()) else { continue };
            let events =
                if self.inside.kind() == Kind::Poll { key.polled(E::SYSTEM, found) } else { found };
            if !events.is_empty() {
                self.ready.push_back((token, events));
            }
        }
        let select = self.inside.kind() == Kind::Select;
        for (token, _) in
            self.keys.iter().filter(|(_, key)| select && key.is_exceptional(E::SYSTEM))
        {
            let token = Token::from_u64(*token);
            match self.ready.iter_mut().find(|(one, _)| *one == token) {
                Some((_, events)) => *events |= Events::PRIORITY,
                None => self.ready.push_back((token, Events::PRIORITY)),
            }
        }
        any
    }
}

// SAFETY: the backend inside gets each call, and nothing else is kept but
// numbers.
unsafe impl<E: Emulated, B: Backend> Backend for As<E, B> {
    const KIND: Option<Kind> = B::KIND;

    unsafe fn new() -> Result<Self, Error> {
        // SAFETY: the caller keeps the promises.
        let inside = unsafe { B::new() }?;
        Ok(Self { inside, keys: BTreeMap::new(), ready: VecDeque::new(), kernel: PhantomData })
    }

    fn kind(&self) -> Kind {
        self.inside.kind()
    }

    unsafe fn add(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> Result<(), Error> {
        check_support(E::SYSTEM, self.kind(), interest)?;
        // SAFETY: the caller keeps the promise.
        unsafe { self.inside.add(fd, token, interest) }?;
        self.watch(fd, token, interest);
        Ok(())
    }

    unsafe fn modify(&mut self, old: &Watched<'_>, new: Interest) -> Result<(), Error> {
        check_support(E::SYSTEM, self.kind(), new)?;
        // SAFETY: the caller keeps the promise.
        unsafe { self.inside.modify(old, new) }?;
        self.watch(old.fd, old.token, new);
        Ok(())
    }

    fn is_watched(&self, registration: &Watched<'_>) -> bool {
        self.inside.is_watched(registration)
    }

    fn remove(&mut self, old: &Watched<'_>) {
        self.inside.remove(old);
        self.keys.remove(&old.token.to_u64());
        self.ready.retain(|(token, _)| *token != old.token);
    }

    fn disarm(&mut self, fired: &Watched<'_>) {
        self.inside.disarm(fired);
        if let Some(key) = self.keys.get_mut(&fired.token.to_u64()) {
            key.interest = Events::empty();
        }
    }

    fn wait(&mut self, timeout: Option<&Timespec>) -> io::Result<usize> {
        self.ready.clear();
        let finite = timeout.and_then(|time| Duration::try_from(*time).ok());
        let deadline = finite.and_then(|time| Instant::now().checked_add(time));
        let pipe =
            |key: &Key| key.kind == FileType::Fifo && key.interest.contains(Events::PRIORITY);
        let looks_again = self.inside.kind() == Kind::Select && self.keys.values().any(pipe);
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let mut time = left.and_then(|left| Timespec::try_from(left).ok());
            if looks_again {
                time = Some(time.map_or(SLICE, |time| time.min(SLICE)));
            }
            self.inside.wait(time.as_ref())?;
            let any = self.collect();
            if !self.ready.is_empty() || left == Some(Duration::ZERO) {
                return Ok(self.ready.len());
            }
            if any {
                // What the other kernel does not report would end each wait
                // immediately.
                rustix::event::poll(&mut [], Some(&SLICE))?;
            }
        }
    }

    fn peek(&mut self) -> Option<(Token, Events)> {
        self.ready.front().copied()
    }

    fn advance(&mut self) {
        self.ready.pop_front();
    }

    fn pending(&self) -> usize {
        self.ready.len()
    }

    fn take_wake(&mut self, token: Token) -> bool {
        let place = self.ready.iter().position(|(one, _)| *one == token);
        place.and_then(|place| self.ready.remove(place)).is_some()
    }
}

impl<E, B: Debug> Debug for As<E, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inside.fmt(f)
    }
}
