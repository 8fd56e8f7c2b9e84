use core::fmt;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::io;

use super::{Backend, Kind, check_pollable};
use crate::error::Error;
use crate::events::{Events, Interest};
use crate::poll_flags::{events, flags};
use crate::storage::{List, Storage};
use crate::table::{Token, Watched};

/// POSIX's poll, on every platform.
///
/// The time of a wait grows with the number of descriptors. The array that the kernel reads is kept between waits.
/// Regular files are always ready. Edge mode is [`Error::Unsupported`]. One wait is one system call, `poll`, and returns
/// every descriptor that is ready. On Linux and FreeBSD that is `ppoll`, whose timeout has nanoseconds.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// use selectors_core::{Events, PollSelector};
///
/// let file = std::fs::File::open("/dev/null")?; // which epoll refuses
/// let mut selector = PollSelector::<_, _, 4>::new()?;
/// selector.register(file, Events::READ, ())?;
/// assert_eq!(selector.select(None)?.events(), 1);
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Poll<M: Storage> {
    /// The kernel's array: dense, in no order. Its results stay in it until they are consumed.
    fds: M::List<PollFd<'static>>,
    /// The registration of each entry of `fds`, and the result of an entry that `modify` replaced.
    owners: M::List<(Token, Events)>,
    /// Where the entry of a slot is, by the slot's number.
    places: M::List<u32>,
    /// How many entries have a result.
    ready: usize,
    /// How many of them have it in `owners`.
    kept: usize,
    /// Where to look for the next result.
    cursor: usize,
}

/// The place of a slot without an entry: it is free, disarmed, or its descriptor was found closed.
const PARKED: u32 = u32::MAX;

/// Removes an item from a list. The last one fills the gap.
fn swap_remove<T>(list: &mut impl List<T>, place: usize) {
    if let (Some(last), Some(gap)) = (list.pop(), list.get_mut(place)) {
        *gap = last;
    }
}

/// One descriptor's entry.
#[allow(unsafe_code)]
fn entry(fd: BorrowedFd<'_>, events: Events) -> PollFd<'static> {
    // SAFETY: `assert_unchecked`: a borrowed descriptor is never -1. `borrow_raw`: the same; and the descriptor stays
    // open as long as the entry is in the array, as the caller of `add` promises, because `remove` takes it out.
    let fd = unsafe {
        core::hint::assert_unchecked(fd.as_raw_fd() != -1);
        BorrowedFd::borrow_raw(fd.as_raw_fd())
    };
    PollFd::from_borrowed_fd(fd, flags(events))
}

impl<M: Storage> Poll<M> {
    fn place(&self, token: Token) -> Option<usize> {
        let place = *self.places.get(token.slot as usize)?;
        (place != PARKED).then_some(place as usize)
    }

    fn insert(&mut self, fd: BorrowedFd<'_>, token: Token, events: Events) -> Result<(), Error> {
        let place = self.fds.len();
        let full = Error::Full { capacity: place };
        while self.places.len() <= token.slot as usize {
            self.places.push(PARKED).map_err(|_| full)?;
        }
        self.fds.push(entry(fd, events)).map_err(|_| full)?;
        if self.owners.push((token, Events::empty())).is_err() {
            self.fds.pop();
            return Err(full);
        }
        self.set_place(token, u32::try_from(place).unwrap_or(PARKED));
        Ok(())
    }

    fn set_place(&mut self, token: Token, place: u32) {
        if let Some(entry) = self.places.get_mut(token.slot as usize) {
            *entry = place;
        }
    }

    /// Removes the entry from the array. The last one fills the gap.
    fn park(&mut self, token: Token) {
        let Some(place) = self.place(token) else { return };
        self.set_place(token, PARKED);
        self.take(place);
        swap_remove(&mut self.fds, place);
        swap_remove(&mut self.owners, place);
        if let Some(&(moved, _)) = self.owners.get(place) {
            self.set_place(moved, u32::try_from(place).unwrap_or(PARKED));
        }
    }

    /// Moves the cursor to the next result.
    #[inline]
    fn seek(&mut self) {
        // The last entry moves into the gap of a removed one, which may be behind the cursor: hence twice.
        match self.next_result(self.cursor).or_else(|| self.next_result(0)) {
            Some(place) => self.cursor = place,
            // The kernel has counted more than it has marked.
            None => (self.ready, self.kept) = (0, 0),
        }
    }

    /// Returns the first place with a result, from `start` on.
    #[inline]
    fn next_result(&self, start: usize) -> Option<usize> {
        let fds = self.fds.get(start..)?;
        let marked = |entry: &PollFd<'_>| !entry.revents().is_empty();
        let ahead = if self.kept == 0 {
            fds.iter().position(marked)
        } else {
            let both = fds.iter().zip(self.owners.get(start..)?);
            both.into_iter().position(|(entry, (_, kept))| marked(entry) || !kept.is_empty())
        };
        ahead.map(|ahead| start + ahead)
    }

    /// Returns the result that `modify` kept for the entry at the cursor.
    #[cold]
    fn peek_kept(&self) -> Option<(Token, Events)> {
        self.owners.get(self.cursor).copied().filter(|(_, kept)| !kept.is_empty())
    }

    /// Removes and returns the result of the entry at `place`.
    fn take(&mut self, place: usize) -> Events {
        let (Some(entry), Some((_, kept))) = (self.fds.get_mut(place), self.owners.get_mut(place)) else {
            return Events::empty();
        };
        let flags = entry.revents();
        if !flags.is_empty() {
            entry.clear_revents();
            self.ready -= 1;
            return events(flags.difference(PollFlags::NVAL));
        }
        if !kept.is_empty() {
            self.kept -= 1;
            self.ready -= 1;
        }
        core::mem::take(kept)
    }
}

#[allow(unsafe_code)]
// SAFETY: the array has the descriptors that were added and not removed, and nothing is closed. No index, addition or
// unwrap can fail.
unsafe impl<M: Storage> Backend for Poll<M> {
    const KIND: Option<Kind> = Some(Kind::Poll);

    unsafe fn new() -> Result<Self, Error> {
        let (fds, owners, places) = Default::default();
        Ok(Self { fds, owners, places, ready: 0, kept: 0, cursor: 0 })
    }

    fn kind(&self) -> Kind {
        Kind::Poll
    }

    unsafe fn add(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> Result<(), Error> {
        check_pollable(fd)?;
        self.insert(fd, token, interest.events)
    }

    unsafe fn modify(&mut self, old: &Watched<'_>, new: Interest) -> Result<(), Error> {
        check_pollable(old.fd)?;
        let Some(place) = self.place(old.token) else {
            return self.insert(old.fd, old.token, new.events);
        };
        let result = self.take(place);
        if let (Some(slot), Some((_, kept))) = (self.fds.get_mut(place), self.owners.get_mut(place)) {
            *slot = entry(old.fd, new.events);
            if !result.is_empty() {
                *kept = result;
                self.kept += 1;
                self.ready += 1;
            }
        }
        Ok(())
    }

    fn remove(&mut self, old: &Watched<'_>) {
        self.park(old.token);
    }

    fn disarm(&mut self, fired: &Watched<'_>) {
        self.park(fired.token);
    }

    fn is_watched(&self, registration: &Watched<'_>) -> bool {
        let entry = self.place(registration.token).and_then(|place| self.fds.get(place));
        // An entry that was found closed is parked when `peek` comes to it.
        entry.is_some_and(|entry| !entry.revents().contains(PollFlags::NVAL))
    }

    #[inline]
    fn wait(&mut self, timeout: Option<&Timespec>) -> io::Result<usize> {
        loop {
            match rustix::event::poll(&mut self.fds, timeout) {
                Ok(0) => return Ok(0),
                Ok(results) => (self.ready, self.cursor) = (results, 0),
                Err(errno) => return Err(errno),
            }
            let before = self.fds.len();
            // If all of them were closed descriptors, these are out of the array now.
            if self.peek().is_some() || self.fds.len() == before {
                return Ok(self.ready);
            }
        }
    }

    #[inline]
    fn peek(&mut self) -> Option<(Token, Events)> {
        while self.ready > 0 {
            let flags = self.fds.get(self.cursor).map_or(PollFlags::empty(), PollFd::revents);
            if flags.is_empty() {
                if self.kept > 0 {
                    if let kept @ Some(_) = self.peek_kept() {
                        return kept;
                    }
                }
                self.seek();
                continue;
            }
            let (token, _) = *self.owners.get(self.cursor)?;
            if !flags.contains(PollFlags::NVAL) {
                return Some((token, events(flags)));
            }
            // Closed without the selector's knowledge. Every further wait would return immediately.
            self.park(token);
        }
        None
    }

    #[inline]
    fn advance(&mut self) {
        // `take` alone would do, but looks at both arrays. Most results are in the kernel's.
        match self.fds.get_mut(self.cursor) {
            Some(entry) if !entry.revents().is_empty() => {
                entry.clear_revents();
                self.ready -= 1;
            }
            _ => {
                self.take(self.cursor);
            }
        }
        self.cursor += 1;
    }

    #[inline]
    fn pending(&self) -> usize {
        self.ready
    }

    fn take_wake(&mut self, token: Token) -> bool {
        self.place(token).is_some_and(|place| !self.take(place).is_empty())
    }
}

impl<M: Storage> fmt::Debug for Poll<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fds = self.fds.iter().map(|entry| entry.as_fd().as_raw_fd());
        f.write_str("Poll ")?;
        f.debug_set().entries(fds).finish()
    }
}
