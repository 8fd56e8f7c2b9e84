//! Two words that a selector and its wakers share. They decide which thread
//! makes a system call, and which wakes may still write.
//!
//! This is a file of its own and uses the parent's atomics, so that
//! `tests/stress/memory_orderings.rs` can run it with those of a model checker.

use super::atomic::{AtomicU32, Ordering};

/// A selector holds the cell, is taking it or is releasing it.
const TAKEN: u32 = 1;
/// Wakes are accepted.
const OPEN: u32 = 2;
/// A wake is pending. Further ones need no system call.
const PENDING: u32 = 4;
const FLAGS: u32 = TAKEN | OPEN | PENDING;
/// The number of the attachment is in the bits above the flags.
///
/// It wraps around after 2²⁹ attachments. A waker that is kept for so long
/// would be mistaken for one of the last attachment.
const ONE_ATTACHMENT: u32 = FLAGS + 1;

/// The bits that count the wakes which have decided to write and not yet ended.
///
/// The bits above are changed when another process begins to count.
const WRITERS: u32 = (1 << 24) - 1;

pub(crate) struct State {
    /// The flags, and the number of the attachment.
    pub(crate) word: AtomicU32,
    /// The wakes that are being written.
    pub(crate) writing: AtomicU32,
}

/// The attachment of one selector to the cell.
///
/// It is the word of the state during that time, with all flags set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attachment(u32);

impl Attachment {
    /// Returns the word while no wake is pending.
    ///
    /// The flag is set, so a subtraction clears it in one instruction.
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
    /// Do nothing: another wake is pending.
    Pending,
    /// Write to this, and then call `try_to_end` or `written`.
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
    /// Decides what a wake must do.
    ///
    /// The wake is for the attachment `of`, or for the current one if that is
    /// `None`.
    ///
    /// `target` returns what must be written to. It is called before the
    /// exchange that finds the attachment unchanged. So the target is this
    /// attachment's: the next attachment changes the word before it replaces
    /// the target.
    ///
    /// Returns `None` if another thread or a signal handler has changed the
    /// word in between. Then `wake` tries again.
    #[inline]
    pub(crate) fn try_to_wake<T>(
        &self,
        of: Option<Attachment>,
        target: impl Fn() -> T,
    ) -> Option<Errand<T>> {
        let word = self.word.load(Ordering::Acquire);
        let attachment = match of {
            Some(attachment) => attachment,
            None if word & OPEN != 0 => Attachment(word | PENDING),
            None => return Some(Errand::Closed),
        };
        // There is an exchange in each case. It publishes what the caller did
        // before to the thread that will clear the flag. That is needed even if
        // another wake makes the write.
        if word == attachment.idle() {
            // Counted before the exchange, which publishes it. A thread that
            // ends the attachment after the exchange sees that this wake is
            // counted. So the count itself may be relaxed.
            let writing =
                Writing { attachment, counted: self.writing.fetch_add(1, Ordering::Relaxed) };
            let target = target();
            if self
                .word
                .compare_exchange(word, attachment.0, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                return Some(Errand::Write(target, writing));
            }
            self.written(writing);
            return None;
        }
        if word == attachment.0 {
            let exchanged =
                self.word.compare_exchange(word, word, Ordering::AcqRel, Ordering::Relaxed);
            return exchanged.is_ok().then_some(Errand::Pending);
        }
        Some(Errand::Closed)
    }

    /// Decides what a wake must do, and tries until it has decided.
    ///
    /// Each failure is the success of another thread or of a signal handler.
    #[cold]
    pub(crate) fn wake<T>(&self, of: Option<Attachment>, target: impl Fn() -> T) -> Errand<T> {
        loop {
            if let Some(errand) = self.try_to_wake(of, &target) {
                return errand;
            }
        }
    }

    /// Ends the write of a wake, if no other write has begun or ended since.
    ///
    /// If this returns false, call `written`. Both release, so that what comes
    /// after `writes_are_over` comes after the write.
    #[inline]
    pub(crate) fn try_to_end(&self, Writing { counted, .. }: Writing) -> bool {
        let with_this = counted.wrapping_add(1);
        self.writing
            .compare_exchange(with_this, counted, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// Ends the write of a wake.
    #[cold]
    pub(crate) fn written(&self, Writing { counted, .. }: Writing) {
        let mut now = self.writing.load(Ordering::Relaxed);
        // Ends when a forked process has begun to count its own.
        while (now ^ counted) & !WRITERS == 0 {
            match self.writing.compare_exchange(now, now - 1, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(other) => now = other,
            }
        }
    }

    /// Clears the flag after a refused write, so that the next wake writes.
    #[cold]
    pub(crate) fn forget_wake(&self, Writing { attachment, .. }: Writing) {
        let (pending, idle) = (attachment.0, attachment.idle());
        // This fails if a wait has cleared the flag, or if another attachment
        // has begun. The wake is not one of that attachment.
        let _ = self.word.compare_exchange(pending, idle, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Clears the flag of a pending wake, and returns whether it was set.
    ///
    /// The next wake writes again.
    #[inline]
    pub(crate) fn clear_pending(&self, by: Attachment) -> bool {
        // With another attachment's number it would be another selector's wake.
        let pending = self.word.load(Ordering::Acquire) == by.0;
        if pending {
            self.word.fetch_and(!PENDING, Ordering::AcqRel);
        }
        pending
    }

    /// Returns whether this is still the attachment.
    #[inline]
    pub(crate) fn is(&self, attachment: Attachment) -> bool {
        self.word.load(Ordering::Acquire) | PENDING == attachment.0
    }

    /// Takes the cell if no selector has it, and returns whether it did.
    pub(crate) fn take(&self) -> bool {
        self.word.fetch_or(TAKEN, Ordering::AcqRel) & TAKEN == 0
    }

    /// Takes the cell from a selector of another process.
    ///
    /// This resets the count of writes, because the threads that were in the
    /// middle of one are not in this process. Only one thread of a process may
    /// call this, and no thread may call `take` until it is done.
    pub(crate) fn take_over(&self) {
        let writing = self.writing.load(Ordering::Relaxed);
        // If a thread counts a write in between, this forgets it. That thread
        // finds the word changed and does not write. Or it writes to a
        // descriptor that the other process has.
        self.writing.swap((writing & !WRITERS).wrapping_add(WRITERS + 1), Ordering::AcqRel);
        let number = self.word.load(Ordering::Relaxed) & !FLAGS;
        self.word.swap(number | TAKEN, Ordering::AcqRel);
    }

    // These are exchanges where stores would do: they are rare, and the model
    // checker can't order a store against the exchange of a wake.

    /// Begins an attachment, and accepts its wakes.
    ///
    /// `take` or `take_over` must have been called before.
    pub(crate) fn open(&self) -> Attachment {
        let number = (self.word.load(Ordering::Relaxed) & !FLAGS).wrapping_add(ONE_ATTACHMENT);
        self.word.swap(number | TAKEN | OPEN, Ordering::AcqRel);
        Attachment(number | FLAGS)
    }

    /// Stops accepting wakes, if this is still the attachment.
    ///
    /// Returns whether it was. The cell stays taken.
    pub(crate) fn close(&self, attachment: Attachment) -> bool {
        // This is not a race. Only the holder of an attachment ends it, and no
        // other attachment begins before.
        let held = self.is(attachment);
        if held {
            self.word.fetch_and(!(OPEN | PENDING), Ordering::AcqRel);
        }
        held
    }

    /// Returns whether every write of a closed attachment has ended.
    ///
    /// `take` or `close` must have been called before. Their exchange comes
    /// after that of each wake which has decided to write.
    pub(crate) fn writes_are_over(&self) -> bool {
        self.writing.load(Ordering::Acquire) & WRITERS == 0
    }

    /// Releases the cell, so that another selector can take it.
    pub(crate) fn release(&self) {
        self.word.fetch_and(!FLAGS, Ordering::AcqRel);
    }

    /// Returns whether wakes are accepted, and whether one is pending.
    pub(crate) fn open_and_pending(&self) -> (bool, bool) {
        let word = self.word.load(Ordering::Relaxed);
        (word & OPEN != 0, word & PENDING != 0)
    }
}
