//! Signals that reach the thread of a test, with what the C library gives every
//! program.

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use selectors_core::WakeCell;

// A thread is declared as the word that it is everywhere: a number here, a
// pointer there.
unsafe extern "C" {
    pub fn signal(number: c_int, handler: extern "C" fn(c_int)) -> usize;
    pub fn pthread_self() -> usize;
    pub fn pthread_kill(thread: usize, number: c_int) -> c_int;
}

thread_local! {
    static CELL: Cell<Option<&'static WakeCell>> = const { Cell::new(None) };
}

extern "C" fn handler(_number: c_int) {
    if let Some(cell) = CELL.get() {
        let _ = cell.wake();
    }
}

/// Runs `wait` while signals arrive in its thread, again and again because the
/// first may come before the wait has begun. Their handler wakes `cell`.
pub fn interrupt<T>(cell: Option<&'static WakeCell>, wait: impl FnOnce() -> T) -> T {
    let number = Signal::USR1.as_raw();
    CELL.set(cell);
    // SAFETY: the handler does nothing but an atomic operation and a write.
    unsafe { signal(number, handler) };
    // SAFETY: has no conditions.
    let thread = unsafe { pthread_self() };
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                thread::sleep(Duration::from_millis(50));
                // SAFETY: that thread waits for this one at the end of the
                // scope, so it exists.
                unsafe { pthread_kill(thread, number) };
            }
        });
        let result = wait();
        over.store(true, Ordering::Release);
        result
    })
}
