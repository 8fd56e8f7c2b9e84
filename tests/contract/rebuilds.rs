//! The kernel's set is recreated, to remove a descriptor closed without the
//! selector's knowledge: what must survive that, and what may fail. Only epoll
//! needs it. The rows run on the other backends, too.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::{dup, dup2};
use selectors_core::{Events, Kind, Mode};

use crate::support::{
    Found, Kernel, NOW, SOON, Table, agree, agree_with_wakers, apart, pair, ready,
};
use crate::zombies::{Sel, empty_returns, watch, zombie};

const READ: Events = Events::READ;
const WRITE: Events = Events::WRITE;

pub fn the_waker_wakes_on<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let waker = selector.waker_in(M::cell()).unwrap();
    for before in [true, false] {
        let (_alive, _) = zombie(&mut selector);
        if before {
            // Seen by the wait that reports the zombie, or else by the next
            // one.
            waker.wake().unwrap();
        }
        assert!(selector.select(NOW).unwrap().events() > 0 || selector.kind() != Kind::Epoll);
        assert!(empty_returns(&mut selector) <= 2);
        for _ in 0..3 {
            waker.wake().unwrap();
            assert_eq!(selector.select(SOON).woken_and(), Ok(0));
            assert!(selector.next_ready().is_none());
            assert_eq!(selector.select(NOW).events(), Ok(0));
        }
    }
    assert_eq!(selector.stats().rebuilds, if selector.kind() == Kind::Epoll { 2 } else { 0 });
    agree_with_wakers(&selector, 1);
}

/// A wake that comes after the zombie was reported, and before the kernel's set
/// is recreated.
pub fn a_wake_before_the_rebuild_is_reported<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let waker = selector.waker_in(M::cell()).unwrap();
    let (_alive, _) = zombie(&mut selector);
    selector.select(NOW).unwrap();
    assert!(selector.next_ready().is_none());
    waker.wake().unwrap();
    assert_eq!(selector.select(SOON).woken_and(), Ok(0));
    assert!(selector.next_ready().is_none());
    assert_eq!(selector.select(NOW).events(), Ok(0));
}

/// What is armed stays armed, and loses no event; what has fired stays disarmed
/// until it is modified.
pub fn the_modes_survive<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let edges = selector.kind().supports_edge();
    let [edge, armed, fired, level] = [(); 4].map(|()| pair());
    watch(
        &mut selector,
        &edge.0,
        READ.with_mode(if edges { Mode::Edge } else { Mode::Level }),
        "edge",
    );
    watch(&mut selector, &armed.0, READ.one_shot(), "armed");
    watch(&mut selector, &fired.0, WRITE.one_shot(), "fired");
    watch(&mut selector, &level.0, READ, "level");
    assert_eq!(ready(&mut selector, SOON), [(fired.0.as_raw_fd(), WRITE)].into());

    for round in 1..=2 {
        let (_alive, _) = zombie(&mut selector);
        selector.select(NOW).unwrap();
        assert!(selector.next_ready().is_none());
        // Between the wait that found the zombie and the rebuild.
        rustix::io::write(&edge.1, b"!").unwrap();
        rustix::io::write(&armed.1, b"!").unwrap();
        let delivered = ready(&mut selector, SOON);
        assert_eq!(delivered, [(edge.0.as_raw_fd(), READ), (armed.0.as_raw_fd(), READ)].into());
        assert_eq!(selector.get_key(&fired.0).unwrap().mode, Mode::OneShot);
        if edges {
            assert_eq!(ready(&mut selector, NOW), [].into(), "delivered once");
            rustix::io::write(&edge.1, b"!").unwrap();
            assert_eq!(ready(&mut selector, SOON), [(edge.0.as_raw_fd(), READ)].into());
        }
        assert_eq!(rustix::io::read(&edge.0, &mut [0; 8]), Ok(1 + usize::from(edges)));
        assert_eq!(ready(&mut selector, NOW), [].into(), "the armed one has fired");
        selector.modify(&armed.0, READ.one_shot()).unwrap();
        assert_eq!(ready(&mut selector, SOON), [(armed.0.as_raw_fd(), READ)].into());
        rustix::io::read(&armed.0, &mut [0; 8]).unwrap();
        selector.modify(&armed.0, READ.one_shot()).unwrap();
        // The fired one could write all the while. It is not watched, or it
        // would have been reported.
        let found = if selector.kind() == Kind::Epoll { round } else { 0 };
        assert_eq!((selector.stats().stale, selector.stats().rebuilds), (found, found));
    }
    agree(&selector);
    selector.modify(&fired.0, WRITE.one_shot()).unwrap();
    assert_eq!(ready(&mut selector, SOON), [(fired.0.as_raw_fd(), WRITE)].into());
    assert_eq!(ready(&mut selector, NOW), [].into());
}

/// The kernel reports hang-ups also for an empty interest: once, after a
/// rebuild, and they are not delivered.
pub fn a_fired_one_shot_whose_peer_is_closed<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let (fired, peer) = pair();
    watch(&mut selector, &fired, WRITE.one_shot(), "fired");
    assert_eq!(ready(&mut selector, SOON).len(), 1);
    drop(peer);
    let (_alive, _) = zombie(&mut selector);
    assert!(empty_returns(&mut selector) <= 2);
    selector.modify(&fired, READ.one_shot()).unwrap();
    assert!(ready(&mut selector, SOON)[&fired.as_raw_fd()].contains(READ));
    assert_eq!(ready(&mut selector, NOW), [].into());
}

/// Files that may come back at the number of a key that was closed. Several of
/// them can't be watched.
fn others(own: Option<BorrowedFd<'_>>) -> Vec<OwnedFd> {
    let mut files: Vec<OwnedFd> =
        vec![File::open(std::env::current_exe().unwrap()).unwrap().into()];
    files.extend(own.map(|own| dup(own).unwrap()));
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::event::epoll::{CreateFlags, create};
        use rustix::fs::{Mode, OFlags, open};
        files.push(create(CreateFlags::CLOEXEC).unwrap());
        files.push(open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap());
        files.push(File::open("/dev/null").unwrap().into());
        files.push(File::open("/").unwrap().into());
    }
    files
}

/// Keys whose numbers were closed, with nothing there or with a file that is
/// not the key's.
pub fn dead_keys_do_not_hinder_a_rebuild<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let files = others(B::fileno(&selector));
    let replaced = B::fileno(&selector).is_some() && selector.kind() == Kind::Epoll;
    let (other, mut peer) = pair();
    watch(&mut selector, &other, READ, "first");
    let mut dead: Vec<(OwnedFd, OwnedFd)> =
        (0..=files.len()).map(|_| pair().0).map(|one| (apart(&one), one.into())).collect();
    let numbers: Vec<_> = dead.iter().map(|(open, _)| open.as_raw_fd()).collect();
    for fd in &numbers {
        watch(&mut selector, fd, READ, "dead");
    }
    let (last, mut last_peer) = pair();
    watch(&mut selector, &last, READ, "last");
    let alive = [&other, &last].map(AsRawFd::as_raw_fd);
    drop(dead.pop().unwrap().0);
    for ((open, _), file) in dead.iter_mut().zip(&files) {
        dup2(file, open).unwrap();
    }

    let (_alive, _) = zombie(&mut selector);
    let epoll = u64::from(selector.kind() == Kind::Epoll);
    assert_eq!(ready(&mut selector, NOW).remove(&alive[0]), None);
    for round in 0..3 {
        peer.write_all(b"!").unwrap();
        last_peer.write_all(b"!").unwrap();
        if round == 0 && replaced {
            assert!(selector.select(SOON).unwrap().replaced());
        }
        let reported = ready(&mut selector, SOON);
        for fd in alive {
            assert_eq!(reported[&fd], READ);
        }
        for fd in [&other, &last] {
            rustix::io::read(fd, &mut [0; 8]).unwrap();
        }
    }
    let stats = selector.stats();
    assert_eq!((stats.rebuilds, stats.failed_rebuilds), (epoll, 0));
    for fd in numbers {
        assert_eq!(selector.unregister(fd).unwrap().data, "dead");
    }
    assert_eq!(empty_returns(&mut selector), 0);
    agree(&selector);
}
