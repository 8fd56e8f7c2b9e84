//! Waits: empty, and with some descriptors ready of many.

use crate::measure::{Plan, Row, Work, everyone};
use crate::pool::{Pool, clear, raise};
use crate::subjects::{Asked, LEVEL, Subject};

/// A wait that finds nothing.
#[derive(Clone, Copy)]
struct Empty;

impl Work for Empty {
    fn round<'a, S: Subject<'a>>(self, plan: Plan, pool: &'a Pool) -> f64 {
        let mut subject = S::open();
        for fd in pool.fds() {
            subject.add(fd, LEVEL, 0);
        }
        plan.time(|| {
            subject.wait(false, |_, data| *data += 1);
            1
        })
    }
}

/// Waits that find what has been ready all along.
#[derive(Clone, Copy)]
struct Level;

impl Work for Level {
    fn round<'a, S: Subject<'a>>(self, plan: Plan, pool: &'a Pool) -> f64 {
        let mut subject = S::open();
        for fd in pool.fds() {
            subject.add(fd, LEVEL, 0);
        }
        plan.time(|| subject.wait(false, |_, data| *data += 1))
    }
}

/// Waits that find what has become ready since the last one.
#[derive(Clone, Copy)]
struct Edge {
    ready: usize,
}

impl Work for Edge {
    fn round<'a, S: Subject<'a>>(self, plan: Plan, pool: &'a Pool) -> f64 {
        let mut subject = S::open();
        for fd in pool.fds() {
            subject.add(fd, Asked { edge: true, ..LEVEL }, 0);
        }
        // Some are readable from the beginning.
        while subject.wait(false, |_, _| {}) > 0 {}
        let prepare = || pool.some(self.ready).for_each(raise);
        plan.time_between(prepare, || {
            let mut taken = 0;
            while taken < self.ready {
                taken += subject.wait(false, |_, data| *data += 1);
            }
            taken
        })
    }
}

pub(crate) fn rows(plan: Plan, rows: &mut impl FnMut(Row)) {
    for many in [10, 10_000] {
        let pool = Pool::new(many);
        let work = format!("empty wait, {many} registered");
        rows(Row::measure(work, "wait", plan, everyone(plan, &pool, true, Empty)));
        for ready in [1, 100, 1000] {
            if ready > many {
                break;
            }
            pool.some(ready).for_each(raise);
            let work = format!("wait, {ready} ready of {many}");
            rows(Row::measure(work, "event", plan, everyone(plan, &pool, false, Level)));
            if many == 10_000 {
                let work = format!("wait, {ready} ready of {many}, edge");
                rows(Row::measure(work, "event", plan, everyone(plan, &pool, true, Edge { ready })));
            }
            pool.fds().for_each(clear);
        }
    }
}
