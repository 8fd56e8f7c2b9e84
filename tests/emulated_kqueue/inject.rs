//! Makes a call of this thread fail.

use std::cell::Cell;

use rustix::io::Errno;

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The call as a whole, and no change was made.
    Call(Errno),
    /// The wait is interrupted after all changes were made.
    Interrupted,
    /// Its changes are refused, each by a receipt.
    Receipt(Errno),
    /// The change of this number is refused by a receipt, and the others are
    /// made.
    One(usize, Errno),
    /// Its changes are made, but not acknowledged, as by a kernel that does not
    /// know receipts.
    NoReceipts,
}

thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
    static PLAN: Cell<Option<(u32, Failure)>> = const { Cell::new(None) };
}

/// Has the call of this number, counted from now on, fail. Runs `action`, and
/// says whether it made so many.
pub fn failing<T>(number: u32, failure: Failure, action: impl FnOnce() -> T) -> (T, bool) {
    CALLS.set(0);
    PLAN.set(Some((number, failure)));
    let result = action();
    (result, PLAN.take().is_none())
}

/// How many calls this thread has made.
pub fn calls() -> u32 {
    CALLS.get()
}

/// Runs `action`, and says how many calls it made.
pub fn counted<T>(action: impl FnOnce() -> T) -> (T, u32) {
    CALLS.set(0);
    let result = action();
    (result, CALLS.get())
}

/// Counts a call, and says how it is to fail.
pub fn next() -> Option<Failure> {
    let number = CALLS.get();
    CALLS.set(number + 1);
    let (_, failure) = PLAN.get().filter(|(at, _)| *at == number)?;
    PLAN.set(None);
    Some(failure)
}
