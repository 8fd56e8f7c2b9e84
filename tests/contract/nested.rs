//! A selector watched by another one, which the descriptor of epoll and kqueue
//! allows.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use rustix::io::dup;
use selectors_core::{Events, Kind, Mode, Selector};
use selectors_std::Growable;

use crate::support::{Found, Kernel, NOW, SOON, Table, agree, apart, pair, ready};

const READ: Events = Events::READ;

/// The selector that is watched: the best of the platform, by selectors of
/// every kind.
type Inner<B, S> = Selector<<B as Kernel>::Inner, S, (), Growable>;

type Outer<B, M> = Selector<B, OwnedFd, (), M>;

/// What `ready` returns.
type Reported = BTreeMap<RawFd, Events>;

/// The inner selector's descriptor. Only platforms without epoll and kqueue
/// have none.
fn own<B: Kernel, S>(inner: &Inner<B, S>) -> Option<BorrowedFd<'_>> {
    let own = B::Inner::fileno(inner);
    assert_eq!(own.is_some(), Kind::Epoll.is_available() || Kind::Kqueue.is_available());
    own
}

/// An outer selector, and an inner one that it watches; where such a descriptor
/// exists.
fn nest<B: Kernel, M: Table, S>(
    inner: &Inner<B, S>,
    mode: Mode,
) -> Option<(Outer<B, M>, Reported)> {
    let own = dup(own::<B, _>(inner)?).unwrap();
    let mut outer = Outer::<B, M>::new().unwrap();
    let reported = [(own.as_raw_fd(), READ)].into();
    outer.register(own, READ.with_mode(mode), ()).unwrap();
    agree(&outer);
    Some((outer, reported))
}

const NOTHING: Reported = Reported::new();

/// What has been drained inside is not reported outside. All kernels with a
/// kqueue report it until there was a wait on the inner selector.
fn drained<B: Kernel, M: Table, S>(
    outer: &mut Outer<B, M>,
    inner: &mut Inner<B, S>,
    reported: &Reported,
) {
    let outside = ready(outer, NOW);
    assert!(
        outside == NOTHING || inner.kind() == Kind::Kqueue && outside == *reported,
        "{outside:?}"
    );
    assert_eq!(ready(inner, NOW), NOTHING);
    assert_eq!(ready(outer, NOW), NOTHING);
}

pub fn readiness_inside_is_reported_outside<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    let mut inner = Inner::<B, _>::new().unwrap();
    let Some((mut outer, reported)) = nest::<B, M, _>(&inner, Mode::Level) else { return };
    assert_eq!(ready(&mut outer, NOW), NOTHING, "nothing is registered inside");
    inner.register(&one, READ, ()).unwrap();
    assert_eq!(ready(&mut outer, NOW), NOTHING);
    for _ in 0..3 {
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(10));
                two.write_all(b"!").unwrap();
            });
            assert_eq!(ready(&mut outer, SOON), reported);
        });
        // As long as it lasts; a wait on the inner one consumes nothing of a
        // level.
        assert_eq!(ready(&mut outer, SOON), reported);
        assert_eq!(ready(&mut inner, SOON), [(one.as_raw_fd(), READ)].into());
        assert_eq!(ready(&mut outer, Some(Duration::from_micros(100))), reported);
        assert_eq!((&one).read(&mut [0; 8]).unwrap(), 1);
        drained(&mut outer, &mut inner, &reported);
    }
    let _ = inner.unregister(&one).unwrap();
    two.write_all(b"!").unwrap();
    assert_eq!(ready(&mut outer, NOW), NOTHING);
}

/// What an inner edge or one-shot reports once is reported outside until there
/// was a wait on the inner one.
pub fn what_is_reported_once_inside<B: Kernel, M: Table>() {
    for mode in [Mode::OneShot, Mode::Edge] {
        let (one, mut two) = pair();
        let mut inner = Inner::<B, _>::new().unwrap();
        let Some((mut outer, reported)) = nest::<B, M, _>(&inner, Mode::Level) else { return };
        inner.register(&one, READ.with_mode(mode), ()).unwrap();
        for _ in 0..3 {
            two.write_all(b"!").unwrap();
            for _ in 0..3 {
                assert_eq!(ready(&mut outer, SOON), reported);
            }
            assert_eq!(ready(&mut inner, SOON), [(one.as_raw_fd(), READ)].into());
            assert_eq!(ready(&mut outer, NOW), NOTHING);
            assert_eq!((&one).read(&mut [0; 8]).unwrap(), 1);
            inner.modify(&one, READ.with_mode(mode)).unwrap();
        }
    }
}

/// The outer interest may be of any mode, too.
pub fn reported_once_outside<B: Kernel, M: Table>() {
    for mode in [Mode::OneShot, Mode::Edge] {
        let (one, mut two) = pair();
        let mut inner = Inner::<B, _>::new().unwrap();
        inner.register(&one, READ, ()).unwrap();
        if mode == Mode::Edge && !Outer::<B, M>::new().unwrap().kind().supports_edge() {
            continue;
        }
        let Some((mut outer, reported)) = nest::<B, M, _>(&inner, mode) else { return };
        let fd = *reported.keys().next().unwrap();
        for _ in 0..3 {
            two.write_all(b"!").unwrap();
            assert_eq!(ready(&mut outer, SOON), reported, "{mode:?}");
            assert_eq!(ready(&mut outer, NOW), NOTHING, "{mode:?}");
            assert_eq!(ready(&mut inner, SOON), [(one.as_raw_fd(), READ)].into());
            assert_eq!((&one).read(&mut [0; 8]).unwrap(), 1);
            assert_eq!(ready(&mut inner, NOW), NOTHING);
            outer.modify(fd, READ.with_mode(mode)).unwrap();
        }
    }
}

pub fn the_inner_waker_wakes_both<B: Kernel, M: Table>() {
    let mut inner = Inner::<B, OwnedFd>::new().unwrap();
    let waker = inner.waker().unwrap();
    let Some((mut outer, reported)) = nest::<B, M, _>(&inner, Mode::Level) else { return };
    for _ in 0..3 {
        assert_eq!(ready(&mut outer, NOW), NOTHING);
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(10));
                waker.wake().unwrap();
            });
            assert_eq!(ready(&mut outer, SOON), reported);
        });
        assert_eq!(inner.select(SOON).woken_and(), Ok(0));
        assert!(inner.next_ready().is_none());
        drained(&mut outer, &mut inner, &reported); // the wake has been seen
    }
}

pub fn the_outer_waker_leaves_the_inner_one_alone<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    let mut inner = Inner::<B, _>::new().unwrap();
    inner.register(&one, READ, ()).unwrap();
    let Some((mut outer, reported)) = nest::<B, M, _>(&inner, Mode::Level) else { return };
    let waker = outer.waker_in(M::cell()).unwrap();
    waker.wake().unwrap();
    assert_eq!(outer.select(SOON).woken_and(), Ok(0));
    assert!(outer.next_ready().is_none());
    assert_eq!(inner.select(NOW).events(), Ok(0));
    waker.wake().unwrap();
    two.write_all(b"!").unwrap();
    assert_eq!(outer.select(SOON).woken_and(), Ok(1));
    assert_eq!(ready(&mut outer, SOON), reported);
}

/// A closed kernel object is not reported, and the outer selector works on.
pub fn the_inner_one_goes_first<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    let mut inner = Inner::<B, _>::new().unwrap();
    inner.register(&one, READ, ()).unwrap();
    let Some(fd) = own::<B, _>(&inner).map(apart) else { return };
    let mut outer = Selector::<B, RawFd, (), M>::new().unwrap();
    // SAFETY: nothing else is open at this number.
    unsafe { outer.register_raw(fd.as_raw_fd(), READ, ()) }.unwrap();
    two.write_all(b"!").unwrap();
    assert_eq!(ready(&mut outer, SOON).len(), 1);
    inner.close();
    let number = fd.as_raw_fd();
    drop(fd);
    assert_eq!(ready(&mut outer, NOW), NOTHING);
    let _ = outer.unregister(number).unwrap();
    assert_eq!(ready(&mut outer, Some(Duration::from_millis(2))), NOTHING);
}

/// Makes the selector find an event of a removed registration, and rebuild at
/// its next wait.
fn must_rebuild<B: Kernel, M: Table>(selector: &mut Outer<B, M>) -> UnixStream {
    let (alive, _) = pair();
    // `alive` keeps the file, and its number is closed first, so that it can't
    // be removed from the kernel's set.
    let liar = apart(&alive);
    let fd = liar.as_raw_fd();
    selector.register(liar, READ, ()).unwrap();
    // SAFETY: nothing else is open at this number; its owner is forgotten
    // below, and closes nothing.
    unsafe { rustix::io::close(fd) };
    let key = selector.unregister(fd).unwrap();
    std::mem::forget(key.fileobj);
    alive
}

/// Its descriptor was handed out, so that it may be watched elsewhere: a
/// rebuild reports that, once each time, and everything works on under the same
/// number.
pub fn a_replaced_instance_is_reported<B: Kernel, M: Table>() {
    let pairs = [(); 3].map(|()| pair());
    let mut selector = Outer::<B, M>::new().unwrap();
    let numbers =
        pairs.each_ref().map(|(one, _)| selector.register(dup(one).unwrap(), READ, ()).unwrap().fd);
    let waker = selector.waker_in(M::cell()).unwrap();
    let mut rebuilds = 0;
    for handed_out in [false, true, true, false] {
        let number = if handed_out { B::fileno(&selector).map(|fd| fd.as_raw_fd()) } else { None };
        let alive = must_rebuild(&mut selector);
        let found = selector.select(NOW).unwrap().events();
        assert!(selector.next_ready().is_none());
        waker.wake().unwrap();
        assert_eq!(found > 0, selector.kind() == Kind::Epoll);
        rebuilds += u64::from(found > 0);
        if number.is_some() && found > 0 {
            let result = selector.select(SOON).unwrap();
            assert!(result.replaced() && !result.timed_out() && !result.woken(), "{result:?}");
            assert_eq!(selector.stats().rebuilds, rebuilds);
        }
        // Reported once; and what came since is reported now.
        assert_eq!(selector.select(SOON).woken_and(), Ok(0), "the wake");
        assert!(selector.next_ready().is_none());
        assert_eq!(selector.stats().rebuilds, rebuilds);
        for ((one, two), fd) in pairs.iter().zip(numbers) {
            rustix::io::write(two, b"!").unwrap();
            assert_eq!(ready(&mut selector, SOON), [(fd, READ)].into());
            rustix::io::read(one, &mut [0; 8]).unwrap();
        }
        if let Some(fd) = number {
            // SAFETY: the selector's own, under the number that it had.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            let flags = rustix::io::fcntl_getfd(fd).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC), "the new one is inherited");
        }
        drop(alive);
    }
}

/// The outer selector would report nothing more. After the inner one is
/// registered again, it does.
pub fn a_replaced_instance_is_nested_again<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    let mut inner = Inner::<B, OwnedFd>::new().unwrap();
    let fd = inner.register(dup(&one).unwrap(), READ, ()).unwrap().fd;
    let Some((mut outer, reported)) = nest::<B, M, _>(&inner, Mode::Level) else { return };
    let _alive = must_rebuild(&mut inner);
    if inner.select(NOW).events() == Ok(0) {
        assert_ne!(inner.kind(), Kind::Epoll, "its set is recreated");
        return;
    }
    assert!(inner.next_ready().is_none());
    assert!(inner.select(NOW).unwrap().replaced());

    let _ = outer.unregister(*reported.keys().next().unwrap()).unwrap();
    let own = dup(own::<B, _>(&inner).unwrap()).unwrap();
    let reported = [(outer.register(own, READ, ()).unwrap().fd, READ)].into();
    for _ in 0..3 {
        drained(&mut outer, &mut inner, &reported);
        two.write_all(b"!").unwrap();
        assert_eq!(ready(&mut outer, SOON), reported);
        assert_eq!(ready(&mut inner, SOON), [(fd, READ)].into());
        rustix::io::read(&one, &mut [0; 8]).unwrap();
    }
}
