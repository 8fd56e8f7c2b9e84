//! Pipes whose other end is closed, for which there is no filter.

use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use selectors_core::{Events, Mode};

use super::tests::{KqueueSelector, on_each_system};
use crate::support::{NOW, SOON, pair, ready};

const READ: Events = Events::READ;
const WRITE: Events = Events::WRITE;
const BOTH: Events = READ.union(WRITE);

fn broken_pipe() -> OwnedFd {
    std::io::pipe().unwrap().1.into()
}

/// The kernel has no filter for it, but it is reported, as on every backend.
#[test]
fn a_broken_pipe_is_reported_in_every_mode() {
    on_each_system(|_| {
        let start = Instant::now();
        for (mode, times) in [(Mode::Level, 3), (Mode::Edge, 1), (Mode::OneShot, 1)] {
            let mut selector = KqueueSelector::new().unwrap();
            let fd = selector.register(broken_pipe(), WRITE.with_mode(mode), "pipe").unwrap().fd;
            for round in 0..3 {
                let reported = ready(&mut selector, NOW);
                let expected = if round < times { vec![WRITE | Events::HANGUP] } else { vec![] };
                assert_eq!(
                    reported.into_values().collect::<Vec<_>>(),
                    expected,
                    "{mode:?}, {round}"
                );
            }
            selector.modify(fd, READ.with_mode(mode)).unwrap();
            assert_eq!(ready(&mut selector, SOON)[&fd], READ | Events::READ_HANGUP);
            selector.modify(fd, WRITE.with_mode(mode)).unwrap();
            assert_eq!(ready(&mut selector, SOON)[&fd], WRITE | Events::HANGUP);
            let _ = selector.unregister(fd).unwrap();
            assert!(ready(&mut selector, NOW).is_empty());
        }
        assert!(start.elapsed() < Duration::from_secs(15), "it is no reason to wait");
    });
}

#[test]
fn a_broken_pipe_is_kept_once_however_often_it_is_modified() {
    on_each_system(|_| {
        let mut selector = KqueueSelector::new().unwrap();
        let fd = selector.register(broken_pipe(), WRITE, "pipe").unwrap().fd;
        for _ in 0..10 {
            selector.modify(fd, BOTH).unwrap();
            selector.modify(fd, WRITE).unwrap();
        }
        assert_eq!(ready(&mut selector, NOW), [(fd, WRITE | Events::HANGUP)].into());
    });
}

/// A wait reports as many of them as fit into a batch.
#[test]
fn too_many_broken_pipes_are_refused() {
    on_each_system(|system| {
        if system.broken_pipe().is_ok() {
            return;
        }
        let mut selector = KqueueSelector::new().unwrap();
        for _ in 0..4 {
            selector.register(broken_pipe(), WRITE.one_shot(), "pipe").unwrap();
        }
        let refused = selector.try_register(broken_pipe(), WRITE, "one more").unwrap_err();
        assert_eq!((refused.error.errno(), refused.data), (Some(Errno::PIPE), "one more"));
        // Others need the room of the first batch; nothing is lost.
        selector.register(pair().0.into(), READ.one_shot(), "socket").unwrap();
        let mut reported = 0;
        for _ in 0..5 {
            reported += ready(&mut selector, NOW).len();
        }
        assert_eq!((reported, ready(&mut selector, NOW).len()), (5, 0));
    });
}
