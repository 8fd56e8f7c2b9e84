//! Wakes, each ending a wait of the same thread: what the calls cost, without the scheduler.

use crate::measure::{Plan, Row, Work, everyone};
use crate::pool::{Pool, clear};
use crate::subjects::Subject;

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
            // Only the bare loop is shown its eventfd, and has to drain it.
            subject.wait(true, |fd, _| clear(fd));
            1
        })
    }
}

pub(crate) fn rows(plan: Plan, rows: &mut impl FnMut(Row)) {
    let pool = Pool::new(1);
    for burst in [1, 100] {
        let work = match burst {
            1 => "wake + wait".to_owned(),
            _ => format!("burst of {burst} wakes + wait"),
        };
        rows(Row::measure(work, "time", plan, everyone(plan, &pool, true, Wakes { burst })));
    }
}
