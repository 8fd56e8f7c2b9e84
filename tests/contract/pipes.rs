//! A pipe whose other end is closed, for which some kernels have no filter.

use std::io::{PipeReader, PipeWriter};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use selectors_core::{Events, Mode, Selector};

use crate::pauses::modes;
use crate::support::{Kernel, NOW, SOON, Table, apart, ready};
use crate::zombies::{Sel, watch, zombie};

const READ: Events = Events::READ;
const WRITE: Events = Events::WRITE;

fn pipe() -> (PipeReader, PipeWriter) {
    std::io::pipe().unwrap()
}

/// What is reported of the only key that is ready.
fn only<B: Kernel, S, D, M: Table>(selector: &mut Selector<B, S, D, M>, fd: RawFd) -> Events {
    let found = ready(selector, SOON);
    assert_eq!(found.keys().collect::<Vec<_>>(), [&fd]);
    found[&fd]
}

/// The writer is writable, and stays so after its reader was closed: the next
/// write returns the error.
pub fn a_reader_that_leaves_is_reported_as_long_as_it_lasts<B: Kernel, M: Table>() {
    for events in [WRITE, READ | WRITE] {
        let (reader, writer) = pipe();
        let fd = writer.as_raw_fd();
        let mut selector = Selector::<B, OwnedFd, (), M>::new().unwrap();
        selector.register(writer.into(), events, ()).unwrap();
        assert_eq!(only(&mut selector, fd), WRITE);
        drop(reader);
        for round in 0..3 {
            assert!(only(&mut selector, fd).contains(WRITE), "{round}");
        }
        selector.modify(fd, READ | WRITE).unwrap();
        for round in 0..3 {
            assert!(only(&mut selector, fd).contains(WRITE), "modified, {round}");
        }
        selector.modify(fd, WRITE).unwrap();
        selector.pause(fd).unwrap();
        assert!(ready(&mut selector, NOW).is_empty(), "paused");
        selector.resume(fd).unwrap();
        for round in 0..3 {
            assert!(only(&mut selector, fd).contains(WRITE), "resumed, {round}");
        }
        selector.modify(fd, WRITE.one_shot()).unwrap();
        assert!(only(&mut selector, fd).contains(WRITE), "once");
        assert!(ready(&mut selector, NOW).is_empty(), "once");
        selector.modify(fd, WRITE).unwrap();
        for round in 0..3 {
            assert!(only(&mut selector, fd).contains(WRITE), "level again, {round}");
        }
        let _ = selector.unregister(fd).unwrap();
        assert!(ready(&mut selector, NOW).is_empty());
    }
}

/// It is reported once in the other modes, and once more after `modify`.
pub fn a_reader_that_leaves_is_reported_once<B: Kernel, M: Table>() {
    for mode in modes(Selector::<B, RawFd, (), M>::new().unwrap().kind())
        .filter(|mode| *mode != Mode::Level)
    {
        for events in [WRITE, READ | WRITE] {
            let (reader, writer) = pipe();
            let fd = writer.as_raw_fd();
            let interest = events.with_mode(mode);
            let mut selector = Selector::<B, OwnedFd, (), M>::new().unwrap();
            selector.register(writer.into(), interest, ()).unwrap();
            assert_eq!(only(&mut selector, fd), WRITE, "{mode:?}");
            assert!(ready(&mut selector, NOW).is_empty(), "{mode:?}");
            drop(reader);
            if mode == Mode::OneShot {
                assert!(ready(&mut selector, NOW).is_empty(), "{mode:?}");
                selector.modify(fd, interest).unwrap();
            }
            for _ in 0..3 {
                assert!(only(&mut selector, fd).contains(WRITE), "{mode:?}");
                assert!(ready(&mut selector, NOW).is_empty(), "{mode:?}");
                selector.modify(fd, interest).unwrap();
            }
            let _ = selector.unregister(fd).unwrap();
            assert!(ready(&mut selector, NOW).is_empty(), "{mode:?}");
        }
    }
}

/// Whether the reader was closed before the registration or after it.
pub fn a_rebuild_keeps_it<B: Kernel, M: Table>() {
    for before in [true, false] {
        let (reader, writer) = pipe();
        let fd = writer.as_raw_fd();
        let mut reader = Some(reader).filter(|_| !before);
        let mut selector = Sel::<B, M>::new().unwrap();
        watch(&mut selector, &writer, WRITE, "writer");
        assert!(only(&mut selector, fd).contains(WRITE));
        reader.take();
        let _alive = zombie(&mut selector);
        for round in 0..5 {
            assert!(ready(&mut selector, SOON)[&fd].contains(WRITE), "{round}");
        }
        let _ = selector.unregister(fd).unwrap();
        assert!(ready(&mut selector, NOW).is_empty());
    }
}

/// Its number may be another file's since.
pub fn closed_it_is_not_reported<B: Kernel, M: Table>() {
    for before in [true, false] {
        let (reader, writer) = pipe();
        let writer = apart(writer);
        let number = writer.as_raw_fd();
        let mut reader = Some(reader).filter(|_| !before);
        let mut selector = Selector::<B, RawFd, (), M>::new().unwrap();
        // SAFETY: no other test has anything at this number.
        unsafe { selector.register_raw(number, WRITE, ()) }.unwrap();
        reader.take();
        assert!(only(&mut selector, number).contains(WRITE));
        drop(writer);
        // select is given the number once more before it stops to watch it.
        let _ = ready(&mut selector, NOW);
        let again = selector.select(Some(std::time::Duration::from_millis(3))).unwrap();
        assert!(again.timed_out(), "{before}: {again:?}");
        let _ = selector.unregister(number).unwrap();
    }
}
