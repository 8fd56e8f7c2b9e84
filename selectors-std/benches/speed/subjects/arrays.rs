use std::os::fd::AsRawFd;

use rustix::event::{
    FdSetElement, FdSetIter, PollFd, PollFlags, fd_set_bound, fd_set_insert, fd_set_num_elements,
};
use selectors_core::storage;
use selectors_std::backend::{Poll, Select};

use super::Ours;
use super::bare::NOW;
use crate::pool::Pool;

/// What a program without a selector writes on poll or select. It keeps its
/// arrays.
pub(crate) trait BareArrays<'a> {
    fn new(pool: &'a Pool) -> Self;
    /// Polls, and calls `each` for each ready descriptor. Returns their number.
    fn wait(&mut self, each: impl FnMut(&mut u64)) -> usize;
}

/// poll, and the data of the caller in an array of the same order.
pub(crate) struct BarePoll<'a> {
    fds: Vec<PollFd<'a>>,
    data: Vec<u64>,
}

impl<'a> BareArrays<'a> for BarePoll<'a> {
    fn new(pool: &'a Pool) -> Self {
        let fds: Vec<_> =
            pool.fds().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        Self { data: vec![0; fds.len()], fds }
    }

    #[inline(always)]
    fn wait(&mut self, mut each: impl FnMut(&mut u64)) -> usize {
        let ready = rustix::event::poll(&mut self.fds, Some(&NOW)).unwrap();
        let mut left = ready;
        for (entry, data) in self.fds.iter().zip(&mut self.data) {
            if left == 0 {
                break;
            }
            if !entry.revents().is_empty() {
                left -= 1;
                each(data);
            }
        }
        ready
    }
}

/// select, and the caller's data by descriptor.
pub(crate) struct BareSelect {
    watched: Vec<FdSetElement>,
    ready: Vec<FdSetElement>,
    data: Vec<u64>,
}

impl BareArrays<'_> for BareSelect {
    fn new(pool: &Pool) -> Self {
        let bound = pool.fds().map(|fd| fd.as_raw_fd() + 1).max().unwrap();
        let words = fd_set_num_elements(pool.fds().count(), bound);
        let mut watched = vec![FdSetElement::default(); words];
        for fd in pool.fds() {
            fd_set_insert(&mut watched, fd.as_raw_fd());
        }
        Self { ready: watched.clone(), watched, data: vec![0; usize::try_from(bound).unwrap()] }
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    fn wait(&mut self, mut each: impl FnMut(&mut u64)) -> usize {
        self.ready.copy_from_slice(&self.watched);
        let bound = fd_set_bound(&self.watched);
        // SAFETY: the descriptors are those of a pool, which outlives the
        // round.
        unsafe { rustix::event::select(bound, Some(&mut self.ready), None, None, Some(&NOW)) }
            .unwrap();
        let mut handled = 0;
        for fd in FdSetIter::new(&self.ready) {
            each(&mut self.data[usize::try_from(fd).unwrap()]);
            handled += 1;
        }
        handled
    }
}

pub(crate) type GrowingPoll<'a> = Ours<'a, Poll<selectors_std::Growable>, selectors_std::Growable>;
pub(crate) type GrowingSelect<'a> =
    Ours<'a, Select<selectors_std::Growable>, selectors_std::Growable>;
pub(crate) type FixedPoll<'a> = Ours<'a, Poll<storage::Fixed<1024>>, storage::Fixed<1024>>;
pub(crate) type FixedSelect<'a> = Ours<'a, Select<storage::Fixed<1024>>, storage::Fixed<1024>>;
