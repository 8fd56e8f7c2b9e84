//! The byte by which a selector and its wakers agree on who makes a system call.
//!
//! A file of its own, and with the parent's atomics, so that `tests/loom.rs` can run it with those of a model checker.

use super::atomic::{AtomicU8, Ordering};

/// A selector holds the cell.
const TAKEN: u8 = 1;
/// Wakes are accepted.
const OPEN: u8 = 2;
/// A wake is under way that no wait has seen yet: further ones need no system call.
const PENDING: u8 = 4;

pub(crate) struct State(pub(crate) AtomicU8);

/// What a wake must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Nobody waits any more.
    Closed,
    /// Nothing: another wake is under way.
    Pending,
    /// Write.
    Write,
}

impl State {
    #[inline]
    pub(crate) fn wake(&self) -> Errand {
        // The exchange publishes what the caller did before to the thread that will clear the
        // flag, also when another wake's write is the one that carries it.
        let state = self.0.fetch_or(PENDING, Ordering::AcqRel);
        if state & OPEN == 0 {
            Errand::Closed
        } else if state & PENDING != 0 {
            Errand::Pending
        } else {
            Errand::Write
        }
    }

    /// The write of a wake was refused: the next one tries again.
    pub(crate) fn forget_wake(&self) {
        self.0.fetch_and(!PENDING, Ordering::AcqRel);
    }

    /// Marks the wakes so far as seen; those that come after need a system call again.
    #[inline]
    pub(crate) fn seen(&self) -> bool {
        let pending = self.0.load(Ordering::Acquire) & PENDING != 0;
        if pending {
            self.0.fetch_and(!PENDING, Ordering::AcqRel);
        }
        pending
    }

    /// Whether the caller has the cell now, because nobody had it.
    pub(crate) fn take(&self) -> bool {
        self.0.fetch_or(TAKEN, Ordering::AcqRel) & TAKEN == 0
    }

    // These two are exchanges where stores would do: they are rare, and the model checker can't order a
    // store against the exchange of a wake.

    /// Accepts wakes.
    pub(crate) fn open(&self) {
        self.0.swap(TAKEN | OPEN, Ordering::AcqRel);
    }

    /// From now on wakes are told that nobody waits.
    pub(crate) fn close(&self) {
        self.0.swap(0, Ordering::AcqRel);
    }

    /// Whether wakes are accepted, and whether one is under way.
    pub(crate) fn open_and_pending(&self) -> (bool, bool) {
        let state = self.0.load(Ordering::Relaxed);
        (state & OPEN != 0, state & PENDING != 0)
    }
}
