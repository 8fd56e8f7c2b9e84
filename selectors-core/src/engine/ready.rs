//! The wait, and what is ready after it.

use core::ops::Deref;
use core::time::Duration;

use rustix::event::Timespec;
use rustix::io::Errno;

use super::{Engine, Wake};
use crate::backend::{Backend, Rebuilt};
use crate::error::{Error, os};
use crate::events::{Events, Mode};
use crate::platform;
use crate::select_result::SelectResult;
use crate::storage::Index;
use crate::table::{Keys, Slot, Watched};
use crate::wait::in_steps;
use crate::waker::WakeCell;

/// The waits between two attempts to recreate the kernel's set. Each of them
/// takes a millisecond, if nothing is ready.
const PATIENCE: u8 = 100;

/// The longest wait with an old set and a timeout.
pub(crate) const STEP: Duration = Duration::from_millis(1);

/// The pause after a wait that found nothing but stale events: a millisecond.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

impl<B: Backend> Engine<B> {
    /// Returns whether there is something to do before the system call,
    /// which is rare.
    #[inline]
    pub(crate) fn has_backlog(&self) -> bool {
        self.has_zombie() || self.backend.pending() > 0
    }

    /// Returns whether the kernel reports a registration that does not exist.
    #[inline]
    pub(crate) fn has_zombie(&self) -> bool {
        self.zombie > 0
    }

    /// Makes the system call, and returns how many events it has found, or the
    /// result of `select` if there are none.
    // Inlined, so that a timeout known where it is called costs nothing.
    #[inline]
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
    ) -> Result<usize, Result<SelectResult, Error>> {
        // Before the call. After it, the compiler would add in each branch, and
        // jump.
        self.stats.waits += 1;
        match in_steps(timeout, |time| self.backend.wait(time)) {
            Ok(0) => Err(Ok(SelectResult::TIMED_OUT)),
            Ok(count) => {
                self.stats.events += count as u64;
                Ok(count)
            }
            Err(errno) => Err(self.end_wait(errno, self.backend.kind().call())),
        }
    }

    /// Distinguishes a signal from a failure.
    #[cold]
    fn end_wait(&mut self, errno: Errno, call: &'static str) -> Result<SelectResult, Error> {
        if errno != Errno::INTR {
            self.stats.waits -= 1; // `wait` has counted it
            return Err(os(call, None, errno));
        }
        self.stats.interrupted += 1;
        Ok(SelectResult::INTERRUPTED)
    }

    /// After a wait, consumes the wake's event, so that later wakes are for the
    /// next wait. Returns whether there was one.
    #[inline]
    pub(crate) fn take_wake<W: Deref<Target = WakeCell>>(&mut self, wake: &Wake<W>) -> bool {
        if !self.backend.take_wake(wake.token) {
            return false;
        }
        let cell = wake.cell.hold();
        // In this order: a wake between the two is part of this wait.
        if self.wake_interest().mode == Mode::Level {
            cell.drain();
        }
        cell.clear_pending();
        self.stats.events -= 1;
        self.stats.wakes += 1;
        true
    }

    /// Does what has to be done before the system call. Returns a result if
    /// there is one already.
    ///
    /// Pending events come first, as the kernel would not report edges and
    /// one-shots again. Then the kernel's set is recreated. If that is refused,
    /// the selector goes on with the old one.
    #[cold]
    pub(crate) fn clear_backlog<S, D, I: Index, W: Deref<Target = WakeCell>>(
        &mut self,
        keys: &Keys<'_, S, D, I>,
        wake: Option<&Wake<W>>,
    ) -> Option<SelectResult> {
        if self.peek(keys.slots).is_some() {
            return Some(SelectResult::events_only(self.backend.pending()));
        }
        (self.has_zombie() && self.rebuild(keys, wake)).then_some(SelectResult::REPLACED)
    }

    /// Returns whether to wait only for a step of what is left of a timeout.
    ///
    /// A stale event of an old set ends the wait, and how long it has lasted
    /// until then is not known. So it is short.
    #[inline]
    pub(crate) fn waits_in_steps(&self, left: Option<Duration>) -> bool {
        self.has_zombie() && left.is_some_and(|left| left > STEP)
    }

    /// Returns the result of `select` after a wait with an old set, or pauses
    /// if it has found nothing but stale events.
    ///
    /// Without the pause, every further wait would return immediately.
    // Here and not in `select`, which is compiled for each capacity.
    #[cold]
    pub(crate) fn pause_if_stale<S, D>(
        &mut self,
        slots: &[Slot<S, D>],
        left: Option<Duration>,
        count: usize,
    ) -> Option<Result<SelectResult, Error>> {
        if self.peek(slots).is_some() {
            return Some(Ok(SelectResult::events_only(self.backend.pending())));
        }
        if left == Some(Duration::ZERO) {
            return Some(Ok(SelectResult::TIMED_OUT));
        }
        match platform::poll(&mut [], Some(&PAUSE)) {
            Ok(_) => None,
            Err(Errno::INTR) => Some(self.end_wait(Errno::INTR, "poll")),
            // A sandbox refuses the pause, so that it is not known how much
            // time is left.
            Err(_) => Some(Ok(SelectResult::events_only(count))),
        }
    }

    /// Recreates the kernel's set, if that is due and the kernel permits it.
    ///
    /// Returns whether the set was recreated while its descriptor may be
    /// watched elsewhere.
    #[allow(unsafe_code)]
    fn rebuild<S, D, I: Index, W: Deref<Target = WakeCell>>(
        &mut self,
        keys: &Keys<'_, S, D, I>,
        wake: Option<&Wake<W>>,
    ) -> bool {
        self.zombie -= 1;
        if self.has_zombie() {
            return false;
        }
        let interest = self.wake_interest();
        let waker = wake.and_then(|wake| {
            let fd = wake.cell.hold().watched()?;
            Some(Watched { fd, token: wake.token, interest, armed: true })
        });
        // SAFETY: these are the keys in the table, and the waker that the
        // selector holds.
        let rebuilt = unsafe { self.backend.rebuild(keys.watched().chain(waker)) };
        if rebuilt == Rebuilt::Refused {
            self.stats.failed_rebuilds += 1;
            self.zombie = PATIENCE;
            return false;
        }
        self.stats.rebuilds += u64::from(rebuilt != Rebuilt::Unneeded);
        rebuilt == Rebuilt::Replaced
    }

    /// Finds the next event that has a key, and returns its slot and what is
    /// reported. Drops the others before it.
    #[cold]
    fn peek<S, D>(&mut self, slots: &[Slot<S, D>]) -> Option<(u32, Events)> {
        loop {
            let (token, events) = self.backend.peek()?;
            match slots.get(token.slot as usize) {
                Some(slot) if slot.is(token) => {
                    let reported = events.reported(slot.mask());
                    if !reported.is_empty() {
                        return Some((token.slot, reported));
                    }
                    // Modified or fired since the wait; or the waker, which has
                    // no key.
                    self.stats.stale += u64::from(slot.key.is_some());
                }
                dropped => {
                    self.zombie = self.zombie.max(u8::from(dropped.is_some()));
                    self.stats.stale += 1;
                }
            }
            self.backend.advance();
        }
    }

    /// Consumes the next event that has a key, and returns its slot and what is
    /// reported.
    ///
    /// The slot that it returns exists and has a key.
    #[inline]
    pub(crate) fn next_ready<S, D>(&mut self, slots: &mut [Slot<S, D>]) -> Option<(usize, Events)> {
        // `peek` could do all of this, but its loop would make every event pay
        // for those that are dropped, and for one-shots.
        let Some((token, events)) = self.backend.peek_here() else {
            let further = B::IS_ARRAY && self.backend.pending() > 0;
            return if further { self.next_by_peek(slots) } else { None };
        };
        let position = token.slot as usize;
        let is_current = |slot: &Slot<S, D>| B::IS_ARRAY || slot.is(token);
        if let Some(slot) =
            slots.get(position).filter(|slot| is_current(slot) && slot.stays_armed())
        {
            debug_assert!(slot.is(token));
            let reported = events.reported(slot.mask());
            if !reported.is_empty() {
                self.backend.advance();
                return Some((position, reported));
            }
        }
        self.next_by_peek(slots)
    }

    #[cold]
    fn next_by_peek<S, D>(&mut self, slots: &mut [Slot<S, D>]) -> Option<(usize, Events)> {
        let (number, reported) = self.peek(slots)?;
        let slot = slots.get_mut(number as usize)?;
        self.backend.advance();
        if !slot.stays_armed() {
            if let Some(fired) = slot.watched(number) {
                self.backend.disarm(&fired);
            }
            slot.disarm();
        }
        Some((number as usize, reported))
    }
}
