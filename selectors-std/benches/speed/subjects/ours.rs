use std::marker::PhantomData;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use selectors_core::storage::Storage;
use selectors_core::{Lookup, SelectorKey};
use selectors_std::backend::{Backend, Epoll};
use selectors_std::{Events, Interest, KeyId, Selector};

use super::{Subject, Watch};

/// One of this workspace's selectors. In a box, as the fixed ones are large.
/// `N` is what names a key in calls.
pub(crate) struct Ours<'a, B: Backend, M: Storage, N = KeyId> {
    selector: Box<Selector<B, BorrowedFd<'a>, u64, M>>,
    names: PhantomData<N>,
}

/// `selectors_std::DefaultSelector`.
pub(crate) type Growable<'a> = Ours<'a, Epoll<256>, selectors_std::Growable>;
/// `selectors_core::DefaultSelector`.
pub(crate) type Fixed<'a, const N: usize> = Ours<'a, Epoll<64>, selectors_core::storage::Fixed<N>>;
/// The same selectors, with the number of its descriptor as the name of a key.
pub(crate) type GrowableByNumber<'a> = Ours<'a, Epoll<256>, selectors_std::Growable, RawFd>;
pub(crate) type FixedByNumber<'a, const N: usize> =
    Ours<'a, Epoll<64>, selectors_core::storage::Fixed<N>, RawFd>;

// Users get these types.
type Inner<'a> = Selector<Epoll<256>, BorrowedFd<'a>, u64, selectors_std::Growable>;
const _: fn(Inner<'_>) -> selectors_std::DefaultSelector<BorrowedFd<'_>, u64> = |same| same;
type InnerFixed<'a> = Selector<Epoll<64>, BorrowedFd<'a>, u64, selectors_core::storage::Fixed<8>>;
const _: fn(InnerFixed<'_>) -> selectors_core::DefaultSelector<BorrowedFd<'_>, u64, 8> =
    |same| same;

pub(crate) fn interest(watch: Watch) -> Interest {
    let events = if watch.write { Events::READ | Events::WRITE } else { Events::READ };
    if watch.edge { events.edge() } else { events.into() }
}

/// What a program keeps of a key to find it again.
pub(crate) trait Name: Copy + Into<Lookup> {
    fn of(key: &SelectorKey<BorrowedFd<'_>, u64>) -> Self;
}

impl Name for KeyId {
    fn of(key: &SelectorKey<BorrowedFd<'_>, u64>) -> Self {
        key.id()
    }
}

impl Name for RawFd {
    fn of(key: &SelectorKey<BorrowedFd<'_>, u64>) -> Self {
        key.fd
    }
}

impl<'a, B: Backend, M: Storage<Wake: Send + NewCell>, N: Name> Subject<'a> for Ours<'a, B, M, N> {
    type Handle = N;
    type Waker = selectors_core::Waker<M::Wake>;

    fn open() -> Self {
        Self { selector: Box::new(Selector::new().unwrap()), names: PhantomData }
    }

    #[inline(always)]
    fn add(&mut self, fd: BorrowedFd<'a>, watch: Watch, data: u64) -> N {
        N::of(self.selector.register(fd, interest(watch), data).unwrap())
    }

    #[inline(always)]
    fn change(&mut self, name: N, watch: Watch) {
        self.selector.modify(name, interest(watch)).unwrap();
    }

    #[inline(always)]
    fn remove(&mut self, name: N) {
        let _ = self.selector.unregister(name).unwrap();
    }

    #[inline(always)]
    fn wait(&mut self, block: bool, mut each: impl FnMut(BorrowedFd<'a>, &mut u64)) -> usize {
        let selector = &mut *self.selector;
        selector.select(if block { None } else { Some(Duration::ZERO) }).unwrap();
        let mut handled = 0;
        while let Some((mut key, _ready)) = selector.next_ready() {
            let (fd, data) = key.parts();
            each(*fd, data);
            handled += 1;
        }
        handled
    }

    #[inline(always)]
    fn wait_and_change(&mut self, watch: Watch) -> usize {
        self.selector.select(Some(Duration::ZERO)).unwrap();
        let mut changed = 0;
        while let Some((mut key, _ready)) = self.selector.next_ready() {
            key.modify(interest(watch)).unwrap();
            changed += 1;
        }
        changed
    }

    fn waker(&mut self, _eventfd: BorrowedFd<'a>) -> Self::Waker {
        self.selector.waker_in(M::Wake::new_cell()).unwrap()
    }

    fn wake(waker: &Self::Waker) {
        waker.wake().unwrap();
    }
}

/// A cell for a waker. It serves one selector at a time, and there is never
/// more than one here.
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
