use core::fmt;

use rustix::event::{
    FdSetElement, FdSetIter, Timespec, fd_set_bound, fd_set_insert, fd_set_remove,
};
use rustix::fd::{AsRawFd, BorrowedFd, RawFd};
use rustix::io::{self, Errno};

use super::{Backend, Kind, check_pollable};
use crate::error::Error;
use crate::events::{Events, Interest};
use crate::storage::{List, Storage};
use crate::table::{Token, Watched};

/// The `select` call, for descriptors below 1024.
///
/// To register a descriptor from 1024 on is [`Error::FdOutOfRange`]. Edge mode
/// is [`Error::Unsupported`]. [`Events::HANGUP`], [`Events::READ_HANGUP`] and
/// [`Events::ERROR`] are never reported: they are plain readiness. One wait is
/// one system call, `select`, and returns every descriptor that is ready. On
/// Linux it is `pselect6`, whose timeout has nanoseconds.
///
/// illumos, Solaris and Windows have no such backend. The page on
/// [portability](crate::portability#platforms) says why.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// # use rustix::io;
/// use selectors_core::{Error, Events, SelectSelector};
///
/// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
/// let large = io::fcntl_dupfd_cloexec(ours, 1024);
/// let mut selector = SelectSelector::<_, _, 4>::new()?;
/// if let Ok(large) = large {
///     let refused = selector.register(large, Events::READ, ()).unwrap_err();
///     assert!(matches!(refused, Error::FdOutOfRange { limit: 1024, .. }));
/// }
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Select<M: Storage> {
    /// The interest, kept between waits: the sets to read, to write, and
    /// exceptional.
    interest: [Set; 3],
    /// The registrations, by ascending descriptor, as the kernel's sets are
    /// read.
    entries: M::List<Entry>,
    /// How many entries have a pending result.
    ready: usize,
    /// Where to look for the next of them.
    cursor: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    fd: RawFd,
    token: Token,
    ready: Events,
}

/// The first descriptor that does not fit: `FD_SETSIZE`, the same here on every
/// platform.
const LIMIT: RawFd = 1024;

/// How many descriptors a word of a set has.
const BITS: u32 = 8 * size_of::<FdSetElement>() as u32;

const WORDS: usize = LIMIT as usize / BITS as usize;

type Set = [FdSetElement; WORDS];

/// What the three sets stand for.
const MEANING: [Events; 3] = [Events::READ, Events::WRITE, Events::PRIORITY];

impl<M: Storage> Select<M> {
    fn position(&self, fd: RawFd) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&fd, |entry| entry.fd)
    }

    fn set_interest(&mut self, fd: RawFd, events: Events) {
        if !(0..LIMIT).contains(&fd) {
            return; // refused at registration; checked again, so that nothing here can panic
        }
        for (set, meaning) in self.interest.iter_mut().zip(MEANING) {
            if events.contains(meaning) {
                fd_set_insert(set, fd);
            } else {
                fd_set_remove(set, fd);
            }
        }
    }

    /// Does what `peek` does where the entry at the cursor has no result.
    // This is not inlined, so that `peek` is.
    #[inline(never)]
    fn peek_further(&mut self) -> Option<(Token, Events)> {
        let next = |start| {
            let ahead = self.entries.get(start..)?.iter().position(|entry| !entry.ready.is_empty());
            ahead.map(|ahead| start + ahead)
        };
        let Some(position) = next(self.cursor).or_else(|| next(0)) else {
            self.ready = 0;
            return None;
        };
        self.cursor = position;
        self.entries.get(position).map(|entry| (entry.token, entry.ready))
    }

    #[inline]
    fn take(&mut self, position: usize) -> Events {
        let Some(entry) = self.entries.get_mut(position) else { return Events::empty() };
        let events = core::mem::take(&mut entry.ready);
        self.ready -= usize::from(!events.is_empty());
        events
    }

    /// Stops watching the descriptors that were closed without the selector's
    /// knowledge, and returns whether there were any.
    ///
    /// One of them makes the kernel refuse the whole call. Beyond the kernel's
    /// table it counts as ready in every wait.
    fn disarm_closed(&mut self) -> bool {
        let mut any = false;
        for position in 0..self.entries.len() {
            let Some(&Entry { fd, .. }) = self.entries.get(position) else { break };
            if self.is_in_sets(fd) && number_is_closed(fd) {
                self.set_interest(fd, Events::empty());
                self.take(position);
                any = true;
            }
        }
        any
    }

    /// Looks at the words that have the descriptor's bit, and not at the other
    /// keys.
    fn is_in_sets(&self, fd: RawFd) -> bool {
        let Ok(number) = u32::try_from(fd) else { return false };
        self.interest.iter().any(|set| {
            let word = set.get((number / BITS) as usize).map(core::slice::from_ref);
            word.into_iter().flat_map(FdSetIter::new).any(|bit| bit.unsigned_abs() == number % BITS)
        })
    }

    /// Stores the results of one of the kernel's sets, and returns how many
    /// bits it has.
    #[inline(never)]
    fn collect(&mut self, set: &[FdSetElement], meaning: Events) -> usize {
        let (mut bits, mut ready) = (0, 0);
        let (mut last, mut position) = (LIMIT, self.entries.len());
        let mut first = RawFd::try_from(set.len()).unwrap_or(0) * BITS as RawFd;
        for word in set.iter().rev() {
            first -= BITS as RawFd;
            let mut left = *word;
            while let Some(bit) = pop_highest(&mut left) {
                bits += 1;
                // From one descriptor to the next, the position falls by no
                // more than the number. So the entry is near.
                let fd = first + bit;
                let from = position.saturating_sub((last - fd).cast_unsigned() as usize);
                let near = self.entries.get_mut(from..position).unwrap_or_default();
                let Ok(ahead) = near.binary_search_by_key(&fd, |entry| entry.fd) else { continue };
                (last, position) = (fd, from + ahead);
                if let Some(entry) = near.get_mut(ahead) {
                    ready += usize::from(entry.ready.is_empty());
                    entry.ready |= meaning;
                }
            }
        }
        self.ready += ready;
        self.cursor = self.cursor.min(position);
        bits
    }
}

/// Removes and returns the highest bit of a word.
///
/// The bits are visited from the highest, because rustix's functions that find
/// and remove one are inlined. Its iterator is not, and costs more than all the
/// rest of `collect`.
#[inline]
fn pop_highest(word: &mut FdSetElement) -> Option<RawFd> {
    let word = core::slice::from_mut(word);
    let bound = fd_set_bound(word);
    if bound == 0 {
        return None;
    }
    let bit = (bound - 1) & (BITS as RawFd - 1); // which the compiler does not know to be within the word
    fd_set_remove(word, bit);
    Some(bit)
}

/// Returns whether a descriptor has been closed without the selector's
/// knowledge.
#[allow(unsafe_code)]
fn number_is_closed(fd: RawFd) -> bool {
    // SAFETY: `assert_unchecked`: registration has refused negative numbers.
    // `borrow_raw`: the same; and the descriptor is open, as the caller of
    // `add` promises. If it is closed all the same, fcntl(F_GETFD) has no
    // effect but to say so.
    let fd = unsafe {
        core::hint::assert_unchecked(fd >= 0);
        BorrowedFd::borrow_raw(fd)
    };
    io::fcntl_getfd(fd) == Err(Errno::BADF)
}

#[inline]
#[allow(unsafe_code)]
fn call(
    last: RawFd,
    sets: &mut [Option<&mut Set>; 3],
    timeout: Option<&Timespec>,
) -> io::Result<usize> {
    // How far the kernel looks costs time. Few steps, so that the compiler sees
    // that rustix's check of it can't fail.
    let bound = if last < 256 { 256 } else { LIMIT };
    let [read, write, priority] =
        sets.each_mut().map(|set| set.as_deref_mut().map(Set::as_mut_slice));
    // SAFETY: each descriptor in the sets was added and not removed, so that it
    // is open, as the caller of `add` promises. If one is closed all the same,
    // select returns EBADF or ignores it, and changes no file. Each set has
    // `LIMIT` bits, and `bound` is no larger.
    let counted = unsafe { rustix::event::select(bound, read, write, priority, timeout) }?;
    Ok(usize::try_from(counted).unwrap_or(0))
}

#[allow(unsafe_code)]
// SAFETY: the sets have descriptors that were added and not removed, and
// nothing is closed. No index, addition or unwrap can fail.
unsafe impl<M: Storage> Backend for Select<M> {
    const KIND: Option<Kind> = Some(Kind::Select);
    const IS_ARRAY: bool = true;

    unsafe fn new() -> Result<Self, Error> {
        let interest = [[FdSetElement::default(); WORDS]; 3];
        Ok(Self { interest, entries: Default::default(), ready: 0, cursor: 0 })
    }

    fn kind(&self) -> Kind {
        Kind::Select
    }

    unsafe fn add(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> Result<(), Error> {
        let number = fd.as_raw_fd();
        if number >= LIMIT {
            return Err(Error::FdOutOfRange { fd: number, limit: LIMIT });
        }
        check_pollable(fd)?;
        let entry = Entry { fd: number, token, ready: Events::empty() };
        let (Ok(position) | Err(position)) = self.position(number);
        let full = Error::Full { capacity: self.entries.len() };
        self.entries.push(entry).map_err(|_| full)?;
        if let Some(tail) = self.entries.get_mut(position..).filter(|tail| !tail.is_empty()) {
            tail.rotate_right(1);
        }
        self.set_interest(number, interest.events);
        Ok(())
    }

    unsafe fn modify(&mut self, old: &Watched<'_>, new: Interest) -> Result<(), Error> {
        check_pollable(old.fd)?;
        self.set_interest(old.fd.as_raw_fd(), new.events);
        Ok(())
    }

    fn remove(&mut self, old: &Watched<'_>) {
        let fd = old.fd.as_raw_fd();
        let Ok(position) = self.position(fd) else { return };
        self.set_interest(fd, Events::empty());
        self.take(position);
        if let Some(tail) = self.entries.get_mut(position..).filter(|tail| !tail.is_empty()) {
            tail.rotate_left(1);
        }
        self.entries.pop();
    }

    fn disarm(&mut self, fired: &Watched<'_>) {
        self.set_interest(fired.fd.as_raw_fd(), Events::empty());
    }

    fn is_watched(&self, registration: &Watched<'_>) -> bool {
        self.is_in_sets(registration.fd.as_raw_fd())
    }

    fn wait(&mut self, timeout: Option<&Timespec>) -> io::Result<usize> {
        loop {
            let last = self.entries.last().map_or(0, |last| last.fd);
            let words = (last.unsigned_abs() / BITS + 1) as usize;
            let mut sets = self.interest;
            let mut used = sets.each_mut().map(|set| {
                // An empty set is cheaper left out.
                let in_use = set.get(..words).is_some_and(|words| fd_set_bound(words) > 0);
                in_use.then_some(set)
            });
            match call(last, &mut used, timeout) {
                Ok(counted) => {
                    self.cursor = self.entries.len();
                    let mut bits = 0;
                    for (set, meaning) in used.into_iter().zip(MEANING) {
                        let results = set.and_then(|set| set.get(..words));
                        bits += results.map_or(0, |set| self.collect(set, meaning));
                    }
                    let disarmed = bits > counted && self.disarm_closed();
                    // If all of them were closed descriptors, these are out of
                    // the sets now.
                    if self.ready > 0 || counted == 0 || !disarmed {
                        return Ok(self.ready);
                    }
                }
                Err(Errno::BADF) if self.disarm_closed() => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    fn peek(&mut self) -> Option<(Token, Events)> {
        self.peek_here().or_else(|| self.peek_further())
    }

    #[inline]
    fn peek_here(&mut self) -> Option<(Token, Events)> {
        let entry = self.entries.get(self.cursor).filter(|entry| !entry.ready.is_empty())?;
        Some((entry.token, entry.ready))
    }

    #[inline]
    fn advance(&mut self) {
        self.take(self.cursor);
        self.cursor += 1;
    }

    fn pending(&self) -> usize {
        self.ready
    }

    fn take_wake(&mut self, token: Token) -> bool {
        let position = self.entries.iter().position(|entry| entry.token == token);
        position.is_some_and(|position| !self.take(position).is_empty())
    }
}

impl<M: Storage> fmt::Debug for Select<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Select ")?;
        f.debug_set().entries(self.entries.iter().map(|entry| entry.fd)).finish()
    }
}

#[cfg(test)]
#[allow(unsafe_code)]
mod tests {
    use super::{Backend, Events, Select, Token, Watched};
    use crate::backend::NOW;
    use crate::storage::Fixed;
    use rustix::fd::{AsFd, AsRawFd};

    #[test]
    fn a_count_that_is_too_large_costs_a_wait() {
        let (_reader, writer) = rustix::pipe::pipe().unwrap();
        // SAFETY: the pipe stays open for longer than the backend.
        let mut select = unsafe { Select::<Fixed<4>>::new() }.unwrap();
        let token = Token { slot: 0, generation: 0 };
        // SAFETY: as above.
        unsafe { select.add(writer.as_fd(), token, Events::WRITE.into()) }.unwrap();
        for _ in 0..2 {
            assert_eq!(select.wait(Some(&NOW)), Ok(1));
            select.ready = 7;
            assert_eq!(select.peek(), Some((token, Events::WRITE)));
            select.advance();
            assert_eq!((select.peek(), select.pending()), (None, 0));
        }
    }

    #[test]
    fn each_bit_finds_its_entry() {
        let (_reader, writer) = rustix::pipe::pipe().unwrap();
        let least = [130, 3, 200, 70, 131, 4, 131, 69];
        let ends = least.map(|least| rustix::io::fcntl_dupfd_cloexec(&writer, least).unwrap());
        // SAFETY: the ends stay open for longer than the backend.
        let mut select = unsafe { Select::<Fixed<8>>::new() }.unwrap();
        let token = |slot: usize| Token { slot: u32::try_from(slot).unwrap(), generation: 0 };
        for ready in 0..=0xff_usize {
            let interest =
                |slot: usize| if ready >> slot & 1 == 1 { Events::WRITE } else { Events::PRIORITY };
            for (slot, end) in ends.iter().enumerate() {
                // SAFETY: as above.
                unsafe { select.add(end.as_fd(), token(slot), interest(slot).into()) }.unwrap();
            }
            assert_eq!(select.wait(Some(&NOW)), Ok(ready.count_ones() as usize));
            let (mut last, mut reported) = (-1, 0);
            while let Some((Token { slot, .. }, events)) = select.peek() {
                let end = ends[slot as usize].as_raw_fd();
                assert!(end > last && events == Events::WRITE && interest(slot as usize) == events);
                (last, reported) = (end, reported | 1 << slot);
                select.advance();
            }
            assert_eq!(reported, ready);
            for (slot, end) in ends.iter().enumerate() {
                let (fd, interest) = (end.as_fd(), interest(slot).into());
                select.remove(&Watched { fd, token: token(slot), interest, armed: true });
            }
        }
    }
}
