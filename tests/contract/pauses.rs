//! `pause` and `resume`: a paused key stays in the table, and the kernel does
//! not watch it.

use rustix::fd::{AsRawFd, RawFd};
use std::io::Write;
use std::time::Duration;

use rustix::io::Errno;
use selectors_core::{Error, Events, Interest, Kind, Mode, Selector};

use crate::needs;
#[cfg(unix)]
use crate::refused::{of_one, refused};
use crate::support::{Found, Kernel, NOW, SOON, Table, agree, apart, pair, ready};
use crate::zombies::{Sel, empty_returns, watch, zombie};

const READ: Events = Events::READ;
const WRITE: Events = Events::WRITE;

/// Short enough to be waited for in vain.
const SHORT: Option<Duration> = Some(Duration::from_millis(2));

/// What the backend supports.
pub fn modes(kind: Kind) -> impl Iterator<Item = Mode> {
    let all = [Mode::Level, Mode::OneShot, Mode::Edge].into_iter();
    all.filter(move |mode| *mode != Mode::Edge || kind.supports_edge())
}

/// Data, hang-ups and errors alike, in every mode, and however often it is
/// paused and resumed.
pub fn a_paused_key_is_not_reported<B: Kernel, M: Table>() {
    for mode in modes(Selector::<B, RawFd, (), M>::new().unwrap().kind()) {
        for peer_goes in [false, true] {
            let (one, mut two) = pair();
            let fd = one.as_raw_fd();
            let mut selector = Selector::<B, _, _, M>::new().unwrap();
            let id = selector.register(one, READ.with_mode(mode), "data").unwrap().id();
            selector.pause(id).unwrap();
            agree(&selector);
            two.write_all(b"!").unwrap();
            let _peer = if peer_goes { None } else { Some(two) };
            for _ in 0..3 {
                selector.pause(id).unwrap();
                assert!(selector.select(SHORT).unwrap().timed_out(), "{mode:?}, {peer_goes}");
                assert!(selector.next_ready().is_none());
                let key = selector.get_key(fd).unwrap();
                assert!(key.is_paused() && key.id() == id && selector.get_map().contains(id));
                assert_eq!((key.interest(), key.data), (READ.with_mode(mode), "data"));
                agree(&selector);
            }
            for _ in 0..3 {
                selector.resume(id).unwrap();
                assert!(!selector.get_key(id).unwrap().is_paused());
                agree(&selector);
            }
            let reported = ready(&mut selector, SOON)[&fd];
            assert!(reported.contains(READ), "{mode:?}: {reported:?}");
            // To resume a key that is not paused arms nothing again.
            selector.resume(id).unwrap();
            assert_eq!(
                ready(&mut selector, NOW).len(),
                usize::from(mode == Mode::Level),
                "{mode:?}"
            );
            assert_eq!(selector.stats().rebuilds, 0);
        }
    }
}

/// An error is kept for the program, and not reported before the key is
/// resumed.
#[cfg(unix)]
pub fn an_error_waits_for_the_resume<B: Kernel, M: Table>() {
    let (_, writer) = std::io::pipe().unwrap();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&writer, WRITE, ()).unwrap();
    selector.pause(&writer).unwrap();
    assert!(selector.select(SHORT).unwrap().timed_out());
    selector.resume(&writer).unwrap();
    assert!(ready(&mut selector, SOON)[&writer.as_raw_fd()].contains(WRITE));
    selector.pause(&writer).unwrap();
    assert!(selector.select(SHORT).unwrap().timed_out());
    agree(&selector);
}

/// Those of this wait and those left over from an earlier one, also if the key
/// is resumed before the next wait.
pub fn pending_events_are_dropped<B: Kernel, M: Table>() {
    let kind = Selector::<B, RawFd, (), M>::new().unwrap().kind();
    for (mode, left_over) in modes(kind).flat_map(|mode| [(mode, false), (mode, true)]) {
        for resumed in [false, true] {
            let (one, two) = pair();
            let mut selector = Selector::<B, _, _, M>::new().unwrap();
            let ids = [&one, &two]
                .map(|one| selector.register(one, WRITE.with_mode(mode), ()).unwrap().id());
            assert_eq!(selector.select(SOON).events(), Ok(2));
            let first = selector.next_ready().unwrap().0.id();
            if left_over {
                assert_eq!(selector.select(SOON).events(), Ok(1));
            }
            let other = if first == ids[0] { ids[1] } else { ids[0] };
            selector.pause(other).unwrap();
            if resumed {
                selector.resume(other).unwrap();
            }
            assert!(selector.next_ready().is_none(), "{mode:?}, {left_over}, {resumed}");
            assert_eq!(selector.pending(), 0);
            agree(&selector);
            if !resumed {
                selector.pause(first).unwrap();
                assert!(selector.select(SHORT).unwrap().timed_out());
                selector.resume(first).unwrap();
                selector.resume(other).unwrap();
            }
            // The one-shot that was pending is armed again, and the edge
            // reported again; the first one was delivered.
            let other = selector.get_key(other).unwrap().fd;
            let first = selector.get_key(first).unwrap().fd;
            let reported = ready(&mut selector, SOON);
            assert_eq!(reported.get(&other), Some(&WRITE), "{mode:?}, {left_over}, {resumed}");
            let again = mode == Mode::Level || mode == Mode::Edge && !resumed;
            assert_eq!(reported.contains_key(&first), again, "{mode:?}, {left_over}, {resumed}");
            assert_eq!(ready(&mut selector, NOW).len(), if mode == Mode::Level { 2 } else { 0 });
            agree(&selector);
        }
    }
}

/// Only `modify` arms it again. Its hang-up is not reported either.
pub fn a_delivered_one_shot_stays_disarmed<B: Kernel, M: Table>() {
    for peer_goes in [false, true] {
        let (one, two) = pair();
        let fd = one.as_raw_fd();
        let mut selector = Selector::<B, _, _, M>::new().unwrap();
        let id = selector.register(one, WRITE.one_shot(), ()).unwrap().id();
        for round in 0..3 {
            assert!(ready(&mut selector, SOON)[&fd].contains(WRITE));
            let paused =
                |selector: &Selector<B, _, _, M>| selector.get_key(id).unwrap().is_paused();
            for _ in 0..2 {
                selector.pause(id).unwrap();
                selector.pause(id).unwrap();
                assert!(paused(&selector) && selector.select(NOW).unwrap().timed_out());
                selector.resume(id).unwrap();
                selector.resume(id).unwrap();
                assert!(!paused(&selector) && selector.select(SHORT).unwrap().timed_out());
            }
            if peer_goes && round == 0 {
                two.shutdown(std::net::Shutdown::Both).unwrap();
                assert!(selector.select(SHORT).unwrap().timed_out(), "a hang-up of a disarmed key");
            }
            // From the paused state and from the resumed one.
            if round == 1 {
                selector.pause(id).unwrap();
            }
            selector.modify(id, WRITE.one_shot()).unwrap();
            assert!(!paused(&selector));
            agree(&selector);
        }
        assert!(ready(&mut selector, SOON)[&fd].contains(WRITE));
        selector.pause(id).unwrap();
        selector.resume(id).unwrap();
        assert_eq!(selector.unregister(id).unwrap().fd, fd);
        agree(&selector);
    }
}

pub fn an_edge_is_reported_again_after_a_pause<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    if !selector.kind().supports_edge() {
        return assert!(matches!(selector.kind(), Kind::Poll | Kind::Select));
    }
    selector.register(&one, READ.edge(), ()).unwrap();
    two.write_all(b"!").unwrap();
    for _ in 0..3 {
        assert_eq!(ready(&mut selector, SOON), [(one.as_raw_fd(), READ)].into());
        assert!(ready(&mut selector, NOW).is_empty());
        selector.pause(&one).unwrap();
        assert!(ready(&mut selector, NOW).is_empty());
        selector.resume(&one).unwrap();
    }
}

/// With a new interest or the same, but not if it is refused.
pub fn modify_resumes<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    two.write_all(b"!").unwrap();
    let fd = one.as_raw_fd();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, READ, ()).unwrap();
    let interests: [Interest; 4] =
        [READ.into(), WRITE.into(), (READ | WRITE).one_shot(), READ.into()];
    for interest in interests {
        selector.pause(fd).unwrap();
        assert_eq!(
            selector.modify(fd, Events::HANGUP),
            Err(Error::InvalidEvents { events: Events::HANGUP })
        );
        if !selector.kind().supports_edge() {
            assert!(matches!(selector.modify(fd, WRITE.edge()), Err(Error::Unsupported { .. })));
        }
        assert!(selector.get_key(fd).unwrap().is_paused());
        assert!(selector.select(NOW).unwrap().timed_out());

        selector.modify(fd, interest).unwrap();
        let key = selector.get_key(fd).unwrap();
        assert_eq!((key.is_paused(), key.interest()), (false, interest));
        agree(&selector);
        assert_eq!(ready(&mut selector, SOON), [(fd, interest.events)].into());
    }
}

/// The kernel refuses to watch it again; it works once the kernel does not.
#[cfg(unix)]
pub fn a_resume_that_fails_leaves_it_paused<B: Kernel, M: Table>() {
    for interest in [WRITE.into(), WRITE.one_shot()] {
        let mut selector = Sel::<B, M>::new().unwrap();
        let (one, (other, mut peer)) = (pair(), pair());
        let open = apart(&one.0);
        let fd = open.as_raw_fd();
        watch(&mut selector, &open, interest, "paused");
        watch(&mut selector, &other, READ, "other");
        selector.pause(fd).unwrap();
        drop(open);
        for _ in 0..2 {
            assert!(selector.select(SHORT).unwrap().timed_out(), "closed and paused");
            assert_eq!(selector.resume(fd).unwrap_err().errno(), Some(Errno::BADF));
            assert_eq!(selector.modify(fd, READ).unwrap_err().errno(), Some(Errno::BADF));
            let key = selector.get_key(fd).unwrap();
            assert_eq!((key.is_paused(), key.interest()), (true, interest));
            peer.write_all(b"!").unwrap();
            assert_eq!(ready(&mut selector, SOON), [(other.as_raw_fd(), READ)].into());
            rustix::io::read(&other, &mut [0; 8]).unwrap();
        }
        let open = rustix::io::fcntl_dupfd_cloexec(&one.0, fd).unwrap();
        assert_eq!(open.as_raw_fd(), fd);
        selector.resume(fd).unwrap();
        assert_eq!(ready(&mut selector, SOON), [(fd, WRITE)].into());
        assert_eq!(selector.unregister(fd).unwrap().data, "paused");
        agree(&selector);
        assert_eq!(selector.stats().stale, 0);
    }
    let mut selector = Sel::<B, M>::new().unwrap();
    let (one, _two) = pair();
    watch(&mut selector, &one, WRITE.one_shot(), "key");
    selector.pause(&one).unwrap();
    if selector.kind() == Kind::Epoll {
        let (fd, errno) = (one.as_raw_fd(), Errno::NOMEM);
        let Some(result) = refused(of_one(fd, errno), || selector.resume(&one)) else { return };
        assert_eq!(result.unwrap_err().errno(), Some(errno));
        assert!(
            selector.get_key(&one).unwrap().is_paused()
                && selector.select(NOW).unwrap().timed_out()
        );
        let Some(result) = refused(of_one(fd, errno), || selector.modify(&one, READ)) else {
            return;
        };
        assert_eq!(result.unwrap_err().errno(), Some(errno));
        assert_eq!(selector.get_key(&one).unwrap().interest(), WRITE.one_shot());
        agree(&selector);
    }
    selector.resume(&one).unwrap();
    assert_eq!(ready(&mut selector, SOON), [(one.as_raw_fd(), WRITE)].into());
}

/// The file lives on elsewhere, and epoll could go on to report it.
pub fn a_paused_key_whose_descriptor_is_closed<B: Kernel, M: Table>() {
    for closed_first in [false, true] {
        let mut selector = Sel::<B, M>::new().unwrap();
        let (alive, (other, mut peer)) = (pair(), pair());
        let open = apart(&alive.0);
        let fd = open.as_raw_fd();
        watch(&mut selector, &open, WRITE, "key");
        watch(&mut selector, &other, READ, "other");
        let open = if closed_first {
            drop(open);
            None
        } else {
            Some(open)
        };
        selector.pause(fd).unwrap();
        drop(open);
        assert!(empty_returns(&mut selector) <= 1);
        peer.write_all(b"!").unwrap();
        assert_eq!(ready(&mut selector, SOON), [(other.as_raw_fd(), READ)].into());
        assert_eq!(selector.resume(fd).unwrap_err().errno(), Some(Errno::BADF));
        assert!(selector.unregister(fd).unwrap().is_paused());
        agree(&selector);
        let rebuilds = u64::from(closed_first && selector.kind() == Kind::Epoll);
        assert_eq!(selector.stats().rebuilds, rebuilds);
    }
}

pub fn a_rebuild_skips_paused_keys<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let [paused, fired, running] = [(); 3].map(|()| pair());
    watch(&mut selector, &paused.0, READ, "paused");
    watch(&mut selector, &fired.0, WRITE.one_shot(), "fired");
    watch(&mut selector, &running.0, READ, "running");
    assert_eq!(ready(&mut selector, SOON).len(), 1);
    selector.pause(&paused.0).unwrap();
    selector.pause(&fired.0).unwrap();
    rustix::io::write(&paused.1, b"!").unwrap();
    let (_alive, _) = zombie(&mut selector);
    assert!(empty_returns(&mut selector) <= 2);
    assert_eq!(selector.stats().rebuilds, u64::from(selector.kind() == Kind::Epoll));
    agree(&selector);
    assert!(selector.get_key(&paused.0).unwrap().is_paused());

    // A disarmed one-shot that was resumed is not in the new set either.
    selector.resume(&fired.0).unwrap();
    let (_alive, _) = zombie(&mut selector);
    assert!(empty_returns(&mut selector) <= 2);
    rustix::io::write(&running.1, b"!").unwrap();
    assert_eq!(ready(&mut selector, SOON), [(running.0.as_raw_fd(), READ)].into());
    selector.resume(&paused.0).unwrap();
    assert!(ready(&mut selector, SOON).contains_key(&paused.0.as_raw_fd()));
    selector.modify(&fired.0, WRITE.one_shot()).unwrap();
    assert_eq!(ready(&mut selector, SOON).len(), 3);
    agree(&selector);
}

/// As a proxy under back-pressure does: it computes for each event which side
/// is paused. The side that is paused has data and a closed peer, and does not
/// end a wait.
pub fn a_loop_that_pauses_at_each_event_does_not_spin<B: Kernel, M: Table>() {
    let ((full, mut source), (other, mut peer)) = (pair(), pair());
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    let paused = selector.register(&full, READ, "full").unwrap().id();
    selector.register(&other, READ, "other").unwrap();
    source.write_all(b"more than the other side takes").unwrap();
    drop(source);
    selector.pause(paused).unwrap();
    for round in 1..=20 {
        peer.write_all(b"!").unwrap();
        assert_eq!(selector.select(SOON).events(), Ok(1));
        let mut handled = 0;
        while let Some((key, _)) = selector.next_ready() {
            assert_eq!(key.data, "other");
            rustix::io::read(key.fileobj, &mut [0; 8]).unwrap();
            selector.pause(paused).unwrap();
            handled += 1;
        }
        assert_eq!((handled, selector.stats().waits), (1, round), "a wait that found nothing");
    }
    assert!(selector.select(SHORT).unwrap().timed_out());
    assert_eq!(selector.stats().waits, 21);
    selector.resume(paused).unwrap();
    assert!(ready(&mut selector, SOON)[&full.as_raw_fd()].contains(READ));
}

/// A paused key keeps its slot, so that it can always be resumed.
pub fn a_full_table_is_paused_and_resumed<B: Kernel, M: Table>() {
    let count = M::CAPACITY.unwrap_or(80);
    let Some(_reserved) = needs::descriptors(2 * count + 4) else { return };
    let pairs: Vec<_> = (0..count).map(|_| pair()).collect();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    for (one, _) in &pairs {
        selector.register(one, WRITE, ()).unwrap();
    }
    for _ in 0..2 {
        for (one, _) in &pairs {
            selector.pause(one).unwrap();
        }
        agree(&selector);
        assert!(selector.select(NOW).unwrap().timed_out());
        assert_eq!(selector.get_map().len(), count);
        if let Some(capacity) = M::CAPACITY {
            let refused = selector.register(&pairs[0].1, WRITE, ()).unwrap_err();
            assert_eq!(refused, Error::Full { capacity });
        }
        for (one, _) in pairs.iter().rev() {
            selector.resume(one).unwrap();
        }
        agree(&selector);
        assert!(!ready(&mut selector, SOON).is_empty());
    }
}
