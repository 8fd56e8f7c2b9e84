//! Wakes, each of which ends a wait of the same thread: the cost of the calls,
//! without the scheduler's.

use crate::measure::Plan;
use crate::pool::{Pool, clear};
use crate::row::{Called, Row};
use crate::subjects::Subject;
use crate::work::{Setting, Work};

#[derive(Clone, Copy)]
struct Wakes {
    burst: usize,
}

impl Work for Wakes {
    fn round<'a, S: Subject<'a>>(self, plan: Plan, pool: &'a Pool) -> f64 {
        let mut subject = S::open();
        let waker = subject.waker(pool.fds().next().unwrap());
        plan.time(|| {
            for _ in 0..self.burst {
                S::wake(&waker);
            }
            // Only the bare loop reports its eventfd, and has to drain it.
            subject.wait(true, |fd, _| clear(fd));
            1
        })
    }
}

pub(crate) fn rows(plan: Plan, rows: &mut impl FnMut(Row)) {
    let pool = &Pool::new(1);
    for burst in [1, 100] {
        let work = match burst {
            1 => "wake + wait".to_owned(),
            _ => format!("burst of {burst} wakes + wait"),
        };
        for called in Called::BOTH {
            // The wakers have no mode, so that mio is measured, too.
            let setting = Setting { plan, pool, called, edge: true };
            rows(Row::measure(&work, "ns/wait", called, plan, setting.contenders(Wakes { burst })));
        }
    }
}
