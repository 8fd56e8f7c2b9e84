//! Waking a selector: from other threads and signal handlers, before and during
//! its wait.

use rustix::fd::{AsRawFd, OwnedFd};
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use selectors_core::{Error, Events, Selector, Waker};

use crate::needs;
#[cfg(unix)]
use crate::signals::interrupt;
use crate::support::{Found, Kernel, NOW, SOON, Table, agree_with_wakers, many, pair, ready};

/// Later than the longest wait here.
const LATE: Duration = Duration::from_secs(30);

/// A selector without keys, and its waker.
fn new<B: Kernel, M: Table>() -> (Selector<B, OwnedFd, (), M>, Waker<M::Wake>) {
    let mut selector = Selector::new().unwrap();
    let waker = selector.waker_in(M::cell()).unwrap();
    (selector, waker)
}

/// There is nothing to report, but the wait returned immediately.
fn woken<B: Kernel, S, M: Table>(selector: &mut Selector<B, S, (), M>) {
    assert_eq!(selector.select(SOON).woken_and(), Ok(0));
    assert!(selector.next_ready().is_none(), "a wake has no key");
    quiet(selector);
}

fn quiet<B: Kernel, S, M: Table>(selector: &mut Selector<B, S, (), M>) {
    assert_eq!(selector.select(NOW).events(), Ok(0));
    assert!(selector.next_ready().is_none());
}

pub fn ends_a_wait_under_way<B: Kernel, M: Table>() {
    let (mut selector, waker) = new::<B, M>();
    for timeout in [SOON, SOON, None] {
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(30));
                waker.wake().unwrap();
            });
            assert_eq!(selector.select(timeout).woken_and(), Ok(0));
        });
        assert!(selector.next_ready().is_none());
        quiet(&mut selector);
    }
}

pub fn before_the_wait_it_ends_the_next<B: Kernel, M: Table>() {
    let (mut selector, waker) = new::<B, M>();
    quiet(&mut selector);
    for timeout in
        [SOON, NOW, Some(Duration::from_micros(100)), Some(Duration::from_millis(5)), None]
    {
        waker.wake().unwrap();
        assert_eq!(selector.select(timeout).woken_and(), Ok(0), "{timeout:?}");
        assert!(selector.next_ready().is_none());
        quiet(&mut selector);
    }
}

pub fn a_burst_counts_as_one<B: Kernel, M: Table>() {
    let (mut selector, waker) = new::<B, M>();
    for burst in [1, 2, 1000, 3] {
        for _ in 0..burst {
            waker.wake().unwrap();
        }
        woken(&mut selector);
    }
}

/// What a thread has done before its wake is visible after the wait; no wake is
/// lost.
pub fn none_of_many_threads_is_lost<B: Kernel, M: Table>() {
    const EACH: u32 = many(2000);
    let (mut selector, waker) = new::<B, M>();
    let done = [const { AtomicU32::new(0) }; 4];
    thread::scope(|scope| {
        for done in &done {
            let waker = &waker;
            scope.spawn(move || {
                for _ in 0..EACH {
                    done.fetch_add(1, Ordering::Relaxed);
                    waker.wake().unwrap();
                }
            });
        }
        while done.iter().map(|done| done.load(Ordering::Relaxed)).sum::<u32>() < 4 * EACH {
            assert_eq!(selector.select(SOON).woken_and(), Ok(0), "a wake was lost");
            assert!(selector.next_ready().is_none());
        }
    });
}

/// Each wake waits for its reply, so that a lost one stops everything; and the
/// threads are many, so that their wakes come at every moment of the wait.
pub fn each_wake_gets_a_reply<B: Kernel, M: Table>() {
    const EACH: u32 = many(2000);
    let (mut selector, waker) = new::<B, M>();
    let threads = [const { (AtomicU32::new(0), AtomicU32::new(0)) }; 4];
    let start = Instant::now();
    thread::scope(|scope| {
        for (sent, replied) in &threads {
            let waker = &waker;
            scope.spawn(move || {
                for number in 1..=EACH {
                    sent.store(number, Ordering::Relaxed);
                    waker.wake().unwrap();
                    while replied.load(Ordering::Relaxed) < number && start.elapsed() < LATE {
                        thread::yield_now();
                    }
                }
            });
        }
        while threads.iter().any(|(_, replied)| replied.load(Ordering::Relaxed) < EACH) {
            assert_eq!(selector.select(SOON).woken_and(), Ok(0), "a wake was lost");
            for (sent, replied) in &threads {
                replied.store(sent.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
    });
}

/// The signal that ends a wait may have come with a wake: the next wait reports
/// that.
#[cfg(unix)]
pub fn from_a_signal_handler<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, Events::READ, ()).unwrap();
    let cell: &'static M::Wake = Box::leak(Box::new(M::cell()));
    selector.waker_in(cell.clone()).unwrap();
    interrupt(Some(&**cell), || {
        for _ in 0..3 {
            let result = selector.select(SOON).unwrap();
            assert!(result.woken() || result.interrupted(), "{result:?}");
            if result.interrupted() {
                assert_eq!(selector.select(NOW).woken_and(), Ok(0), "the handler's wake was lost");
            }
            assert!(selector.next_ready().is_none());
        }
    });
}

pub fn between_two_waits<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, Events::READ.one_shot(), ()).unwrap();
    let waker = selector.waker_in(M::cell()).unwrap();
    two.write_all(b"!").unwrap();
    waker.wake().unwrap();
    assert_eq!(selector.select(SOON).woken_and(), Ok(1), "the wake, and the byte");
    // The first wake has been seen with the wait, whether or not its events
    // were taken.
    waker.wake().unwrap();
    assert_eq!(selector.next_ready().unwrap().1, Events::READ);
    assert!(selector.next_ready().is_none());
    woken(&mut selector);
}

pub fn while_events_are_pending<B: Kernel, M: Table>() {
    let pairs = [(); 3].map(|()| pair());
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    for (one, _) in &pairs {
        selector.register(one, Events::WRITE.one_shot(), ()).unwrap();
    }
    let waker = selector.waker_in(M::cell()).unwrap();
    assert_eq!(selector.select(SOON).events(), Ok(3));
    for left in (0..3).rev() {
        waker.wake().unwrap();
        assert!(selector.next_ready().is_some());
        if left > 0 {
            assert_eq!(selector.select(SOON).events(), Ok(left), "what is left comes first");
        }
    }
    woken(&mut selector);
}

pub fn is_no_key<B: Kernel, M: Table>() {
    let (mut selector, waker) = new::<B, M>();
    waker.wake().unwrap();
    assert_eq!(selector.select(SOON).woken_and(), Ok(0));
    assert!(selector.get_map().is_empty() && selector.get_map().iter().next().is_none());
    assert!(selector.next_ready().is_none());
    assert_eq!(selector.stats().stale, 0, "a wake is no stale event");
    // Its number is not for the caller to use.
    for fd in B::watched(&selector).into_iter().flatten().map(|(fd, _)| fd) {
        assert!(selector.get_key(fd).is_none());
        assert_eq!(selector.unregister(fd).unwrap_err(), Error::NotRegistered { key: fd.into() });
        assert_eq!(
            selector.modify(fd, Events::WRITE),
            Err(Error::NotRegistered { key: fd.into() })
        );
    }
    waker.wake().unwrap();
    woken(&mut selector);
}

pub fn with_keys_that_come_and_go<B: Kernel, M: Table>() {
    let pairs = [(); 5].map(|()| pair());
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&pairs[0].0, Events::WRITE, ()).unwrap();
    let waker = selector.waker_in(M::cell()).unwrap();
    for _ in 0..3 {
        for (one, _) in &pairs[1..] {
            selector.register(one, Events::WRITE, ()).unwrap();
        }
        waker.wake().unwrap();
        assert_eq!(selector.select(SOON).woken_and(), Ok(5));
        for (one, _) in &pairs {
            let _ = selector.unregister(one).unwrap();
        }
        agree_with_wakers(&selector, 1);
        assert!(selector.next_ready().is_none());
        waker.wake().unwrap();
        woken(&mut selector);
        selector.register(&pairs[0].0, Events::WRITE, ()).unwrap();
    }
    assert_eq!(ready(&mut selector, SOON), [(pairs[0].0.as_raw_fd(), Events::WRITE)].into());
}

pub fn may_be_copied_and_sent<B: Kernel, M: Table>() {
    const fn sent_and_shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    let (mut selector, waker) = new::<B, M>();
    sent_and_shared(&waker);
    let copies = [waker.clone(), waker.clone(), waker];
    for waker in copies {
        thread::spawn(move || waker.wake().unwrap()).join().unwrap();
        woken(&mut selector);
    }
}

pub fn one_cell_for_one_selector<B: Kernel, M: Table>() {
    let (cell, other) = (M::cell(), M::cell());
    let mut selector = Selector::<B, OwnedFd, (), M>::new().unwrap();
    let mut second = Selector::<B, OwnedFd, (), M>::new().unwrap();
    let waker = selector.waker_in(cell.clone()).unwrap();
    assert_eq!(selector.waker_in(other.clone()).unwrap_err(), Error::WakerInUse);
    assert_eq!(second.waker_in(cell.clone()).unwrap_err(), Error::WakerInUse);
    agree_with_wakers(&selector, 1);
    agree_with_wakers(&second, 0);

    // The refused selector's end is not the end of the waker.
    drop(second);
    let again = selector.waker_in(cell.clone()).unwrap();
    for waker in [waker, again] {
        waker.wake().unwrap();
        woken(&mut selector);
    }
    // The refused cell is free; so is the first, once its selector is dropped.
    drop(selector);
    for cell in [other, cell] {
        let mut selector = Selector::<B, OwnedFd, (), M>::new().unwrap();
        selector.waker_in(cell.clone()).unwrap();
        cell.wake().unwrap();
        woken(&mut selector);
    }
}

/// The wakers of a selector that was dropped say so. They never wake the next
/// one, and leave nothing for it.
pub fn outlives_its_selector<B: Kernel, M: Table>() {
    let cell = M::cell();
    for pending in [false, true, false] {
        let mut selector = Selector::<B, OwnedFd, (), M>::new().unwrap();
        let waker = selector.waker_in(cell.clone()).unwrap();
        quiet(&mut selector);
        if pending {
            waker.wake().unwrap();
        }
        drop(selector);
        for _ in 0..1000 {
            assert_eq!(waker.wake(), Err(Error::WakerClosed));
        }
        let mut next = Selector::<B, OwnedFd, (), M>::new().unwrap();
        let own = next.waker_in(cell.clone()).unwrap();
        for _ in 0..1000 {
            assert_eq!(waker.wake(), Err(Error::WakerClosed));
        }
        quiet(&mut next);
        cell.wake().unwrap();
        woken(&mut next);
        own.wake().unwrap();
        woken(&mut next);
    }
}

/// A waker of an earlier selector neither counts as a wake nor consumes one.
pub fn a_stale_one_consumes_no_wake<B: Kernel, M: Table>() {
    let (cell, mut stale) = (M::cell(), Vec::new());
    for _ in 0..5 {
        let mut selector = Selector::<B, OwnedFd, (), M>::new().unwrap();
        let waker = selector.waker_in(cell.clone()).unwrap();
        let all_are_closed = |stale: &[Waker<M::Wake>]| {
            assert!(stale.iter().all(|stale| stale.wake() == Err(Error::WakerClosed)));
        };
        for _ in 0..3 {
            all_are_closed(&stale);
            waker.wake().unwrap();
            all_are_closed(&stale);
            woken(&mut selector);
            all_are_closed(&stale);
            quiet(&mut selector);
        }
        // As a second handle, which the selector makes of what it has.
        selector.waker_in(cell.clone()).unwrap().wake().unwrap();
        woken(&mut selector);
        stale.push(waker);
    }
}

/// Also when it is in the middle of a wake while its selector is dropped and
/// the next one attaches the cell.
pub fn a_late_wake_is_not_for_the_next_selector<B: Kernel, M: Table>() {
    let cell = M::cell();
    for _ in 0..many(200) {
        let mut selector = Selector::<B, OwnedFd, (), M>::new().unwrap();
        let waker = selector.waker_in(cell.clone()).unwrap();
        thread::scope(|scope| {
            let start = Instant::now();
            let thread = scope.spawn(move || {
                while waker.wake() != Err(Error::WakerClosed) {
                    assert!(start.elapsed() < LATE);
                }
            });
            for _ in 0..3 {
                assert_eq!(selector.select(SOON).woken_and(), Ok(0));
            }
            drop(selector);
            let mut next = Selector::<B, OwnedFd, (), M>::new().unwrap();
            let own = next.waker_in(cell.clone()).unwrap();
            quiet(&mut next);
            own.wake().unwrap();
            thread.join().unwrap();
            woken(&mut next);
        });
    }
}

/// Threads go on waking while their selector goes, and another comes.
pub fn wakes_while_selectors_come_and_go<B: Kernel, M: Table>() {
    let cell = M::cell();
    let (over, start) = (AtomicU32::new(0), Instant::now());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while over.load(Ordering::Relaxed) == 0 && start.elapsed() < LATE {
                    assert!(matches!(cell.wake(), Ok(()) | Err(Error::WakerClosed)));
                    thread::yield_now();
                }
            });
        }
        for _ in 0..100 {
            let mut selector = Selector::<B, OwnedFd, (), M>::new().unwrap();
            selector.waker_in(cell.clone()).unwrap();
            assert_eq!(selector.select(SOON).woken_and(), Ok(0));
        }
        over.store(1, Ordering::Relaxed);
    });
}

/// Neither while no thread waits, nor while nothing empties what was written.
pub fn never_blocks<B: Kernel, M: Table>() {
    let (mut selector, waker) = new::<B, M>();
    for _ in 0..many(100_000) {
        waker.wake().unwrap();
    }
    woken(&mut selector);
    for _ in 0..many(20_000) {
        waker.wake().unwrap();
        assert_eq!(selector.select(NOW).woken_and(), Ok(0));
    }
    quiet(&mut selector);
}

/// Looks at every eventfd of the process, because they can't be distinguished;
/// all are wakers of tests.
#[cfg(unix)]
pub fn is_close_on_exec<B: Kernel, M: Table>() {
    let (selector, _waker) = new::<B, M>();
    let Ok(numbers) = std::fs::read_dir("/proc/self/fd") else {
        return assert_ne!(std::env::consts::OS, "linux", "it has /proc");
    };
    let mut seen = 0;
    for number in numbers.flatten() {
        let number = number.file_name().into_string().unwrap();
        let Ok(info) = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")) else {
            continue;
        };
        if !info.contains("eventfd-count:") {
            continue;
        }
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
        let flags = i64::from_str_radix(flags.trim(), 8).unwrap();
        assert_eq!(flags & 0o2_000_000, 0o2_000_000, "{number} would be inherited: {info}");
        assert_eq!(flags & 0o4_000, 0o4_000, "{number} may block: {info}");
        seen += 1;
    }
    assert!(seen > 0 || !needs::fdinfo(), "the waker is an eventfd");
    drop(selector);
}
