//! The backend over refusals, which no kernel makes on demand.

use std::io::Write;
use std::os::unix::net::UnixStream;

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Errno;
use selectors_core::storage::Fixed;
use selectors_core::{Error, Events, FileKind, Interest, Mode, Selector};

use super::Kqueue;
use super::System;
use super::inject::{Failure, failing};
use crate::support::{Found, NOW, SOON, agree, pair, ready};

pub type KqueueSelector<S> = Selector<Kqueue<4>, S, &'static str, Fixed<8>>;

const READ: Events = Events::READ;
const WRITE: Events = Events::WRITE;
const BOTH: Events = READ.union(WRITE);

/// Not ENOENT, which says that there is no such filter, and not EPIPE: those
/// are not refusals.
const FAILURES: [Failure; 13] = [
    Failure::Interrupted,
    Failure::Call(Errno::INTR),
    Failure::Call(Errno::NOMEM),
    Failure::Call(Errno::INVAL),
    Failure::Receipt(Errno::NOMEM),
    Failure::Receipt(Errno::BADF),
    Failure::Receipt(Errno::INVAL),
    Failure::Receipt(Errno::NOSPC),
    Failure::One(0, Errno::NOMEM),
    Failure::One(1, Errno::BADF),
    Failure::One(2, Errno::NOMEM),
    Failure::One(3, Errno::INVAL),
    Failure::NoReceipts,
];

/// The error that it causes, or nothing if a second call makes up for it.
pub fn errno(failure: Failure) -> Option<Errno> {
    match failure {
        Failure::Interrupted | Failure::Call(Errno::INTR) | Failure::NoReceipts => None,
        Failure::Call(errno) | Failure::Receipt(errno) | Failure::One(_, errno) => Some(errno),
    }
}

pub fn interests() -> impl Iterator<Item = Interest> {
    let events = [READ, WRITE, BOTH].into_iter();
    events.flat_map(|events| {
        [Mode::Level, Mode::Edge, Mode::OneShot].map(|mode| events.with_mode(mode))
    })
}

/// Runs `test` with each failure at the first call, at the second, and so on
/// until there is none.
fn at_each_call(mut test: impl FnMut(u32, Failure) -> bool) {
    for system in System::ALL {
        for failure in FAILURES {
            let calls = (0..).take_while(|number| system.run(|| test(*number, failure))).count();
            assert!((1..20).contains(&calls), "{calls} calls, {failure:?}, {system:?}");
        }
    }
}

pub fn on_each_system(test: impl Fn(System)) {
    for system in System::ALL {
        println!("{system:?}");
        system.run(|| test(system));
    }
}

/// All that is registered is reported as if nothing had failed.
fn works(selector: &mut KqueueSelector<&UnixStream>, reported: &[(&UnixStream, Events)]) {
    agree(selector);
    let reported = reported.iter().map(|(stream, events)| (stream.as_raw_fd(), *events)).collect();
    assert_eq!(ready(selector, SOON), reported);
}

#[test]
fn opening_fails() {
    let refused =
        failing(0, Failure::Call(Errno::MFILE), KqueueSelector::<OwnedFd>::new).0.unwrap_err();
    assert_eq!(refused, Error::Os { call: "kqueue", fd: None, errno: Errno::MFILE, file: None });
}

#[test]
fn register_fails_at_each_call() {
    for interest in interests() {
        at_each_call(|number, failure| {
            let ((one, mut two), (other, _peer)) = (pair(), pair());
            two.write_all(b"!").unwrap();
            let mut selector = KqueueSelector::new().unwrap();
            selector.register(&other, WRITE, "other").unwrap();
            let (result, failed) = failing(number, failure, || {
                selector.try_register(&one, interest, "data").map(|key| key.fd)
            });
            match (result, errno(failure)) {
                (Ok(fd), _) => assert_eq!(fd, one.as_raw_fd()),
                (Err(refused), Some(errno)) => {
                    assert!(failed);
                    let fd = Some(one.as_raw_fd());
                    // What is open there explains such an error.
                    let file = (errno == Errno::BADF).then_some(FileKind::Other);
                    assert_eq!(refused.error, Error::Os { call: "kevent", fd, errno, file });
                    assert_eq!(
                        (refused.fileobj.as_raw_fd(), refused.data),
                        (one.as_raw_fd(), "data")
                    );
                    agree(&selector);
                    selector.register(&one, interest, "again").unwrap();
                }
                (Err(refused), None) => panic!("{refused}"),
            }
            works(&mut selector, &[(&one, interest.events), (&other, WRITE)]);
            failed
        });
    }
}

#[test]
fn modify_fails_at_each_call() {
    for (before, after) in
        interests().flat_map(|before| interests().map(move |after| (before, after)))
    {
        if before == after {
            continue;
        }
        at_each_call(|number, failure| {
            let (one, mut two) = pair();
            two.write_all(b"!").unwrap();
            let mut selector = KqueueSelector::new().unwrap();
            selector.register(&one, before, "data").unwrap();
            let (result, failed) = failing(number, failure, || selector.modify(&one, after));
            let key = selector.get_key(&one).unwrap();
            let now = if result.is_ok() { after } else { before };
            assert_eq!((key.events, key.mode, key.data), (now.events, now.mode, "data"));
            if let Err(error) = result {
                assert_eq!(Some(error.errno().unwrap()), errno(failure), "{before:?} {after:?}");
            }
            works(&mut selector, &[(&one, now.events)]);
            selector.modify(&one, WRITE).unwrap();
            works(&mut selector, &[(&one, WRITE)]);
            failed
        });
    }
}

/// The key is disarmed then, and a modify that fails does not change that.
#[test]
fn modify_of_what_fired_fails_at_each_call() {
    for (before, after) in
        [READ, BOTH].into_iter().flat_map(|one| interests().map(move |two| (one, two)))
    {
        at_each_call(|number, failure| {
            let (one, mut two) = pair();
            two.write_all(b"!").unwrap();
            let mut selector = KqueueSelector::new().unwrap();
            selector.register(&one, before.one_shot(), "data").unwrap();
            works(&mut selector, &[(&one, before)]);
            let (result, failed) = failing(number, failure, || selector.modify(&one, after));
            match result {
                Ok(()) => works(&mut selector, &[(&one, after.events)]),
                Err(error) => {
                    assert_eq!(Some(error.errno().unwrap()), errno(failure));
                    assert_eq!(selector.select(NOW).events(), Ok(0), "{before:?} {after:?}");
                    selector.modify(&one, after).unwrap();
                    works(&mut selector, &[(&one, after.events)]);
                }
            }
            failed
        });
    }
}

/// The key stays paused then, and a later call watches it again.
#[test]
fn resume_fails_at_each_call() {
    for interest in interests() {
        at_each_call(|number, failure| {
            let (one, mut two) = pair();
            two.write_all(b"!").unwrap();
            let mut selector = KqueueSelector::new().unwrap();
            selector.register(&one, interest, "data").unwrap();
            selector.pause(&one).unwrap();
            let (result, failed) = failing(number, failure, || selector.resume(&one));
            let key = selector.get_key(&one).unwrap();
            assert_eq!((key.is_paused(), key.interest()), (result.is_err(), interest));
            agree(&selector);
            if let Err(error) = result {
                assert_eq!(Some(error.errno().unwrap()), errno(failure));
                assert_eq!(selector.select(NOW).events(), Ok(0));
                selector.resume(&one).unwrap();
            }
            works(&mut selector, &[(&one, interest.events)]);
            failed
        });
    }
}

/// The key is paused nevertheless. A filter that stays is deleted once it
/// fires.
#[test]
fn pause_fails_at_each_call() {
    for interest in interests() {
        at_each_call(|number, failure| {
            let ((one, mut two), (other, _peer)) = (pair(), pair());
            two.write_all(b"!").unwrap();
            let mut selector = KqueueSelector::new().unwrap();
            selector.register(&one, interest, "data").unwrap();
            selector.register(&other, WRITE, "other").unwrap();
            let (paused, failed) = failing(number, failure, || selector.pause(&one));
            paused.unwrap();
            for _ in 0..3 {
                assert_eq!(ready(&mut selector, NOW), [(other.as_raw_fd(), WRITE)].into());
            }
            works(&mut selector, &[(&other, WRITE)]);
            selector.resume(&one).unwrap();
            works(&mut selector, &[(&one, interest.events), (&other, WRITE)]);
            failed
        });
    }
}

/// The key is returned nevertheless. If a filter stays and fires, its event is
/// dropped, and the next wait deletes it.
#[test]
fn unregister_fails_at_each_call() {
    for interest in interests() {
        at_each_call(|number, failure| {
            let ((one, mut two), (other, _peer)) = (pair(), pair());
            two.write_all(b"!").unwrap();
            let mut selector = KqueueSelector::new().unwrap();
            selector.register(&one, interest, "data").unwrap();
            selector.register(&other, WRITE, "other").unwrap();
            let (key, failed) = failing(number, failure, || selector.unregister(&one));
            assert_eq!(key.unwrap().fd, one.as_raw_fd());
            for _ in 0..3 {
                let reported = ready(&mut selector, NOW);
                assert_eq!(reported, [(other.as_raw_fd(), WRITE)].into());
            }
            works(&mut selector, &[(&other, WRITE)]);
            assert!(selector.stats().stale <= 1);
            selector.register(&one, READ, "again").unwrap();
            works(&mut selector, &[(&one, READ), (&other, WRITE)]);
            failed
        });
    }
}

#[test]
fn a_filter_that_stayed_is_not_the_next_owners() {
    on_each_system(|system| {
        let (one, mut two) = pair();
        two.write_all(b"!").unwrap();
        let mut selector = KqueueSelector::new().unwrap();
        selector.register(&one, BOTH, "data").unwrap();
        let failure = Failure::One(1, Errno::NOMEM);
        let (key, failed) = failing(0, failure, || selector.unregister(&one));
        assert!(key.is_ok() && failed);
        if system == System::NoReceipts {
            return; // the deletion is tried again alone, and made
        }
        // The filter for writing is there; the new registration is for reading
        // only.
        selector.register(&one, READ, "again").unwrap();
        for _ in 0..2 {
            assert_eq!(ready(&mut selector, SOON), [(one.as_raw_fd(), READ)].into());
        }
        works(&mut selector, &[(&one, READ)]);
        assert_eq!(selector.stats().rebuilds, 1);
        assert_eq!(selector.stats().stale, 1);
    });
}

/// A pending event is withdrawn, and does not count as one that the kernel
/// would go on to report.
#[test]
fn unregister_with_pending_events_is_no_reason_to_rebuild() {
    let (one, two) = pair();
    let mut selector = KqueueSelector::new().unwrap();
    selector.register(&one, BOTH, "one").unwrap();
    selector.register(&two, WRITE, "two").unwrap();
    assert_eq!(selector.select(SOON).events(), Ok(2));
    let _ = selector.unregister(&one).unwrap();
    works(&mut selector, &[(&two, WRITE)]);
    works(&mut selector, &[(&two, WRITE)]);
    assert_eq!(selector.stats().rebuilds, 0);
}

#[test]
fn disarming_fails_and_nothing_is_reported_twice() {
    at_each_call(|number, failure| {
        let (one, mut two) = pair();
        let mut selector = KqueueSelector::new().unwrap();
        selector.register(&one, BOTH.one_shot(), "data").unwrap();
        assert_eq!(selector.select(SOON).events(), Ok(1));
        let ((fd, events), failed) = failing(number, failure, || {
            let (key, events) = selector.next_ready().unwrap();
            (key.fd, events)
        });
        assert_eq!((fd, events), (one.as_raw_fd(), WRITE));
        two.write_all(b"!").unwrap();
        assert!(ready(&mut selector, NOW).is_empty());
        agree(&selector);
        selector.modify(&one, BOTH).unwrap();
        works(&mut selector, &[(&one, BOTH)]);
        failed
    });
}

#[test]
fn select_fails() {
    for failure in FAILURES {
        let (one, _two) = pair();
        let mut selector = KqueueSelector::new().unwrap();
        selector.register(&one, WRITE, "data").unwrap();
        let (result, _) = failing(0, failure, || selector.select(SOON));
        match (failure, errno(failure)) {
            (Failure::Call(_), Some(errno)) => {
                assert_eq!(result, Err(Error::Os { call: "kevent", fd: None, errno, file: None }));
            }
            (Failure::Interrupted | Failure::Call(_), None) => {
                assert!(result.unwrap().interrupted());
            }
            // A wait makes no changes that could be refused.
            _ => assert_eq!(result.events(), Ok(1)),
        }
        works(&mut selector, &[(&one, WRITE)]);
    }
}

#[test]
fn a_regular_file_is_readable_up_to_its_end() {
    on_each_system(|_| {
        let mut file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        let mut selector = KqueueSelector::<OwnedFd>::new().unwrap();
        selector.register(file.try_clone().unwrap().into(), BOTH, "file").unwrap();
        assert_eq!(ready(&mut selector, NOW).into_values().collect::<Vec<_>>(), [BOTH]);
        std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).unwrap();
        assert_eq!(ready(&mut selector, NOW).into_values().collect::<Vec<_>>(), [WRITE]);
    });
}

#[test]
fn is_shown_with_what_is_left() {
    use rustix::fd::AsFd;
    use selectors_core::backend::{Backend, Token};
    let (ours, _theirs) = pair();
    // SAFETY: what is added stays open as long as the queue.
    let mut queue = unsafe { Kqueue::<4>::new() }.unwrap();
    // SAFETY: as above.
    unsafe { queue.add(ours.as_fd(), Token::from_u64(1 << 32), WRITE.into()) }.unwrap();
    let own = queue.as_fd().as_raw_fd();
    assert_eq!(format!("{queue:?}"), format!("Kqueue {{ fd: {own}, pending: 0 }}"));
    assert_eq!(queue.wait(None), Ok(1));
    assert_eq!(format!("{queue:?}"), format!("Kqueue {{ fd: {own}, pending: 1 }}"));
}
