//! The key table: slots, which events find by their token, and the way from a
//! descriptor to its slot.

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use crate::error::Error;
use crate::events::{Events, Interest, Mode};
use crate::key::{KeyId, Lookup, SelectorKey, State};
use crate::platform::{NO_FD, USER_DATA_BITS, is_valid};
use crate::storage::{Index, List, Storage};

/// The name of one registration.
///
/// The kernel carries it as user data, and returns it with each event. The slot
/// says where the key is, and the generation whether it is still the same
/// registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl Token {
    /// The token of an event that was withdrawn.
    ///
    /// No slot has this number.
    pub const NONE: Self = Self { slot: u32::MAX, generation: u32::MAX };

    /// Packs the token into one number.
    ///
    /// The generation is in the upper half, and the slot in the lower. Each
    /// half fits into half of what the platform's best backend carries with an
    /// event.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }

    /// Unpacks what [`to_u64`](Self::to_u64) has packed.
    #[allow(clippy::cast_possible_truncation, reason = "the halves are taken apart")]
    #[must_use]
    pub const fn from_u64(packed: u64) -> Self {
        Self { slot: packed as u32, generation: (packed >> 32) as u32 }
    }
}

/// A registration, as a [`Backend`](crate::backend::Backend) gets it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Watched<'a> {
    /// The descriptor.
    ///
    /// It may have been closed without the selector's knowledge.
    pub fd: BorrowedFd<'a>,
    /// What the kernel was given to distinguish events.
    pub token: Token,
    /// The events and the mode.
    pub interest: Interest,
    /// False after a one-shot fired, until the registration is modified.
    pub armed: bool,
}

/// Storage for one key. An empty slot is in the list of free slots, or it is
/// the waker's.
pub(crate) struct Slot<S, D> {
    /// Counts what the kernel was given a token for: registrations, and what
    /// came after a pause.
    generation: u32,
    /// With a key, the events that may be reported. There are none after its
    /// one-shot has fired and while it is paused. Without a key, the lower half
    /// of the number of the next free slot.
    mask: u16,
    /// With a key, the lower half of its descriptor, so that a scan passes over
    /// most slots without a look at the key. Without a key, the upper half of
    /// the number of the next free slot.
    tag: u16,
    pub(crate) key: Option<SelectorKey<S, D>>,
}

impl<S, D> Slot<S, D> {
    /// Returns the registration, if it is in the kernel's set.
    pub(crate) fn watched(&self, slot: u32) -> Option<Watched<'_>> {
        let key = self.key.as_ref().filter(|key| key.state == State::Watched)?;
        let (token, interest) = (self.token(slot), key.interest());
        Some(Watched { fd: key.borrow(), token, interest, armed: !self.mask().is_empty() })
    }

    pub(crate) fn token(&self, slot: u32) -> Token {
        Token { slot, generation: self.generation }
    }

    /// Returns the events that may be reported.
    #[inline]
    pub(crate) fn mask(&self) -> Events {
        if self.key.is_none() {
            return Events::empty();
        }
        Events::from_bits_retain(self.mask)
    }

    fn set_mask(&mut self, mask: Events) {
        if self.key.is_some() {
            self.mask = mask.bits();
        }
    }

    /// Without a key, returns the next free slot.
    fn next(&self) -> u32 {
        u32::from(self.tag) << 16 | u32::from(self.mask)
    }

    #[allow(clippy::cast_possible_truncation, reason = "the halves are taken apart")]
    fn set_next(&mut self, next: u32) {
        (self.mask, self.tag) = (next as u16, (next >> 16) as u16);
    }

    /// Marks the key as watched with this interest.
    pub(crate) fn arm(&mut self, interest: Interest) {
        if let Some(key) = &mut self.key {
            key.state = State::Watched;
            key.set_interest(interest);
            self.set_mask(interest.events.mask());
        }
    }

    /// Returns whether there is a key, and an event that is delivered leaves it
    /// armed.
    #[inline]
    pub(crate) fn stays_armed(&self) -> bool {
        self.key.as_ref().is_some_and(|key| key.mode != Mode::OneShot)
    }

    /// Reports nothing more, after a one-shot has fired.
    pub(crate) fn disarm(&mut self) {
        self.set_mask(Events::empty());
    }

    /// Marks the key as out of the kernel's set. What the kernel still reports
    /// of it is stale.
    pub(crate) fn leave(&mut self, state: State) {
        self.disarm();
        self.next_generation();
        if let Some(key) = &mut self.key {
            key.state = state;
        }
    }

    fn next_generation(&mut self) {
        self.generation = self.generation.wrapping_add(1) & HALF;
    }

    #[inline]
    pub(crate) fn is(&self, token: Token) -> bool {
        self.generation == token.generation
    }
}

/// The end of the list of free slots, and no slot's number.
const END: u32 = u32::MAX;

/// The largest number of a slot or a generation that fits into half of what the
/// kernel carries.
const HALF: u32 = u32::MAX >> (u32::BITS - USER_DATA_BITS / 2);

/// What a table has besides its slots.
pub(crate) struct Head<S, D, I> {
    index: I,
    /// The free slot that is next, or `END`.
    pub(crate) free: u32,
    live: u32,
    /// Counts the registrations.
    serial: u32,
    /// Gives a number to a key that has lost its own, if any ever has: see
    /// `KeyMut::with_source`. A program that exchanges no source has no code
    /// for it.
    recover: Option<Recover<S, D, I>>,
}

type Recover<S, D, I> = fn(&mut Keys<'_, S, D, I>, u32) -> Result<(), Error>;

pub(crate) struct Table<S, D, M: Storage> {
    head: Head<S, D, M::Index>,
    slots: M::List<Slot<S, D>>,
}

/// A table without its capacity, so that the code behind it is compiled once
/// for all of them.
pub(crate) struct Keys<'a, S, D, I> {
    pub(crate) head: &'a mut Head<S, D, I>,
    pub(crate) slots: &'a mut [Slot<S, D>],
}

impl<S, D, M: Storage> Table<S, D, M> {
    pub(crate) fn new() -> Self {
        let head =
            Head { index: M::Index::default(), free: END, live: 0, serial: 0, recover: None };
        Self { head, slots: M::List::default() }
    }

    #[inline]
    pub(crate) fn keys(&mut self) -> Keys<'_, S, D, M::Index> {
        Keys { head: &mut self.head, slots: &mut self.slots }
    }

    /// Makes a free slot if there is none, and capacity in the index. If that
    /// fails, `vacancy` returns the error.
    pub(crate) fn grow(&mut self) {
        if self.head.free != END {
            return;
        }
        let Some(number) = u32::try_from(self.slots.len()).ok().filter(|number| *number != HALF)
        else {
            return;
        };
        let empty = Slot { generation: 0, mask: u16::MAX, tag: u16::MAX, key: None };
        if self.head.index.reserve(self.slots.len() + 1) && self.slots.push(empty).is_ok() {
            self.head.free = number;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.head.live as usize
    }

    pub(crate) fn get(&self, lookup: Lookup) -> Option<&SelectorKey<S, D>> {
        self.slots.get(self.head.find(&self.slots, lookup)?)?.key.as_ref()
    }

    pub(crate) fn slots(&self) -> &[Slot<S, D>] {
        &self.slots
    }
}

impl<S, D, I: Index> Head<S, D, I> {
    /// Returns the slot of a key. The slot exists and has a key.
    // Compiled once for all capacities, unlike what calls it.
    pub(crate) fn find(&self, slots: &[Slot<S, D>], lookup: Lookup) -> Option<usize> {
        let position = match lookup {
            Lookup::Id(id) => id.slot,
            Lookup::Fd(fd) => self.index.find(fd, || scan(slots, fd))?,
        } as usize;
        let key = slots.get(position)?.key.as_ref()?;
        let found = match lookup {
            // The other part of the id is the slot.
            Lookup::Id(id) => key.id.serial == id.serial,
            // The slot may be an old one.
            Lookup::Fd(fd) => key.fd == fd,
        };
        found.then_some(position)
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the lower half")]
fn tag(fd: RawFd) -> u16 {
    fd as u16
}

/// Searches the slots for a descriptor.
fn scan<S, D>(slots: &[Slot<S, D>], fd: RawFd) -> Option<u32> {
    // A key without a number has an invalid one.
    if !is_valid(fd) {
        return None;
    }
    let mut tagged = slots.iter().filter(|slot| slot.tag == tag(fd));
    tagged.find_map(|slot| slot.key.as_ref().filter(|key| key.fd == fd).map(|key| key.id.slot))
}

/// Restores the index after the insertion of a descriptor that has a key.
#[cold]
fn refuse(
    index: &mut impl Index,
    fd: RawFd,
    slot: u32,
    live: impl Iterator<Item = (RawFd, u32)>,
) -> Error {
    index.insert(fd, slot, || None, live);
    Error::AlreadyRegistered { fd }
}

/// A free slot, and the token of the registration that is going to be in it.
pub(crate) struct Vacancy<'a, S, D, I> {
    head: &'a mut Head<S, D, I>,
    slot: &'a mut Slot<S, D>,
    pub(crate) token: Token,
}

impl<'a, S, D, I> Vacancy<'a, S, D, I> {
    /// Stores the key of a claimed descriptor.
    pub(crate) fn fill(self, mut key: SelectorKey<S, D>) -> &'a SelectorKey<S, D> {
        key.id = KeyId { slot: self.token.slot, serial: self.head.serial };
        self.head.serial = self.head.serial.wrapping_add(1);
        self.head.free = self.slot.next();
        self.head.live += 1;
        (self.slot.mask, self.slot.tag) = (key.events.mask().bits(), tag(key.fd));
        // The slot is empty. This spares the code that would drop another key.
        core::mem::forget(self.slot.key.take());
        self.slot.key.insert(key)
    }

    /// Takes the slot out of use, for a waker.
    pub(crate) fn keep_empty(self) {
        self.head.free = self.slot.next();
    }
}

impl<'a, S, D, I: Index> Keys<'a, S, D, I> {
    #[inline]
    pub(crate) fn reborrow(&mut self) -> Keys<'_, S, D, I> {
        Keys { head: self.head, slots: self.slots }
    }

    /// Enters a descriptor into the index, unless it has a key already.
    ///
    /// The key need not be in its slot yet. If it never gets there, the index
    /// has an old slot, which `find` notices.
    #[inline]
    pub(crate) fn claim(&mut self, fd: RawFd, number: u32) -> Result<(), Error> {
        if !is_valid(fd) {
            return Err(Error::InvalidFd { fd });
        }
        let slots = &*self.slots;
        let number_of = |key: &SelectorKey<S, D>| is_valid(key.fd).then_some((key.fd, key.id.slot));
        let live = || slots.iter().filter_map(|slot| slot.key.as_ref().and_then(number_of));
        let known = match number {
            // There is no slot, and perhaps no capacity in the index.
            END => self.head.index.find(fd, || scan(slots, fd)),
            _ => self.head.index.insert(fd, number, || scan(slots, fd), live()),
        };
        let key = known.and_then(|known| slots.get(known as usize)?.key.as_ref());
        match key.filter(|key| key.fd == fd) {
            Some(key) => Err(refuse(&mut self.head.index, fd, key.id.slot, live())),
            None => Ok(()),
        }
    }

    /// Returns the free slot that `Head::free` names.
    pub(crate) fn vacancy(self) -> Result<Vacancy<'a, S, D, I>, Error> {
        let (number, capacity) = (self.head.free, self.slots.len());
        let slot = self.slots.get_mut(number as usize).ok_or(Error::Full { capacity })?;
        let token = Token { slot: number, generation: slot.generation };
        Ok(Vacancy { head: self.head, slot, token })
    }

    /// Returns the slot of a key. The slot exists and has a key.
    #[inline]
    pub(crate) fn find(&self, lookup: Lookup) -> Option<usize> {
        self.head.find(self.slots, lookup)
    }

    /// Returns the number of a key's slot.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "a table has fewer slots than that")]
    pub(crate) fn number_of(&self, key: Lookup) -> Result<u32, Error> {
        match self.find(key) {
            Some(position) => Ok(position as u32),
            None => Err(Error::NotRegistered { key }),
        }
    }

    /// Empties a slot. Events that still bear its token are stale from now on.
    pub(crate) fn remove(&mut self, number: u32) -> Option<SelectorKey<S, D>> {
        let slot = self.slots.get_mut(number as usize).filter(|slot| slot.key.is_some())?;
        slot.next_generation();
        slot.set_next(self.head.free);
        self.head.free = number;
        self.head.live -= 1;
        // Last, so that the key is moved once.
        slot.key.take()
    }

    /// Takes the descriptor's number away from a key, which is paused.
    pub(crate) fn lose_number(&mut self, number: u32)
    where
        S: AsFd,
    {
        if let Some(key) = self.slots.get_mut(number as usize).and_then(|slot| slot.key.as_mut()) {
            key.fd = NO_FD;
        }
        self.head.recover = Some(|keys, number| {
            let key = keys.slots.get(number as usize).and_then(|slot| slot.key.as_ref());
            match key.filter(|key| !is_valid(key.fd)) {
                Some(key) => keys.set_number(number, key.fileobj.as_fd().as_raw_fd()),
                None => Ok(()),
            }
        });
    }

    /// Gives a number to a key, if it has lost its own.
    pub(crate) fn find_lost_number(&mut self, number: u32) -> Result<(), Error> {
        match self.head.recover {
            Some(recover) => recover(self, number),
            None => Ok(()),
        }
    }

    /// Gives a number to a key that has none.
    pub(crate) fn set_number(&mut self, number: u32, fd: RawFd) -> Result<(), Error> {
        self.claim(fd, number)?;
        if let Some(slot) = self.slots.get_mut(number as usize) {
            if let Some(key) = &mut slot.key {
                (key.fd, slot.tag) = (fd, tag(fd));
            }
        }
        Ok(())
    }

    /// Returns everything that the kernel should be watching, except the waker.
    pub(crate) fn watched(&self) -> impl Iterator<Item = Watched<'_>> {
        self.slots.iter().zip(0..).filter_map(|(slot, number)| slot.watched(number))
    }
}
