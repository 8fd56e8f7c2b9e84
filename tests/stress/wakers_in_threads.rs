//! A waker and a selector in several threads. Race detectors run this, too: see
//! `.ci/sanitizers`.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use selectors_core::backend::{Backend, Epoll, Poll, Select};
use selectors_core::{Error, Selector, WakeCell};
use selectors_std::Growable;

use crate::common::support::SOON;

/// A scope waits for its threads in a way that race detectors don't see.
fn join(threads: Vec<thread::ScopedJoinHandle<'_, ()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// What happened before a wake is seen after the wait that it ends, also if
/// another thread's write ended that wait.
fn what_happened_before_is_seen<B: Backend>(rounds: u64) {
    let mut selector = Selector::<B, OwnedFd, (), Growable>::new().unwrap();
    let waker = selector.waker().unwrap();
    // Relaxed, as the waker alone must put them in order.
    let posted = [const { AtomicU64::new(0) }; 3];
    let taken = AtomicU64::new(0);
    let (posted, taken) = (&posted, &taken);
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for mail in posted {
            let waker = waker.clone();
            threads.push(scope.spawn(move || {
                for round in 1..=rounds {
                    mail.store(round, Ordering::Relaxed);
                    waker.wake().unwrap();
                    // The threads keep in step, as most wakes would coalesce
                    // otherwise.
                    while taken.load(Ordering::Acquire) < round {
                        thread::yield_now();
                    }
                }
            }));
        }
        for round in 1..=rounds {
            while posted.iter().any(|mail| mail.load(Ordering::Relaxed) < round) {
                assert!(selector.select(SOON).unwrap().woken(), "a wake is lost");
            }
            taken.store(round, Ordering::Release);
        }
        join(threads);
    });
}

/// Selectors end while others wake them.
fn selectors_end_while_they_are_woken<B: Backend>(rounds: u64) {
    for _ in 0..rounds {
        let mut selector = Selector::<B, OwnedFd, (), Growable>::new().unwrap();
        let waker = selector.waker().unwrap();
        thread::scope(|scope| {
            let until_closed = || while waker.wake() != Err(Error::WakerClosed) {};
            let threads = (0..2).map(|_| scope.spawn(until_closed)).collect();
            for _ in 0..3 {
                assert!(selector.select(SOON).unwrap().woken());
            }
            drop(selector);
            join(threads);
        });
        assert_eq!(waker.wake(), Err(Error::WakerClosed));
    }
}

/// A cell passes from selector to selector, while one thread wakes the earlier
/// one and another thread the present one.
fn a_cell_changes_hands<B: Backend>(rounds: u64) {
    let cell = Arc::new(WakeCell::new());
    let mut earlier = None;
    for round in 1..=rounds {
        let mut selector = Selector::<B, OwnedFd, (), Growable>::new().unwrap();
        let waker = selector.waker_in(cell.clone()).unwrap();
        let (posted, stale) = (AtomicU64::new(0), earlier.replace(waker.clone()));
        thread::scope(|scope| {
            let wakes = scope.spawn(|| {
                // Relaxed, as the wake alone must make the selecting thread see
                // it.
                posted.store(round, Ordering::Relaxed);
                waker.wake().unwrap();
                while waker.wake() != Err(Error::WakerClosed) {}
            });
            let wakes_the_earlier_one = scope.spawn(|| {
                for _ in 0..100 {
                    assert!(stale.iter().all(|stale| stale.wake() == Err(Error::WakerClosed)));
                }
            });
            assert!(selector.select(SOON).unwrap().woken(), "a wake is lost");
            assert_eq!(posted.load(Ordering::Relaxed), round);
            drop(selector);
            join(vec![wakes, wakes_the_earlier_one]);
        });
    }
}

#[test]
fn wakes_publish() {
    what_happened_before_is_seen::<Epoll>(300);
    what_happened_before_is_seen::<Poll<Growable>>(300);
    what_happened_before_is_seen::<Select<Growable>>(300);
}

#[test]
fn a_selector_may_end_while_it_is_woken() {
    selectors_end_while_they_are_woken::<Epoll>(20);
    selectors_end_while_they_are_woken::<Poll<Growable>>(20);
    selectors_end_while_they_are_woken::<Select<Growable>>(20);
}

#[test]
fn a_cell_may_pass_from_selector_to_selector() {
    a_cell_changes_hands::<Epoll>(100);
    a_cell_changes_hands::<Poll<Growable>>(100);
    a_cell_changes_hands::<Select<Growable>>(100);
}
