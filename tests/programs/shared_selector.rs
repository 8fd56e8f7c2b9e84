//! The guide's recipe for a selector that other threads change while it waits.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use selectors_std::{Events, KeyId};

use crate::common::needs;
use crate::common::support::{NOW, SOON};

mod recipe {
    #![allow(
        unreachable_pub,
        missing_docs,
        missing_debug_implementations,
        reason = "a program's own type"
    )]
    include!("../../selectors-std/src/guide/shared_selector.rs");
}
use recipe::SharedSelector;

type Shared = Arc<SharedSelector<UnixStream, usize>>;

/// Waits in a thread until `stop`, and counts the bytes of each number.
fn waiting(
    shared: &Shared,
    stop: &Arc<AtomicBool>,
    received: &'static [AtomicUsize],
) -> thread::JoinHandle<()> {
    let (shared, stop) = (shared.clone(), stop.clone());
    thread::spawn(move || {
        while !stop.load(Ordering::SeqCst) {
            let result = shared.wait(SOON, |mut key, _events| {
                let mut buffer = [0; 64];
                let n = key.read(&mut buffer).unwrap();
                received[key.data].fetch_add(n, Ordering::SeqCst);
                if n == 0 {
                    drop(key.unregister());
                }
            });
            assert!(!result.unwrap().timed_out(), "neither an event nor a change ended the wait");
        }
    })
}

fn counters(n: usize) -> &'static [AtomicUsize] {
    (0..n).map(|_| AtomicUsize::new(0)).collect::<Vec<_>>().leak()
}

fn eventually(what: &str, done: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < SOON.unwrap(), "{what}");
        thread::yield_now();
    }
}

#[test]
fn another_thread_registers_and_unregisters_while_one_waits() {
    let shared: Shared = Arc::new(SharedSelector::new().unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let received = counters(1);
    let thread = waiting(&shared, &stop, received);

    let (ours, mut theirs) = UnixStream::pair().unwrap();
    // The results come back to this thread.
    let id: KeyId =
        shared.change(|selector| selector.register(ours, Events::READ, 0).unwrap().id()).unwrap();
    theirs.write_all(b"hello").unwrap();
    eventually("an event of the new key", || received[0].load(Ordering::SeqCst) == 5);

    shared.change(|selector| selector.pause(id)).unwrap().unwrap();
    theirs.write_all(b"again").unwrap();
    assert!(
        shared.change(|selector| selector.get_key(id).is_some_and(|key| key.is_paused())).unwrap()
    );
    assert_eq!(received[0].load(Ordering::SeqCst), 5, "it is paused");
    let key = shared.change(|selector| selector.unregister(id)).unwrap().unwrap();
    let mut unread = [0; 5];
    (&key.fileobj).read_exact(&mut unread).unwrap();
    assert_eq!(&unread, b"again");

    stop.store(true, Ordering::SeqCst);
    shared.change(|_| ()).unwrap();
    thread.join().unwrap();
}

#[test]
fn many_threads_change_what_one_waits_for() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 200;
    // If the waiting thread is the last to run, all are open.
    let Some(_descriptors) = needs::descriptors(THREADS * ROUNDS + 20) else { return };
    let shared: Shared = Arc::new(SharedSelector::new().unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let received = counters(THREADS);
    let waiter = waiting(&shared, &stop, received);
    let changing: Vec<_> = (0..THREADS)
        .map(|number| {
            let shared = shared.clone();
            thread::spawn(move || {
                for _ in 0..ROUNDS {
                    let (ours, mut theirs) = UnixStream::pair().unwrap();
                    let registered = shared.change(|selector| {
                        selector.register(ours, Events::READ, number).map(|_| ())
                    });
                    registered.unwrap().unwrap();
                    theirs.write_all(b"!").unwrap();
                }
            })
        })
        .collect();
    changing.into_iter().for_each(|thread| thread.join().unwrap());
    eventually("every byte and every end is reported", || {
        received.iter().all(|count| count.load(Ordering::SeqCst) == ROUNDS)
            && shared.change(|selector| selector.get_map().is_empty()).unwrap()
    });
    stop.store(true, Ordering::SeqCst);
    shared.change(|_| ()).unwrap();
    waiter.join().unwrap();
}

#[test]
fn a_change_that_panics_ends() {
    let shared: Shared = Arc::new(SharedSelector::new().unwrap());
    let changing = shared.clone();
    assert!(thread::spawn(move || changing.change(|_| panic!("on purpose"))).join().is_err());
    // Its wake ends one wait, which does not stand back for it.
    assert!(shared.wait(SOON, |_, _| ()).unwrap().woken());
    assert!(shared.wait(NOW, |_, _| ()).unwrap().timed_out());
}
