//! An allocator that counts, for each thread, how often it is called.
#![allow(unreachable_pub, reason = "nothing here is reached from elsewhere")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
    /// How many bytes this thread has allocated and not freed.
    static BYTES: Cell<isize> = const { Cell::new(0) };
    /// Whether this thread gets no memory.
    static EMPTY: Cell<bool> = const { Cell::new(false) };
}

/// Counts a call, by which so many bytes more are allocated.
fn count(more: usize, fewer: usize) {
    CALLS.set(CALLS.get() + 1);
    BYTES.set(BYTES.get().wrapping_add_unsigned(more).wrapping_sub_unsigned(fewer));
}

// SAFETY: each call is passed on to the system's allocator; counting touches
// thread-local numbers, which need neither an allocation nor a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if EMPTY.get() {
            count(0, 0);
            return std::ptr::null_mut();
        }
        count(layout.size(), 0);
        // SAFETY: the caller keeps the conditions of the same call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller keeps the conditions of the same call.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if EMPTY.get() {
            count(0, 0);
            return std::ptr::null_mut();
        }
        count(size, layout.size());
        // SAFETY: the caller keeps the conditions of the same call.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller keeps the conditions of the same call.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often this thread calls the allocator while it does something.
pub fn calls<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let before = CALLS.get();
    let result = work();
    (CALLS.get() - before, result)
}

/// How many bytes this thread has allocated and not freed.
pub fn bytes() -> isize {
    BYTES.get()
}

/// Does something for which this thread gets no memory.
pub fn without_memory<T>(work: impl FnOnce() -> T) -> T {
    EMPTY.set(true);
    let result = work();
    EMPTY.set(false);
    result
}

#[test]
fn the_allocator_counts() {
    let (calls, vector) = calls(|| {
        let mut vector = vec![0_u8; 10];
        vector.reserve(1000);
        drop(Box::new(1));
        vector
    });
    assert_eq!((calls, vector.len()), (4, 10));
    let before = bytes();
    drop(vector);
    assert_eq!(bytes(), before - 1010);
}
