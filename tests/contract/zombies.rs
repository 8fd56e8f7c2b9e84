//! Descriptors closed without the selector's knowledge: raw registrations whose
//! promise was broken.
//!
//! epoll knows files, not numbers: while a duplicate lives on, it reports what
//! happens to a file that can't be removed from its set any more. poll and
//! select know numbers only.

use crate::support::UnixStream;
use rustix::fd::{AsRawFd, OwnedFd, RawFd};
use std::io::Write;
use std::time::{Duration, Instant};

use rustix::io::Errno;
#[cfg(unix)]
use rustix::io::dup2;
use selectors_core::{Error, Events, Interest, Kind, Selector};

use crate::support::{Found, Kernel, NOW, Raw, SOON, Table, agree, apart, pair, raw, ready};

const READ: Events = Events::READ;
const WRITE: Events = Events::WRITE;

pub type Sel<B, M> = Selector<B, Raw, &'static str, M>;

pub fn watch<B: Kernel, M: Table>(
    selector: &mut Sel<B, M>,
    fd: &impl AsRawFd,
    interest: impl Into<Interest>,
    data: &'static str,
) {
    // SAFETY: either open until the selector is dropped, or at a number where
    // nothing else is open.
    unsafe { selector.register_raw(raw(fd.as_raw_fd()), interest, data) }.unwrap();
}

/// A file that is always ready, and that was unregistered after its number had
/// been closed. It lives on as a duplicate. Returns that, and the number.
pub fn zombie<B: Kernel, M: Table>(selector: &mut Sel<B, M>) -> (UnixStream, RawFd) {
    let (one, _) = pair();
    let open = apart(&one);
    let fd = open.as_raw_fd();
    watch(selector, &open, READ | WRITE, "zombie");
    drop(open);
    assert_eq!(selector.unregister(fd).unwrap().data, "zombie");
    (one, fd)
}

/// How often waits return although there is nothing to report, until they no
/// longer do.
pub fn empty_returns<B: Kernel, M: Table>(selector: &mut Sel<B, M>) -> usize {
    for returns in 0..100 {
        if selector.select(NOW).unwrap().events() == 0 {
            assert_eq!(selector.select(Some(Duration::from_millis(2))).events(), Ok(0));
            return returns;
        }
        assert!(selector.next_ready().is_none());
    }
    panic!("the loop spins: {:?}", selector.stats());
}

pub fn a_duplicate_that_lives_on_does_not_spin<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    for round in 1..=3 {
        let (_alive, fd) = zombie(&mut selector);
        assert!(selector.get_key(fd).is_none());
        let epoll = u64::from(selector.kind() == Kind::Epoll);
        assert!(empty_returns(&mut selector) as u64 <= epoll);
        let stats = selector.stats();
        assert_eq!((stats.stale, stats.rebuilds), (round * epoll, round * epoll));
    }
    agree(&selector);
}

/// Many of them are one rebuild, for which no event has to be consumed.
pub fn many_are_one_rebuild<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let alive = [(); 20].map(|()| zombie(&mut selector));
    let mut waits = 0;
    while selector.select(NOW).unwrap().events() > 0 {
        waits += 1;
        assert!(waits < 3, "without `next_ready` the loop spins");
    }
    let epoll = u64::from(selector.kind() == Kind::Epoll);
    assert_eq!(selector.stats().rebuilds, epoll);
    agree(&selector);
    drop(alive);
}

/// A slot that is used again gets no event of its former key.
pub fn its_slot_is_used_again<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let (_alive, _) = zombie(&mut selector);
    let (other, mut peer) = pair();
    watch(&mut selector, &other, READ, "other");
    empty_returns(&mut selector);
    peer.write_all(b"!").unwrap();
    assert_eq!(ready(&mut selector, SOON), [(other.as_raw_fd(), READ)].into());
    agree(&selector);
}

/// The same number, and the same slot: only the new file's events are reported.
#[cfg(unix)]
pub fn its_number_is_used_again<B: Kernel, M: Table>() {
    for interest in [READ.into(), READ.one_shot()] {
        let mut selector = Sel::<B, M>::new().unwrap();
        let (alive, _peer) = pair();
        let mut open = apart(&alive);
        watch(&mut selector, &open, WRITE, "zombie");
        let fd = open.as_raw_fd();
        let (other, mut peer) = pair();
        dup2(&other, &mut open).unwrap();
        let _ = selector.unregister(fd).unwrap();
        watch(&mut selector, &open, interest, "other");
        empty_returns(&mut selector);
        peer.write_all(b"!").unwrap();
        assert_eq!(selector.select(SOON).events(), Ok(1));
        let (key, events) = selector.next_ready().unwrap();
        assert_eq!((key.fd, key.data, events), (fd, "other", READ));
        assert!(selector.next_ready().is_none());
        agree(&selector);
    }
}

/// A pending event of the key whose number was closed is not delivered to the
/// next key at that number.
#[cfg(unix)]
pub fn closed_while_its_event_is_pending<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let (alive, _peer) = pair();
    let mut open = apart(&alive);
    let fd = open.as_raw_fd();
    let (other, _other_peer) = pair();
    watch(&mut selector, &open, WRITE, "zombie");
    watch(&mut selector, &other, WRITE, "other");
    assert_eq!(selector.select(SOON).events(), Ok(2));
    let quiet = pair();
    dup2(&quiet.0, &mut open).unwrap();
    let _ = selector.unregister(fd).unwrap();
    watch(&mut selector, &open, READ, "new");
    for _ in 0..3 {
        assert_eq!(ready(&mut selector, SOON).remove(&fd), None);
    }
    assert_eq!(ready(&mut selector, SOON), [(other.as_raw_fd(), WRITE)].into());
    agree(&selector);
}

/// `dup2` over a key's number, without a word to the selector. epoll goes on
/// with the file, poll and select with the number, kqueue with neither; if a
/// key is reported, it is this one.
#[cfg(unix)]
pub fn another_file_gets_a_registered_number<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let (alive, mut old_peer) = pair();
    let mut open = apart(&alive);
    let fd = open.as_raw_fd();
    watch(&mut selector, &open, READ, "key");
    let (healthy, mut healthy_peer) = pair();
    watch(&mut selector, &healthy, READ, "healthy");
    let (other, mut new_peer) = pair();
    dup2(&other, &mut open).unwrap();

    let (of_file, of_number) = match selector.kind() {
        Kind::Epoll => (1, 0),
        Kind::Kqueue => (0, 0),
        _ => (0, 1),
    };
    old_peer.write_all(b"!").unwrap();
    assert_eq!(ready(&mut selector, NOW).len(), of_file);
    rustix::io::read(&alive, &mut [0; 8]).unwrap();
    new_peer.write_all(b"!").unwrap();
    assert_eq!(ready(&mut selector, NOW).len(), of_number);
    healthy_peer.write_all(b"!").unwrap();
    assert_eq!(ready(&mut selector, SOON)[&healthy.as_raw_fd()], READ);
    rustix::io::read(&healthy, &mut [0; 8]).unwrap();

    old_peer.write_all(b"!").unwrap();
    assert_eq!(selector.unregister(fd).unwrap().data, "key");
    assert!(empty_returns(&mut selector) <= of_file);
    agree(&selector);
}

pub fn the_others_work_on<B: Kernel, M: Table>() {
    let pairs = [(); 5].map(|()| pair());
    let mut selector = Sel::<B, M>::new().unwrap();
    for (one, _) in &pairs {
        watch(&mut selector, one, READ, "other");
    }
    for _ in 0..3 {
        let (_alive, _) = zombie(&mut selector);
        empty_returns(&mut selector);
        for (one, two) in &pairs {
            rustix::io::write(two, b"!").unwrap();
            assert_eq!(ready(&mut selector, SOON), [(one.as_raw_fd(), READ)].into());
            rustix::io::read(one, &mut [0; 8]).unwrap();
            selector.modify(one, READ | WRITE).unwrap();
            assert_eq!(ready(&mut selector, SOON), [(one.as_raw_fd(), WRITE)].into());
            selector.modify(one, READ).unwrap();
        }
        assert_eq!(selector.unregister(&pairs[0].0).unwrap().data, "other");
        watch(&mut selector, &pairs[0].0, READ, "other");
    }
    agree(&selector);
    assert_eq!(selector.get_map().len(), pairs.len());
}

/// Nothing of it is left: poll's `POLLNVAL`, select's `EBADF` for the whole
/// set, and nothing from epoll.
pub fn closed_ones_do_not_break_the_others<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let mut open: Vec<OwnedFd> = (0..6).map(|_| apart(pair().0)).collect();
    let (last, mut peer) = pair();
    for fd in &open {
        watch(&mut selector, fd, WRITE.one_shot(), "one-shot");
    }
    watch(&mut selector, &last, READ | WRITE, "last");
    assert_eq!(ready(&mut selector, SOON).len(), 7);
    for fd in &open {
        selector.modify(fd, WRITE).unwrap();
    }
    // The first in the table, the last, and one between.
    for place in [0, 4, 1] {
        let closed = open.remove(place).as_raw_fd();
        let reported = ready(&mut selector, SOON);
        assert_eq!((reported.len(), reported.contains_key(&closed)), (open.len() + 1, false));
    }
    peer.write_all(b"!").unwrap();
    let numbers: Vec<RawFd> = selector.get_map().iter().map(|key| key.fd).collect();
    open.clear();
    for _ in 0..3 {
        assert_eq!(ready(&mut selector, SOON), [(last.as_raw_fd(), READ | WRITE)].into());
    }
    for fd in numbers.into_iter().filter(|fd| *fd != last.as_raw_fd()) {
        assert_eq!(selector.unregister(fd).unwrap().data, "one-shot");
    }
    assert_eq!(ready(&mut selector, SOON), [(last.as_raw_fd(), READ | WRITE)].into());
    agree(&selector);
}

/// A key that is disarmed is not watched any more. To close it breaks nothing,
/// then or when another key is found closed.
pub fn closed_after_it_fired<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let (fired, armed) = (apart(pair().0), pair());
    let (armed, _peer) = (apart(armed.0), armed.1);
    let (other, mut peer) = pair();
    let closed = [fired.as_raw_fd(), armed.as_raw_fd()];
    watch(&mut selector, &fired, WRITE.one_shot(), "fired");
    watch(&mut selector, &armed, READ, "armed");
    watch(&mut selector, &other, READ, "other");
    assert!(ready(&mut selector, SOON).contains_key(&fired.as_raw_fd()));
    for fd in [fired, armed] {
        drop(fd);
        for _ in 0..2 {
            let (begun, timeout) = (Instant::now(), Duration::from_millis(5));
            assert_eq!(selector.select(Some(timeout)).events(), Ok(0));
            assert!(begun.elapsed() >= timeout, "the wait ends early");
            peer.write_all(b"!").unwrap();
            assert_eq!(ready(&mut selector, SOON), [(other.as_raw_fd(), READ)].into());
            rustix::io::read(&other, &mut [0; 8]).unwrap();
        }
    }
    assert_eq!(selector.modify(closed[0], WRITE).unwrap_err().errno(), Some(Errno::BADF));
    for (fd, data) in closed.into_iter().zip(["fired", "armed"]) {
        assert_eq!(selector.unregister(fd).unwrap().data, data);
    }
    assert_eq!(empty_returns(&mut selector), 0);
    agree(&selector);
}

/// poll and select stop watching a number that they find closed. Then `modify`
/// to the same interest is no success without an effect: it is refused while
/// the number is closed, and watches it again when that is open again. epoll
/// and kqueue can't notice it without a system call.
#[cfg(unix)]
pub fn a_closed_key_is_modified_to_the_same<B: Kernel, M: Table>() {
    for behind_another in [false, true] {
        let mut selector = Sel::<B, M>::new().unwrap();
        let scans = matches!(selector.kind(), Kind::Poll | Kind::Select);
        let (first, _first_peer) = pair();
        if behind_another {
            watch(&mut selector, &first, WRITE.one_shot(), "first");
        }
        let (one, mut peer) = pair();
        let open = apart(&one);
        let fd = open.as_raw_fd();
        watch(&mut selector, &open, READ, "key");
        drop(open);
        if behind_another {
            // `next_ready` has not come to the closed one yet.
            assert!(selector.select(SOON).unwrap().events() >= 1);
        } else {
            assert!(selector.select(NOW).unwrap().timed_out());
        }
        for _ in 0..2 {
            let modified = selector.modify(fd, READ);
            if scans {
                let Error::Os { fd: about, errno, file, .. } = modified.unwrap_err() else {
                    panic!()
                };
                assert_eq!((about, errno, file), (Some(fd), Errno::BADF, None));
            } else {
                assert_eq!(modified, Ok(()));
            }
            assert_eq!(selector.modify(fd, WRITE).unwrap_err().errno(), Some(Errno::BADF));
        }
        // The file comes back. It could be any file.
        let open = rustix::io::fcntl_dupfd_cloexec(&one, fd).unwrap();
        assert_eq!(open.as_raw_fd(), fd);
        assert_eq!(selector.modify(fd, READ), Ok(()));
        while selector.next_ready().is_some() {}
        peer.write_all(b"!").unwrap();
        let watched = ready(&mut selector, NOW);
        assert!(!scans || watched == [(fd, READ)].into(), "{watched:?}");
        assert_eq!(selector.unregister(fd).unwrap().data, "key");
        watch(&mut selector, &open, READ, "again");
        assert_eq!(ready(&mut selector, SOON), [(fd, READ)].into());
    }
}

/// A number that was closed gets its old file back, as when standard input is
/// put aside and restored.
#[cfg(unix)]
pub fn the_same_file_comes_back<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let (one, mut peer) = pair();
    for _ in 0..3 {
        let open = apart(&one);
        let fd = open.as_raw_fd();
        watch(&mut selector, &open, READ.one_shot(), "before");
        drop(open);
        assert_eq!(selector.select(NOW).events(), Ok(0));
        assert_eq!(selector.modify(fd, WRITE).unwrap_err().errno(), Some(Errno::BADF));
        let _ = selector.unregister(fd).unwrap();

        let open = rustix::io::fcntl_dupfd_cloexec(&one, fd).unwrap();
        watch(&mut selector, &open, READ, "again");
        peer.write_all(b"!").unwrap();
        for _ in 0..2 {
            assert_eq!(ready(&mut selector, SOON), [(open.as_raw_fd(), READ)].into());
        }
        rustix::io::read(&one, &mut [0; 8]).unwrap();
        let _ = selector.unregister(&open).unwrap();
        assert_eq!(empty_returns(&mut selector), 0);
    }
    agree(&selector);
}
