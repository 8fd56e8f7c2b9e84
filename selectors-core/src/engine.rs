//! What a selector does, whatever its capacity: written against the table without its size.

use core::mem::MaybeUninit;
use core::time::Duration;

use rustix::fd::{BorrowedFd, RawFd};
use rustix::io::Errno;

use crate::backend::{Backend, Kind, check_support};
use crate::error::{Error, RegisterError};
use crate::events::{Events, Interest, Mode};
use crate::key::{KeyMut, SelectorKey};
use crate::storage::Index;
use crate::table::{Keys, Slot, Token, Watched};
use crate::wait::in_steps;
use crate::waker::WakeCell;

/// What a selector has done so far. Each number wraps around after 2⁶⁴.
///
/// For a log, or a look at a program that does too much: many waits with few events are timeouts or signals, and
/// rebuilds say that something closes descriptors it does not own.
///
/// ```
/// let selector = selectors_core::DefaultSelector::<rustix::fd::OwnedFd, (), 4>::new()?;
/// assert_eq!(selector.stats(), selectors_core::Stats::default());
/// # Ok::<(), selectors_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Waits that asked the kernel.
    pub waits: u64,
    /// Events dropped when they were taken, because what they were for had been unregistered or
    /// was no longer asked.
    pub stale: u64,
    /// Events that the waits brought.
    pub events: u64,
    /// How often the kernel's set was made anew, to be rid of descriptors closed behind the
    /// selector's back.
    pub rebuilds: u64,
}

pub(crate) struct Engine<B> {
    pub(crate) backend: B,
    pub(crate) stats: Stats,
    /// The kernel told of a registration that is gone: it will do so for ever.
    zombie: bool,
}

/// A waker, as the wait needs it.
#[derive(Clone, Copy)]
pub(crate) struct Wake<'a> {
    pub(crate) cell: &'a WakeCell,
    pub(crate) token: Token,
}

impl<B: Backend> Engine<B> {
    pub(crate) fn new() -> Result<Self, Error> {
        let backend = B::new()?;
        Ok(Self::with_backend(backend))
    }

    /// As `new`, in the memory where it is going to stay.
    #[allow(unsafe_code)]
    pub(crate) fn new_in(memory: &mut MaybeUninit<Self>) -> Result<&mut Self, Error> {
        let engine = memory.as_mut_ptr();
        // SAFETY: the fields of memory that is borrowed for writing, each written before the whole is called an engine.
        unsafe {
            (&raw mut (*engine).backend).write(B::new()?);
            (&raw mut (*engine).stats).write(Stats::default());
            (&raw mut (*engine).zombie).write(false);
            Ok(&mut *engine)
        }
    }

    pub(crate) fn with_backend(backend: B) -> Self {
        Self { backend, stats: Stats::default(), zombie: false }
    }

    fn check(&self, interest: Interest) -> Result<(), Error> {
        if !interest.events.can_be_asked() {
            return Err(Error::InvalidEvents { events: interest.events });
        }
        check_support(self.backend.kind(), interest)
    }

    /// Everything about a registration that can be refused without a system call or a free slot.
    fn check_new<S, D, I: Index>(
        &self,
        keys: &mut Keys<'_, S, D, I>,
        key: &SelectorKey<S, D>,
        wakers: Option<RawFd>,
    ) -> Result<(), Error> {
        self.check(key.interest())?;
        if key.fd < 0 {
            return Err(Error::InvalidFd { fd: key.fd });
        }
        if keys.find(key.fd).is_some() || wakers == Some(key.fd) {
            return Err(Error::AlreadyRegistered { fd: key.fd });
        }
        Ok(())
    }

    // Inlined into its one caller: a return fewer behind the system call, see `Selector::select`.
    #[inline]
    pub(crate) fn register<'k, S, D, I: Index>(
        &mut self,
        mut keys: Keys<'k, S, D, I>,
        key: SelectorKey<S, D>,
        wakers: Option<RawFd>,
    ) -> Result<&'k SelectorKey<S, D>, RegisterError<S, D>> {
        let added =
            self.check_new(&mut keys, &key, wakers).and_then(|()| keys.vacancy()).and_then(|vacancy| {
                self.backend.add(key.borrow(), vacancy.token, key.interest())?;
                Ok(vacancy)
            });
        match added {
            Ok(vacancy) => Ok(vacancy.fill(key)),
            Err(error) => Err(RegisterError::new(error, key)),
        }
    }

    /// How a waker's descriptor is watched. Edge-triggered where it need not be emptied then: an
    /// eventfd tells each write, and its counter does not run full.
    fn wake_interest(&self) -> Interest {
        let edge = self.backend.kind() == Kind::Epoll;
        Events::READ.with_mode(if edge { Mode::Edge } else { Mode::Level })
    }

    pub(crate) fn register_waker<S, D, I: Index>(
        &mut self,
        keys: Keys<'_, S, D, I>,
        fd: BorrowedFd<'_>,
    ) -> Result<Token, Error> {
        let vacancy = keys.vacancy()?;
        let token = vacancy.token;
        self.backend.add(fd, token, self.wake_interest())?;
        vacancy.keep_empty();
        Ok(token)
    }

    pub(crate) fn modify<S, D, I: Index>(
        &mut self,
        mut keys: Keys<'_, S, D, I>,
        fd: RawFd,
        interest: Interest,
    ) -> Result<(), Error> {
        self.check(interest)?;
        let (number, slot) = keys.find(fd).ok_or(Error::NotRegistered { fd })?;
        let old = slot.watched(number).ok_or(Error::NotRegistered { fd })?;
        if old.armed && old.interest == interest {
            return Ok(());
        }
        self.backend.modify(&old, interest)?;
        slot.allow(interest.events.allowed());
        if let Some(key) = &mut slot.key {
            key.set_interest(interest);
        }
        Ok(())
    }

    pub(crate) fn unregister<S, D, I: Index>(
        &mut self,
        mut keys: Keys<'_, S, D, I>,
        fd: RawFd,
    ) -> Result<SelectorKey<S, D>, Error> {
        let missing = Error::NotRegistered { fd };
        let (number, slot) = keys.find(fd).ok_or(missing)?;
        let old = slot.watched(number).ok_or(missing)?;
        self.backend.remove(&old);
        keys.remove(number).ok_or(missing)
    }

    /// Whether `before_wait` has anything to do, which is rare.
    #[inline]
    pub(crate) fn is_behind(&self) -> bool {
        self.zombie || self.backend.pending() > 0
    }

    /// Asks the kernel. Inlined, so that a timeout known where it is called costs nothing.
    #[inline]
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> Result<usize, Error> {
        match in_steps(timeout, |time| self.backend.wait(time)) {
            Ok(count) => {
                self.stats.waits += 1;
                self.stats.events += count as u64;
                Ok(count)
            }
            Err(Error::Os { errno: Errno::INTR, .. }) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// After a wait: from now on wakes are for the next one.
    pub(crate) fn take_wake(&mut self, Wake { cell, token }: Wake<'_>) {
        // In this order: a wake between the two is part of this wait.
        if self.backend.take_wake(token) {
            cell.drain();
        }
        cell.seen();
    }

    /// What must be done before the kernel is asked again. Answers how many events are left from the last time: they
    /// come first, as the kernel would not tell edges and one-shots again.
    #[cold]
    pub(crate) fn before_wait<S, D, I: Index>(
        &mut self,
        keys: &Keys<'_, S, D, I>,
        wake: Option<Wake<'_>>,
    ) -> Result<usize, Error> {
        if self.peek(keys.slots).is_some() {
            return Ok(self.backend.pending());
        }
        if self.zombie {
            self.rebuild(keys, wake)?;
        }
        Ok(0)
    }

    fn rebuild<S, D, I: Index>(
        &mut self,
        keys: &Keys<'_, S, D, I>,
        wake: Option<Wake<'_>>,
    ) -> Result<(), Error> {
        let interest = self.wake_interest();
        let waker = wake.and_then(|wake| {
            let fd = wake.cell.watched()?;
            Some(Watched { fd, token: wake.token, interest, armed: true })
        });
        let done = self.backend.rebuild(keys.watched().chain(waker));
        if let Ok(true) | Err(Error::Replaced { .. }) = done {
            self.stats.rebuilds += 1;
        }
        if let Ok(_) | Err(Error::Replaced { .. }) = done {
            self.zombie = false;
        }
        done.map(|_| ())
    }

    /// The next event that has a taker, which is not taken by this, and what that is told.
    #[cold]
    fn peek<S, D>(&mut self, slots: &[Slot<S, D>]) -> Option<(u32, Events)> {
        loop {
            let (token, events) = self.backend.peek()?;
            match slots.get(token.slot as usize) {
                Some(slot) if slot.is(token) => {
                    let told = events.told(slot.allowed());
                    if !told.is_empty() {
                        return Some((token.slot, told));
                    }
                    // Modified or fired since the wait; or the waker, which has no key.
                    self.stats.stale += u64::from(slot.key.is_some());
                }
                dropped => {
                    self.zombie |= dropped.is_some();
                    self.stats.stale += 1;
                }
            }
            self.backend.advance();
        }
    }

    #[inline]
    pub(crate) fn next_ready<'k, S, D>(
        &mut self,
        slots: &'k mut [Slot<S, D>],
    ) -> Option<(KeyMut<'k, S, D>, Events)> {
        // As `peek`, which could do it all. But its loop would make every event pay for those
        // that are dropped.
        let (token, events) = self.backend.peek()?;
        if let Some(slot) = slots.get(token.slot as usize).filter(|slot| slot.is(token)) {
            let told = events.told(slot.allowed());
            if !told.is_empty() {
                return self.deliver(slots, token.slot, told);
            }
        }
        self.next_behind_stale(slots)
    }

    #[cold]
    fn next_behind_stale<'k, S, D>(
        &mut self,
        slots: &'k mut [Slot<S, D>],
    ) -> Option<(KeyMut<'k, S, D>, Events)> {
        let (number, told) = self.peek(slots)?;
        self.deliver(slots, number, told)
    }

    #[inline]
    fn deliver<'k, S, D>(
        &mut self,
        slots: &'k mut [Slot<S, D>],
        number: u32,
        told: Events,
    ) -> Option<(KeyMut<'k, S, D>, Events)> {
        self.backend.advance();
        let slot = slots.get_mut(number as usize)?;
        if slot.key.as_ref()?.mode == Mode::OneShot {
            if let Some(fired) = slot.watched(number) {
                self.backend.disarm(&fired);
            }
            slot.allow(Events::empty());
        }
        slot.key.as_mut().map(|key| (key.as_key_mut(), told))
    }
}
