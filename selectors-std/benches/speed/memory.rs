//! What the keys take, and that waits allocate nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::measure::{ALL, BARE, FIXED, GROWABLE, MIO, POLLING, Row};
use crate::pool::{Pool, clear, raise};
use crate::subjects::{Bare, Fixed, Growable, LEVEL, Mio, Polling, Subject};

/// The system's allocator, which counts.
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
        // SAFETY: the caller keeps to the contract of `dealloc`, and `alloc` is the system's.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        LIVE.fetch_add(size, Relaxed);
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps to the contract of `realloc`, and `alloc` is the system's.
        unsafe { System.realloc(block, layout, size) }
    }
}

const KEYS: usize = 10_000;

/// Bytes of heap per key beyond the source and the data, and allocations per thousand waits.
#[allow(clippy::cast_precision_loss, reason = "a few million at most")]
fn measure<'a, S: Subject<'a>>(pool: &'a Pool) -> (f64, f64) {
    let before = LIVE.load(Relaxed);
    let mut subject = Box::new(S::open());
    for fd in pool.fds() {
        subject.add(fd, LEVEL, 0);
    }
    let grown = (LIVE.load(Relaxed) - before) as f64;
    let own = size_of::<BorrowedFd<'_>>() + size_of::<u64>();
    subject.wait(false, |_, data| *data += 1);
    let before = CALLS.load(Relaxed);
    for _ in 0..1000 {
        subject.wait(false, |_, data| *data += 1);
    }
    (grown / KEYS as f64 - own as f64, (CALLS.load(Relaxed) - before) as f64)
}

pub(crate) fn rows(rows: &mut impl FnMut(Row)) {
    let pool = Pool::new(KEYS);
    pool.some(100).for_each(raise);
    let figures = ALL.map(|name| match name {
        BARE => (name, measure::<Bare<'_>>(&pool)),
        GROWABLE => (name, measure::<Growable<'_>>(&pool)),
        FIXED => (name, measure::<Fixed<'_, KEYS>>(&pool)),
        MIO => (name, measure::<Mio<'_>>(&pool)),
        POLLING => (name, measure::<Polling<'_>>(&pool)),
        _ => (name, (f64::NAN, f64::NAN)),
    });
    pool.fds().for_each(clear);
    rows(Row::exact(MEMORY, "bytes", &figures.map(|(name, (bytes, _))| (name, bytes))));
    rows(Row::exact(ALLOCATIONS, "calls", &figures.map(|(name, (_, calls))| (name, calls))));
}

pub(crate) const MEMORY: &str = "memory per key beyond source and data, 10000 keys";
pub(crate) const ALLOCATIONS: &str = "allocations in 1000 waits, 100 ready";
