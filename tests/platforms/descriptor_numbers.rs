//! Descriptors with the first numbers, and with those at which the `select`
//! call reads another word of its sets. A program that is started without
//! standard input gets 0 for the first file that it opens.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use selectors_core::backend::Backend;
use selectors_core::{AnySelector, Events, PollSelector};

use crate::common::alone::alone;
use crate::common::needs;
use crate::common::support::{Found, NOW, SOON, Table, pair};
use crate::common::{Check, every_pair};

type Selector<'a> = PollSelector<BorrowedFd<'a>, (), 4>;

/// The number of the next descriptor that is opened.
fn next() -> i32 {
    File::open("/").unwrap().as_raw_fd()
}

/// Watches a descriptor at each of these numbers.
struct Edges;

impl Check for Edges {
    fn check<B: Backend, M: Table>(&mut self, name: &str) {
        let (ours, _theirs) = pair();
        for number in [63, 64, 255, 256, 257, 1022, 1023] {
            if usize::try_from(number).unwrap() >= needs::limit() {
                continue;
            }
            let open = rustix::io::fcntl_dupfd_cloexec(&ours, number).unwrap();
            if open.as_raw_fd() != number {
                continue; // the process has inherited it
            }
            let mut selector = selectors_core::Selector::<B, _, (), M>::new().unwrap();
            assert_eq!(selector.register(open, Events::WRITE, ()).unwrap().fd, number, "{name}");
            let begun = Instant::now();
            assert_eq!(selector.select(SOON).events(), Ok(1), "{name}: {number}");
            // A descriptor that the kernel does not check is also reported, but
            // only after the timeout.
            assert!(begun.elapsed() < Duration::from_secs(10), "{name}: {number}");
            assert_eq!(
                selector.next_ready().map(|(key, events)| (key.fd, events)),
                Some((number, Events::WRITE))
            );
        }
    }
}

#[test]
fn small_and_large_numbers_are_supported() {
    alone(small_and_large_numbers_are_supported, || {
        needs::number(1023);
        every_pair(&mut Edges);
        the_first_are_numbers_like_any_other();
    });
}

// Not a test of its own, as it closes descriptors.
fn the_first_are_numbers_like_any_other() {
    // SAFETY: nothing in this process reads from standard input.
    unsafe { rustix::io::close(0) };
    assert_eq!(next(), 0);

    let (null, stdout, stderr) =
        (File::open("/dev/null").unwrap(), std::io::stdout(), std::io::stderr());
    let mut selector = Selector::new().unwrap();
    for (source, number) in [(null.as_fd(), 0), (stdout.as_fd(), 1), (stderr.as_fd(), 2)] {
        assert_eq!(selector.register(source, Events::WRITE, ()).unwrap().fd, number);
    }
    assert!(selector.select(SOON).unwrap().events() > 0);
    assert_eq!(
        selector.next_ready().map(|(key, events)| (key.fd, events)),
        Some((0, Events::WRITE))
    );
    drop(selector);
    drop(null);
    assert_eq!(next(), 0);

    // A selector's own descriptor has the number of standard output.
    let stdout = rustix::io::fcntl_dupfd_cloexec(std::io::stdout(), 3).unwrap();
    let (null, (ours, _theirs)) = (File::open("/dev/null").unwrap(), pair());
    // SAFETY: it is put back below, and nothing writes in between.
    unsafe { rustix::io::close(1) };
    let mut selector = AnySelector::<_, _, 4>::new().unwrap();
    let own = selector.fileno().map(|own| own.as_raw_fd());
    selector.register(&ours, Events::WRITE, ()).unwrap();
    let reported = selector.select(SOON);
    drop(selector);
    rustix::stdio::dup2_stdout(&stdout).unwrap();
    assert_eq!((null.as_raw_fd(), own.unwrap_or(1), reported.events()), (0, 1, Ok(1)));
    drop(null);

    // A waker's descriptors have none of the first three numbers, though one,
    // two or all of these are free.
    for number in 0..3 {
        if number > 0 {
            // SAFETY: it is put back below, and nothing in this process prints
            // in between.
            unsafe { rustix::io::close(number) };
        }
        assert_eq!(next(), 0);
        every_pair(&mut WakersAreHigher);
        assert_eq!(next(), 0, "a selector has left something open");
    }
    rustix::stdio::dup2_stdin(&stdout).unwrap();
    rustix::stdio::dup2_stdout(&stdout).unwrap();
    rustix::stdio::dup2_stderr(&stdout).unwrap();
}

struct WakersAreHigher;

impl Check for WakersAreHigher {
    fn check<B: Backend, M: Table>(&mut self, name: &str) {
        let cell = M::cell();
        for _ in 0..2 {
            // The epoll instance has one of the first three.
            let mut selector = selectors_core::Selector::<B, BorrowedFd<'_>, (), M>::new().unwrap();
            let before = next();
            let waker = selector.waker_in(cell.clone()).unwrap();
            waker.wake().unwrap();
            assert_eq!(selector.select(SOON).woken_and(), Ok(0), "{name}");
            assert_eq!(selector.select(NOW).events(), Ok(0), "{name}");
            assert!(next() == before || before > 2, "{name}: the waker has {before}");
        }
    }
}
