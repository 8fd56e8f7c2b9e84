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
use state::{Errand, State};

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

fn wake(shared: &Shared) -> Errand {
    let asked = shared.state.wake();
    if asked == Errand::Write {
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

/// All orders of steps in which threads are interrupted at most three times: without a bound it takes hours.
fn check(run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(run);
}

/// Waits until all that was posted is seen: a wake that is lost, or one that does not publish, leaves it waiting.
fn all_is_seen(edge: bool, ended_by_another_event: bool) {
    check(move || {
        let shared = shared(edge);
        let threads: Vec<_> = (0..2)
            .map(|number| {
                let shared = shared.clone();
                thread::spawn(move || {
                    shared.posted[number].store(1, Ordering::Relaxed);
                    assert_ne!(wake(&shared), Errand::Closed);
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

/// A selector ends, and another one takes the cell, while a thread wakes. The next wake ends the wait of
/// that one: nothing is left of the first which would make it think that another's write is under way.
#[test]
fn one_selector_after_the_other() {
    check(|| {
        let shared = shared(true);
        let other = shared.clone();
        let thread = thread::spawn(move || (wake(&other), wake(&other)));
        shared.state.close();
        assert!(shared.state.take());
        *shared.descriptor.written.lock().unwrap() = false;
        shared.state.open();
        let _ = thread.join().unwrap();
        assert_ne!(wake(&shared), Errand::Closed);
        assert!(*shared.descriptor.written.lock().unwrap());
    });
}
