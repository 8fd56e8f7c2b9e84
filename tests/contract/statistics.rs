//! What a selector counts.

use std::io::Write;
use std::time::Duration;

use selectors_core::{Events, Selector, Stats};

use crate::signals::interrupt;
use crate::support::{Found, Kernel, NOW, SOON, Table, pair};

/// What has been counted since the last call.
fn counted<B: Kernel, S, D, M: Table>(
    selector: &Selector<B, S, D, M>,
    last: &mut Stats,
) -> [u64; 5] {
    let (now, before) = (selector.stats(), *last);
    *last = now;
    let counts =
        |stats: Stats| [stats.waits, stats.interrupted, stats.wakes, stats.events, stats.stale];
    let (now, before) = (counts(now), counts(before));
    std::array::from_fn(|index| now[index] - before[index])
}

pub fn waits_signals_wakes_and_events<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    assert_eq!(selector.stats(), Stats::default());
    selector.register(&one, Events::READ, ()).unwrap();
    let waker = selector.waker_in(M::cell()).unwrap();
    let mut last = selector.stats();
    // [waits, interrupted, wakes, events, stale]
    assert!(selector.select(NOW).unwrap().timed_out());
    assert!(selector.select(Some(Duration::from_micros(1_100))).unwrap().timed_out());
    assert_eq!(counted(&selector, &mut last), [2, 0, 0, 0, 0]);

    two.write_all(b"!").unwrap();
    assert_eq!(selector.select(SOON).events(), Ok(1));
    assert_eq!(counted(&selector, &mut last), [1, 0, 0, 1, 0]);
    assert_eq!(selector.select(SOON).events(), Ok(1), "pending");
    assert!(selector.next_ready().is_some());
    assert_eq!(counted(&selector, &mut last), [0; 5]);

    waker.wake().unwrap();
    assert_eq!(selector.select(SOON).woken_and(), Ok(1));
    assert_eq!(counted(&selector, &mut last), [1, 0, 1, 1, 0]);
    assert!(selector.next_ready().is_some() && selector.next_ready().is_none());
    rustix::io::read(&one, &mut [0; 8]).unwrap();
    for _ in 0..100 {
        waker.wake().unwrap();
    }
    assert_eq!(selector.select(SOON).woken_and(), Ok(0));
    assert_eq!(counted(&selector, &mut last), [1, 0, 1, 0, 0], "a burst is one wake");

    for count in 1..=2 {
        assert!(interrupt(None, || selector.select(SOON)).unwrap().interrupted());
        assert_eq!(counted(&selector, &mut last), [1, 1, 0, 0, 0], "signal {count}");
    }

    two.write_all(b"!").unwrap();
    assert_eq!(selector.select(SOON).events(), Ok(1));
    selector.modify(&one, Events::WRITE).unwrap();
    assert!(selector.next_ready().is_none());
    assert_eq!(counted(&selector, &mut last), [1, 0, 0, 1, 1], "modified since the wait");
    assert_eq!((selector.stats().rebuilds, selector.stats().failed_rebuilds), (0, 0));
}
