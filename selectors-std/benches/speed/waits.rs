//! Waits: empty, and with some descriptors ready of many.

use crate::limits::KEYS;
use crate::measure::{Plan, handle};
use crate::pool::{Pool, clear, raise};
use crate::row::{Called, Row};
use crate::subjects::{EDGE, LEVEL, Subject, Watch, registered};
use crate::work::{Setting, Work};

/// A wait that finds nothing.
#[derive(Clone, Copy)]
struct Empty(Watch);

impl Work for Empty {
    fn round<'a, S: Subject<'a>>(self, plan: Plan, pool: &'a Pool) -> f64 {
        let mut subject: S = registered(pool.fds(), self.0);
        // An edge is reported for what was ready before.
        while subject.wait(false, |_, _| {}) > 0 {}
        plan.time(|| {
            subject.wait(false, |_, data| handle(data));
            1
        })
    }
}

/// Waits that find what has been ready all along.
#[derive(Clone, Copy)]
struct Level;

impl Work for Level {
    fn round<'a, S: Subject<'a>>(self, plan: Plan, pool: &'a Pool) -> f64 {
        let mut subject: S = registered(pool.fds(), LEVEL);
        plan.time(|| subject.wait(false, |_, data| handle(data)))
    }
}

/// Waits that find what has become ready since the last one.
#[derive(Clone, Copy)]
struct Edge {
    ready: usize,
}

impl Work for Edge {
    fn round<'a, S: Subject<'a>>(self, plan: Plan, pool: &'a Pool) -> f64 {
        let mut subject: S = registered(pool.fds(), EDGE);
        while subject.wait(false, |_, _| {}) > 0 {}
        let prepare = || pool.some(self.ready).for_each(raise);
        plan.time_between(prepare, || {
            let mut handled = 0;
            while handled < self.ready {
                handled += subject.wait(false, |_, data| handle(data));
            }
            handled
        })
    }
}

pub(crate) fn rows(plan: Plan, rows: &mut impl FnMut(Row)) {
    for many in [10, KEYS.fitting()] {
        let pool = &Pool::new(many);
        for edge in [false, true] {
            // There is no handler to call.
            let setting = Setting { plan, pool, called: Called::Inlined, edge };
            let work = format!("empty wait, {many} registered, {}", setting.mode());
            let contenders = setting.contenders(Empty(setting.watch()));
            rows(Row::measure(&work, "ns/wait", setting.called, plan, contenders));
        }
        for ready in [1, 100, 1000] {
            if ready > many {
                break;
            }
            pool.some(ready).for_each(raise);
            for edge in [false, true] {
                for called in Called::BOTH {
                    let setting = Setting { plan, pool, called, edge };
                    let work = format!("wait, {ready} ready of {many}, {}", setting.mode());
                    let contenders = if edge {
                        setting.contenders(Edge { ready })
                    } else {
                        setting.contenders(Level)
                    };
                    rows(Row::measure(&work, "ns/event", called, plan, contenders));
                }
            }
            pool.fds().for_each(clear);
        }
    }
}
