//! Register, unregister, modify.

use crate::measure::{Plan, Row, Work, everyone};
use crate::pool::Pool;
use crate::subjects::{Asked, LEVEL, Subject};

#[derive(Clone, Copy)]
enum Keys {
    RegisterUnregister,
    ModifyChanged,
    ModifyUnchanged,
}

impl Work for Keys {
    /// All of the pool but one are registered before.
    fn round<'a, S: Subject<'a>>(self, plan: Plan, pool: &'a Pool) -> f64 {
        let mut subject = S::open();
        let mut fds = pool.fds();
        let fd = fds.next().unwrap();
        for other in fds {
            subject.add(other, LEVEL, 0);
        }
        if let Self::RegisterUnregister = self {
            return plan.time(|| {
                let handle = subject.add(fd, LEVEL, 0);
                subject.remove(handle);
                1
            });
        }
        let handle = subject.add(fd, LEVEL, 0);
        let other = Asked { write: matches!(self, Self::ModifyChanged), ..LEVEL };
        plan.time(|| {
            subject.change(handle, other);
            subject.change(handle, LEVEL);
            2
        })
    }
}

pub(crate) fn rows(plan: Plan, rows: &mut impl FnMut(Row)) {
    for others in [0, 100, 10_000] {
        let pool = Pool::new(others + 1);
        let mut row = |work: &str, unit, keys| {
            let work = format!("{work}, {others} others");
            rows(Row::measure(work, unit, plan, everyone(plan, &pool, true, keys)));
        };
        row("register + unregister", "pair", Keys::RegisterUnregister);
        if others == 100 {
            row("modify, changed", "call", Keys::ModifyChanged);
            row("modify, unchanged", "call", Keys::ModifyUnchanged);
        }
    }
}
