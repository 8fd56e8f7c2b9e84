use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use selectors_core::storage::Storage;
use selectors_std::backend::{Backend, Epoll};
use selectors_std::{Events, Interest, KeyId, Selector};

use super::{Asked, Subject};

/// One of this workspace's selectors. In a box, as the fixed ones are large.
pub(crate) struct Ours<'a, B: Backend, M: Storage>(Box<Selector<B, BorrowedFd<'a>, u64, M>>);

impl<'a, B: Backend, M: Storage> Ours<'a, B, M> {
    pub(crate) fn id(&self, fd: BorrowedFd<'a>) -> KeyId {
        self.0.get_key(fd.as_raw_fd()).unwrap().id()
    }

    #[inline(always)]
    pub(crate) fn change_by_id(&mut self, id: KeyId, asked: Asked) {
        self.0.modify(id, interest(asked)).unwrap();
    }
}

/// `selectors_std::DefaultSelector`.
pub(crate) type Growable<'a> = Ours<'a, Epoll<256>, selectors_std::Growable>;
/// `selectors_core::DefaultSelector`.
pub(crate) type Fixed<'a, const N: usize> = Ours<'a, Epoll<64>, selectors_core::storage::Fixed<N>>;

// That these are what users get.
type Inner<'a> = Selector<Epoll<256>, BorrowedFd<'a>, u64, selectors_std::Growable>;
const _: fn(Inner<'_>) -> selectors_std::DefaultSelector<BorrowedFd<'_>, u64> = |same| same;
type InnerFixed<'a> = Selector<Epoll<64>, BorrowedFd<'a>, u64, selectors_core::storage::Fixed<8>>;
const _: fn(InnerFixed<'_>) -> selectors_core::DefaultSelector<BorrowedFd<'_>, u64, 8> = |same| same;

fn interest(asked: Asked) -> Interest {
    let events = if asked.write { Events::READ | Events::WRITE } else { Events::READ };
    if asked.edge { events.edge() } else { events.into() }
}

impl<'a, B: Backend, M: Storage<Wake: Send>> Subject<'a> for Ours<'a, B, M>
where
    M::Wake: NewCell,
{
    type Handle = RawFd;
    type Waker = selectors_core::Waker<M::Wake>;

    fn open() -> Self {
        Self(Box::new(Selector::new().unwrap()))
    }

    fn add(&mut self, fd: BorrowedFd<'a>, asked: Asked, data: u64) -> RawFd {
        self.0.register(fd, interest(asked), data).unwrap();
        fd.as_raw_fd()
    }

    fn change(&mut self, fd: RawFd, asked: Asked) {
        self.0.modify(fd, interest(asked)).unwrap();
    }

    fn remove(&mut self, fd: RawFd) {
        let _ = self.0.unregister(fd).unwrap();
    }

    #[inline(always)]
    fn wait(&mut self, forever: bool, mut each: impl FnMut(BorrowedFd<'a>, &mut u64)) -> usize {
        self.0.select(if forever { None } else { Some(Duration::ZERO) }).unwrap();
        let mut taken = 0;
        while let Some((mut key, _ready)) = self.0.next_ready() {
            let (fd, data) = key.parts();
            each(*fd, data);
            taken += 1;
        }
        taken
    }

    fn waker(&mut self, _eventfd: BorrowedFd<'a>) -> Self::Waker {
        self.0.waker_in(M::Wake::new_cell()).unwrap()
    }

    fn wake(waker: &Self::Waker) {
        waker.wake().unwrap();
    }
}

/// A cell for a waker. It serves one selector at a time, which is all that there ever is here.
pub(crate) trait NewCell {
    fn new_cell() -> Self;
}

impl NewCell for std::sync::Arc<selectors_core::WakeCell> {
    fn new_cell() -> Self {
        Self::default()
    }
}

impl NewCell for &'static selectors_core::WakeCell {
    fn new_cell() -> Self {
        static CELL: selectors_core::WakeCell = selectors_core::WakeCell::new();
        &CELL
    }
}
