//! A thread gets ten thousand signals while it selects. It loses no event and
//! no wake, and no wait returns an error.

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use selectors_core::backend::{Backend, Poll};
use selectors_core::storage::{Fixed, Storage};
use selectors_core::{Events, Mode, Selector, WakeCell};
use selectors_std::Growable;

use crate::common::signals::{pthread_kill, pthread_self, signal};
use crate::common::support::SOON;

const SIGNALS: u32 = 10_000;

thread_local! {
    /// How many signals the handler has seen in this thread.
    static HANDLED: Cell<Option<&'static AtomicU32>> = const { Cell::new(None) };
}

extern "C" fn handler(_number: i32) {
    if let Some(handled) = HANDLED.get() {
        handled.fetch_add(1, Ordering::SeqCst);
    }
}

/// Sends signals to a thread, each after the one before has been handled, as
/// pending signals coalesce.
fn send(target: usize, handled: &AtomicU32, over: &AtomicBool) {
    while !over.load(Ordering::SeqCst) {
        let before = handled.load(Ordering::SeqCst);
        // SAFETY: that thread waits for this one at the end of a scope, so it
        // exists.
        unsafe { pthread_kill(target, Signal::USR2.as_raw()) };
        while handled.load(Ordering::SeqCst) == before && !over.load(Ordering::SeqCst) {
            thread::yield_now();
        }
    }
}

fn signalled<B: Backend, M: Storage>(mode: Mode, timeout: Option<Duration>)
where
    M::Wake: Default + Send + Sync,
{
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_read_timeout(SOON).unwrap();
    let mut selector = Selector::<B, _, (), M>::new().unwrap();
    selector.register(ours, Events::READ.with_mode(mode), ()).unwrap();
    let waker = selector.waker().unwrap();

    let handled: &'static AtomicU32 = Box::leak(Box::default());
    HANDLED.set(Some(handled));
    // SAFETY: the handler does nothing but an atomic operation.
    unsafe { signal(Signal::USR2.as_raw(), handler) };
    // SAFETY: has no conditions.
    let target = unsafe { pthread_self() };
    let over = AtomicBool::new(false);
    let (events, wakes) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        scope.spawn(|| send(target, handled, &over));
        // Each byte waits for the echo of the one before, and each wake for the
        // wait that it ends. A loss stops the test.
        scope.spawn(|| {
            while handled.load(Ordering::SeqCst) < SIGNALS {
                theirs.write_all(b"!").unwrap();
                theirs.read_exact(&mut [0]).expect("an event is lost");
                let before = wakes.load(Ordering::SeqCst);
                waker.wake().unwrap();
                let begun = Instant::now();
                while wakes.load(Ordering::SeqCst) == before {
                    assert!(Some(begun.elapsed()) < SOON, "a wake is lost");
                    thread::yield_now();
                }
            }
            over.store(true, Ordering::SeqCst);
            waker.wake().unwrap();
        });
        while !over.load(Ordering::SeqCst) {
            let result = selector.select(timeout).expect("a signal is no error");
            while let Some((mut key, ready)) = selector.next_ready() {
                assert_eq!(ready, Events::READ);
                let mut byte = [0];
                while let Ok(1) = key.read(&mut byte) {
                    key.write_all(&byte).unwrap();
                    events.fetch_add(1, Ordering::SeqCst);
                }
                if mode == Mode::OneShot {
                    key.modify(Events::READ.one_shot()).unwrap();
                }
            }
            if result.woken() {
                wakes.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    HANDLED.set(None);
    let (events, wakes) = (events.into_inner(), wakes.into_inner());
    println!(
        "{mode:?}, {timeout:?}: {} signals, {events} events, {wakes} wakes",
        handled.load(Ordering::SeqCst)
    );
    assert!(events > 0 && wakes > 0);
}

fn every_mode<B: Backend, M: Storage>()
where
    M::Wake: Default + Send + Sync,
{
    let edge = Selector::<B, UnixStream, (), M>::new().unwrap().kind().supports_edge();
    for mode in [Mode::Level, Mode::OneShot, Mode::Edge] {
        if mode != Mode::Edge || edge {
            signalled::<B, M>(mode, None);
        }
    }
    // On epoll this is two system calls.
    signalled::<B, M>(Mode::Level, Some(Duration::from_micros(300)));
}

selectors_core::if_epoll! {
    #[test]
    fn epoll() {
        every_mode::<selectors_core::backend::Epoll, Growable>();
    }
}

selectors_core::if_kqueue! {
    #[test]
    fn kqueue() {
        every_mode::<selectors_core::backend::Kqueue, Growable>();
    }
}

selectors_core::if_select! {
    #[test]
    fn select() {
        every_mode::<selectors_core::backend::Select<Growable>, Growable>();
    }
}

#[test]
fn poll() {
    every_mode::<Poll<Growable>, Growable>();
}

/// The handler itself wakes, which is the only thing that a handler may do to a
/// selector. No wake is lost.
#[test]
fn the_handler_wakes() {
    static CELL: WakeCell = WakeCell::new();
    static WAKES: AtomicU32 = AtomicU32::new(0);
    extern "C" fn wake(_number: i32) {
        WAKES.fetch_add(1, Ordering::SeqCst);
        let _ = CELL.wake();
    }
    let mut selector = Selector::<Poll<Fixed<4>>, UnixStream, (), Fixed<4>>::new().unwrap();
    selector.waker_in(&CELL).unwrap();
    let number = Signal::USR1.as_raw();
    // SAFETY: the handler adds, and wakes, which is async-signal-safe.
    unsafe { signal(number, wake) };
    // SAFETY: has no conditions.
    let target = unsafe { pthread_self() };
    let seen = AtomicU32::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for sent in 1..=SIGNALS {
                // SAFETY: that thread waits for this one at the end of the
                // scope, so it exists.
                unsafe { pthread_kill(target, number) };
                let begun = Instant::now();
                while seen.load(Ordering::SeqCst) < sent {
                    assert!(Some(begun.elapsed()) < SOON, "the wait goes on, though it was woken");
                    thread::yield_now();
                }
            }
        });
        while seen.load(Ordering::SeqCst) < SIGNALS {
            selector.select(SOON).unwrap();
            seen.store(WAKES.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    });
}
