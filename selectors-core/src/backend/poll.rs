use core::fmt;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::io;

use super::{Backend, Kind, check_pollable};
use crate::error::Error;
use crate::events::{Events, Interest};
use crate::platform;
use crate::poll_flags::{events, flags};
use crate::storage::{List, Storage};
use crate::table::{Token, Watched};

/// POSIX's poll, on every platform.
///
/// The time of a wait grows with the number of descriptors. The array that the
/// kernel reads is kept between waits. Regular files are always ready. Edge
/// mode is [`Error::Unsupported`]. One wait is one system call, `poll`, and
/// returns every descriptor that is ready. On Linux and FreeBSD that is
/// `ppoll`, whose timeout has nanoseconds.
///
/// On Windows it is `WSAPoll`, for sockets only.
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
    /// The kernel's array: dense, in no order. Its results stay in it until
    /// they are consumed.
    fds: M::List<PollFd<'static>>,
    /// The registration of each entry of `fds`.
    owners: M::List<Token>,
    /// What belongs to each slot of the key table, by the slot's number.
    slots: M::List<Slot>,
    /// How many entries have a result.
    ready: usize,
    /// How many of them have it in `slots`.
    kept: usize,
    /// Where to look for the next result.
    cursor: usize,
}

#[derive(Clone, Copy)]
struct Slot {
    /// Where the slot's entry is.
    position: u32,
    /// The result of an entry that `modify` replaced.
    kept: Events,
}

/// The position of a slot without an entry: it is free, disarmed, or its
/// descriptor was found closed.
const PARKED: u32 = u32::MAX;

const NO_ENTRY: Slot = Slot { position: PARKED, kept: Events::empty() };

/// Removes an item from a list. The last one fills the gap.
fn swap_remove<T>(list: &mut impl List<T>, position: usize) {
    if let (Some(last), Some(gap)) = (list.pop(), list.get_mut(position)) {
        *gap = last;
    }
}

/// One descriptor's entry.
#[allow(unsafe_code)]
fn entry(fd: BorrowedFd<'_>, events: Events) -> PollFd<'static> {
    // SAFETY: `assert_unchecked`: a borrowed descriptor is never -1.
    // `borrow_raw`: the same; and the descriptor stays open as long as the
    // entry is in the array, as the caller of `add` promises, because `remove`
    // takes it out.
    let fd = unsafe {
        core::hint::assert_unchecked(fd.as_raw_fd() != platform::NO_FD);
        BorrowedFd::borrow_raw(fd.as_raw_fd())
    };
    PollFd::from_borrowed_fd(fd, flags(events))
}

impl<M: Storage> Poll<M> {
    fn position(&self, token: Token) -> Option<usize> {
        let position = self.slots.get(token.slot as usize)?.position;
        (position != PARKED).then_some(position as usize)
    }

    fn insert(&mut self, fd: BorrowedFd<'_>, token: Token, events: Events) -> Result<(), Error> {
        let position = self.fds.len();
        let full = Error::Full { capacity: position };
        while self.slots.len() <= token.slot as usize {
            self.slots.push(NO_ENTRY).map_err(|_| full)?;
        }
        self.fds.push(entry(fd, events)).map_err(|_| full)?;
        if self.owners.push(token).is_err() {
            self.fds.pop();
            return Err(full);
        }
        self.set_position(token, u32::try_from(position).unwrap_or(PARKED));
        Ok(())
    }

    fn set_position(&mut self, token: Token, position: u32) {
        if let Some(slot) = self.slots.get_mut(token.slot as usize) {
            slot.position = position;
        }
    }

    /// Removes the entry from the array. The last one fills the gap.
    fn park(&mut self, token: Token) {
        let Some(position) = self.position(token) else { return };
        self.take(position);
        if let Some(slot) = self.slots.get_mut(token.slot as usize) {
            // Also without a kept result, which `take` leaves where the kernel
            // has another.
            *slot = NO_ENTRY;
        }
        swap_remove(&mut self.fds, position);
        swap_remove(&mut self.owners, position);
        if let Some(&moved) = self.owners.get(position) {
            self.set_position(moved, u32::try_from(position).unwrap_or(PARKED));
        }
    }

    /// Moves the cursor to the next result.
    #[inline]
    fn seek(&mut self) {
        // The last entry moves into the gap of a removed one, which may be
        // behind the cursor: hence twice.
        match self.next_result(self.cursor).or_else(|| self.next_result(0)) {
            Some(position) => self.cursor = position,
            // The kernel has counted more than it has marked.
            None => (self.ready, self.kept) = (0, 0),
        }
    }

    /// Returns the first position with a result, from `start` on.
    #[inline]
    fn next_result(&self, start: usize) -> Option<usize> {
        let fds = self.fds.get(start..)?;
        let marked = |entry: &PollFd<'_>| !entry.revents().is_empty();
        let ahead = if self.kept == 0 {
            fds.iter().position(marked)
        } else {
            let both = fds.iter().zip(self.owners.get(start..)?);
            both.into_iter()
                .position(|(entry, owner)| marked(entry) || !self.kept(*owner).is_empty())
        };
        ahead.map(|ahead| start + ahead)
    }

    /// Returns the result that `modify` kept for an entry.
    fn kept(&self, owner: Token) -> Events {
        self.slots.get(owner.slot as usize).map_or(Events::empty(), |slot| slot.kept)
    }

    /// Does what `peek` does where the entry at the cursor has no result of the
    /// kernel, or is closed.
    #[inline(never)]
    fn peek_further(&mut self) -> Option<(Token, Events)> {
        while self.ready > 0 {
            let Some(entry) = self.fds.get(self.cursor) else {
                self.seek();
                continue;
            };
            let (flags, owner) = (entry.revents(), *self.owners.get(self.cursor)?);
            if flags.contains(PollFlags::NVAL) {
                // Closed without the selector's knowledge. Every further wait
                // would return immediately.
                self.park(owner);
                continue;
            }
            let result = if flags.is_empty() { self.kept(owner) } else { events(flags) };
            if !result.is_empty() {
                return Some((owner, result));
            }
            self.seek();
        }
        None
    }

    /// Removes and returns the result of the entry at `position`.
    fn take(&mut self, position: usize) -> Events {
        let (Some(entry), Some(owner)) = (self.fds.get_mut(position), self.owners.get(position))
        else {
            return Events::empty();
        };
        let flags = entry.revents();
        if !flags.is_empty() {
            entry.clear_revents();
            // The kernel may have counted less than it has marked.
            self.ready = self.ready.saturating_sub(1);
            return events(flags.difference(PollFlags::NVAL));
        }
        let Some(slot) = self.slots.get_mut(owner.slot as usize) else { return Events::empty() };
        if !slot.kept.is_empty() {
            self.kept = self.kept.saturating_sub(1);
            self.ready = self.ready.saturating_sub(1);
        }
        core::mem::take(&mut slot.kept)
    }
}

#[allow(unsafe_code)]
// SAFETY: the array has the descriptors that were added and not removed, and
// nothing is closed. No index, addition or unwrap can fail.
unsafe impl<M: Storage> Backend for Poll<M> {
    const KIND: Option<Kind> = Some(Kind::Poll);
    const IS_ARRAY: bool = true;

    unsafe fn new() -> Result<Self, Error> {
        let (fds, owners, slots) = Default::default();
        Ok(Self { fds, owners, slots, ready: 0, kept: 0, cursor: 0 })
    }

    fn kind(&self) -> Kind {
        Kind::Poll
    }

    unsafe fn add(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> Result<(), Error> {
        check_pollable(fd)?;
        self.insert(fd, token, interest.events)
    }

    unsafe fn modify(&mut self, old: &Watched<'_>, new: Interest) -> Result<(), Error> {
        check_pollable(old.fd)?;
        let Some(position) = self.position(old.token) else {
            return self.insert(old.fd, old.token, new.events);
        };
        let result = self.take(position);
        if let Some(replaced) = self.fds.get_mut(position) {
            *replaced = entry(old.fd, new.events);
        }
        if let Some(slot) =
            self.slots.get_mut(old.token.slot as usize).filter(|_| !result.is_empty())
        {
            slot.kept = result;
            self.kept += 1;
            self.ready += 1;
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
        let entry = self.position(registration.token).and_then(|position| self.fds.get(position));
        // An entry that was found closed is parked when `peek` comes to it.
        entry.is_some_and(|entry| !entry.revents().contains(PollFlags::NVAL))
    }

    #[inline]
    fn wait(&mut self, timeout: Option<&Timespec>) -> io::Result<usize> {
        loop {
            match platform::poll(&mut self.fds, timeout) {
                Ok(0) => return Ok(0),
                Ok(results) => (self.ready, self.cursor) = (results, 0),
                Err(errno) => return Err(errno),
            }
            let before = self.fds.len();
            // If all of them were closed descriptors, these are out of the
            // array now.
            if self.peek().is_some() || self.fds.len() == before {
                return Ok(self.ready);
            }
        }
    }

    fn peek(&mut self) -> Option<(Token, Events)> {
        self.peek_here().or_else(|| self.peek_further())
    }

    #[inline]
    fn peek_here(&mut self) -> Option<(Token, Events)> {
        if self.ready == 0 {
            return None;
        }
        // SAFETY: each entry has an owner. The hint spares a check for each
        // event.
        unsafe { core::hint::assert_unchecked(self.fds.len() == self.owners.len()) };
        let flags = self.fds.get(self.cursor)?.revents();
        if flags.difference(PollFlags::NVAL).is_empty() {
            return None;
        }
        Some((*self.owners.get(self.cursor)?, events(flags)))
    }

    #[inline]
    fn advance(&mut self) {
        // `take` alone would do, but looks at both arrays. Most results are in
        // the kernel's.
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
        self.position(token).is_some_and(|position| !self.take(position).is_empty())
    }
}

impl<M: Storage> fmt::Debug for Poll<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fds = self.fds.iter().map(|entry| entry.as_fd().as_raw_fd());
        f.write_str("Poll ")?;
        f.debug_set().entries(fds).finish()
    }
}

#[cfg(test)]
mod tests;
