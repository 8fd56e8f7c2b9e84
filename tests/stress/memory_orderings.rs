//! The waker's state, as it is in the crate, under a model checker. It tries
//! every order of the threads' steps, and every value that the memory model
//! allows them to read.
//!
//! `RUSTFLAGS='--cfg loom' cargo test --release --test stress`
#![allow(unreachable_pub, dead_code, reason = "the crate's file is a module here")]

#[path = "../../selectors-core/src/waker/state.rs"]
mod state;

// What `state` imports from its parent.
use loom::sync::atomic;

use loom::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use state::{Attachment, Errand, State};

/// A descriptor, and the wait for it. A write is reported once if `edge` is
/// set, and until it is drained otherwise.
struct Descriptor {
    edge: bool,
    written: Mutex<bool>,
    changed: Condvar,
}

impl Descriptor {
    fn write(&self) {
        *self.written.lock().unwrap() = true;
        self.changed.notify_one();
    }

    /// A wait that never ends is a deadlock, which the checker reports.
    fn wait(&self) {
        let mut written = self.written.lock().unwrap();
        while !*written {
            written = self.changed.wait(written).unwrap();
        }
        if self.edge {
            *written = false;
        }
    }

    fn drain(&self) {
        if !self.edge {
            *self.written.lock().unwrap() = false;
        }
    }
}

struct Shared {
    state: State,
    /// Those of the first attachment, and of the next one.
    descriptors: [Descriptor; 2],
    /// Which of them the cell has.
    number: AtomicUsize,
    /// What the threads did before they woke. Relaxed: the waker alone puts it
    /// in order.
    posted: [AtomicUsize; 2],
    /// How many writes there were. Relaxed, too.
    writes: AtomicUsize,
}

impl Shared {
    fn taken(edge: bool) -> Self {
        let state = State { word: AtomicU32::new(0), writing: AtomicU32::new(0) };
        assert!(state.take());
        let descriptor =
            || Descriptor { edge, written: Mutex::new(false), changed: Condvar::new() };
        let posted = [AtomicUsize::new(0), AtomicUsize::new(0)];
        let (number, writes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { state, descriptors: [descriptor(), descriptor()], number, posted, writes }
    }

    fn written(&self, number: usize) -> bool {
        *self.descriptors[number].written.lock().unwrap()
    }

    /// As the cell does at the end of an attachment and at the beginning of the
    /// next one. When the first one's descriptor could be closed, how many
    /// writes had been made to it.
    fn attach_again(&self, attachment: Attachment) -> (Attachment, Option<usize>) {
        assert!(self.state.close(attachment));
        let closed = self.state.writes_are_over().then(|| self.writes.load(Ordering::Relaxed));
        self.state.release();
        assert!(self.state.take());
        self.number.store(1, Ordering::Release);
        (self.state.open(), closed)
    }
}

fn shared(edge: bool) -> (Arc<Shared>, Attachment) {
    let shared = Shared::taken(edge);
    let attachment = shared.state.open();
    (Arc::new(shared), attachment)
}

/// Of this attachment, or of the one that there is.
fn wake(shared: &Shared, of: Option<Attachment>) -> Errand<usize> {
    let number = || shared.number.load(Ordering::Acquire);
    let errand =
        shared.state.try_to_wake(of, number).unwrap_or_else(|| shared.state.wake(of, number));
    if let Errand::Write(number, writing) = errand {
        shared.descriptors[number].write();
        shared.writes.fetch_add(1, Ordering::Relaxed);
        if !shared.state.try_to_end(writing) {
            shared.state.written(writing);
        }
    }
    errand
}

/// Waits, and consumes a wake, as the engine does.
fn select(shared: &Shared, by: Attachment, ended_by_another_event: bool) -> bool {
    if !ended_by_another_event {
        shared.descriptors[0].wait();
        shared.descriptors[0].drain();
    }
    shared.state.clear_pending(by)
}

/// All orders of steps in which threads are interrupted at most three times:
/// without a bound it takes hours.
fn check(run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(run);
}

/// Waits until all that was posted is seen: a wake that is lost, or one that
/// does not publish, leaves it waiting.
fn all_is_seen(edge: bool, ended_by_another_event: bool) {
    check(move || {
        let (shared, attachment) = shared(edge);
        let threads: Vec<_> = (0..2)
            .map(|number| {
                let shared = shared.clone();
                thread::spawn(move || {
                    shared.posted[number].store(1, Ordering::Relaxed);
                    assert_ne!(wake(&shared, Some(attachment)), Errand::Closed);
                })
            })
            .collect();
        let seen = || shared.posted.iter().all(|posted| posted.load(Ordering::Relaxed) == 1);
        if ended_by_another_event {
            select(&shared, attachment, true);
        }
        while !seen() {
            select(&shared, attachment, false);
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn edge_triggered() {
    all_is_seen(true, false);
}

#[test]
fn level_triggered() {
    all_is_seen(false, false);
}

#[test]
fn edge_triggered_after_another_event() {
    all_is_seen(true, true);
}

#[test]
fn level_triggered_after_another_event() {
    all_is_seen(false, true);
}

/// A selector ends, and another one takes the cell, while a thread wakes
/// the one that has it. The next wake ends the wait of the second selector: the
/// state has no mark of a write to the first one.
#[test]
fn one_selector_after_the_other() {
    check(|| {
        let (shared, first) = shared(true);
        let other = shared.clone();
        let thread = thread::spawn(move || (wake(&other, None), wake(&other, None)));
        let (second, _) = shared.attach_again(first);
        let _ = thread.join().unwrap();
        assert_ne!(wake(&shared, None), Errand::Closed);
        assert!(
            shared.written(1)
                && shared.state.clear_pending(second)
                && !shared.state.clear_pending(second)
        );
    });
}

/// The waker of a selector that ends: it changes nothing for the next one,
/// neither in the state nor by a write that is late, and no descriptor is
/// closed that it still writes to.
#[test]
fn a_stale_waker_and_the_next_attachment() {
    check(|| {
        let (shared, first) = shared(true);
        let other = shared.clone();
        let thread = thread::spawn(move || [wake(&other, Some(first)), wake(&other, Some(first))]);
        let (second, closed) = shared.attach_again(first);
        assert!(
            !shared.state.clear_pending(second)
                && !shared.state.clear_pending(first)
                && !shared.state.close(first)
        );
        let errands = thread.join().unwrap();
        assert!(!shared.written(1), "a stale waker woke the next selector");
        let writes = shared.writes.load(Ordering::Relaxed);
        assert!(closed.is_none_or(|before| before == writes), "it wrote to what was closed");
        // The wakes of the second are its own: the first of them writes.
        assert!(matches!(wake(&shared, Some(second)), Errand::Write(1, _)));
        assert_eq!(wake(&shared, Some(second)), Errand::Pending);
        assert!(shared.state.clear_pending(second) && shared.state.writes_are_over());
        assert!(matches!(errands[0], Errand::Write(0, _) | Errand::Closed), "{errands:?}");
        assert!(
            !matches!(errands[1], Errand::Write(..)),
            "no wait has seen the first: {errands:?}"
        );
    });
}

/// Two threads wake the second selector, one by its waker and one by that of
/// the first. Neither hinders the other.
#[test]
fn a_stale_waker_swallows_no_wake() {
    check(|| {
        let (shared, first) = shared(false);
        let (second, _) = shared.attach_again(first);
        let stale = shared.clone();
        let stale = thread::spawn(move || wake(&stale, Some(first)));
        let own = shared.clone();
        let own = thread::spawn(move || {
            own.posted[0].store(1, Ordering::Relaxed);
            wake(&own, Some(second))
        });
        shared.descriptors[1].wait();
        assert!(shared.state.clear_pending(second));
        assert_eq!(shared.posted[0].load(Ordering::Relaxed), 1);
        assert_eq!(stale.join().unwrap(), Errand::Closed);
        assert!(matches!(own.join().unwrap(), Errand::Write(1, _)));
    });
}

/// If no wait sees a wake in between, only the first of several wakes writes.
/// What each thread did before is published, also by those that do not write.
#[test]
fn a_burst_is_one_write() {
    check(|| {
        let (shared, attachment) = shared(false);
        let threads: Vec<_> = (0..2)
            .map(|number| {
                let shared = shared.clone();
                thread::spawn(move || {
                    shared.posted[number].store(1, Ordering::Relaxed);
                    matches!(wake(&shared, Some(attachment)), Errand::Write(..))
                })
            })
            .collect();
        let writes =
            threads.into_iter().map(|thread| thread.join().unwrap()).filter(|wrote| *wrote).count();
        assert_eq!(writes, 1);
        assert!(
            shared.written(0)
                && shared.state.clear_pending(attachment)
                && shared.state.writes_are_over()
        );
    });
}

/// A wake whose write is refused leaves no mark. On its own attachment the next
/// wake writes, and the next attachment does not get the wake.
#[test]
fn a_refused_write() {
    check(|| {
        let (shared, first) = shared(true);
        let other = shared.clone();
        let thread = thread::spawn(move || {
            if let Errand::Write(_, writing) = other.state.wake(Some(first), || 0) {
                other.state.forget_wake(writing);
                other.state.written(writing);
            }
        });
        let (second, _) = shared.attach_again(first);
        assert!(matches!(wake(&shared, Some(second)), Errand::Write(1, _)));
        thread.join().unwrap();
        assert_eq!(
            wake(&shared, Some(second)),
            Errand::Pending,
            "it forgot a wake of the next attachment"
        );
    });
}
