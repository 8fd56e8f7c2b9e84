//! What `select` returns: how a wait has ended, and how much is pending.

use rustix::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use selectors_core::{Events, SelectResult, Selector};

#[cfg(unix)]
use crate::signals::interrupt;
use crate::support::{Found, Kernel, NOW, SOON, Table, pair, ready};

const READ: Events = Events::READ;
const WRITE: Events = Events::WRITE;

/// Events, wake, signal and timeout, of which only events and a wake may come
/// together.
fn ends(result: SelectResult) -> (usize, bool, bool, bool) {
    assert!(!result.replaced());
    (result.events(), result.woken(), result.interrupted(), result.timed_out())
}

#[cfg(unix)]
pub fn the_ends_of_a_wait_are_distinguished<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, READ, ()).unwrap();
    let waker = selector.waker_in(M::cell()).unwrap();
    for timeout in [NOW, Some(Duration::from_nanos(1)), Some(Duration::from_millis(2))] {
        assert_eq!(ends(selector.select(timeout).unwrap()), (0, false, false, true), "{timeout:?}");
        waker.wake().unwrap();
        assert_eq!(ends(selector.select(timeout).unwrap()), (0, true, false, false), "{timeout:?}");
        std::io::Write::write_all(&mut two, b"!").unwrap();
        assert_eq!(
            ends(selector.select(timeout).unwrap()),
            (1, false, false, false),
            "{timeout:?}"
        );
        assert_eq!(ready(&mut selector, timeout).len(), 1);
        waker.wake().unwrap();
        assert_eq!(ends(selector.select(timeout).unwrap()), (1, true, false, false), "{timeout:?}");
        assert_eq!(ready(&mut selector, timeout).len(), 1);
        rustix::io::read(&one, &mut [0; 8]).unwrap();
    }
    for timeout in [SOON, None] {
        let result = interrupt(None, || selector.select(timeout)).unwrap();
        assert_eq!(ends(result), (0, false, true, false), "{timeout:?}");
    }
    let stats = selector.stats();
    assert_eq!((stats.interrupted, stats.wakes, stats.events), (2, 6, 6));
    assert_eq!(stats.waits, 3 * 4 + 2, "those that found pending events made no system call");
    assert!(SelectResult::default().timed_out());
}

/// The number is an upper bound: what is unregistered, paused or modified is
/// dropped later.
pub fn pending_events_are_counted<B: Kernel, M: Table>() {
    let pairs = [(); 5].map(|()| pair());
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    for (one, _) in &pairs {
        selector.register(one, WRITE.one_shot(), ()).unwrap();
    }
    assert_eq!(selector.pending(), 0);
    let waker = selector.waker_in(M::cell()).unwrap();
    waker.wake().unwrap();
    assert_eq!(selector.select(SOON).woken_and(), Ok(5));
    for left in (3..5).rev() {
        assert_eq!(selector.pending(), left + 1, "the wake does not count");
        assert!(selector.next_ready().is_some());
        assert_eq!((selector.pending(), selector.select(None).events()), (left, Ok(left)));
    }
    let fds: Vec<_> = pairs.iter().map(|(one, _)| one.as_raw_fd()).collect();
    let mut reported = 0;
    for fd in &fds {
        selector.pause(*fd).unwrap();
    }
    while selector.next_ready().is_some() {
        reported += 1;
    }
    assert_eq!((reported, selector.pending()), (0, 0));
    assert!(selector.select(NOW).unwrap().timed_out(), "nothing pending keeps it from waiting");
}

pub fn until_a_deadline<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, READ, ()).unwrap();
    let waker = selector.waker_in(M::cell()).unwrap();
    for wait in [0, 1, 100, 999, 1001, 3000].map(Duration::from_micros) {
        let deadline = Instant::now() + wait;
        assert!(selector.select_until(deadline).unwrap().timed_out());
        assert!(Instant::now() >= deadline, "{wait:?}");
    }
    // The deadline has passed.
    let past = Instant::now();
    thread::sleep(Duration::from_millis(1));
    let waits = selector.stats().waits;
    assert!(selector.select_until(past).unwrap().timed_out());
    assert_eq!(selector.stats().waits, waits + 1);

    let far = || Instant::now() + Duration::from_secs(20);
    waker.wake().unwrap();
    assert_eq!(selector.select_until(far()).woken_and(), Ok(0));
    waker.wake().unwrap();
    assert_eq!(selector.select_until(None).woken_and(), Ok(0));
    #[cfg(unix)]
    assert!(interrupt(None, || selector.select_until(far())).unwrap().interrupted());
    std::io::Write::write_all(&mut two, b"!").unwrap();
    for deadline in [Some(past), Some(far()), None] {
        assert_eq!(selector.select_until(deadline).events(), Ok(1));
        assert_eq!(selector.next_ready().unwrap().1, READ);
    }
}
