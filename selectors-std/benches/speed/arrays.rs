//! The backends on poll and select, next to the bare calls on arrays that are
//! kept.

use std::hint::black_box;

use crate::limits::KEYS;
use crate::measure::{Plan, handle};
use crate::pool::{Pool, clear, raise};
use crate::row::{Called, Contender, Row};
use crate::subjects::{
    BARE, BareArrays, BarePoll, BareSelect, FIXED, FixedPoll, FixedSelect, GROWABLE, GrowingPoll,
    GrowingSelect, LEVEL, Pointer, Subject, registered,
};

fn time<'a, S: Subject<'a>>(plan: Plan, pool: &'a Pool) -> f64 {
    let mut subject: S = registered(pool.fds(), LEVEL);
    plan.time(|| {
        subject.wait(false, |_, data| handle(data));
        1
    })
}

fn ours<'a, S: Subject<'a>>(
    name: &'static str,
    plan: Plan,
    pool: &'a Pool,
    called: Called,
) -> Contender<'a> {
    Contender::new(name, move || match called {
        Called::Inlined => time::<S>(plan, pool),
        Called::Pointer => time::<Pointer<S>>(plan, pool),
    })
}

fn bare<'a, T: BareArrays<'a>>(plan: Plan, pool: &'a Pool, called: Called) -> Contender<'a> {
    Contender::new(BARE, move || {
        let mut bare = T::new(pool);
        match called {
            Called::Inlined => plan.time(|| {
                bare.wait(handle);
                1
            }),
            Called::Pointer => plan.time(|| {
                let each: fn(&mut u64) = black_box(handle);
                bare.wait(each);
                1
            }),
        }
    })
}

fn poll(plan: Plan, pool: &Pool, called: Called) -> Vec<Contender<'_>> {
    vec![
        bare::<BarePoll<'_>>(plan, pool, called),
        ours::<GrowingPoll<'_>>(GROWABLE, plan, pool, called),
        ours::<FixedPoll<'_>>(FIXED, plan, pool, called),
    ]
}

fn select(plan: Plan, pool: &Pool, called: Called) -> Vec<Contender<'_>> {
    vec![
        bare::<BareSelect>(plan, pool, called),
        ours::<GrowingSelect<'_>>(GROWABLE, plan, pool, called),
        ours::<FixedSelect<'_>>(FIXED, plan, pool, called),
    ]
}

pub(crate) fn rows(plan: Plan, rows: &mut impl FnMut(Row)) {
    for many in [100, KEYS.fitting().min(1000)] {
        let pool = &Pool::new(many);
        for ready in [0, 1, many] {
            pool.some(ready).for_each(raise);
            for called in Called::BOTH {
                // Without an event, there is no handler to call.
                if ready == 0 && called == Called::Pointer {
                    continue;
                }
                let mut row = |work: &str, contenders| {
                    let work = format!("{work}, {ready} ready of {many}");
                    rows(Row::measure(&work, "ns/wait", called, plan, contenders));
                };
                row("poll", poll(plan, pool, called));
                row("select", select(plan, pool, called));
            }
            pool.fds().for_each(clear);
        }
    }
}
