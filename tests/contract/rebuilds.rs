//! The kernel's set made anew, to be rid of a descriptor closed behind the selector's back: what must come
//! through that, and what may fail. Only epoll needs it; the others are held to the same.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;

use rustix::io::dup2;
use selectors_core::{Events, Kind, Mode};

use crate::refused::{refusals, refused};
use crate::support::{Found, Kernel, NOW, SOON, Table, agree, agree_beside, apart, pair, ready};
use crate::zombies::{Sel, empty_returns, watch, zombie};

const READ: Events = Events::READ;
const WRITE: Events = Events::WRITE;

pub fn the_waker_wakes_on<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let waker = selector.waker_in(M::cell()).unwrap();
    for before in [true, false] {
        let (_alive, _) = zombie(&mut selector);
        if before {
            // Seen by the wait that meets the zombie, if not by that after it.
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
    agree_beside(&selector, 1);
}

/// A wake that comes after the zombie was met, and before the kernel's set is made anew.
pub fn a_wake_before_the_rebuild_is_told<B: Kernel, M: Table>() {
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

/// What is armed stays armed, and loses no event; what has fired stays silent until it is modified.
pub fn the_modes_survive<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let edges = selector.kind().supports_edge();
    let [edge, armed, fired, level] = [(); 4].map(|()| pair());
    watch(&mut selector, &edge.0, READ.with_mode(if edges { Mode::Edge } else { Mode::Level }), "edge");
    watch(&mut selector, &armed.0, READ.one_shot(), "armed");
    watch(&mut selector, &fired.0, WRITE.one_shot(), "fired");
    watch(&mut selector, &level.0, READ, "level");
    assert_eq!(ready(&mut selector, SOON), [(fired.0.as_raw_fd(), WRITE)].into());

    for round in 1..=2 {
        let (_alive, _) = zombie(&mut selector);
        selector.select(NOW).unwrap();
        assert!(selector.next_ready().is_none());
        // Between the meeting and the rebuild.
        rustix::io::write(&edge.1, b"!").unwrap();
        rustix::io::write(&armed.1, b"!").unwrap();
        let told = ready(&mut selector, SOON);
        assert_eq!(told, [(edge.0.as_raw_fd(), READ), (armed.0.as_raw_fd(), READ)].into());
        assert_eq!(selector.get_key(&fired.0).unwrap().mode, Mode::OneShot);
        if edges {
            assert_eq!(ready(&mut selector, NOW), [].into(), "told once");
            rustix::io::write(&edge.1, b"!").unwrap();
            assert_eq!(ready(&mut selector, SOON), [(edge.0.as_raw_fd(), READ)].into());
        }
        assert_eq!(rustix::io::read(&edge.0, &mut [0; 8]), Ok(1 + usize::from(edges)));
        assert_eq!(ready(&mut selector, NOW), [].into(), "the armed one has fired");
        selector.modify(&armed.0, READ.one_shot()).unwrap();
        assert_eq!(ready(&mut selector, SOON), [(armed.0.as_raw_fd(), READ)].into());
        rustix::io::read(&armed.0, &mut [0; 8]).unwrap();
        selector.modify(&armed.0, READ.one_shot()).unwrap();
        // The fired one could write all the while. The kernel was not asked, or it would have told.
        let met = if selector.kind() == Kind::Epoll { round } else { 0 };
        assert_eq!((selector.stats().stale, selector.stats().rebuilds), (met, met));
    }
    agree(&selector);
    selector.modify(&fired.0, WRITE.one_shot()).unwrap();
    assert_eq!(ready(&mut selector, SOON), [(fired.0.as_raw_fd(), WRITE)].into());
    assert_eq!(ready(&mut selector, NOW), [].into());
}

/// The kernel tells hang-ups even to who asks for nothing: once, after a rebuild, and to nobody.
pub fn a_fired_one_shot_whose_peer_is_gone<B: Kernel, M: Table>() {
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

/// A key whose number was closed, and one at whose number is a file that epoll will not watch.
pub fn dead_keys_do_not_hinder_a_rebuild<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let (other, mut peer) = pair();
    let [(closed, _one), (replaced, _two)] = [pair(), pair()];
    let (closed, mut replaced) = (apart(&closed), apart(&replaced));
    let dead = [closed.as_raw_fd(), replaced.as_raw_fd()];
    watch(&mut selector, &closed, READ, "closed");
    watch(&mut selector, &replaced, READ, "replaced");
    watch(&mut selector, &other, READ, "other");
    let alive = [rustix::io::dup(&closed).unwrap(), rustix::io::dup(&replaced).unwrap()];
    drop(closed);
    dup2(File::open(std::env::current_exe().unwrap()).unwrap(), &mut replaced).unwrap();

    let (_alive, _) = zombie(&mut selector);
    for _ in 0..3 {
        peer.write_all(b"!").unwrap();
        assert_eq!(ready(&mut selector, SOON)[&other.as_raw_fd()], READ);
        rustix::io::read(&other, &mut [0; 8]).unwrap();
    }
    assert_eq!(selector.stats().rebuilds, u64::from(selector.kind() == Kind::Epoll));
    for fd in dead {
        let _ = selector.unregister(fd).unwrap();
    }
    assert_eq!(empty_returns(&mut selector), 0);
    agree(&selector);
    drop(alive);
}

/// The new set may be refused, for want of descriptors or memory: that is an error, the old set stays, and
/// the next wait tries again.
pub fn a_rebuild_that_fails_is_tried_again<B: Kernel, M: Table>() {
    for (call, errno) in refusals() {
        let mut selector = Sel::<B, M>::new().unwrap();
        let (other, mut peer) = pair();
        watch(&mut selector, &other, READ, "other");
        let waker = selector.waker_in(M::cell()).unwrap();
        let (_alive, _) = zombie(&mut selector);
        if selector.select(NOW).unwrap().events() == 0 {
            assert_ne!(selector.kind(), Kind::Epoll);
            return;
        }
        assert!(selector.next_ready().is_none());
        let Some(errors) = refused(call, errno, || [(); 3].map(|()| selector.select(NOW))) else { return };
        for error in errors {
            assert_eq!(error.unwrap_err().errno(), Some(errno));
        }
        assert_eq!(selector.stats().rebuilds, 0);
        for events in [READ | WRITE, READ] {
            assert_eq!(selector.modify(&other, events), Ok(()), "the old set is not what it was");
        }

        waker.wake().unwrap();
        peer.write_all(b"!").unwrap();
        assert_eq!(selector.select(SOON).woken_and(), Ok(1));
        assert_eq!(selector.next_ready().unwrap().1, READ);
        assert!(selector.next_ready().is_none());
        rustix::io::read(&other, &mut [0; 8]).unwrap();
        assert_eq!(empty_returns(&mut selector), 0);
        assert_eq!(selector.stats().rebuilds, 1);
        agree_beside(&selector, 1);
    }
}
