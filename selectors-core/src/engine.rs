//! What a selector does, compiled once for all capacities.

use core::mem::MaybeUninit;
use core::ops::Deref;

use rustix::fd::{BorrowedFd, RawFd};

use crate::backend::{Backend, Kind, check_support};
use crate::error::Error;
use crate::events::{Events, Interest, Mode};
use crate::key::{Lookup, SelectorKey, State};
use crate::stats::Stats;
use crate::storage::Index;
use crate::table::{Head, Keys, Slot, Token, Vacancy};
use crate::waker::{Attached, WakeCell};

mod ready;
pub(crate) use ready::STEP;

pub(crate) struct Engine<B> {
    pub(crate) backend: B,
    pub(crate) stats: Stats,
    /// Not zero if the kernel has reported a registration that does not exist,
    /// as it may do in every wait. Then the kernel's set is to be recreated, at
    /// the latest after so many waits.
    zombie: u8,
}

/// A selector's waker.
pub(crate) struct Wake<W: Deref<Target = WakeCell>> {
    pub(crate) cell: Attached<W>,
    pub(crate) token: Token,
}

impl<B: Backend> Engine<B> {
    #[allow(unsafe_code)]
    pub(crate) fn new() -> Result<Self, Error> {
        // SAFETY: the engine keeps the promises, and gives the backend to no
        // other code.
        let backend = unsafe { B::new()? };
        Ok(Self::with_backend(backend))
    }

    /// Does what `new` does, in the memory where the engine is going to stay.
    #[allow(unsafe_code)]
    pub(crate) fn new_in(memory: &mut MaybeUninit<Self>) -> Result<&mut Self, Error> {
        let engine = memory.as_mut_ptr();
        // SAFETY: `B::new`: as in `new`. The writes: the fields are in memory
        // that is borrowed for writing. `&mut *`: all fields are written. If
        // there is no backend, nothing is written, and nothing needs to be
        // dropped.
        unsafe {
            (&raw mut (*engine).backend).write(B::new()?);
            (&raw mut (*engine).stats).write(Stats::default());
            (&raw mut (*engine).zombie).write(0);
            Ok(&mut *engine)
        }
    }

    pub(crate) fn with_backend(backend: B) -> Self {
        Self { backend, stats: Stats::default(), zombie: 0 }
    }

    /// Refuses an interest that is invalid or not supported.
    pub(crate) fn check(&self, interest: Interest) -> Result<(), Error> {
        if !interest.events.can_be_requested() {
            return Err(Error::InvalidEvents { events: interest.events });
        }
        check_support(self.backend.kind(), interest)
    }

    /// Refuses what can be refused without a system call, and returns a free
    /// slot for the key.
    #[inline]
    fn admit<'k, S, D, I: Index>(
        &self,
        mut keys: Keys<'k, S, D, I>,
        key: &SelectorKey<S, D>,
        wakers: Option<RawFd>,
    ) -> Result<Vacancy<'k, S, D, I>, Error> {
        self.check(key.interest())?;
        if wakers == Some(key.fd) {
            return Err(Error::AlreadyRegistered { fd: key.fd });
        }
        keys.claim(key.fd, keys.head.free)?;
        keys.vacancy()
    }

    /// Registers a key, or gives it back with the error.
    // Inlined into its callers: a return fewer behind the system call, see
    // `Selector::select`.
    #[inline]
    #[allow(unsafe_code)]
    #[allow(clippy::type_complexity, reason = "the key that was not registered")]
    pub(crate) fn register<'k, S, D, I: Index>(
        &mut self,
        keys: Keys<'k, S, D, I>,
        key: SelectorKey<S, D>,
        wakers: Option<RawFd>,
    ) -> Result<&'k SelectorKey<S, D>, (Error, SelectorKey<S, D>)> {
        let vacancy = match self.admit(keys, &key, wakers) {
            Ok(vacancy) => vacancy,
            Err(error) => return Err((error, key)),
        };
        // SAFETY: the key owns the source of the descriptor, or the caller of
        // `register_raw` has promised that it stays open. Nothing drops the key
        // before it is in the table, and what takes it out there calls `remove`
        // first.
        match unsafe { self.backend.add(key.borrow(), vacancy.token, key.interest()) } {
            Ok(()) => Ok(vacancy.fill(key)),
            Err(error) => Err((error, key)),
        }
    }

    /// Returns the interest of a waker's descriptor.
    ///
    /// epoll reports each write to an eventfd as an edge, and then the
    /// descriptor need not be drained.
    fn wake_interest(&self) -> Interest {
        let edge = self.backend.kind() == Kind::Epoll;
        Events::READ.with_mode(if edge { Mode::Edge } else { Mode::Level })
    }

    #[allow(unsafe_code)]
    pub(crate) fn register_waker<S, D, I: Index>(
        &mut self,
        keys: Keys<'_, S, D, I>,
        fd: BorrowedFd<'_>,
    ) -> Result<Token, Error> {
        let vacancy = keys.vacancy()?;
        let token = vacancy.token;
        let interest = self.wake_interest();
        // SAFETY: the descriptor is the cell's, which keeps it open as long as
        // the selector holds the cell.
        unsafe { self.backend.add(fd, token, interest)? };
        vacancy.keep_empty();
        Ok(token)
    }

    /// Changes the interest of a key, after `check`.
    // Inlined, so that the interest and the way to the slot, which the caller
    // often knows, cost nothing, and no `ret` follows the system call: see
    // `Selector::select`.
    #[inline(always)]
    #[allow(unsafe_code)]
    pub(crate) fn modify<S, D, I: Index>(
        &mut self,
        keys: Keys<'_, S, D, I>,
        number: u32,
        interest: Interest,
    ) -> Result<(), Error> {
        let Some(slot) = keys.slots.get_mut(number as usize) else { return Ok(()) };
        let Some(old) = slot.watched(number) else {
            return self.watch(keys.head, keys.slots, number, interest);
        };
        // An edge is armed again, so that what is still ready is reported
        // again.
        let unchanged = old.armed && old.interest == interest && interest.mode != Mode::Edge;
        if !(unchanged && self.backend.is_watched(&old)) {
            // SAFETY: `old` is that of a key in the table.
            unsafe { self.backend.modify(&old, interest)? };
            slot.arm(interest);
        }
        Ok(())
    }

    /// Adds a key to the kernel's set that is in the table already.
    // The parts of `Keys` fit into registers. `Keys` do not, so `modify` would
    // write them to memory in any case.
    #[cold]
    #[allow(unsafe_code)]
    fn watch<S, D, I: Index>(
        &mut self,
        head: &mut Head<S, D, I>,
        slots: &mut [Slot<S, D>],
        number: u32,
        interest: Interest,
    ) -> Result<(), Error> {
        let mut keys = Keys { head, slots };
        keys.find_lost_number(number)?;
        if let Some(slot) = keys.slots.get_mut(number as usize) {
            if let Some(key) = &slot.key {
                // SAFETY: as for `register`.
                unsafe { self.backend.add(key.borrow(), slot.token(number), interest)? };
            }
            slot.arm(interest);
        }
        Ok(())
    }

    /// Takes a key out of the kernel's set.
    pub(crate) fn pause<S, D, I>(&mut self, keys: Keys<'_, S, D, I>, number: u32) {
        let Some(slot) = keys.slots.get_mut(number as usize) else { return };
        if let Some(old) = slot.watched(number) {
            let state = if old.armed { State::Paused } else { State::PausedDisarmed };
            self.backend.remove(&old);
            slot.leave(state);
        } else if let Some(key) = slot.key.as_mut().filter(|key| key.state == State::Disarmed) {
            key.state = State::PausedDisarmed;
        }
    }

    /// Watches a paused key again.
    pub(crate) fn resume<S, D, I: Index>(
        &mut self,
        mut keys: Keys<'_, S, D, I>,
        number: u32,
    ) -> Result<(), Error> {
        let Some(key) = keys.slots.get(number as usize).and_then(|slot| slot.key.as_ref()) else {
            return Ok(());
        };
        match key.state {
            State::Watched | State::Disarmed => {}
            State::Paused => {
                let interest = key.interest();
                self.watch(keys.head, keys.slots, number, interest)?;
            }
            State::PausedDisarmed => {
                keys.find_lost_number(number)?;
                if let Some(key) =
                    keys.slots.get_mut(number as usize).and_then(|slot| slot.key.as_mut())
                {
                    key.state = State::Disarmed;
                }
            }
        }
        Ok(())
    }

    /// Ends a registration, and returns its key.
    pub(crate) fn unregister<S, D, I: Index>(
        &mut self,
        mut keys: Keys<'_, S, D, I>,
        number: u32,
    ) -> Option<SelectorKey<S, D>> {
        if let Some(old) = keys.slots.get(number as usize).and_then(|slot| slot.watched(number)) {
            self.backend.remove(&old);
        }
        keys.remove(number)
    }
}

/// The same with a key that is to be looked up. Here and not in `Selector`,
/// whose code is compiled for each capacity.
impl<B: Backend> Engine<B> {
    /// Checks the interest before the key is looked up.
    #[inline(always)]
    pub(crate) fn modify_key<S, D, I: Index>(
        &mut self,
        keys: Keys<'_, S, D, I>,
        key: Lookup,
        interest: Interest,
    ) -> Result<(), Error> {
        self.check(interest)?;
        let number = keys.number_of(key)?;
        self.modify(keys, number, interest)
    }

    /// Does the same, but is inlined only where it is small, as with an id.
    #[inline]
    pub(crate) fn modify_key_shared<S, D, I: Index>(
        &mut self,
        keys: Keys<'_, S, D, I>,
        key: Lookup,
        interest: Interest,
    ) -> Result<(), Error> {
        self.modify_key(keys, key, interest)
    }

    pub(crate) fn pause_key<S, D, I: Index>(
        &mut self,
        keys: Keys<'_, S, D, I>,
        key: Lookup,
    ) -> Result<(), Error> {
        let number = keys.number_of(key)?;
        self.pause(keys, number);
        Ok(())
    }

    pub(crate) fn resume_key<S, D, I: Index>(
        &mut self,
        keys: Keys<'_, S, D, I>,
        key: Lookup,
    ) -> Result<(), Error> {
        let number = keys.number_of(key)?;
        self.resume(keys, number)
    }

    #[inline]
    pub(crate) fn unregister_key<S, D, I: Index>(
        &mut self,
        keys: Keys<'_, S, D, I>,
        key: Lookup,
    ) -> Result<SelectorKey<S, D>, Error> {
        let number = keys.number_of(key)?;
        self.unregister(keys, number).ok_or(Error::NotRegistered { key })
    }
}
