//! The waker's byte, as it is in the crate, under a model checker: every order of the threads' steps, and every value
//! that the memory model lets them read.
//!
//! `RUSTFLAGS='--cfg loom' cargo test --test loom`
#![cfg(loom)]
#![allow(unreachable_pub, dead_code, reason = "the crate's file is a module here")]

#[path = "../selectors-core/src/waker/state.rs"]
mod state;

// What `state` takes from its parent.
use loom::sync::atomic;

use loom::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use state::{State, Wake};

/// A descriptor, and the wait for it: told once for each write as an edge, or until it is drained.
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
    descriptor: Descriptor,
    /// What the threads did before they woke. Relaxed: the waker alone puts it in order.
    posted: [AtomicUsize; 2],
}

fn shared(edge: bool) -> Arc<Shared> {
    let state = State(AtomicU8::new(0));
    assert!(state.take());
    state.open();
    let descriptor = Descriptor { edge, written: Mutex::new(false), changed: Condvar::new() };
    Arc::new(Shared { state, descriptor, posted: [AtomicUsize::new(0), AtomicUsize::new(0)] })
}

fn wake(shared: &Shared) -> Wake {
    let asked = shared.state.wake();
    if asked == Wake::Write {
        shared.descriptor.write();
    }
    asked
}

/// As the engine does after a wait.
fn select(shared: &Shared, ended_by_another_event: bool) {
    if !ended_by_another_event {
        shared.descriptor.wait();
        shared.descriptor.drain();
    }
    shared.state.seen();
}

/// Waits until all that was posted is seen: a wake that is lost, or one that does not publish, leaves it waiting.
fn all_is_seen(edge: bool, ended_by_another_event: bool) {
    loom::model(move || {
        let shared = shared(edge);
        let threads: Vec<_> = (0..2)
            .map(|number| {
                let shared = shared.clone();
                thread::spawn(move || {
                    shared.posted[number].store(1, Ordering::Relaxed);
                    assert_ne!(wake(&shared), Wake::Closed);
                })
            })
            .collect();
        let seen = || shared.posted.iter().all(|posted| posted.load(Ordering::Relaxed) == 1);
        if ended_by_another_event {
            select(&shared, true);
        }
        while !seen() {
            select(&shared, false);
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn edge() {
    all_is_seen(true, false);
}

#[test]
fn level() {
    all_is_seen(false, false);
}

#[test]
fn edge_after_another_event() {
    all_is_seen(true, true);
}

#[test]
fn level_after_another_event() {
    all_is_seen(false, true);
}

/// A selector ends, and another one takes the cell, while a thread wakes: whoever was told that the wake
/// is accepted by the second selector ends its wait.
#[test]
fn one_selector_after_the_other() {
    loom::model(|| {
        let shared = shared(true);
        let other = shared.clone();
        let thread = thread::spawn(move || {
            let first = wake(&other);
            let second = wake(&other);
            (first, second)
        });
        shared.state.close();
        assert!(shared.state.take());
        shared.descriptor.drain();
        shared.state.open();
        let (_, second) = thread.join().unwrap();
        let (open, pending) = shared.state.open_and_pending();
        assert!(open);
        // It was accepted, so a write is there or was made to the first, and the flag says so.
        if second == Wake::Write {
            assert!(*shared.descriptor.written.lock().unwrap());
        }
        if pending {
            assert!(*shared.descriptor.written.lock().unwrap(), "pending, and nobody writes: no wake will");
        }
    });
}
