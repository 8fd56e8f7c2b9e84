//! The two words by which a selector and its wakers agree on who makes a system
//! call, and on who may still write.
//!
//! A file of its own, and with the parent's atomics, so that
//! `tests/stress/memory_orderings.rs` can run it with those of a model checker.

use super::atomic::{AtomicU32, Ordering};

/// A selector holds the cell, takes it or lets it go.
const TAKEN: u32 = 1;
/// Wakes are accepted.
const OPEN: u32 = 2;
/// A wake is under way that no wait has seen yet: further ones need no system
/// call.
const PENDING: u32 = 4;
const FLAGS: u32 = TAKEN | OPEN | PENDING;
/// The number of the attachment counts up in the bits above the flags. A waker
/// that is kept for 2²⁹ attachments would be taken for one of the last of them.
const ONE_ATTACHMENT: u32 = FLAGS + 1;

/// How many wakes are between their decision to write and the end of their
/// write; above that, which process counts them.
const WRITERS: u32 = (1 << 24) - 1;

pub(crate) struct State {
    /// The flags, and the number of the attachment.
    pub(crate) word: AtomicU32,
    /// The wakes that are being written.
    pub(crate) writing: AtomicU32,
}

/// One selector's hold on the cell: the word of the state during it, with all
/// flags set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attachment(u32);

impl Attachment {
    /// The word while no wake is pending. By subtraction, as the flag is set:
    /// one instruction.
    #[inline]
    const fn idle(self) -> u32 {
        self.0.wrapping_sub(PENDING)
    }
}

/// What a wake must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand<T> {
    /// The selector was dropped.
    Closed,
    /// Nothing: another wake is under way.
    Pending,
    /// Write to this, and report it with `written`.
    Write(T, Writing),
}

/// A wake that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Writing {
    attachment: Attachment,
    /// The word that it was counted in.
    counted: u32,
}

impl State {
    /// Decides what a wake must do: one of that attachment, or of the one that
    /// there is.
    ///
    /// `target` gives what must be written to. It is read before the exchange
    /// that finds the attachment still there: so it is this attachment's,
    /// because the next one replaces it after it has changed the word.
    ///
    /// `None` when another thread, or the handler of a signal, has changed the
    /// word in between: then `wake` goes on.
    #[inline]
    pub(crate) fn try_to_wake<T>(&self, of: Option<Attachment>, target: impl Fn() -> T) -> Option<Errand<T>> {
        let word = self.word.load(Ordering::Acquire);
        let attachment = match of {
            Some(attachment) => attachment,
            None if word & OPEN != 0 => Attachment(word | PENDING),
            None => return Some(Errand::Closed),
        };
        // An exchange in each case: it publishes what the caller did before to
        // the thread that will clear the flag, also when another wake's write
        // is the one that carries it.
        if word == attachment.idle() {
            // Counted before the exchange, which publishes that: who ends the
            // attachment after it sees this wake counted. Relaxed, for the same
            // reason.
            let writing = Writing { attachment, counted: self.writing.fetch_add(1, Ordering::Relaxed) };
            let target = target();
            if self.word.compare_exchange(word, attachment.0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Some(Errand::Write(target, writing));
            }
            self.written(writing);
            return None;
        }
        if word == attachment.0 {
            let exchanged = self.word.compare_exchange(word, word, Ordering::AcqRel, Ordering::Relaxed);
            return exchanged.is_ok().then_some(Errand::Pending);
        }
        Some(Errand::Closed)
    }

    /// Decides it in the end: each failure is the success of another thread or
    /// of a handler.
    #[cold]
    pub(crate) fn wake<T>(&self, of: Option<Attachment>, target: impl Fn() -> T) -> Errand<T> {
        loop {
            if let Some(errand) = self.try_to_wake(of, &target) {
                return errand;
            }
        }
    }

    /// The end of a wake's write, if no other one has begun or ended since it
    /// began. Else `written` is to be called.
    ///
    /// Release, here and there: what comes after `writes_are_over` comes after
    /// the write.
    #[inline]
    pub(crate) fn try_to_end(&self, Writing { counted, .. }: Writing) -> bool {
        let with_this = counted.wrapping_add(1);
        self.writing.compare_exchange(with_this, counted, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// The end of a wake's write.
    #[cold]
    pub(crate) fn written(&self, Writing { counted, .. }: Writing) {
        let mut now = self.writing.load(Ordering::Relaxed);
        // Not when a forked process has begun to count its own.
        while (now ^ counted) & !WRITERS == 0 {
            match self.writing.compare_exchange(now, now - 1, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => now = other,
            }
        }
    }

    /// The write of a wake was refused: the next one tries again.
    #[cold]
    pub(crate) fn forget_wake(&self, Writing { attachment, .. }: Writing) {
        let (pending, idle) = (attachment.0, attachment.idle());
        // Fails when a wait has seen the wake, or when another attachment has
        // begun, whose wake it is not.
        let _ = self.word.compare_exchange(pending, idle, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Marks the wakes so far as seen; those that come after need a system call
    /// again. Returns whether there were any.
    #[inline]
    pub(crate) fn seen(&self, by: Attachment) -> bool {
        // With another attachment's number it would be another selector's wake.
        let pending = self.word.load(Ordering::Acquire) == by.0;
        if pending {
            self.word.fetch_and(!PENDING, Ordering::AcqRel);
        }
        pending
    }

    /// Whether that attachment goes on.
    #[inline]
    pub(crate) fn is(&self, attachment: Attachment) -> bool {
        self.word.load(Ordering::Acquire) | PENDING == attachment.0
    }

    /// Whether the caller has the cell now, because no selector had it.
    pub(crate) fn take(&self) -> bool {
        self.word.fetch_or(TAKEN, Ordering::AcqRel) & TAKEN == 0
    }

    /// Takes the cell from a selector that is another process's, and with it
    /// the count of the wakes: the threads which were in the middle of one are
    /// not in this process.
    ///
    /// Only one thread of a process may do so, and none may call `take` until
    /// it is done.
    pub(crate) fn take_over(&self) {
        let writing = self.writing.load(Ordering::Relaxed);
        // A thread that counts one in between has it forgotten. It finds the
        // word changed, and does not write; or it writes to what the other
        // process has.
        self.writing.swap((writing & !WRITERS).wrapping_add(WRITERS + 1), Ordering::AcqRel);
        let number = self.word.load(Ordering::Relaxed) & !FLAGS;
        self.word.swap(number | TAKEN, Ordering::AcqRel);
    }

    // These are exchanges where stores would do: they are rare, and the model
    // checker can't order a store against the exchange of a wake.

    /// Accepts wakes, which are those of a new attachment. Only after `take` or
    /// `take_over`.
    pub(crate) fn open(&self) -> Attachment {
        let number = (self.word.load(Ordering::Relaxed) & !FLAGS).wrapping_add(ONE_ATTACHMENT);
        self.word.swap(number | TAKEN | OPEN, Ordering::AcqRel);
        Attachment(number | FLAGS)
    }

    /// Accepts no wakes any more. The cell stays taken. Whether there was
    /// anything to close: that attachment.
    pub(crate) fn close(&self, attachment: Attachment) -> bool {
        // No race: who holds an attachment ends it, and no other attachment
        // begins before.
        let held = self.is(attachment);
        if held {
            self.word.fetch_and(!(OPEN | PENDING), Ordering::AcqRel);
        }
        held
    }

    /// Whether every write has ended that a wake of a closed attachment has
    /// decided on.
    ///
    /// After `take` or `close`, whose exchange comes after that of each of
    /// them.
    pub(crate) fn writes_are_over(&self) -> bool {
        self.writing.load(Ordering::Acquire) & WRITERS == 0
    }

    /// Lets another selector take the cell.
    pub(crate) fn release(&self) {
        self.word.fetch_and(!FLAGS, Ordering::AcqRel);
    }

    /// Whether wakes are accepted, and whether one is under way.
    pub(crate) fn open_and_pending(&self) -> (bool, bool) {
        let word = self.word.load(Ordering::Relaxed);
        (word & OPEN != 0, word & PENDING != 0)
    }
}
