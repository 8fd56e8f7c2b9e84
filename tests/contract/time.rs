//! How long a wait lasts: never less than its timeout, whatever is watched.
//! Benchmarks measure how much more.

use crate::support::UnixStream;
use rustix::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use selectors_core::{Events, Selector, wait};

use crate::support::{Found, Kernel, NOW, SOON, Table, apart, many, pair, raw, ready};

/// Around every border at which a clock or a system call counts in something
/// else.
const TIMES: [Duration; 13] = [
    Duration::from_nanos(1),
    Duration::from_nanos(999),
    Duration::from_micros(1),
    Duration::from_micros(100),
    Duration::from_micros(999),
    Duration::from_nanos(999_999),
    Duration::from_millis(1),
    Duration::from_nanos(1_000_001),
    Duration::from_nanos(1_000_100),
    Duration::from_nanos(1_999_999),
    Duration::from_millis(2),
    Duration::from_nanos(4_000_001),
    Duration::from_millis(20),
];

/// More than any system call takes: milliseconds in 31 and 32 bits, seconds in
/// 31, 32, 63 and 64.
const HUGE: [Duration; 9] = [
    Duration::from_secs(2_000_001),
    Duration::from_millis(i32::MAX as u64),
    Duration::from_millis(i32::MAX as u64 + 1),
    Duration::from_millis(u32::MAX as u64 + 1),
    Duration::from_secs(i32::MAX as u64 + 1),
    Duration::from_secs(u32::MAX as u64 + 1),
    Duration::from_secs(i64::MAX as u64),
    Duration::from_secs(u64::MAX),
    Duration::MAX,
];

/// Waits in vain, for as long as it should.
fn is_kept(timeout: Duration, what: &str, wait: impl FnOnce(Option<Duration>) -> usize) {
    let start = Instant::now();
    let reported = wait(Some(timeout));
    let lasted = start.elapsed();
    assert_eq!(reported, 0, "{what}, {timeout:?}");
    assert!(lasted >= timeout, "{what}: {lasted:?} instead of {timeout:?}");
}

type Quiet<B, M> = Selector<B, OwnedFd, (), M>;

/// What can be in a selector that has nothing to report.
fn quiet<B: Kernel, M: Table>() -> Vec<(&'static str, Quiet<B, M>, Vec<UnixStream>)> {
    let mut all = Vec::new();
    let mut add = |what, fill: fn(&mut Quiet<B, M>) -> Vec<UnixStream>| {
        let mut selector = Quiet::<B, M>::new().unwrap();
        let peers = fill(&mut selector);
        all.push((what, selector, peers));
    };
    add("nothing registered", |_| vec![]);
    add("one registered", |selector| {
        let (one, two) = pair();
        selector.register(one.into(), Events::READ, ()).unwrap();
        vec![two]
    });
    add("many registered", |selector| {
        let pairs = [(); 20].map(|()| pair());
        pairs
            .map(|(one, two)| {
                selector.register(one.into(), Events::READ, ()).unwrap();
                two
            })
            .into()
    });
    add("only a waker", |selector| {
        selector.waker_in(M::cell()).unwrap();
        vec![]
    });
    add("nothing left", |selector| {
        let (one, two) = pair();
        let fd = selector.register(one.into(), Events::WRITE, ()).unwrap().fd;
        assert_eq!(selector.select(SOON).events(), Ok(1));
        let _ = selector.unregister(fd).unwrap();
        vec![two]
    });
    add("a one-shot that fired", |selector| {
        let (one, two) = pair();
        selector.register(one.into(), Events::WRITE.one_shot(), ()).unwrap();
        assert_eq!(ready(selector, SOON).len(), 1);
        vec![two]
    });
    add("a one-shot that fired, and its peer closed", |selector| {
        selector.register(pair().0.into(), Events::READ.one_shot(), ()).unwrap();
        assert_eq!(ready(selector, SOON).len(), 1);
        vec![]
    });
    add("an edge that was reported", |selector| {
        let (one, two) = pair();
        if selector.kind().supports_edge() {
            selector.register(one.into(), Events::WRITE.edge(), ()).unwrap();
            assert_eq!(ready(selector, SOON).len(), 1);
        }
        vec![two]
    });
    all
}

pub fn never_early<B: Kernel, M: Table>() {
    for (what, mut selector, _peers) in quiet::<B, M>() {
        for timeout in TIMES {
            is_kept(timeout, what, |timeout| selector.select(timeout).events().unwrap());
            assert!(selector.next_ready().is_none());
        }
    }
}

/// Another thread reads what arrives. If that comes between two system calls of
/// a wait, the wait goes on.
pub fn never_early_with_a_second_reader<B: Kernel, M: Table>() {
    let ((ours, theirs), over) = (pair(), AtomicBool::new(false));
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&ours, Events::READ, ()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            // An end, too, for a test that fails.
            for _ in (0..50_000).take_while(|_| !over.load(Ordering::Relaxed)) {
                let _ = rustix::io::write(&theirs, b"!");
                let _ = rustix::io::read(&ours, &mut [0; 8]);
                thread::sleep(Duration::from_micros(150));
            }
        });
        let mut early = None;
        for micros in [300, 900, 1_100, 3_100].into_iter().cycle().take(1_000) {
            let (start, timeout) = (Instant::now(), Duration::from_micros(micros));
            let result = selector.select(Some(timeout)).unwrap();
            let lasted = start.elapsed();
            if result.timed_out() && lasted < timeout {
                early = Some((timeout, lasted));
            }
            while selector.next_ready().is_some() {}
        }
        over.store(true, Ordering::Relaxed);
        assert_eq!(early, None);
    });
}

/// Some kernels sleep in ticks, and may round down where they begin.
pub fn never_early_again_and_again<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, Events::READ, ()).unwrap();
    for micros in (0..1200).step_by(13) {
        let timeout = Duration::from_micros(micros);
        is_kept(timeout, "again", |timeout| selector.select(timeout).events().unwrap());
        is_kept(timeout, "wait", |timeout| {
            wait(&one, Events::READ, timeout).unwrap().iter().count()
        });
    }
}

pub fn one_descriptor_never_early<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    for timeout in TIMES {
        is_kept(timeout, "wait", |timeout| {
            wait(&one, Events::READ | Events::PRIORITY, timeout).unwrap().iter().count()
        });
    }
}

/// If each of them took the millisecond that is the least for `epoll_wait`,
/// this would take too long.
pub fn zero_does_not_wait<B: Kernel, M: Table>() {
    let start = Instant::now();
    for (what, mut selector, _peers) in quiet::<B, M>() {
        for _ in 0..many(2000) {
            assert_eq!(selector.select(NOW).events(), Ok(0), "{what}");
        }
    }
    let (one, _two) = pair();
    for _ in 0..many(2000) {
        assert!(wait(&one, Events::READ, NOW).unwrap().is_empty());
    }
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

/// What is ready ends the wait, whatever its length.
pub fn readiness_comes_before_time<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, Events::WRITE, ()).unwrap();
    let times = TIMES.into_iter().chain(HUGE).chain([Duration::ZERO]).map(Some);
    for timeout in times.chain([None]) {
        assert_eq!(ready(&mut selector, timeout).len(), 1, "{timeout:?}");
        assert_eq!(wait(&one, Events::WRITE, timeout), Ok(Events::WRITE), "{timeout:?}");
    }
}

/// None is refused, none ends immediately: each is waiting when the wake comes.
pub fn huge_ones_saturate<B: Kernel, M: Table>() {
    let (one, two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, Events::READ, ()).unwrap();
    let waker = selector.waker_in(M::cell()).unwrap();
    for timeout in HUGE {
        let (start, later) = (Instant::now(), Duration::from_millis(10));
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(later);
                waker.wake().unwrap();
            });
            assert_eq!(selector.select(Some(timeout)).woken_and(), Ok(0), "{timeout:?}");
        });
        assert!(selector.next_ready().is_none() && start.elapsed() >= later, "{timeout:?}");
    }
    for timeout in HUGE {
        let start = Instant::now();
        let later = Duration::from_millis(10);
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(later);
                rustix::io::write(&two, b"!").unwrap();
            });
            assert_eq!(wait(&one, Events::READ, Some(timeout)), Ok(Events::READ), "{timeout:?}");
        });
        assert!(start.elapsed() >= later, "{timeout:?}");
        rustix::io::read(&one, &mut [0; 8]).unwrap();
    }
}

/// Descriptors that are closed without the selector's knowledge neither end a
/// wait nor lengthen it without end.
pub fn kept_with_closed_descriptors<B: Kernel, M: Table>() {
    for timeout in [TIMES[0], TIMES[3], TIMES[7], TIMES[12]] {
        let (one, _two) = pair();
        let closed = [(); 3].map(|()| apart(&one));
        let mut selector = Selector::<B, _, _, M>::new().unwrap();
        for fd in &closed {
            // SAFETY: nothing else is open at this number, so closing it
            // affects no other owner.
            unsafe { selector.register_raw(raw(fd.as_raw_fd()), Events::READ, ()) }.unwrap();
        }
        let [first, rest @ ..] = closed;
        drop(rest);
        is_kept(timeout, "two closed", |timeout| selector.select(timeout).events().unwrap());
        drop(first);
        is_kept(timeout, "all closed", |timeout| selector.select(timeout).events().unwrap());
        is_kept(timeout, "all found closed", |timeout| selector.select(timeout).events().unwrap());
    }
}
