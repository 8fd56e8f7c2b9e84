use core::fmt;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};

use super::{Backend, Kind, check_open};
use crate::error::{Error, os};
use crate::events::{Events, Interest};
use crate::platform::HALF_CLOSE;
use crate::storage::{List, Storage};
use crate::table::{Token, Watched};

/// POSIX's poll: everywhere, for any descriptor, in time that grows with the number of them.
///
/// The array that the kernel reads is kept between waits. Regular files are always ready; edge mode is
/// [`Error::Unsupported`]. One wait is one system call, `poll` (on Linux `ppoll`, exact to the
/// nanosecond), and brings every descriptor that is ready. A registration from another thread would not be
/// noticed by a wait under way, but needs the selector's `&mut` anyway.
///
/// ```
/// # #[cfg(feature = "std")] {
/// use selectors_core::{Events, PollSelector};
///
/// let file = std::fs::File::open("/dev/null")?; // which epoll refuses
/// let mut selector = PollSelector::<_, _, 4>::new()?;
/// selector.register(file, Events::READ, ())?;
/// assert_eq!(selector.select(None)?, 1);
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Poll<M: Storage> {
    /// The kernel's array: dense, in no order. Its answers stay in it until they are taken.
    fds: M::List<PollFd<'static>>,
    /// Whose the entries of `fds` are, and the answer for one that was made anew by `modify`.
    owners: M::List<(Token, Events)>,
    /// Where the entry of a slot is, by the slot's number.
    places: M::List<u32>,
    /// How many entries have an answer.
    ready: usize,
    /// How many of them have it in `owners`.
    kept: usize,
    /// Where to look for the next of them.
    cursor: usize,
}

/// The place of a slot that has no entry: free, disarmed, or found closed.
const PARKED: u32 = u32::MAX;

pub(crate) fn flags(events: Events) -> PollFlags {
    let mut flags = PollFlags::empty();
    if events.contains(Events::READ) {
        flags |= PollFlags::IN | HALF_CLOSE;
    }
    if events.contains(Events::WRITE) {
        flags |= PollFlags::OUT;
    }
    if events.contains(Events::PRIORITY) {
        flags |= PollFlags::PRI;
    }
    flags
}

/// What poll's bits are called here.
const NAMES: [(PollFlags, Events); 6] = [
    (PollFlags::IN, Events::READ),
    (PollFlags::OUT, Events::WRITE),
    (PollFlags::PRI, Events::PRIORITY),
    (PollFlags::ERR, Events::ERROR),
    (PollFlags::HUP, Events::HANGUP),
    (HALF_CLOSE, Events::READ_HANGUP),
];

/// Whether the bits' values are ours, as on Linux.
#[allow(
    clippy::cast_sign_loss,
    clippy::unnecessary_cast,
    reason = "a signed type on some systems; bits have no sign"
)]
const SAME: bool = {
    let mut same = true;
    let mut index = 0;
    while index < NAMES.len() {
        same &= NAMES[index].0.bits() as u16 == NAMES[index].1.bits();
        index += 1;
    }
    same
};

#[inline]
#[allow(clippy::cast_sign_loss, clippy::unnecessary_cast, reason = "as above")]
pub(crate) fn events(flags: PollFlags) -> Events {
    if SAME {
        return Events::from_bits_retain(flags.bits() as u16); // `told` drops what is not ours
    }
    let told = NAMES.iter().filter(|(flag, _)| flags.intersects(*flag));
    told.fold(Events::empty(), |events, (_, event)| events | *event)
}

/// Takes one out of a list; the last one fills the gap.
fn swap_remove<T>(list: &mut impl List<T>, place: usize) {
    if let (Some(last), Some(gap)) = (list.pop(), list.get_mut(place)) {
        *gap = last;
    }
}

/// One descriptor's entry.
#[allow(unsafe_code)]
fn entry(fd: BorrowedFd<'_>, events: Events) -> PollFd<'static> {
    // SAFETY: the number is open now. The entry is used for one thing only, poll(2), which answers
    // POLLNVAL for a descriptor closed meanwhile and touches nothing; it leaves the array at the
    // latest when its key, which owns the source, leaves the table.
    // A borrowed descriptor is never -1, which the compiler forgets.
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

    /// Takes the entry out of the array; the last one fills the gap.
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

    /// Moves the cursor to the next answer.
    #[inline]
    fn seek(&mut self) {
        let rest = self.fds.get(self.cursor..).unwrap_or_default();
        self.cursor = match rest.iter().position(|entry| !entry.revents().is_empty()) {
            Some(ahead) => self.cursor + ahead,
            // In the place of an entry that was removed, which had been passed, there is now the last one.
            None => 0,
        };
    }

    /// `peek`, when a modified entry is among those that have an answer: it is told before further ones are sought.
    #[cold]
    fn peek_kept(&mut self) -> Option<(Token, Events)> {
        self.cursor = self.owners.iter().position(|(_, kept)| !kept.is_empty())?;
        self.owners.get(self.cursor).copied()
    }

    /// What was answered for the entry at `place`, once.
    fn take(&mut self, place: usize) -> Events {
        let (Some(entry), Some((_, kept))) = (self.fds.get_mut(place), self.owners.get_mut(place)) else {
            return Events::empty();
        };
        let flags = entry.revents();
        if !flags.is_empty() {
            entry.clear_revents();
            self.ready -= 1;
            return events(flags);
        }
        if !kept.is_empty() {
            self.kept -= 1;
            self.ready -= 1;
        }
        core::mem::take(kept)
    }
}

impl<M: Storage> Backend for Poll<M> {
    const KIND: Option<Kind> = Some(Kind::Poll);

    fn new() -> Result<Self, Error> {
        let (fds, owners, places) = Default::default();
        Ok(Self { fds, owners, places, ready: 0, kept: 0, cursor: 0 })
    }

    fn kind(&self) -> Kind {
        Kind::Poll
    }

    fn add(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> Result<(), Error> {
        check_open(fd)?;
        self.insert(fd, token, interest.events)
    }

    fn modify(&mut self, old: &Watched<'_>, new: Interest) -> Result<(), Error> {
        check_open(old.fd)?;
        let Some(place) = self.place(old.token) else {
            return self.insert(old.fd, old.token, new.events);
        };
        let answer = self.take(place);
        if let (Some(slot), Some((_, kept))) = (self.fds.get_mut(place), self.owners.get_mut(place)) {
            *slot = entry(old.fd, new.events);
            if !answer.is_empty() {
                *kept = answer;
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

    #[inline]
    fn wait(&mut self, timeout: Option<&Timespec>) -> Result<usize, Error> {
        loop {
            match rustix::event::poll(&mut self.fds, timeout) {
                Ok(0) => return Ok(0),
                Ok(answers) => (self.ready, self.cursor) = (answers, 0),
                Err(errno) => return Err(os("poll", None, errno)),
            }
            // Unless all were descriptors closed behind our back, which are out of the array now.
            if self.peek().is_some() {
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
                    return self.peek_kept();
                }
                self.seek();
                continue;
            }
            let (token, _) = *self.owners.get(self.cursor)?;
            if !flags.contains(PollFlags::NVAL) {
                return Some((token, events(flags)));
            }
            // Closed behind our back. Silent from now on, or every wait would return at once.
            self.park(token);
        }
        None
    }

    #[inline]
    fn advance(&mut self) {
        // As `take` alone would, which looks at both arrays: most answers are in the kernel's.
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
