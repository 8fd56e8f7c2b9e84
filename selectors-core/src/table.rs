//! The key table: slots, which events find by their token, and the way from a descriptor to its slot.

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use crate::error::Error;
use crate::events::{Events, Interest, Mode};
use crate::key::{KeyId, Lookup, SelectorKey, State};
use crate::platform::USER_DATA_BITS;
use crate::storage::{Index, List, Storage};

/// Names one registration. The kernel carries it as user data and returns it with each event.
///
/// The slot says where the key is, and the generation whether it is still the same registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl Token {
    /// The token of an event that was withdrawn. No slot has this number.
    pub const NONE: Self = Self { slot: u32::MAX, generation: u32::MAX };

    /// Packs the token into one number: the generation in the upper half, the slot in the lower.
    ///
    /// Each half fits into half of what the platform's best backend carries with an event.
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
    /// The descriptor. It may have been closed without the selector's knowledge.
    pub fd: BorrowedFd<'a>,
    /// What the kernel was given to distinguish events.
    pub token: Token,
    /// The events and the mode.
    pub interest: Interest,
    /// False after a one-shot fired, until the registration is modified.
    pub armed: bool,
}

/// A place for one key. An empty slot is in the list of free slots, or it is the waker's.
pub(crate) struct Slot<S, D> {
    /// Counts what the kernel was given a token for: registrations, and what came after a pause.
    generation: u32,
    /// With a key, the events that may be reported: none after its one-shot has fired, and none while it is paused. Without
    /// a key, the next free slot. One word serves both, because there are as many as keys.
    mask_or_next: u32,
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
    #[allow(clippy::cast_possible_truncation, reason = "with a key, the word is made by `set_mask`")]
    pub(crate) fn mask(&self) -> Events {
        if self.key.is_none() {
            return Events::empty();
        }
        Events::from_bits_retain(self.mask_or_next as u16)
    }

    fn set_mask(&mut self, mask: Events) {
        if self.key.is_some() {
            self.mask_or_next = mask.bits().into();
        }
    }

    /// Marks the key as watched with this interest.
    pub(crate) fn arm(&mut self, interest: Interest) {
        if let Some(key) = &mut self.key {
            key.state = State::Watched;
            key.set_interest(interest);
            self.set_mask(interest.events.mask());
        }
    }

    /// Returns whether there is a key, and an event that is delivered leaves it armed.
    #[inline]
    pub(crate) fn stays_armed(&self) -> bool {
        self.key.as_ref().is_some_and(|key| key.mode != Mode::OneShot)
    }

    /// Reports nothing more, after a one-shot has fired.
    pub(crate) fn disarm(&mut self) {
        self.set_mask(Events::empty());
    }

    /// Marks the key as out of the kernel's set. What the kernel still reports of it is stale.
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

/// The largest number of a slot or a generation that fits into half of what the kernel carries.
const HALF: u32 = u32::MAX >> (u32::BITS - USER_DATA_BITS / 2);

/// What a table has besides its slots.
pub(crate) struct Head<S, D, I> {
    index: I,
    free: u32,
    live: u32,
    /// Counts the registrations.
    serial: u32,
    /// Gives a number to a key that has lost its own, if any ever has: see `KeyMut::with_source`. A program that exchanges
    /// no source has no code for it.
    recover: Option<Recover<S, D, I>>,
}

type Recover<S, D, I> = fn(&mut Keys<'_, S, D, I>, u32) -> Result<(), Error>;

pub(crate) struct Table<S, D, M: Storage> {
    head: Head<S, D, M::Index>,
    slots: M::List<Slot<S, D>>,
}

/// A table without its capacity, so that the code behind it is compiled once for all of them.
pub(crate) struct Keys<'a, S, D, I> {
    pub(crate) head: &'a mut Head<S, D, I>,
    pub(crate) slots: &'a mut [Slot<S, D>],
}

impl<S, D, M: Storage> Table<S, D, M> {
    pub(crate) fn new() -> Self {
        let head = Head { index: M::Index::default(), free: END, live: 0, serial: 0, recover: None };
        Self { head, slots: M::List::default() }
    }

    #[inline]
    pub(crate) fn keys(&mut self) -> Keys<'_, S, D, M::Index> {
        Keys { head: &mut self.head, slots: &mut self.slots }
    }

    /// Makes a free slot if there is none. If that fails, `vacancy` returns the error.
    pub(crate) fn grow(&mut self) {
        if self.head.free != END {
            return;
        }
        let Some(number) = u32::try_from(self.slots.len()).ok().filter(|number| *number != HALF) else {
            return;
        };
        let empty = Slot { generation: 0, mask_or_next: END, key: None };
        if self.slots.push(empty).is_ok() {
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
        match lookup {
            Lookup::Id(id) => {
                let place = id.slot as usize;
                // The other part of the id is the slot.
                let found = slots.get(place)?.key.as_ref()?.id.serial == id.serial;
                found.then_some(place)
            }
            Lookup::Fd(fd) => {
                let place = self.find_fd(slots, fd)? as usize;
                slots.get(place)?.key.as_ref()?;
                Some(place)
            }
        }
    }

    fn find_fd(&self, slots: &[Slot<S, D>], fd: RawFd) -> Option<u32> {
        // A key without a number has a negative one.
        if fd < 0 {
            return None;
        }
        self.index.find(fd, || {
            let holds = |slot: &Slot<S, D>| matches!(&slot.key, Some(key) if key.fd == fd);
            slots.iter().position(holds).and_then(|slot| u32::try_from(slot).ok())
        })
    }
}

/// A free slot, and the token of the registration that is going to be in it.
pub(crate) struct Vacancy<'a, S, D, I> {
    head: &'a mut Head<S, D, I>,
    slot: &'a mut Slot<S, D>,
    pub(crate) token: Token,
}

impl<'a, S, D, I: Index> Vacancy<'a, S, D, I> {
    /// Enters the descriptor into the index.
    ///
    /// This comes before the system call, so that only this module's code runs between that and `fill`.
    pub(crate) fn claim(&mut self, fd: RawFd) {
        self.head.index.insert(fd, self.token.slot);
    }

    /// Withdraws `claim`, after the kernel has refused.
    pub(crate) fn abandon(self, fd: RawFd) {
        self.head.index.remove(fd);
    }

    /// Stores the key of a claimed descriptor.
    pub(crate) fn fill(self, mut key: SelectorKey<S, D>) -> &'a SelectorKey<S, D> {
        key.id = KeyId { slot: self.token.slot, serial: self.head.serial };
        self.head.serial = self.head.serial.wrapping_add(1);
        self.head.free = self.slot.mask_or_next;
        self.head.live += 1;
        self.slot.mask_or_next = key.events.mask().bits().into();
        // The slot is empty. This spares the code that would drop another key.
        core::mem::forget(self.slot.key.take());
        self.slot.key.insert(key)
    }

    /// Takes the slot out of use, for a waker.
    pub(crate) fn keep_empty(self) {
        self.head.free = self.slot.mask_or_next;
    }
}

impl<'a, S, D, I: Index> Keys<'a, S, D, I> {
    #[inline]
    pub(crate) fn reborrow(&mut self) -> Keys<'_, S, D, I> {
        Keys { head: self.head, slots: self.slots }
    }

    /// Returns a free slot.
    pub(crate) fn vacancy(self) -> Result<Vacancy<'a, S, D, I>, Error> {
        let (number, capacity) = (self.head.free, self.slots.len());
        let slot = self.slots.get_mut(number as usize).filter(|_| self.head.index.reserve());
        let slot = slot.ok_or(Error::Full { capacity })?;
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
            Some(place) => Ok(place as u32),
            None => Err(Error::NotRegistered { key }),
        }
    }

    /// Empties a slot. Events that still bear its token are stale from now on.
    pub(crate) fn remove(&mut self, number: u32) -> Option<SelectorKey<S, D>> {
        let slot = self.slots.get_mut(number as usize)?;
        let fd = slot.key.as_ref()?.fd;
        slot.next_generation();
        slot.mask_or_next = self.head.free;
        self.head.free = number;
        self.head.live -= 1;
        if fd >= 0 {
            self.head.index.remove(fd);
        }
        // Last, so that the key is moved once.
        slot.key.take()
    }

    /// Takes the descriptor's number away from a key, which is paused.
    pub(crate) fn lose_number(&mut self, number: u32)
    where
        S: AsFd,
    {
        let key = self.slots.get_mut(number as usize).and_then(|slot| slot.key.as_mut());
        if let Some(key) = key.filter(|key| key.fd >= 0) {
            self.head.index.remove(key.fd);
            key.fd = -1;
        }
        self.head.recover = Some(|keys, number| {
            let key = keys.slots.get(number as usize).and_then(|slot| slot.key.as_ref());
            match key.filter(|key| key.fd < 0) {
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
        if fd < 0 {
            return Err(Error::InvalidFd { fd });
        }
        if self.find(fd.into()).is_some() {
            return Err(Error::AlreadyRegistered { fd });
        }
        if !self.head.index.reserve() {
            return Err(Error::Full { capacity: self.slots.len() });
        }
        if let Some(key) = self.slots.get_mut(number as usize).and_then(|slot| slot.key.as_mut()) {
            self.head.index.insert(fd, number);
            key.fd = fd;
        }
        Ok(())
    }

    /// Returns everything that the kernel should be watching, except the waker.
    pub(crate) fn watched(&self) -> impl Iterator<Item = Watched<'_>> {
        self.slots.iter().zip(0..).filter_map(|(slot, number)| slot.watched(number))
    }
}
