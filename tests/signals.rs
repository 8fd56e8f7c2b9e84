//! A thread that is signalled ten thousand times while it selects loses no event and no wake, and no wait
//! ends in an error.
#![allow(unsafe_code, reason = "signals are sent and handled with what the C library gives")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use selectors_core::backend::{Backend, Poll};
use selectors_core::storage::{Fixed, Storage};
use selectors_core::{Events, Mode, Selector, WakeCell};
use selectors_std::Growable;

const SIGNALS: u32 = 10_000;
/// Long enough that a test which needs it has failed.
const SOON: Option<Duration> = Some(Duration::from_secs(20));

// A thread is declared as the word that it is everywhere: a number here, a pointer there.
unsafe extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn pthread_self() -> usize;
    fn pthread_kill(thread: usize, number: i32) -> i32;
}

/// How many signals the handlers of all threads have seen.
static HANDLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn handler(_number: i32) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// A thread's handle for `pthread_kill`, asked of the thread itself.
fn this_thread() -> usize {
    // SAFETY: has no conditions.
    unsafe { pthread_self() }
}

fn signalled<B: Backend, M: Storage>(mode: Mode, timeout: Option<Duration>)
where
    M::Wake: Default + Send + Sync,
{
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut selector = Selector::<B, _, (), M>::new().unwrap();
    selector.register(ours, Events::READ.with_mode(mode), ()).unwrap();
    let waker = selector.waker().unwrap();

    let number = rustix::process::Signal::USR2.as_raw();
    // SAFETY: the handler does nothing but an atomic operation.
    unsafe { signal(number, handler) };
    let target = this_thread();
    let over = AtomicBool::new(false);
    let sent = AtomicU32::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            // At least so many, and until the events have come.
            while sent.load(Ordering::Relaxed) < SIGNALS || !over.load(Ordering::Acquire) {
                // SAFETY: that thread waits for this one at the end of the scope, so it exists.
                unsafe { pthread_kill(target, number) };
                sent.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_micros(1));
            }
            over.store(true, Ordering::Release);
            // The last wait may be without end.
            let _ = waker.wake();
        });
        // One byte, then its answer, then the next: one event that is lost stops everything.
        let wakes = AtomicU32::new(0);
        let echoed = AtomicU32::new(0);
        let (wakes, echoed) = (&wakes, &echoed);
        let (over, sent) = (&over, &sent);
        scope.spawn(move || {
            theirs.set_read_timeout(SOON).unwrap();
            while sent.load(Ordering::Relaxed) < SIGNALS {
                theirs.write_all(b"!").unwrap();
                theirs.read_exact(&mut [0]).expect("an event is lost");
                echoed.fetch_add(1, Ordering::Relaxed);
                let before = wakes.load(Ordering::Acquire);
                waker.wake().unwrap();
                let begun = std::time::Instant::now();
                while wakes.load(Ordering::Acquire) == before {
                    assert!(Some(begun.elapsed()) < SOON, "a wake is lost");
                    thread::yield_now();
                }
            }
            over.store(true, Ordering::Release);
        });
        while !(over.load(Ordering::Acquire) && sent.load(Ordering::Relaxed) >= SIGNALS) {
            let before = selector.stats();
            let count = selector.select(timeout).expect("a signal is no error");
            let mut told = 0;
            while let Some((key, events)) = selector.next_ready() {
                assert!(events.contains(Events::READ));
                told += 1;
                let (fd, mut stream) = (key.fd, key.fileobj);
                let mut byte = [0];
                while let Ok(1) = stream.read(&mut byte) {
                    stream.write_all(&byte).unwrap();
                }
                if mode == Mode::OneShot {
                    selector.modify(fd, Events::READ.one_shot()).unwrap();
                }
            }
            if count > told {
                wakes.fetch_add(1, Ordering::Release);
            }
            assert!(selector.stats().waits - before.waits <= 1);
        }
        assert!(echoed.load(Ordering::Relaxed) > 0);
    });
    assert!(sent.load(Ordering::Relaxed) >= SIGNALS);
}

/// Takes what its type has: a storage that allocates has cells of its own.
fn every_mode<B: Backend, M: Storage>()
where
    M::Wake: Default + Send + Sync,
{
    let before = HANDLED.load(Ordering::Relaxed);
    let edge = Selector::<B, UnixStream, (), M>::new().unwrap().kind().supports_edge();
    for mode in [Mode::Level, Mode::OneShot, Mode::Edge] {
        if mode != Mode::Edge || edge {
            signalled::<B, M>(mode, None);
            // With epoll, two system calls.
            signalled::<B, M>(mode, Some(Duration::from_micros(300)));
        }
    }
    // Signals of one number are not queued; those that come while one is pending are the same one.
    assert!(HANDLED.load(Ordering::Relaxed) - before > SIGNALS / 10);
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

/// The handler itself wakes, the one thing a handler may do to a selector: none of its wakes is lost.
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
    let number = rustix::process::Signal::USR1.as_raw();
    // SAFETY: the handler adds, and wakes, which is async-signal-safe.
    unsafe { signal(number, wake) };
    let target = this_thread();
    let seen = AtomicU32::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for sent in 1..=SIGNALS {
                // SAFETY: that thread waits for this one at the end of the scope, so it exists.
                unsafe { pthread_kill(target, number) };
                let begun = std::time::Instant::now();
                while seen.load(Ordering::SeqCst) < sent {
                    assert!(Some(begun.elapsed()) < SOON, "the wait goes on, though it was woken");
                    std::hint::spin_loop();
                }
            }
        });
        while seen.load(Ordering::SeqCst) < SIGNALS {
            selector.select(SOON).unwrap();
            seen.store(WAKES.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    });
}
