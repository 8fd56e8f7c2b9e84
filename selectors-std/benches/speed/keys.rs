//! Register, unregister, modify: next to the system calls of a program that
//! needs no table.

use crate::limits::KEYS;
use crate::measure::Plan;
use crate::pool::{Pool, clear, raise};
use crate::row::{Called, Contender, Row};
use crate::subjects::{
    CALLS, Calls, FIXED, FixedByNumber, GROWABLE, GrowableByNumber, Subject, Watch, registered,
};
use crate::work::{Setting, Work};

#[derive(Clone, Copy)]
enum Change {
    RegisterUnregister,
    ModifyChanged,
    ModifyUnchanged,
}

#[derive(Clone, Copy)]
struct Keys {
    change: Change,
    watch: Watch,
}

impl Work for Keys {
    /// All of the pool but one are registered before.
    fn round<'a, S: Subject<'a>>(self, plan: Plan, pool: &'a Pool) -> f64 {
        let watch = self.watch;
        let mut fds = pool.fds();
        let fd = fds.next().unwrap();
        let mut subject: S = registered(fds, watch);
        if let Change::RegisterUnregister = self.change {
            return plan.time(|| {
                let handle = subject.add(fd, watch, 0);
                subject.remove(handle);
                1
            });
        }
        let handle = subject.add(fd, watch, 0);
        let other = Watch { write: matches!(self.change, Change::ModifyChanged), ..watch };
        plan.time(|| {
            subject.change(handle, other);
            subject.change(handle, watch);
            2
        })
    }
}

/// The handler of each event changes the interest of its key.
#[derive(Clone, Copy)]
struct InTheLoop(Watch);

impl Work for InTheLoop {
    fn round<'a, S: Subject<'a>>(self, plan: Plan, pool: &'a Pool) -> f64 {
        let watch = self.0;
        let mut subject: S = registered(pool.fds(), watch);
        plan.time(|| {
            let changed = subject.wait_and_change(Watch { write: true, ..watch });
            changed + subject.wait_and_change(watch)
        })
    }
}

fn next_to_calls<'a>(setting: Setting<'a>, work: impl Work + 'a) -> Vec<Contender<'a>> {
    let mut all = vec![setting.contender::<Calls>(CALLS, work)];
    all.extend(setting.contenders(work));
    all
}

/// Only ours have two names for a key.
fn by_number<'a>(setting: Setting<'a>, work: impl Work + 'a) -> Vec<Contender<'a>> {
    vec![
        setting.contender::<Calls>(CALLS, work),
        setting.contender::<GrowableByNumber<'a>>(GROWABLE, work),
        setting.contender::<FixedByNumber<'a, 10_240>>(FIXED, work),
    ]
}

pub(crate) fn rows(plan: Plan, rows: &mut impl FnMut(Row)) {
    for others in [0, 100, KEYS.fitting() - 1] {
        let pool = &Pool::new(others + 1);
        for edge in [false, true] {
            // The mode does not depend on the number of others.
            if edge && others != 100 {
                continue;
            }
            for called in Called::BOTH {
                let setting = Setting { plan, pool, called, edge };
                let keys = |change| Keys { change, watch: setting.watch() };
                let name = |work: &str| format!("{work}, {others} others, {}", setting.mode());
                let mut row = |work: &str, unit, contenders| {
                    rows(Row::measure(&name(work), unit, called, plan, contenders));
                };
                let pair = keys(Change::RegisterUnregister);
                row("register + unregister", "ns/pair", next_to_calls(setting, pair));
                if others != 100 {
                    continue;
                }
                let (changed, unchanged) =
                    (keys(Change::ModifyChanged), keys(Change::ModifyUnchanged));
                row("modify, changed", "ns/call", next_to_calls(setting, changed));
                row("modify, unchanged", "ns/call", next_to_calls(setting, unchanged));
                if !edge {
                    row("register + unregister by number", "ns/pair", by_number(setting, pair));
                    row("modify by number, changed", "ns/call", by_number(setting, changed));
                    row("modify by number, unchanged", "ns/call", by_number(setting, unchanged));
                }
            }
        }
    }
    in_the_loop(plan, rows);
}

fn in_the_loop(plan: Plan, rows: &mut impl FnMut(Row)) {
    let pool = &Pool::new(64);
    pool.fds().for_each(raise);
    for edge in [false, true] {
        for called in Called::BOTH {
            let setting = Setting { plan, pool, called, edge };
            let work = format!("wait and modify each, 64 ready, {}", setting.mode());
            let contenders = next_to_calls(setting, InTheLoop(setting.watch()));
            rows(Row::measure(&work, "ns/event", called, plan, contenders));
        }
    }
    pool.fds().for_each(clear);
}
