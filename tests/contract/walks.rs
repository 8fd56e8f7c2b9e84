//! `walk` and `retain`: every key in turn, which may be changed, paused and
//! unregistered.

use crate::support::UnixStream;
use rustix::fd::AsRawFd;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use selectors_core::{Error, Events, Mode, Selector};

use crate::support::{Found, Kernel, NOW, SOON, Table, agree, agree_with_wakers, pair, ready};

const READ: Events = Events::READ;
const WRITE: Events = Events::WRITE;

type Peers<B, M> = Selector<B, UnixStream, usize, M>;

/// Keys with the data 0, 1, 2 and so on, and their peers.
fn peers<B: Kernel, M: Table>(count: usize) -> (Peers<B, M>, Vec<UnixStream>) {
    let mut selector = Peers::<B, M>::new().unwrap();
    let peers = (0..count).map(|number| {
        let (one, two) = pair();
        selector.register(one, READ, number).unwrap();
        two
    });
    let peers = peers.collect();
    (selector, peers)
}

/// The data of all keys.
fn data<B: Kernel, M: Table>(selector: &Peers<B, M>) -> BTreeSet<usize> {
    selector.get_map().iter().map(|key| key.data).collect()
}

/// Slots in between are empty, and one is the waker's.
pub fn each_key_once<B: Kernel, M: Table>() {
    let (mut selector, _peers) = peers::<B, M>(10);
    assert!(Peers::<B, M>::new().unwrap().walk().next().is_none());
    selector.waker_in(M::cell()).unwrap();
    for number in [0, 4, 5, 9] {
        let fd = selector.get_map().iter().find(|key| key.data == number).unwrap().fd;
        drop(selector.unregister(fd).unwrap());
    }
    let (late, _two) = pair();
    selector.register(late, READ, 10).unwrap();
    for _ in 0..2 {
        let mut seen = Vec::new();
        let mut walk = selector.walk();
        while let Some(key) = walk.next() {
            seen.push(key.data);
        }
        assert!(walk.next().is_none(), "it stays at the end");
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3, 6, 7, 8, 10]);
    }
    agree_with_wakers(&selector, 1);
}

/// One line for all peers, as a chat server sends it.
pub fn keys_may_be_changed<B: Kernel, M: Table>() {
    let (mut selector, mut peers) = peers::<B, M>(9);
    let mut walk = selector.walk();
    while let Some(mut key) = walk.next() {
        match key.data % 3 {
            0 => key.modify(WRITE.one_shot()).unwrap(),
            1 => key.pause(),
            _ => key.write_all(b"hello").unwrap(),
        }
        *key.data_mut() += 100;
        let (_stream, data) = key.parts();
        *data += 100;
    }
    assert_eq!(data(&selector), (200..209).collect());
    agree(&selector);
    let reported = ready(&mut selector, SOON);
    assert_eq!(reported.len(), 3);
    for key in selector.get_map() {
        let number = key.data - 200;
        assert_eq!(key.is_paused(), number % 3 == 1);
        assert_eq!(key.mode == Mode::OneShot, number % 3 == 0);
        assert_eq!(reported.contains_key(&key.fd), number % 3 == 0);
        if number % 3 == 2 {
            peers[number].read_exact(&mut [0; 5]).unwrap();
        }
    }
    let mut walk = selector.walk();
    while let Some(mut key) = walk.next() {
        key.resume().unwrap();
    }
    assert!(selector.get_map().iter().all(|key| !key.is_paused()));
    agree(&selector);
}

pub fn keys_may_leave<B: Kernel, M: Table>() {
    let (mut selector, mut peers) = peers::<B, M>(10);
    let mut gone = Vec::new();
    let mut walk = selector.walk();
    while let Some(key) = walk.next() {
        if key.data % 2 == 0 {
            gone.push(key.unregister());
        }
    }
    assert_eq!(gone.len(), 5);
    assert_eq!(data(&selector), [1, 3, 5, 7, 9].into());
    agree(&selector);
    // What was returned is open, and what is dropped is closed.
    for key in gone {
        rustix::io::write(&key.fileobj, b"!").unwrap();
        assert_eq!(peers[key.data].read(&mut [0; 8]).unwrap(), 1);
        let number = key.data;
        drop(key);
        assert_eq!(peers[number].read(&mut [0; 8]).unwrap(), 0);
    }
    peers[3].write_all(b"!").unwrap();
    assert_eq!(ready(&mut selector, SOON).len(), 1);
}

/// With `break` and with `?`. What is left of the keys is as it was, and the
/// next walk begins at the first one.
pub fn a_walk_may_end_early<B: Kernel, M: Table>() {
    fn until<B: Kernel, M: Table>(selector: &mut Peers<B, M>, most: usize) -> Result<usize, Error> {
        let (mut walk, mut seen) = (selector.walk(), 0);
        while let Some(mut key) = walk.next() {
            seen += 1;
            let events = if seen == most { Events::empty() } else { WRITE };
            key.modify(events)?;
        }
        Ok(seen)
    }
    let (mut selector, _peers) = peers::<B, M>(6);
    let mut walk = selector.walk();
    while let Some(mut key) = walk.next() {
        key.pause();
        if key.data == 2 {
            break;
        }
    }
    let paused = selector.get_map().iter().filter(|key| key.is_paused()).count();
    assert!((1..=6).contains(&paused));
    agree(&selector);
    assert_eq!(until(&mut selector, 4), Err(Error::InvalidEvents { events: Events::empty() }));
    assert_eq!(selector.get_map().iter().filter(|key| key.events == WRITE).count(), 3);
    agree(&selector);
    assert_eq!(until(&mut selector, usize::MAX), Ok(6));
    assert_eq!(ready(&mut selector, SOON).len(), 6);
}

/// Pending events of keys that a walk unregisters or pauses are dropped.
pub fn a_walk_between_events<B: Kernel, M: Table>() {
    let (mut selector, _peers) = peers::<B, M>(6);
    let mut walk = selector.walk();
    while let Some(mut key) = walk.next() {
        key.modify(WRITE).unwrap();
    }
    assert_eq!(selector.select(SOON).events(), Ok(6));
    let first = selector.next_ready().unwrap().0.id();
    let mut walk = selector.walk();
    while let Some(mut key) = walk.next() {
        match key.data {
            _ if key.id() == first => {}
            0 | 1 => drop(key.unregister()),
            2 => key.pause(),
            _ => key.modify(READ).unwrap(),
        }
    }
    assert!(selector.next_ready().is_none());
    let reported = ready(&mut selector, SOON);
    assert_eq!(reported, [(selector.get_key(first).unwrap().fd, WRITE)].into());
    agree(&selector);
}

pub fn retain_keeps_what_the_function_accepts<B: Kernel, M: Table>() {
    let (mut selector, mut peers) = peers::<B, M>(8);
    let mut calls = 0;
    selector.retain(|key| {
        calls += 1;
        match key.data {
            3 => key.pause(),
            5 => key.modify(WRITE).unwrap(),
            number => *key.data_mut() = number + 10,
        }
        key.data % 2 == 1
    });
    assert_eq!(calls, 8);
    assert_eq!(data(&selector), [3, 5, 11, 17].into());
    agree(&selector);
    for number in [0, 2, 4, 6] {
        assert_eq!(peers[number].read(&mut [0; 8]).unwrap(), 0, "its source is dropped");
    }
    assert_eq!(ready(&mut selector, SOON).len(), 1);
    selector.retain(|_| false);
    assert!(selector.get_map().is_empty() && selector.walk().next().is_none());
    assert!(selector.select(NOW).unwrap().timed_out());
}

/// The keys before it are as the closure left them, those after it as they
/// were.
pub fn retain_survives_a_panic<B: Kernel, M: Table>() {
    let (mut selector, _peers) = peers::<B, M>(8);
    let mut seen = BTreeSet::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        selector.retain(|key| {
            seen.insert(key.data);
            assert!(seen.len() < 4, "as a test of panics");
            false
        });
    }));
    assert!(panicked.is_err());
    assert_eq!((seen.len(), selector.get_map().len()), (4, 5));
    agree(&selector);
    selector.retain(|key| {
        key.modify(WRITE).unwrap();
        true
    });
    assert_eq!(ready(&mut selector, SOON).len(), 5);
    let (one, _two) = pair();
    let fd = one.as_raw_fd();
    selector.register(one, WRITE, 100).unwrap();
    assert!(ready(&mut selector, SOON).contains_key(&fd));
    agree(&selector);
}
