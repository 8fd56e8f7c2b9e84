//! Ten thousand descriptors in one selector, or as many as the process may
//! open.

use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use rustix::net::{RecvFlags, SendFlags, recv, send};
use selectors_core::backend::{Any, Backend, Poll};
use selectors_core::{Events, Kind, Selector};
use selectors_std::Growable;

use crate::common::alone::alone;
use crate::common::needs;
use crate::common::support::{Found, NOW, SOON, pair, ready};

/// Opens so many pairs that the selector gets ten thousand descriptors.
fn pairs() -> Vec<(UnixStream, UnixStream)> {
    // Some remain for the selector, the harness and what else is open.
    let count = (needs::limit() - 100).min(10_000) / 2;
    println!("{} descriptors, at most {}", 2 * count, needs::limit());
    assert!(count > 10);
    (0..count).map(|_| pair()).collect()
}

/// Each writer is reported once, while reported keys are unregistered, and some
/// whose event is pending.
fn in_one_selector<B: Backend>() {
    let pairs = pairs();
    let count = pairs.len();
    let mut selector = Selector::<B, _, _, Growable>::new().unwrap();
    let mut writers = Vec::new();
    for (number, (ours, theirs)) in pairs.into_iter().enumerate() {
        selector.register(ours, Events::READ, (false, number)).unwrap();
        writers.push(theirs.as_raw_fd());
        selector.register(theirs, Events::WRITE, (true, number)).unwrap();
    }
    assert_eq!(selector.get_map().len(), 2 * count);

    // In level-triggered mode a key is reported at each wait, so that several
    // waits report all of them.
    let mut reported = BTreeSet::new();
    let calls = if selector.kind() == Kind::Poll { 1 } else { count.div_ceil(256) };
    for _ in 0..calls {
        reported.extend(ready(&mut selector, SOON).into_keys());
    }
    assert_eq!(reported, writers.iter().copied().collect(), "in {calls} calls");

    let mut kept = Vec::new();
    let mut unregistered = BTreeSet::new();
    while unregistered.len() < count {
        assert_ne!(selector.select(SOON).unwrap().events(), 0);
        while let Some((key, events)) = selector.next_ready() {
            let (fd, (writer, number)) = (key.fd, key.data);
            assert_eq!((writer, events, writers[number]), (true, Events::WRITE, fd));
            assert!(unregistered.insert(fd), "{fd} was reported after it was unregistered");
            kept.push(selector.unregister(fd).unwrap());
            let next: RawFd = writers[(number + 1) % count];
            if number % 10 == 0 && unregistered.insert(next) {
                kept.push(selector.unregister(next).unwrap());
            }
        }
    }
    assert_eq!(selector.get_map().len(), count);
    assert_eq!(selector.select(NOW).events(), Ok(0));

    for key in &kept {
        assert_eq!(send(&key.fileobj, b"!", SendFlags::empty()), Ok(1));
    }
    let mut read = BTreeSet::new();
    while !selector.get_map().is_empty() {
        assert_ne!(selector.select(SOON).unwrap().events(), 0);
        while let Some((key, events)) = selector.next_ready() {
            let (fd, (writer, number)) = (key.fd, key.data);
            assert_eq!((writer, events), (false, Events::READ));
            assert_eq!(recv(&key.fileobj, &mut [0; 9], RecvFlags::empty()).unwrap().1, 1);
            assert!(read.insert(number));
            drop(selector.unregister(fd).unwrap());
        }
    }
    assert_eq!(read, (0..count).collect());
    let stats = selector.stats();
    println!("{}: {stats:?}", selector.kind());
    assert_eq!(stats.rebuilds, 0);
}

selectors_core::if_epoll! {
    #[test]
    fn on_epoll() {
        alone(on_epoll, in_one_selector::<selectors_core::backend::Epoll<256>>);
    }
}

selectors_core::if_kqueue! {
    #[test]
    fn on_kqueue() {
        alone(on_kqueue, in_one_selector::<selectors_core::backend::Kqueue<256>>);
    }
}

#[test]
fn on_poll() {
    alone(on_poll, in_one_selector::<Poll<Growable>>);
}

#[test]
fn on_the_best_of_the_platform() {
    alone(on_the_best_of_the_platform, in_one_selector::<Any<Growable, 256>>);
}

selectors_core::if_select! {
    /// Numbers that are too large are refused, and the other ones are reported.
    #[test]
    fn on_select_up_to_its_limit() {
        alone(on_select_up_to_its_limit, in_one_set);
    }

    fn in_one_set() {
        use selectors_core::Error;

        let mut selector = selectors_std::SelectSelector::new().unwrap();
        let (mut writers, mut refusals, mut open) = (BTreeSet::new(), 0, Vec::new());
        let pairs = pairs();
        let enough = pairs.len() > 600;
        for (ours, theirs) in pairs {
            let fd = theirs.as_raw_fd();
            match selector.try_register(theirs, Events::WRITE, ()) {
                Ok(key) => assert!(key.fd < 1024 && writers.insert(fd)),
                Err(refused) => {
                    assert_eq!(refused.error, Error::FdOutOfRange { fd, limit: 1024 });
                    assert!(fd >= 1024);
                    assert_eq!(refused.fileobj.as_raw_fd(), fd);
                    refusals += 1;
                    // The selector still works.
                    if refusals % 500 == 1 {
                        assert_eq!(ready(&mut selector, SOON).len(), writers.len());
                    }
                }
            }
            open.push(ours);
        }
        println!("{} descriptors, {refusals} refusals", writers.len());
        assert!(!enough || refusals > 0 && writers.len() > 400);
        assert_eq!(selector.select(SOON).events(), Ok(writers.len()));
        while let Some((key, events)) = selector.next_ready() {
            assert_eq!(events, Events::WRITE);
            let fd = key.fd;
            assert!(writers.remove(&fd));
            drop(selector.unregister(fd).unwrap());
        }
        assert!(writers.is_empty() && selector.get_map().is_empty());
        assert_eq!(selector.select(NOW).events(), Ok(0));
    }
}
