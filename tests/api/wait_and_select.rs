//! `wait` for one descriptor and `select` of three lists, which need no
//! selector.

use std::cell::Cell;
use std::fs::File;
use std::io::{ErrorKind, Read, Write, pipe};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use selectors_core::{Error, Events, FileKind, Kind, WakeCell};
use selectors_std::{select, wait};

use crate::common::signals;
use crate::common::support::{NOW, SOON, apart, beyond_select, pair, tcp};

const READ: Events = Events::READ;
const WRITE: Events = Events::WRITE;
const PRIORITY: Events = Events::PRIORITY;

/// A number that is not open.
fn closed() -> BorrowedFd<'static> {
    let number = apart(File::open("/").unwrap()).as_raw_fd();
    // SAFETY: the kernel refuses it, and no other test opens anything at this
    // number.
    unsafe { BorrowedFd::borrow_raw(number) }
}

#[test]
fn wait_reports_the_events_that_it_waits_for() {
    let (ours, mut theirs) = pair();
    assert_eq!(wait(&ours, READ, NOW), Ok(Events::empty()));
    assert_eq!(wait(&ours, READ | WRITE, SOON), Ok(WRITE));
    theirs.write_all(b"!").unwrap();
    assert_eq!(wait(&ours, READ, None), Ok(READ));
    assert_eq!(wait(&ours, WRITE, None), Ok(WRITE));
    assert_eq!(wait(&ours, READ | WRITE | PRIORITY, SOON), Ok(READ | WRITE));
    // It is reported until the data is read.
    assert_eq!(wait(&ours, READ, NOW), Ok(READ));
}

#[test]
fn wait_refuses_events_that_cannot_be_requested() {
    let (ours, _theirs) = pair();
    for events in [
        Events::empty(),
        Events::HANGUP,
        READ | Events::ERROR,
        Events::READ_HANGUP | Events::HANGUP,
    ] {
        for fd in [ours.as_fd(), closed()] {
            assert_eq!(wait(fd, events, NOW), Err(Error::InvalidEvents { events }));
        }
    }
}

#[test]
fn urgent_data_is_reported() {
    let (ours, theirs) = tcp();
    assert_eq!(wait(&ours, PRIORITY, NOW), Ok(Events::empty()));
    send(&theirs, b"!", SendFlags::OOB).unwrap();
    assert_eq!(wait(&ours, PRIORITY, SOON), Ok(PRIORITY));
    assert_eq!(wait(&ours, READ, NOW), Ok(Events::empty()));
    let (readable, writable, exceptional) =
        select(&[&ours], &[&theirs], &[&ours, &theirs], SOON).unwrap();
    assert_eq!((readable.len(), writable.len(), exceptional.len()), (0, 1, 1));
    assert_eq!(exceptional[0].as_raw_fd(), ours.as_raw_fd());
}

#[test]
fn wait_reports_ends_and_hang_ups() {
    let (ours, theirs) = pair();
    theirs.shutdown(std::net::Shutdown::Write).unwrap();
    let half = wait(&ours, READ, SOON).unwrap();
    assert!(half.contains(READ) && !half.intersects(Events::HANGUP | Events::ERROR), "{half:?}");
    drop(theirs);
    let whole = wait(&ours, READ, SOON).unwrap();
    assert!(whole.contains(READ), "{whole:?}");
    assert_eq!(whole.contains(Events::HANGUP), Kind::Poll.reports_hangup(), "{whole:?}");
    assert_eq!((&ours).read(&mut [0; 9]).unwrap(), 0);

    let (reader, writer) = pipe().unwrap();
    assert_eq!(wait(&writer, WRITE, SOON), Ok(WRITE));
    drop(reader);
    let broken = wait(&writer, WRITE, SOON).unwrap();
    assert!(
        broken.contains(WRITE) && broken.intersects(Events::ERROR | Events::HANGUP),
        "{broken:?}"
    );

    let (reader, writer) = pipe().unwrap();
    assert_eq!(wait(&reader, READ, NOW), Ok(Events::empty()));
    drop(writer);
    let ended = wait(&reader, READ, None).unwrap();
    assert!(ended.contains(READ | Events::HANGUP), "{ended:?}");
    // A wait for urgent data alone reports the end, too.
    assert!(wait(&reader, PRIORITY, SOON).unwrap().contains(Events::HANGUP));
}

/// As in Python, which says `ValueError` or `EBADF`, and never "ready".
#[test]
fn what_cannot_be_polled_is_an_error() {
    is_refused(closed());
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{Mode, OFlags, open};
        let path = open("/dev/null", OFlags::PATH, Mode::empty()).unwrap();
        is_refused(path.as_fd());
    }
}

/// The system call `poll` returns `POLLNVAL` for it.
fn is_refused(fd: BorrowedFd<'_>) {
    // Only an open descriptor has a kind.
    let file = rustix::io::fcntl_getfd(fd).is_ok().then_some(FileKind::Device);
    let refused = Error::Os { call: "poll", fd: Some(fd.as_raw_fd()), errno: Errno::BADF, file };
    for events in [READ, WRITE, PRIORITY, READ | WRITE | PRIORITY] {
        assert_eq!(wait(fd, events, SOON), Err(refused));
    }
    let (ours, _theirs) = pair();
    let (ours, none) = (ours.as_fd(), [].as_slice());
    // Also if another source is ready, and if it is in several lists.
    let lists = [
        [&[&ours, &fd], none, none],
        [none, &[&fd, &ours], none],
        [none, none, &[&fd]],
        [&[&fd], &[&ours, &fd], &[&fd, &fd]],
    ];
    for [readable, writable, exceptional] in lists {
        let error = select(readable, writable, exceptional, SOON).unwrap_err();
        assert_eq!(inner(&error), refused);
        assert_eq!(error.kind(), std::io::Error::from(refused).kind());
        assert!(error.to_string().contains(&fd.as_raw_fd().to_string()), "{error}");
    }
}

/// The error inside, which has the details.
fn inner(error: &std::io::Error) -> Error {
    *error.get_ref().unwrap().downcast_ref().unwrap()
}

/// The system call `poll` ignores negative numbers, and safe code has one: the
/// number that stands for the working directory.
#[test]
fn negative_descriptors_are_refused() {
    let cwd = rustix::fs::CWD;
    let refused = Error::InvalidFd { fd: cwd.as_raw_fd() };
    assert!(cwd.as_raw_fd() < 0);
    for timeout in [SOON, NOW] {
        for events in [READ, WRITE, PRIORITY] {
            assert_eq!(wait(cwd, events, timeout), Err(refused));
        }
        // The events are checked first, as `register` does.
        let events = Events::empty();
        assert_eq!(wait(cwd, events, timeout), Err(Error::InvalidEvents { events }));

        let (ours, _theirs) = pair();
        let (ours, closed, none) = (ours.as_fd(), closed(), [].as_slice());
        // It is found before the kernel is called, which would refuse the
        // closed one.
        for lists in [
            [&[&ours, &cwd], none, none],
            [&[&closed], &[&cwd, &ours], none],
            [none, none, &[&cwd]],
        ] {
            let error = select(lists[0], lists[1], lists[2], timeout).unwrap_err();
            assert_eq!((inner(&error), error.kind()), (refused, ErrorKind::InvalidInput));
        }
    }
}

/// Returns another descriptor at each call, which a safe `as_fd` may do.
struct Changing<'a>([BorrowedFd<'a>; 2], Cell<usize>);

impl AsFd for Changing<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.1.set(self.1.get() + 1);
        self.0[(self.1.get() - 1) % 2]
    }
}

#[test]
fn as_fd_is_called_once() {
    let (ours, theirs) = pair();
    send(&theirs, b"!", SendFlags::empty()).unwrap();
    let source = Changing([ours.as_fd(), theirs.as_fd()], Cell::new(0));
    assert_eq!(wait(&source, READ, SOON), Ok(READ));
    assert_eq!(source.1.replace(0), 1);
    // Here it is called twice, and the first descriptor has something to read.
    let (readable, writable, _) = select(&[&source, &source], &[&source], &[], SOON).unwrap();
    assert_eq!((readable.len(), writable.len(), source.1.get()), (1, 1, 3));
}

#[test]
fn numbers_beyond_the_limit_of_select_are_supported() {
    let (ours, mut theirs) = pair();
    let Some(large) = beyond_select(&ours) else { return };
    assert!(large.as_raw_fd() >= 1024);
    theirs.write_all(b"!").unwrap();
    assert_eq!(wait(&large, READ, SOON), Ok(READ));
    let (readable, writable, _) = select(&[&large], &[&large], &[], SOON).unwrap();
    assert_eq!((readable.len(), writable.len()), (1, 1));
}

/// A wait never ends early. A timeout that is too long for the clock is
/// unlimited.
#[test]
fn timeouts_are_kept() {
    let (ours, mut theirs) = pair();
    for micros in [1, 100, 999, 1000, 1001, 20_000] {
        let timeout = Duration::from_micros(micros);
        let begun = Instant::now();
        assert_eq!(wait(&ours, READ, Some(timeout)), Ok(Events::empty()));
        assert!(begun.elapsed() >= timeout, "{:?} of {timeout:?}", begun.elapsed());
        let begun = Instant::now();
        assert!(select(&[&ours], &[], &[&ours], Some(timeout)).unwrap().0.is_empty());
        assert!(begun.elapsed() >= timeout, "{:?} of {timeout:?}", begun.elapsed());
        let begun = Instant::now();
        assert!(select::<UnixStream>(&[], &[], &[], Some(timeout)).unwrap().0.is_empty());
        assert!(begun.elapsed() >= timeout, "{:?} of {timeout:?}", begun.elapsed());
    }
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(wait(&ours, READ, NOW), Ok(Events::empty()));
        assert!(select(&[&ours], &[], &[], NOW).unwrap().0.is_empty());
    }
    assert!(begun.elapsed() < Duration::from_secs(20));

    let year = Duration::from_secs(366 * 86_400);
    let huge = [None, Some(year), Some(Duration::from_secs(i64::MAX as u64)), Some(Duration::MAX)];
    for timeout in huge {
        let later = thread::spawn({
            let theirs = theirs.try_clone().unwrap();
            move || {
                thread::sleep(Duration::from_millis(20));
                (&theirs).write_all(b"!").unwrap();
            }
        });
        assert_eq!(wait(&ours, READ, timeout), Ok(READ), "{timeout:?}");
        later.join().unwrap();
        (&ours).read_exact(&mut [0]).unwrap();
        theirs.write_all(b"!").unwrap();
        assert_eq!(select(&[&ours], &[], &[], timeout).unwrap().0.len(), 1, "{timeout:?}");
        (&ours).read_exact(&mut [0]).unwrap();
    }
}

#[test]
fn a_signal_ends_the_wait_with_nothing() {
    let (ours, _theirs) = pair();
    static CELL: WakeCell = WakeCell::new();
    let begun = Instant::now();
    assert_eq!(signals::interrupt(Some(&CELL), || wait(&ours, READ, SOON)), Ok(Events::empty()));
    assert_eq!(signals::interrupt(None, || wait(&ours, READ, None)), Ok(Events::empty()));
    let lists = signals::interrupt(None, || select(&[&ours], &[], &[&ours], SOON)).unwrap();
    assert_eq!((lists.0.len(), lists.1.len(), lists.2.len()), (0, 0, 0));
    let lists = signals::interrupt(None, || select::<UnixStream>(&[], &[], &[], None)).unwrap();
    assert!(lists.0.is_empty());
    assert!(begun.elapsed() < Duration::from_secs(15));
}

/// The numbers of a list's sources.
fn numbers<S: AsFd + ?Sized>(list: &[&S]) -> Vec<i32> {
    list.iter().map(|source| source.as_fd().as_raw_fd()).collect()
}

#[test]
fn lists_keep_their_order_and_their_duplicates() {
    let pairs: Vec<_> = (0..6).map(|_| pair()).collect();
    for (_, theirs) in [&pairs[4], &pairs[0], &pairs[2]] {
        send(theirs, b"!", SendFlags::empty()).unwrap();
    }
    let sources = [5, 4, 3, 2, 4, 1, 0].map(|number| &pairs[number].0);
    let (readable, writable, exceptional) = select(&sources, &sources, &sources, SOON).unwrap();
    assert_eq!(numbers(&readable), numbers(&[4, 2, 4, 0].map(|number| &pairs[number].0)));
    assert_eq!(numbers(&writable), numbers(&sources));
    assert!(exceptional.is_empty());
    // Each source is reported in its own list.
    let (readable, writable, _) =
        select(&[sources[0], sources[1]], &[sources[2]], &[], SOON).unwrap();
    assert_eq!(
        (numbers(&readable), numbers(&writable)),
        (numbers(&[sources[1]]), numbers(&[sources[2]]))
    );
}

#[test]
fn lists_take_sources_of_different_types() {
    let (ours, theirs) = pair();
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(b"!").unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let file = File::open("/").unwrap();
    let all: [&dyn AsFd; 5] = [&ours, &reader, &listener, &file, &theirs];
    let (readable, writable, _) = select(&all, &all[..1], &[], SOON).unwrap();
    assert_eq!(numbers(&readable), [reader.as_raw_fd(), file.as_raw_fd()]);
    assert_eq!(numbers(&writable), [ours.as_raw_fd()]);
}

/// A hang-up counts as readable and writable, as in Python, and never as
/// exceptional.
#[test]
fn lists_report_hang_ups() {
    let (ours, theirs) = pair();
    drop(theirs);
    let (readable, writable, exceptional) = select(&[&ours], &[&ours], &[&ours], None).unwrap();
    assert_eq!((readable.len(), writable.len(), exceptional.len()), (1, 1, 0));

    // A full pipe is writable only because its reader is closed. This counts as
    // readable, too.
    let (reader, writer) = pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while (&writer).write(&[0; 4096]).is_ok() {}
    assert!(select(&[], &[&writer], &[], NOW).unwrap().1.is_empty());
    drop(reader);
    let (readable, writable, exceptional) =
        select(&[&writer], &[&writer], &[&writer], SOON).unwrap();
    assert_eq!((readable.len(), writable.len(), exceptional.len()), (1, 1, 0));
    let error = (&writer).write(b"!").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}
