//! `get_key`, `get_key_mut` and `get_map`; `modify(fd, events)`;
//! `unregister(fd)`

use rustix::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::io::{Read, Write};

use rustix::io::Errno;
#[cfg(unix)]
use rustix::io::dup2;
use selectors_core::{Error, Events, Kind, Mode, Selector};

use crate::support::{Kernel, NOW, Raw, SOON, Table, agree, apart, dup, pair, raw, ready};

/// A number that is surely not open.
const UNKNOWN: RawFd = 999_999;

/// A selector that watches a bare number, and what is open there, which is the
/// caller's to close.
fn raw_key<B: Kernel, M: Table>(events: Events) -> (Selector<B, Raw, &'static str, M>, OwnedFd) {
    let fd = apart(pair().0);
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    // SAFETY: nothing else is open at this number, so closing it affects no
    // other owner.
    unsafe { selector.register_raw(raw(fd.as_raw_fd()), events, "data") }.unwrap();
    (selector, fd)
}

pub fn keys_by_number_and_by_reference<B: Kernel, M: Table>() {
    let (one, two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(one.as_fd(), Events::READ, 1).unwrap();
    selector.register(two.as_fd(), Events::WRITE, 2).unwrap();
    assert_eq!(selector.get_key(&one).unwrap().data, 1);
    assert_eq!(selector.get_key(one.as_raw_fd()).unwrap().data, 1);
    assert_eq!(selector.get_key(&two.as_fd()).unwrap().data, 2);
    assert_eq!(selector.get_key_mut(&two).unwrap().fd, two.as_raw_fd());

    selector.modify(&one, Events::WRITE).unwrap();
    selector.modify(two.as_raw_fd(), Events::READ).unwrap();
    agree(&selector);
    assert_eq!(ready(&mut selector, SOON), [(one.as_raw_fd(), Events::WRITE)].into());
    assert_eq!(selector.unregister(&one).unwrap().data, 1);
    assert_eq!(selector.unregister(two.as_raw_fd()).unwrap().data, 2);
    agree(&selector);
}

pub fn what_is_not_registered<B: Kernel, M: Table>() {
    let (one, two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, Events::READ, ()).unwrap();
    for fd in [two.as_raw_fd(), !0, RawFd::MIN, RawFd::MAX, UNKNOWN] {
        assert!(selector.get_key(fd).is_none() && selector.get_key_mut(fd).is_none());
        assert!(selector.get_map().get(fd).is_none() && !selector.get_map().contains(fd));
        let missing = Error::NotRegistered { key: fd.into() };
        assert_eq!(selector.modify(fd, Events::READ).unwrap_err(), missing);
        assert_eq!(selector.unregister(fd).unwrap_err(), missing);
        assert!(missing.to_string().contains(&fd.to_string()));
    }
    assert_eq!(selector.get_map().len(), 1);
    agree(&selector);
}

/// The descriptor is closed, which a system call would have noticed.
pub fn data_is_changed_without_a_system_call<B: Kernel, M: Table>() {
    let (mut selector, open) = raw_key::<B, M>(Events::READ);
    let fd = open.as_raw_fd();
    drop(open);
    let mut key = selector.get_key_mut(fd).unwrap();
    assert_eq!(
        (key.fileobj, key.fd, key.events, key.mode),
        (raw(fd), fd, Events::READ, Mode::Level)
    );
    assert_eq!(std::mem::replace(key.data_mut(), "new"), "data");
    assert_eq!(selector.get_key(fd).unwrap().data, "new");
    assert_eq!(selector.unregister(fd).unwrap().data, "new");
}

pub fn the_map_is_live<B: Kernel, M: Table>() {
    let pairs = [(); 4].map(|()| pair());
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    assert!(selector.get_map().is_empty());
    for (number, (one, _)) in pairs.iter().enumerate() {
        selector.register(one, Events::READ, number).unwrap();
        assert_eq!(selector.get_map().len(), number + 1);
    }
    let _ = selector.unregister(&pairs[1].0).unwrap();
    selector.modify(&pairs[2].0, Events::WRITE).unwrap();
    *selector.get_key_mut(&pairs[3].0).unwrap().data_mut() = 33;
    // A waker is no key.
    selector.waker_in(M::cell()).unwrap();

    let map = selector.get_map();
    assert!(!map.is_empty() && !map.contains(&pairs[1].0) && map.contains(&pairs[2].0));
    assert_eq!(map.get(&pairs[2].0).unwrap().events, Events::WRITE);
    let mut data: Vec<usize> = map.iter().map(|key| key.data).collect();
    data.sort_unstable();
    assert_eq!(data, [0, 2, 33]);
    assert_eq!(map.into_iter().len(), 3);
    let mut keys = map.iter();
    let _ = keys.next().unwrap();
    assert_eq!((keys.len(), keys.count()), (2, 2));
}

pub fn debug_lists_the_keys<B: Kernel, M: Table>() {
    /// Debug must not need that sources and data have it.
    struct Mute(OwnedFd);
    impl AsFd for Mute {
        fn as_fd(&self) -> rustix::fd::BorrowedFd<'_> {
            self.0.as_fd()
        }
    }
    let (one, two) = pair();
    let numbers = [one.as_raw_fd(), two.as_raw_fd()];
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(Mute(one.into()), Events::READ, Mute(dup(&two).unwrap())).unwrap();
    selector.register(Mute(two.into()), Events::WRITE.one_shot(), Mute(apart(pair().0))).unwrap();
    let kind = format!("{:?}", selector.kind());
    for text in [format!("{selector:?}"), format!("{:?} {kind}", selector.get_map())] {
        let words = ["READ", "WRITE", "Level", "OneShot", &kind].map(String::from);
        for word in words.into_iter().chain(numbers.map(|fd| format!("{fd}: "))) {
            assert!(text.contains(&word), "{word} in {text}");
        }
    }
    let key = selector.get_key_mut(numbers[0]).map(|key| key.fd);
    assert_eq!(key, Some(numbers[0]));
}

pub fn modify_checks_the_events_first<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, Events::READ, ()).unwrap();
    for bits in [0, 0x8, 0x10, 0x2008, 0x2011, 0x20, 0x4000, 0x8000, u16::MAX] {
        let events = Events::from_bits_retain(bits);
        for fd in [one.as_raw_fd(), UNKNOWN, !0] {
            assert_eq!(selector.modify(fd, events).unwrap_err(), Error::InvalidEvents { events });
        }
    }
    assert_eq!(selector.get_key(&one).unwrap().events, Events::READ);
    agree(&selector);
}

pub fn modify_changes_the_events_and_nothing_else<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    two.write_all(b"!").unwrap();
    let fd = one.as_raw_fd();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, Events::READ, 5).unwrap();
    let both = Events::READ | Events::WRITE;
    for events in [Events::WRITE, both, Events::READ, both, Events::WRITE, Events::READ] {
        selector.modify(fd, events).unwrap();
        let key = selector.get_key(fd).unwrap();
        assert_eq!((key.fileobj.as_raw_fd(), key.fd, key.events, key.data), (fd, fd, events, 5));
        assert_eq!(key.mode, Mode::Level);
        agree(&selector);
        assert_eq!(ready(&mut selector, SOON), [(fd, events)].into());
    }
    assert_eq!(selector.get_map().len(), 1);
}

/// The descriptor is closed. A system call would have noticed that, and does
/// when there is a change.
pub fn modify_to_the_same_makes_no_system_call<B: Kernel, M: Table>() {
    let (mut selector, open) = raw_key::<B, M>(Events::READ);
    let fd = open.as_raw_fd();
    drop(open);
    assert_eq!(selector.modify(fd, Events::READ), Ok(()));
    assert_eq!(selector.modify(fd, Events::READ.with_mode(Mode::Level)), Ok(()));
    for changed in
        [Events::WRITE.into(), (Events::READ | Events::WRITE).into(), Events::READ.one_shot()]
    {
        let error = selector.modify(fd, changed).unwrap_err();
        let Error::Os { call, fd: about, errno, .. } = error else { panic!("{error}") };
        assert_eq!((about, errno), (Some(fd), Errno::BADF));
        let text = error.to_string();
        assert!(text.contains(call) && text.contains(&fd.to_string()), "{text}");
        let key = selector.get_key(fd).unwrap();
        assert_eq!((key.events, key.mode, key.data), (Events::READ, Mode::Level, "data"));
    }
}

/// epoll knows that this is another file; poll and select know numbers only.
#[cfg(unix)]
pub fn modify_of_a_replaced_descriptor<B: Kernel, M: Table>() {
    let (mut selector, mut open) = raw_key::<B, M>(Events::READ);
    let fd = open.as_raw_fd();
    let (other, _peer) = pair();
    dup2(&other, &mut open).unwrap();
    let result = selector.modify(fd, Events::WRITE);
    if selector.kind() == Kind::Epoll {
        assert_eq!(result.unwrap_err().errno(), Some(Errno::NOENT));
        assert_eq!(selector.get_key(fd).unwrap().events, Events::READ);
        assert_eq!(ready(&mut selector, NOW), [].into());
    } else {
        assert_eq!(result, Ok(()));
        assert_eq!(ready(&mut selector, SOON), [(fd, Events::WRITE)].into());
    }
    let _ = selector.unregister(fd).unwrap();
    agree(&selector);
}

pub fn modify_fails_and_all_is_as_before<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let fd = one.as_raw_fd();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, Events::WRITE, ()).unwrap();
    if selector.modify(fd, Events::WRITE.edge()).is_ok() {
        assert!(selector.kind().supports_edge());
        selector.modify(fd, Events::WRITE).unwrap();
    } else {
        assert!(!selector.kind().supports_edge());
    }
    let key = selector.get_key(fd).unwrap();
    assert_eq!((key.events, key.mode), (Events::WRITE, Mode::Level));
    agree(&selector);
    assert_eq!(ready(&mut selector, SOON), [(fd, Events::WRITE)].into());
}

/// The new file at the number is registered. Only its own events are reported.
#[cfg(unix)]
pub fn unregister_of_a_replaced_descriptor<B: Kernel, M: Table>() {
    for old_lives_on in [false, true] {
        let (one, mut old_peer) = pair();
        let mut open = apart(&one);
        let fd = open.as_raw_fd();
        let duplicate = old_lives_on.then_some(one);
        let mut selector = Selector::<B, _, _, M>::new().unwrap();
        // SAFETY: nothing else is open at this number.
        unsafe { selector.register_raw(raw(fd), Events::READ, "old") }.unwrap();
        let (other, mut new_peer) = pair();
        dup2(&other, &mut open).unwrap();
        assert_eq!(selector.unregister(fd).unwrap().data, "old");

        // SAFETY: open until the end.
        unsafe { selector.register_raw(raw(fd), Events::READ, "new") }.unwrap();
        let _ = old_peer.write_all(b"for the old one");
        assert_eq!(ready(&mut selector, NOW), [].into());
        new_peer.write_all(b"for the new one").unwrap();
        assert_eq!(ready(&mut selector, SOON), [(fd, Events::READ)].into());
        assert_eq!((&other).read(&mut [0; 99]).unwrap(), 15);
        assert_eq!(ready(&mut selector, NOW), [].into());
        agree(&selector);
        drop(duplicate);
    }
}

/// Whether it is taken from the batch of this wait, or left over from an
/// earlier one.
pub fn unregister_drops_the_pending_event<B: Kernel, M: Table>() {
    for left_over in [false, true] {
        let (one, two) = pair();
        let mut selector = Selector::<B, _, _, M>::new().unwrap();
        selector.register(&one, Events::WRITE, 0).unwrap();
        selector.register(&two, Events::WRITE, 0).unwrap();
        assert_eq!(selector.select(SOON).unwrap().events(), 2);
        let first = selector.next_ready().unwrap().0.fd;
        if left_over {
            assert_eq!(selector.select(SOON).unwrap().events(), 1);
        }
        let other = if first == one.as_raw_fd() { two.as_raw_fd() } else { one.as_raw_fd() };
        let _ = selector.unregister(other).unwrap();
        assert!(selector.next_ready().is_none());
        assert_eq!(ready(&mut selector, SOON), [(first, Events::WRITE)].into());
        agree(&selector);
    }
}

/// Two are ready. The second is closed, and another file gets its number.
#[cfg(unix)]
pub fn a_number_used_again_within_a_batch<B: Kernel, M: Table>() {
    for left_over in [false, true] {
        let (mut peers, mut third_peer) = (Vec::new(), pair());
        let mut selector = Selector::<B, OwnedFd, _, M>::new().unwrap();
        let numbers = [0, 1].map(|_| {
            let (one, mut two) = pair();
            two.write_all(b"!").unwrap();
            peers.push(two);
            selector.register(apart(one), Events::READ, "old").unwrap().fd
        });
        selector.select(SOON).unwrap();
        let first = selector.next_ready().unwrap().0.fd;
        if left_over {
            selector.select(SOON).unwrap();
        }
        let second = if first == numbers[0] { numbers[1] } else { numbers[0] };
        let mut fd = selector.unregister(second).unwrap().fileobj;
        dup2(&third_peer.0, &mut fd).unwrap();
        assert_eq!(selector.register(fd, Events::READ, "new").unwrap().fd, second);
        assert!(selector.next_ready().is_none());

        let _ = selector.unregister(first).unwrap();
        assert_eq!(ready(&mut selector, NOW), [].into());
        third_peer.1.write_all(b"!").unwrap();
        assert_eq!(ready(&mut selector, SOON), [(second, Events::READ)].into());
        agree(&selector);
    }
}

pub fn unregister_while_looping<B: Kernel, M: Table>() {
    let pairs = [(); 8].map(|()| pair());
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    for (one, two) in &pairs {
        selector.register(one, Events::WRITE, two.as_raw_fd()).unwrap();
        selector.register(two, Events::WRITE, one.as_raw_fd()).unwrap();
    }
    assert_eq!(selector.select(SOON).unwrap().events(), 16);
    let mut reported = 0;
    while let Some((key, _)) = selector.next_ready() {
        let (fd, other) = (key.fd, key.data);
        reported += 1;
        let _ = selector.unregister(fd).unwrap();
        let _ = selector.unregister(other).unwrap();
    }
    assert_eq!(reported, 8, "of each pair the first that came");
    assert!(selector.get_map().is_empty());
    agree(&selector);
    assert_eq!(ready(&mut selector, NOW), [].into());
}

pub fn slots_are_used_again<B: Kernel, M: Table>() {
    let pairs = [(); 8].map(|()| pair());
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    for round in 0..100 {
        for (number, (one, _)) in
            pairs.iter().enumerate().filter(|(number, _)| (round >> (number % 4)) & 1 == 1)
        {
            match selector.get_key(one) {
                Some(_) => drop(selector.unregister(one).unwrap()),
                None => drop(selector.register(one, Events::WRITE, number).unwrap()),
            }
        }
        agree(&selector);
        let registered: Vec<RawFd> = selector.get_map().iter().map(|key| key.fd).collect();
        let reported = ready(&mut selector, NOW);
        assert_eq!(reported.len(), registered.len());
        assert!(registered.iter().all(|fd| reported.contains_key(fd)));
    }
}
