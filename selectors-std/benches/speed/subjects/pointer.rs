use std::hint::black_box;
use std::os::fd::BorrowedFd;

use super::{Subject, Watch};

/// A subject whose handler, and whose functions, are behind pointers that the
/// compiler can't see through. So nothing of them is inlined into the loop.
pub(crate) struct Pointer<S>(S);

impl<'a, S: Subject<'a>> Subject<'a> for Pointer<S> {
    type Handle = S::Handle;
    type Waker = S::Waker;

    fn open() -> Self {
        Self(S::open())
    }

    #[inline(always)]
    fn add(&mut self, fd: BorrowedFd<'a>, watch: Watch, data: u64) -> S::Handle {
        let add: fn(&mut S, BorrowedFd<'a>, Watch, u64) -> S::Handle = black_box(S::add);
        add(&mut self.0, fd, watch, data)
    }

    #[inline(always)]
    fn change(&mut self, handle: S::Handle, watch: Watch) {
        let change: fn(&mut S, S::Handle, Watch) = black_box(S::change);
        change(&mut self.0, handle, watch);
    }

    #[inline(always)]
    fn remove(&mut self, handle: S::Handle) {
        let remove: fn(&mut S, S::Handle) = black_box(S::remove);
        remove(&mut self.0, handle);
    }

    #[inline(always)]
    fn wait(&mut self, block: bool, mut each: impl FnMut(BorrowedFd<'a>, &mut u64)) -> usize {
        let each: &mut dyn FnMut(BorrowedFd<'a>, &mut u64) = black_box(&mut each);
        self.0.wait(block, each)
    }

    fn wait_and_change(&mut self, watch: Watch) -> usize {
        let change: fn(&mut S, Watch) -> usize = black_box(S::wait_and_change);
        change(&mut self.0, watch)
    }

    fn waker(&mut self, eventfd: BorrowedFd<'a>) -> S::Waker {
        self.0.waker(eventfd)
    }

    fn wake(waker: &S::Waker) {
        let wake: fn(&S::Waker) = black_box(S::wake);
        wake(waker);
    }
}
