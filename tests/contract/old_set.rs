//! The kernel refuses to recreate its set. The selector goes on with the old
//! one, and tries again later.
//!
//! Only epoll needs that. A row returns where there is nothing to recreate, and
//! asserts that this is no epoll.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::{Errno, read, write};
use selectors_core::{Events, Kind};

use crate::refused::{NO_CHANGE, NO_INSTANCE, of_one, refusals, refused};
use crate::signals::interrupt;
use crate::support::{Kernel, NOW, SOON, Table, agree, agree_with_wakers, apart, pair, ready};
use crate::zombies::{Sel, empty_returns, watch, zombie};

const READ: Events = Events::READ;
const WRITE: Events = Events::WRITE;

/// The waits between two attempts to recreate the set.
const PATIENCE: u64 = 100;

/// Makes the kernel report a registration that does not exist, and lets the
/// selector find that. Returns what keeps it alive, unless the backend has no
/// set to recreate.
fn found<B: Kernel, M: Table>(selector: &mut Sel<B, M>) -> Option<UnixStream> {
    let (alive, _) = zombie(selector);
    let found = selector.select(NOW).unwrap().events();
    assert_eq!(found > 0, selector.kind() == Kind::Epoll);
    assert!(selector.next_ready().is_none());
    (found > 0).then_some(alive)
}

/// Waits until the set is recreated, which must be soon. The new set reports
/// the descriptor of each waker once, if it was woken before.
fn recreated<B: Kernel, M: Table>(selector: &mut Sel<B, M>, wakers: usize) {
    let before = selector.stats();
    while selector.stats().rebuilds == before.rebuilds {
        let result = selector.select(NOW).unwrap();
        assert!(result.events() + usize::from(result.woken()) <= wakers, "{result:?}");
        assert!(selector.next_ready().is_none());
        assert!(selector.stats().waits - before.waits <= PATIENCE, "it is not tried again");
    }
    assert_eq!(empty_returns(selector), 0);
}

pub fn healthy_keys_are_reported<B: Kernel, M: Table>() {
    let (other, peer) = pair();
    for refusal in refusals(other.as_raw_fd()) {
        let mut selector = Sel::<B, M>::new().unwrap();
        watch(&mut selector, &other, READ, "other");
        let one_shot = pair();
        watch(&mut selector, &one_shot.0, WRITE.one_shot(), "fired");
        assert_eq!(ready(&mut selector, NOW).len(), 1);
        let Some(_alive) = found(&mut selector) else { return };
        let worked = refused(refusal, || {
            for _ in 0..3 {
                assert_eq!(ready(&mut selector, NOW), [].into());
                write(&peer, b"!").unwrap();
                assert_eq!(ready(&mut selector, SOON), [(other.as_raw_fd(), READ)].into());
                read(&other, &mut [0; 8]).unwrap();
            }
        });
        let Some(()) = worked else { return };
        let stats = selector.stats();
        assert_eq!((stats.rebuilds, stats.failed_rebuilds), (0, 1), "{stats:?}");
        for events in [READ | WRITE, READ] {
            assert_eq!(selector.modify(&other, events), Ok(()), "the old set is not what it was");
        }
        recreated(&mut selector, 0);
        agree(&selector);
        write(&peer, b"!").unwrap();
        assert_eq!(ready(&mut selector, SOON), [(other.as_raw_fd(), READ)].into());
        read(&other, &mut [0; 8]).unwrap();
        selector.modify(&one_shot.0, WRITE.one_shot()).unwrap();
        assert_eq!(ready(&mut selector, SOON), [(one_shot.0.as_raw_fd(), WRITE)].into());
        assert_eq!(selector.stats().failed_rebuilds, 1);
    }
}

/// The kernel returns from each of these waits immediately. The selector does
/// not.
pub fn the_timeout_is_kept_without_a_busy_loop<B: Kernel, M: Table>() {
    for refusal in [NO_INSTANCE, NO_CHANGE] {
        let mut selector = Sel::<B, M>::new().unwrap();
        let (other, _peer) = pair();
        watch(&mut selector, &other, READ, "other");
        let Some(_alive) = found(&mut selector) else { return };
        refused(refusal, || {
            for micros in [0, 300, 1_000, 3_100, 20_000] {
                let (begun, before) = (Instant::now(), selector.stats());
                let timeout = Duration::from_micros(micros);
                assert!(selector.select(Some(timeout)).unwrap().timed_out());
                assert!(begun.elapsed() >= timeout, "{micros}");
                assert!(selector.next_ready().is_none());
                let waits = selector.stats().waits - before.waits;
                assert!((1..=micros / 1_000 + 2).contains(&waits), "{waits} waits in {micros}");
            }
        });
    }
}

/// Stale events that come from time to time end no wait, and do not make it
/// longer.
pub fn the_timeout_is_kept_among_stale_events<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let (stale, mut peer) = pair();
    let open = apart(&stale);
    let fd = open.as_raw_fd();
    watch(&mut selector, &open, READ, "zombie");
    drop(open);
    assert_eq!(selector.unregister(fd).unwrap().data, "zombie");
    peer.write_all(b"!").unwrap();
    let found = selector.select(NOW).unwrap().events();
    assert!(selector.next_ready().is_none());
    if found == 0 {
        return assert_ne!(selector.kind(), Kind::Epoll);
    }
    let (over, timeout) = (AtomicBool::new(false), Duration::from_millis(300));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let _ = read(&stale, &mut [0; 8]);
                thread::sleep(Duration::from_millis(30));
                let _ = write(&peer, b"!");
            }
        });
        let waited = refused(NO_INSTANCE, || {
            let begun = Instant::now();
            (selector.select(Some(timeout)), begun.elapsed())
        });
        over.store(true, Ordering::Relaxed);
        let Some((result, lasted)) = waited else { return };
        assert!(result.unwrap().timed_out());
        // Each stale event would make it 30 ms longer than the millisecond that
        // it counts for: nine seconds.
        assert!(timeout <= lasted && lasted < Duration::from_secs(5), "{lasted:?}");
    });
}

pub fn a_wake_ends_the_wait<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let waker = selector.waker_in(M::cell()).unwrap();
    let Some(_alive) = found(&mut selector) else { return };
    let worked = refused(NO_INSTANCE, || {
        waker.wake().unwrap();
        assert!(selector.select(SOON).unwrap().woken());
        assert!(selector.next_ready().is_none());
        assert_eq!(selector.stats().wakes, 1);
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(10));
                waker.wake().unwrap();
            });
            assert!(selector.select(SOON).unwrap().woken(), "{:?}", selector.stats());
        });
        assert!(selector.next_ready().is_none());
        assert_eq!(selector.stats().wakes, 2);
        assert!(selector.select(NOW).unwrap().timed_out());
    });
    let Some(()) = worked else { return };
    recreated(&mut selector, 1);
    agree_with_wakers(&selector, 1);
    waker.wake().unwrap();
    assert!(selector.select(SOON).unwrap().woken());
}

pub fn a_signal_ends_the_wait<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let (other, peer) = pair();
    watch(&mut selector, &other, READ, "other");
    let Some(_alive) = found(&mut selector) else { return };
    refused(NO_INSTANCE, || {
        assert!(interrupt(None, || selector.select(SOON)).unwrap().interrupted());
        assert_eq!(selector.stats().interrupted, 1, "{:?}", selector.stats());
        write(&peer, b"!").unwrap();
        assert_eq!(ready(&mut selector, SOON), [(other.as_raw_fd(), READ)].into());
    });
}

pub fn it_is_tried_again_after_a_while<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let (other, _peer) = pair();
    watch(&mut selector, &other, READ, "other");
    let Some(_alive) = found(&mut selector) else { return };
    selector.modify(&other, READ | WRITE).unwrap();
    let worked = refused(NO_INSTANCE, || {
        for _ in 0..=3 * PATIENCE {
            assert_eq!(ready(&mut selector, SOON), [(other.as_raw_fd(), WRITE)].into());
        }
        assert_eq!(selector.stats().failed_rebuilds, 4);
    });
    let Some(()) = worked else { return };
    selector.modify(&other, READ).unwrap();
    recreated(&mut selector, 0);
    agree(&selector);
}

/// What keeps the selector from a rebuild may end without one.
pub fn the_last_duplicate_is_closed<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let (other, peer) = pair();
    watch(&mut selector, &other, READ, "other");
    let Some(alive) = found(&mut selector) else { return };
    refused(NO_INSTANCE, || {
        assert!(selector.select(NOW).unwrap().timed_out());
        drop(alive);
        let (begun, timeout, before) = (Instant::now(), Duration::from_millis(5), selector.stats());
        assert!(selector.select(Some(timeout)).unwrap().timed_out());
        assert!(begun.elapsed() >= timeout);
        // A wait with an old set and a timeout makes one system call in a
        // millisecond.
        assert!(selector.stats().waits - before.waits <= 6, "{:?}", selector.stats());
        write(&peer, b"!").unwrap();
        assert_eq!(ready(&mut selector, SOON), [(other.as_raw_fd(), READ)].into());
        read(&other, &mut [0; 8]).unwrap();
    });
}

/// One key that can't be added does not keep the others from the new set.
pub fn a_refused_key_is_left_out<B: Kernel, M: Table>() {
    for errno in [Errno::PERM, Errno::BADF, Errno::LOOP, Errno::INVAL] {
        let mut selector = Sel::<B, M>::new().unwrap();
        let [first, left_out, last] = [(); 3].map(|()| pair());
        for (one, _) in [&first, &left_out, &last] {
            watch(&mut selector, one, READ, "key");
        }
        let Some(_alive) = found(&mut selector) else { return };
        let refusal = of_one(left_out.0.as_raw_fd(), errno);
        let worked = refused(refusal, || {
            assert!(selector.select(NOW).unwrap().timed_out());
            for (one, two) in [&first, &last] {
                write(two, b"!").unwrap();
                assert_eq!(ready(&mut selector, SOON), [(one.as_raw_fd(), READ)].into());
                read(one, &mut [0; 8]).unwrap();
            }
        });
        let Some(()) = worked else { return };
        let stats = selector.stats();
        assert_eq!((stats.rebuilds, stats.failed_rebuilds), (1, 0));
        // The program finds out when it changes the key.
        assert_eq!(selector.modify(&left_out.0, WRITE).unwrap_err().errno(), Some(Errno::NOENT));
        assert_eq!(selector.unregister(&left_out.0).unwrap().data, "key");
        agree(&selector);
        watch(&mut selector, &left_out.0, WRITE, "key");
        assert_eq!(ready(&mut selector, SOON), [(left_out.0.as_raw_fd(), WRITE)].into());
    }
}
