//! The memory of the keys, and the allocations of waits.

use std::alloc::{GlobalAlloc, Layout, System};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::limits::KEYS;
use crate::measure::count;
use crate::pool::{Pool, clear, raise};
use crate::row::Row;
use crate::subjects::{
    BARE, Bare, FIXED, Fixed, GROWABLE, Growable, LEVEL, MIO, Mio, POLLING, Polling, Subject,
    registered,
};

/// The system's allocator, and counters.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[allow(unsafe_code)]
// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        LIVE.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps to the contract of `dealloc`, and `alloc` is
        // the system's.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        LIVE.fetch_add(size, Relaxed);
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps to the contract of `realloc`, and `alloc` is
        // the system's.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// The capacity of the fixed selector: that of as many keys as are measured, if
/// the limit of open files allows them.
const CAPACITY: usize = 10_000;

/// Bytes of heap per key without the source and the data, and allocations per
/// thousand waits.
fn measure<'a, S: Subject<'a>>(pool: &'a Pool, keys: usize) -> [f64; 2] {
    let before = LIVE.load(Relaxed);
    let mut subject: Box<S> = Box::new(registered(pool.fds(), LEVEL));
    let grown = LIVE.load(Relaxed) - before;
    let own = size_of::<BorrowedFd<'_>>() + size_of::<u64>();
    subject.wait(false, |_, data| *data += 1);
    let before = CALLS.load(Relaxed);
    for _ in 0..1000 {
        subject.wait(false, |_, data| *data += 1);
    }
    [count(grown) / count(keys) - count(own), amount(CALLS.load(Relaxed) - before)]
}

#[allow(clippy::cast_precision_loss, reason = "a few thousand at most")]
fn amount(calls: usize) -> f64 {
    calls as f64
}

pub(crate) fn rows(rows: &mut impl FnMut(Row)) {
    let keys = KEYS.fitting();
    let pool = &Pool::new(keys);
    pool.some(100).for_each(raise);
    let figures = [
        (BARE, measure::<Bare<'_>>(pool, keys)),
        (GROWABLE, measure::<Growable<'_>>(pool, keys)),
        (FIXED, measure::<Fixed<'_, CAPACITY>>(pool, CAPACITY)),
        (MIO, measure::<Mio<'_>>(pool, keys)),
        (POLLING, measure::<Polling<'_>>(pool, keys)),
    ];
    pool.fds().for_each(clear);
    let work = format!("bytes per key without source and data, {keys} keys");
    rows(Row::exact(&work, "bytes", &figures.map(|(name, [bytes, _])| (name, bytes))));
    rows(Row::exact(ALLOCATIONS, "allocations", &figures.map(|(name, [_, calls])| (name, calls))));
}

pub(crate) const MEMORY: &str = "bytes per key without source and data, 10000 keys";
pub(crate) const ALLOCATIONS: &str = "allocations in 1000 waits, 100 ready";
