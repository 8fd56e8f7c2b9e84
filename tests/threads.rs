//! A waker and a selector in several threads: for race detectors (see `.ci/sanitizers`), and in its own right.
#![cfg(target_os = "linux")]

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use selectors_core::backend::{Backend, Epoll, Poll, Select};
use selectors_core::{Error, Selector};
use selectors_std::Growable;

/// Long enough that a test which needs it has failed.
const SOON: Option<Duration> = Some(Duration::from_secs(60));

/// A scope waits for its threads in a way that race detectors don't see.
fn join(threads: Vec<thread::ScopedJoinHandle<'_, ()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// What happened before a wake is seen after the wait that it ends, whoever's write ended that.
fn what_happened_before_is_seen<B: Backend>(rounds: u64) {
    let mut selector = Selector::<B, OwnedFd, (), Growable>::new().unwrap();
    let waker = selector.waker().unwrap();
    // Relaxed, and the waker alone puts them in order.
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
                    // In step, or most wakes would be one.
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

#[test]
fn wakes_publish() {
    what_happened_before_is_seen::<Epoll>(300);
    what_happened_before_is_seen::<Poll<Growable>>(300);
    what_happened_before_is_seen::<Select<Growable>>(300);
}

#[test]
fn ends() {
    selectors_end_while_they_are_woken::<Epoll>(20);
    selectors_end_while_they_are_woken::<Poll<Growable>>(20);
    selectors_end_while_they_are_woken::<Select<Growable>>(20);
}
