//! The key table: slots that events find by number, and the descriptor's way to its slot.

use rustix::fd::{BorrowedFd, RawFd};

use crate::error::Error;
use crate::events::{Events, Interest};
use crate::key::SelectorKey;
use crate::platform::USER_DATA_BITS;
use crate::storage::{Index, List, Storage};

/// Names one registration: the kernel carries it as user data and gives it back with each event.
///
/// The slot says where the key is, the generation whether it is still the same registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl Token {
    /// No slot has this number: the mark of an event that was withdrawn.
    pub const NONE: Self = Self { slot: u32::MAX, generation: u32::MAX };

    /// As one number: the generation in the upper half, the slot in the lower.
    ///
    /// Each half fits into half of what the platform's best backend carries with an event.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }

    /// What [`to_u64`](Self::to_u64) has made a number of.
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
    /// Counts the registrations that this slot has seen.
    generation: u32,
    /// With a key, the events that may be reported: none after its one-shot has fired. Without a key, the next free slot.
    /// One word serves both, because there are as many as keys.
    mask_or_next: u32,
    pub(crate) key: Option<SelectorKey<S, D>>,
}

impl<S, D> Slot<S, D> {
    pub(crate) fn watched(&self, slot: u32) -> Option<Watched<'_>> {
        let key = self.key.as_ref()?;
        let token = Token { slot, generation: self.generation };
        Some(Watched { fd: key.borrow(), token, interest: key.interest(), armed: !self.mask().is_empty() })
    }

    /// Returns the events that may be reported: none if there is no key, or its one-shot has fired.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "with a key, the word is made by `set_mask`")]
    pub(crate) fn mask(&self) -> Events {
        if self.key.is_none() {
            return Events::empty();
        }
        Events::from_bits_retain(self.mask_or_next as u16)
    }

    /// Sets the events that may be reported.
    pub(crate) fn set_mask(&mut self, mask: Events) {
        if self.key.is_some() {
            self.mask_or_next = mask.bits().into();
        }
    }

    pub(crate) fn is(&self, token: Token) -> bool {
        self.generation == token.generation
    }
}

/// The end of the list of free slots, and no slot's number.
const END: u32 = u32::MAX;

/// How much of a slot's number and generation fits into half of what the kernel carries.
const HALF: u32 = u32::MAX >> (u32::BITS - USER_DATA_BITS / 2);

/// What a table knows beside its slots.
pub(crate) struct Head<I> {
    index: I,
    free: u32,
    live: u32,
}

pub(crate) struct Table<S, D, M: Storage> {
    head: Head<M::Index>,
    slots: M::List<Slot<S, D>>,
}

/// A table without its capacity, so that the code behind it is compiled once for all of them.
pub(crate) struct Keys<'a, S, D, I> {
    head: &'a mut Head<I>,
    pub(crate) slots: &'a mut [Slot<S, D>],
}

impl<S, D, M: Storage> Table<S, D, M> {
    pub(crate) fn new() -> Self {
        let head = Head { index: M::Index::default(), free: END, live: 0 };
        Self { head, slots: M::List::default() }
    }

    #[inline]
    pub(crate) fn keys(&mut self) -> Keys<'_, S, D, M::Index> {
        Keys { head: &mut self.head, slots: &mut self.slots }
    }

    /// Makes a free slot if there is none; fails silently, as taking one will tell.
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

    pub(crate) fn get_mut(&mut self, fd: RawFd) -> Option<&mut SelectorKey<S, D>> {
        self.keys().into_key(fd)
    }

    pub(crate) fn len(&self) -> usize {
        self.head.live as usize
    }

    pub(crate) fn get(&self, fd: RawFd) -> Option<&SelectorKey<S, D>> {
        self.head.get(&self.slots, fd)
    }

    pub(crate) fn slots(&self) -> &[Slot<S, D>] {
        &self.slots
    }

    pub(crate) fn slots_mut(&mut self) -> &mut [Slot<S, D>] {
        &mut self.slots
    }
}

impl<I: Index> Head<I> {
    fn find<S, D>(&self, slots: &[Slot<S, D>], fd: RawFd) -> Option<u32> {
        self.index.find(fd, || {
            let holds = |slot: &Slot<S, D>| matches!(&slot.key, Some(key) if key.fd == fd);
            slots.iter().position(holds).and_then(|slot| u32::try_from(slot).ok())
        })
    }

    fn get<'s, S, D>(&self, slots: &'s [Slot<S, D>], fd: RawFd) -> Option<&'s SelectorKey<S, D>> {
        slots.get(self.find(slots, fd)? as usize)?.key.as_ref()
    }
}

/// A free slot, and the token of the registration that is going to be in it.
pub(crate) struct Vacancy<'a, S, D, I> {
    head: &'a mut Head<I>,
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
    pub(crate) fn fill(self, key: SelectorKey<S, D>) -> &'a SelectorKey<S, D> {
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
    /// A free slot.
    pub(crate) fn vacancy(self) -> Result<Vacancy<'a, S, D, I>, Error> {
        let (number, capacity) = (self.head.free, self.slots.len());
        let slot = self.slots.get_mut(number as usize).filter(|_| self.head.index.reserve());
        let slot = slot.ok_or(Error::Full { capacity })?;
        let token = Token { slot: number, generation: slot.generation };
        Ok(Vacancy { head: self.head, slot, token })
    }

    fn into_key(self, fd: RawFd) -> Option<&'a mut SelectorKey<S, D>> {
        let number = self.head.find(self.slots, fd)?;
        self.slots.get_mut(number as usize)?.key.as_mut()
    }

    /// The slot of a registered descriptor, and its number.
    pub(crate) fn find(&mut self, fd: RawFd) -> Option<(u32, &mut Slot<S, D>)> {
        let number = self.head.find(self.slots, fd)?;
        self.slots.get_mut(number as usize).map(|slot| (number, slot))
    }

    /// Empties a slot; events that still bear its token are recognised from now on.
    pub(crate) fn remove(&mut self, number: u32) -> Option<SelectorKey<S, D>> {
        let slot = self.slots.get_mut(number as usize)?;
        let key = slot.key.take()?;
        slot.generation = slot.generation.wrapping_add(1) & HALF;
        slot.mask_or_next = self.head.free;
        self.head.free = number;
        self.head.live -= 1;
        self.head.index.remove(key.fd);
        Some(key)
    }

    /// Everything the kernel should be watching, the waker apart.
    pub(crate) fn watched(&self) -> impl Iterator<Item = Watched<'_>> {
        self.slots.iter().zip(0..).filter_map(|(slot, number)| slot.watched(number))
    }
}
