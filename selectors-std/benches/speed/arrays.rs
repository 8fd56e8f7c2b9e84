//! The backends on poll and select, beside the bare calls on arrays that are kept.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::event::{
    FdSetElement, FdSetIter, PollFd, PollFlags, Timespec, fd_set_bound, fd_set_insert, fd_set_num_elements,
};
use selectors_core::storage;
use selectors_std::backend::{Poll, Select};

use crate::measure::{BARE, Contender, FIXED, GROWABLE, Plan, Row};
use crate::pool::{Pool, clear, raise};
use crate::subjects::{LEVEL, Ours, Subject};

const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// poll, and the caller's data beside the array.
pub(crate) struct BarePoll<'a> {
    fds: Vec<PollFd<'a>>,
    data: Vec<u64>,
}

impl<'a> BarePoll<'a> {
    pub(crate) fn new(pool: &'a Pool) -> Self {
        let fds: Vec<_> = pool.fds().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        Self { data: vec![0; fds.len()], fds }
    }

    #[inline(always)]
    pub(crate) fn wait(&mut self) -> usize {
        let ready = rustix::event::poll(&mut self.fds, Some(&NOW)).unwrap();
        let mut left = ready;
        for (entry, data) in self.fds.iter().zip(&mut self.data) {
            if left == 0 {
                break;
            }
            if !entry.revents().is_empty() {
                left -= 1;
                *data += 1;
            }
        }
        ready
    }
}

/// select, and the caller's data by descriptor.
pub(crate) struct BareSelect {
    asked: Vec<FdSetElement>,
    answer: Vec<FdSetElement>,
    data: Vec<u64>,
}

impl BareSelect {
    pub(crate) fn new(pool: &Pool) -> Self {
        let bound = pool.fds().map(|fd| fd.as_raw_fd() + 1).max().unwrap();
        let words = fd_set_num_elements(pool.fds().count(), bound);
        let mut asked = vec![FdSetElement::default(); words];
        for fd in pool.fds() {
            fd_set_insert(&mut asked, fd.as_raw_fd());
        }
        Self { answer: asked.clone(), asked, data: vec![0; usize::try_from(bound).unwrap()] }
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    pub(crate) fn wait(&mut self) -> usize {
        self.answer.copy_from_slice(&self.asked);
        let bound = fd_set_bound(&self.asked);
        // SAFETY: the descriptors are those of a pool, which outlives the round.
        unsafe { rustix::event::select(bound, Some(&mut self.answer), None, None, Some(&NOW)) }.unwrap();
        let mut taken = 0;
        for fd in FdSetIter::new(&self.answer) {
            self.data[usize::try_from(fd).unwrap()] += 1;
            taken += 1;
        }
        taken
    }
}

pub(crate) type GrowingPoll<'a> = Ours<'a, Poll<selectors_std::Growable>, selectors_std::Growable>;
pub(crate) type GrowingSelect<'a> = Ours<'a, Select<selectors_std::Growable>, selectors_std::Growable>;
pub(crate) type FixedPoll<'a> = Ours<'a, Poll<storage::Fixed<1024>>, storage::Fixed<1024>>;
pub(crate) type FixedSelect<'a> = Ours<'a, Select<storage::Fixed<1024>>, storage::Fixed<1024>>;

/// With all of the pool registered.
pub(crate) fn registered<'a, S: Subject<'a>>(pool: impl Iterator<Item = BorrowedFd<'a>>) -> S {
    let mut subject = S::open();
    for fd in pool {
        subject.add(fd, LEVEL, 0);
    }
    subject
}

fn time<'a, S: Subject<'a>>(plan: Plan, pool: &'a Pool) -> f64 {
    let mut subject: S = registered(pool.fds());
    plan.time(|| {
        subject.wait(false, |_, data| *data += 1);
        1
    })
}

pub(crate) fn rows(plan: Plan, rows: &mut impl FnMut(Row)) {
    for many in [100, 1000] {
        let pool = Pool::new(many);
        for ready in [0, 1, many] {
            pool.some(ready).for_each(raise);
            let contenders = vec![
                Contender::new(BARE, || {
                    let mut bare = BarePoll::new(&pool);
                    plan.time(|| {
                        bare.wait();
                        1
                    })
                }),
                Contender::new(GROWABLE, || time::<GrowingPoll<'_>>(plan, &pool)),
                Contender::new(FIXED, || time::<FixedPoll<'_>>(plan, &pool)),
            ];
            rows(Row::measure(format!("poll, {ready} ready of {many}"), "wait", plan, contenders));
            let contenders = vec![
                Contender::new(BARE, || {
                    let mut bare = BareSelect::new(&pool);
                    plan.time(|| {
                        bare.wait();
                        1
                    })
                }),
                Contender::new(GROWABLE, || time::<GrowingSelect<'_>>(plan, &pool)),
                Contender::new(FIXED, || time::<FixedSelect<'_>>(plan, &pool)),
            ];
            rows(Row::measure(format!("select, {ready} ready of {many}"), "wait", plan, contenders));
            pool.fds().for_each(clear);
        }
    }
}
