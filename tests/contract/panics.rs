//! Code of the caller that panics, or uses a selector, in the middle of
//! something: `Drop`, `AsFd`, `Into<Interest>`. Afterwards table and kernel
//! agree, and the other keys work.

use crate::support::UnixStream;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};

use selectors_core::{Events, Interest, Selector};

use crate::support::{Found, Kernel, NOW, SOON, Table, agree, pair, ready};

const READ: Events = Events::READ;
const WRITE: Events = Events::WRITE;

/// Whether this unwinds.
fn unwinds<T>(work: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(work)).is_err()
}

/// Panics when it is dropped, or counts that.
struct Bomb<'a> {
    dropped: &'a Cell<u32>,
    panics: bool,
}

impl Drop for Bomb<'_> {
    fn drop(&mut self) {
        self.dropped.set(self.dropped.get() + 1);
        assert!(!self.panics, "as intended");
    }
}

/// A source, and whether `as_fd` panics.
struct Source<'a> {
    fd: OwnedFd,
    as_fd_panics: bool,
    _bomb: Option<Bomb<'a>>,
}

impl AsFd for Source<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        assert!(!self.as_fd_panics, "as intended");
        self.fd.as_fd()
    }
}

impl AsRawFd for Source<'_> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// A source that is always ready to write, and its peer.
fn source(bomb: Option<Bomb<'_>>) -> (Source<'_>, UnixStream) {
    let (one, two) = pair();
    (Source { fd: one.into(), as_fd_panics: false, _bomb: bomb }, two)
}

/// All keys are reported, and no others.
fn all_work<B: Kernel, S, D, M: Table>(selector: &mut Selector<B, S, D, M>, count: usize) {
    agree(selector);
    assert_eq!(selector.get_map().len(), count);
    for _ in 0..2 {
        let reported = ready(selector, SOON);
        assert_eq!(reported.len(), count);
        assert!(reported.keys().all(|fd| selector.get_key(*fd).is_some()));
    }
}

pub fn a_key_whose_drop_panics<B: Kernel, M: Table>() {
    // Its source, or its data.
    for of_data in [false, true] {
        let dropped = Cell::new(0);
        let bomb = |number, data| {
            (data == of_data).then(|| Bomb { dropped: &dropped, panics: number == 3 })
        };
        let mut peers = Vec::new();
        let mut selector = Selector::<B, Source<'_>, Option<Bomb<'_>>, M>::new().unwrap();
        for number in 0..10 {
            let (source, peer) = source(bomb(number, false));
            peers.push(peer);
            assert!(selector.register(source, WRITE, bomb(number, true)).is_ok());
        }
        let mut seen = 0;
        assert_eq!(selector.select(SOON).events(), Ok(10));
        let unwound = unwinds(|| {
            while let Some((key, _)) = selector.next_ready() {
                seen += 1;
                let fd = key.fd;
                drop(selector.unregister(fd).unwrap());
            }
        });
        assert!(unwound);
        assert_eq!(
            (selector.get_map().len(), dropped.get()),
            (10 - seen, u32::try_from(seen).unwrap())
        );
        agree(&selector);
        let mut left = 0;
        while let Some((key, _)) = selector.next_ready() {
            assert!(!key.fileobj.as_fd_panics);
            left += 1;
        }
        assert_eq!(left, 10 - seen, "the rest of the batch");
        all_work(&mut selector, 10 - seen);
    }
}

/// This is in the middle of a batch. The kernel object is closed before, and
/// the other sources are dropped, too.
pub fn a_selector_with_a_source_whose_drop_panics<B: Kernel, M: Table>() {
    let dropped = Cell::new(0);
    let mut peers = Vec::new();
    let unwound = unwinds(|| {
        let mut selector = Selector::<B, Source<'_>, (), M>::new().unwrap();
        for number in 0..10 {
            let (source, peer) = source(Some(Bomb { dropped: &dropped, panics: number == 3 }));
            peers.push(peer);
            selector.register(source, WRITE, ()).unwrap();
        }
        assert_eq!(selector.select(SOON).events(), Ok(10));
        assert!(selector.next_ready().is_some());
        drop(selector);
    });
    assert!(unwound);
    assert_eq!(dropped.get(), 10);
    for peer in peers {
        assert_eq!(rustix::io::read(&peer, &mut [0]), Ok(0), "its source is open");
    }
}

pub fn a_source_whose_as_fd_panics<B: Kernel, M: Table>() {
    let dropped = Cell::new(0);
    let ((good, _peer), (mut bad, bad_peer)) =
        (source(None), source(Some(Bomb { dropped: &dropped, panics: false })));
    let (mut stranger, _) = source(None);
    (bad.as_fd_panics, stranger.as_fd_panics) = (true, true);
    let mut selector = Selector::<B, Source<'_>, (), M>::new().unwrap();
    selector.register(good, WRITE, ()).unwrap();
    assert_eq!(selector.select(SOON).events(), Ok(1));
    assert!(unwinds(|| selector.register(bad, WRITE, ()).is_ok()));
    assert_eq!((dropped.get(), rustix::io::read(&bad_peer, &mut [0])), (1, Ok(0)), "it is closed");
    assert!(unwinds(|| selector.modify(&stranger, READ)));
    assert!(unwinds(|| selector.unregister(&stranger).is_ok()));
    assert!(unwinds(|| selector.get_key(&stranger).is_some()));
    assert!(unwinds(|| selector.get_key_mut(&stranger).is_some()));
    assert_eq!(selector.next_ready().unwrap().1, WRITE);
    all_work(&mut selector, 1);
}

/// An interest that is not there yet.
struct Never;

impl From<Never> for Interest {
    fn from(_: Never) -> Self {
        panic!("as intended")
    }
}

pub fn an_interest_that_panics<B: Kernel, M: Table>() {
    let dropped = Cell::new(0);
    let bomb = || Some(Bomb { dropped: &dropped, panics: false });
    let ((one, _peer), (two, _)) = (source(bomb()), source(bomb()));
    let fd = one.as_raw_fd();
    let mut selector = Selector::<B, Source<'_>, _, M>::new().unwrap();
    selector.register(one, WRITE, bomb()).unwrap();
    assert_eq!(selector.select(SOON).events(), Ok(1));
    assert!(unwinds(|| selector.register(two, Never, bomb()).is_ok()));
    assert_eq!(dropped.get(), 2, "the source and the data");
    assert!(unwinds(|| selector.modify(fd, Never)));
    assert_eq!(selector.get_key(fd).unwrap().interest(), WRITE.into());
    assert_eq!(selector.next_ready().unwrap().1, WRITE);
    all_work(&mut selector, 1);
}

type Own<B, M> = Selector<B, Entering<B, M>, (), M>;
type Shared<B, M> = RefCell<Own<B, M>>;

/// A source that uses its own selector when it is dropped.
struct Entering<B: Kernel, M: Table> {
    fd: OwnedFd,
    selector: Weak<Shared<B, M>>,
    then: fn(&mut Own<B, M>),
}

impl<B: Kernel, M: Table> AsFd for Entering<B, M> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl<B: Kernel, M: Table> Drop for Entering<B, M> {
    fn drop(&mut self) {
        if let Some(selector) = self.selector.upgrade() {
            (self.then)(&mut selector.borrow_mut());
        }
    }
}

/// Ends every key, one from the drop of another.
fn end_all<B: Kernel, M: Table>(selector: &mut Own<B, M>) {
    agree(selector);
    let first = selector.get_map().iter().next().map(|key| key.fd);
    if let Some(fd) = first {
        // Its drop finds the selector borrowed.
        let mut source = selector.unregister(fd).unwrap().fileobj;
        source.selector = Weak::new();
        end_all(selector);
    }
}

/// Registers another key in the slot that is free now.
fn come_back<B: Kernel, M: Table>(selector: &mut Own<B, M>) {
    agree(selector);
    let source = Entering { fd: pair().0.into(), selector: Weak::new(), then: end_all };
    selector.register(source, WRITE, ()).unwrap();
    agree(selector);
}

pub fn a_drop_that_uses_the_selector<B: Kernel, M: Table>() {
    for (then, left) in [(come_back::<B, M> as fn(&mut _), 10), (end_all::<B, M>, 0)] {
        let shared = Rc::new(Shared::<B, M>::new(Selector::new().unwrap()));
        for _ in 0..10 {
            let source = Entering { fd: pair().0.into(), selector: Rc::downgrade(&shared), then };
            shared.borrow_mut().register(source, WRITE, ()).unwrap();
        }
        assert_eq!(shared.borrow_mut().select(SOON).events(), Ok(10));
        let fd = shared.borrow_mut().next_ready().unwrap().0.fd;
        let key = shared.borrow_mut().unregister(fd).unwrap();
        drop(key);
        let mut selector = shared.borrow_mut();
        let mut pending = 0;
        while selector.next_ready().is_some() {
            pending += 1;
        }
        assert_eq!(pending, left.min(9), "the new key has no event yet");
        if left > 0 {
            all_work(&mut selector, left);
        } else {
            agree(&selector);
            assert_eq!((selector.get_map().len(), selector.select(NOW).events()), (0, Ok(0)));
        }
    }
}
