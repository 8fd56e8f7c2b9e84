//! Level, edge, one-shot.

use rustix::fd::AsRawFd;
use std::collections::BTreeMap;
use std::io::{Read, Write};

use selectors_core::{Error, Events, Kind, Mode, Selector};

use crate::needs;
use crate::support::{Found, Kernel, NOW, SOON, Table, agree, pair, ready};

const READ: Events = Events::READ;
const WRITE: Events = Events::WRITE;

pub fn level_is_reported_while_it_lasts<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, READ, ()).unwrap();
    two.write_all(b"!").unwrap();
    for _ in 0..3 {
        assert_eq!(ready(&mut selector, SOON), BTreeMap::from([(one.as_raw_fd(), READ)]));
    }
    assert_eq!((&one).read(&mut [0; 8]).unwrap(), 1);
    assert!(ready(&mut selector, NOW).is_empty());
}

pub fn edge_is_reported_when_more_arrives<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    if !selector.kind().supports_edge() {
        return assert!(matches!(selector.kind(), Kind::Poll | Kind::Select));
    }
    selector.register(&one, READ.edge(), ()).unwrap();
    agree(&selector);
    assert!(ready(&mut selector, NOW).is_empty());
    for _ in 0..3 {
        two.write_all(b"!").unwrap();
        assert_eq!(ready(&mut selector, SOON), BTreeMap::from([(one.as_raw_fd(), READ)]));
        assert!(ready(&mut selector, NOW).is_empty(), "delivered again, and nothing more arrived");
    }
}

/// `modify` arms an edge again, also if the interest is the same: what is still
/// ready is reported again.
pub fn modify_arms_an_edge_again<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    let fd = one.as_raw_fd();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    if !selector.kind().supports_edge() {
        let error = selector.register(&one, READ.edge(), ()).unwrap_err();
        let kind = selector.kind();
        assert_eq!(
            error,
            Error::Unsupported { backend: kind.name(), events: READ, mode: Mode::Edge }
        );
        return;
    }
    selector.register(&one, READ.edge(), ()).unwrap();
    selector.modify(fd, READ.edge()).unwrap();
    assert!(ready(&mut selector, NOW).is_empty(), "nothing is ready");
    two.write_all(b"!").unwrap();
    for interest in [READ, READ, READ | WRITE, READ | WRITE, WRITE, WRITE, READ] {
        selector.modify(fd, interest.edge()).unwrap();
        agree(&selector);
        assert_eq!(ready(&mut selector, SOON), BTreeMap::from([(fd, interest)]));
        assert!(ready(&mut selector, NOW).is_empty(), "reported twice");
    }
    // While its event is pending: the event is reported, and the edge after it.
    selector.modify(fd, READ.edge()).unwrap();
    assert_eq!(selector.select(SOON).events(), Ok(1));
    selector.modify(fd, READ.edge()).unwrap();
    for _ in 0..2 {
        assert_eq!(ready(&mut selector, SOON), BTreeMap::from([(fd, READ)]));
    }
    assert!(ready(&mut selector, NOW).is_empty());
    // A drained one has nothing to report.
    assert_eq!((&one).read(&mut [0; 8]).unwrap(), 1);
    selector.modify(fd, READ.edge()).unwrap();
    assert!(ready(&mut selector, NOW).is_empty());
}

pub fn edge_is_unsupported_on_poll_and_select<B: Kernel, M: Table>() {
    let (one, two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    let kind = selector.kind();
    if kind.supports_edge() {
        return assert!(matches!(kind, Kind::Epoll | Kind::Kqueue));
    }
    let fd = one.as_raw_fd();
    let error = Error::Unsupported { backend: kind.name(), events: READ, mode: Mode::Edge };
    let refused = selector.try_register(one, READ.edge(), "data").unwrap_err();
    assert_eq!((refused.error, refused.fileobj.as_raw_fd(), refused.data), (error, fd, "data"));
    assert!(selector.get_map().is_empty());

    selector.register(two, READ.one_shot(), "data").unwrap();
    let fd = selector.get_map().iter().next().unwrap().fd;
    assert_eq!(selector.modify(fd, READ.edge()), Err(error));
    assert_eq!(selector.get_key(fd).unwrap().mode, Mode::OneShot);
    drop(refused.fileobj);
    assert_eq!(ready(&mut selector, SOON).len(), 1, "still armed as before");
    assert!(ready(&mut selector, NOW).is_empty());
}

pub fn one_shot_is_reported_once_until_modify<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    let fd = one.as_raw_fd();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, READ.one_shot(), 7).unwrap();
    assert!(ready(&mut selector, NOW).is_empty());
    for again in [READ.one_shot(), READ.one_shot(), (READ | WRITE).one_shot(), WRITE.one_shot()] {
        two.write_all(b"!").unwrap();
        let delivered = selector.get_key(fd).unwrap().events;
        assert_eq!(ready(&mut selector, SOON), BTreeMap::from([(fd, delivered)]));
        two.write_all(b"!").unwrap();
        assert!(ready(&mut selector, NOW).is_empty());
        let key = selector.get_key(fd).unwrap();
        assert_eq!(
            (key.events, key.mode, key.data),
            (delivered, Mode::OneShot, 7),
            "the key stays"
        );
        agree(&selector);
        selector.modify(fd, again).unwrap();
        agree(&selector);
    }
    assert_eq!(ready(&mut selector, SOON), BTreeMap::from([(fd, WRITE)]));
}

/// Kernels report hang-ups even for an empty interest.
pub fn a_fired_one_shot_reports_no_hangup<B: Kernel, M: Table>() {
    let (one, two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, WRITE.one_shot(), ()).unwrap();
    assert_eq!(ready(&mut selector, SOON).len(), 1);
    drop(two);
    assert_eq!(selector.select(NOW).events(), Ok(0));
    selector.modify(&one, READ.one_shot()).unwrap();
    let delivered = ready(&mut selector, SOON)[&one.as_raw_fd()];
    assert!(delivered.contains(READ));
    let kind = selector.kind();
    if kind == Kind::Kqueue {
        assert!(delivered.contains(Events::READ_HANGUP), "the filter for reading knows of no more");
    } else {
        assert_eq!(delivered.contains(Events::HANGUP), B::reports(kind).hangup);
    }
    assert_eq!(selector.select(NOW).events(), Ok(0));
}

pub fn a_failed_modify_does_not_rearm<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, WRITE.one_shot(), ()).unwrap();
    assert_eq!(ready(&mut selector, SOON).len(), 1);
    for invalid in [Events::empty(), Events::HANGUP | WRITE] {
        assert_eq!(
            selector.modify(&one, invalid.one_shot()),
            Err(Error::InvalidEvents { events: invalid })
        );
    }
    assert!(ready(&mut selector, NOW).is_empty());
}

pub fn modify_may_change_the_mode_alone<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, WRITE, ()).unwrap();
    let modes = [
        Mode::OneShot,
        Mode::Level,
        Mode::Edge,
        Mode::OneShot,
        Mode::Edge,
        Mode::Level,
        Mode::OneShot,
    ];
    let modes =
        modes.into_iter().filter(|mode| *mode != Mode::Edge || selector.kind().supports_edge());
    for mode in modes.collect::<Vec<_>>() {
        selector.modify(&one, WRITE.with_mode(mode)).unwrap();
        assert_eq!(selector.get_key(&one).unwrap().mode, mode);
        agree(&selector);
        assert_eq!(ready(&mut selector, SOON).len(), 1, "{mode:?}");
        assert_eq!(ready(&mut selector, NOW).len(), usize::from(mode == Mode::Level), "{mode:?}");
    }
}

/// What the kernel does not report again must not be lost when the caller stops
/// consuming.
pub fn pending_events_survive_in_every_mode<B: Kernel, M: Table>() {
    for mode in [Mode::Level, Mode::OneShot, Mode::Edge] {
        let pairs: Vec<_> = (0..3).map(|_| pair()).collect();
        let mut selector = Selector::<B, _, _, M>::new().unwrap();
        if mode == Mode::Edge && !selector.kind().supports_edge() {
            continue;
        }
        for (one, _) in &pairs {
            selector.register(one, WRITE.with_mode(mode), ()).unwrap();
        }
        let mut delivered = BTreeMap::new();
        for _ in &pairs {
            assert!(selector.select(NOW).unwrap().events() > 0);
            let (key, events) = selector.next_ready().unwrap();
            assert_eq!(delivered.insert(key.fd, events), None, "delivered twice");
        }
        assert_eq!(delivered, pairs.iter().map(|(one, _)| (one.as_raw_fd(), WRITE)).collect());
        assert_eq!(ready(&mut selector, NOW).len(), if mode == Mode::Level { 3 } else { 0 });
    }
}

pub fn a_one_shot_modified_while_it_is_pending<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    let fd = one.as_raw_fd();
    two.write_all(b"!").unwrap();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, READ.one_shot(), ()).unwrap();
    for (now, delivered, then) in [
        (READ.one_shot(), Some(READ), None),
        (READ.into(), Some(READ), Some(READ)),
        ((READ | WRITE).one_shot(), Some(READ), None),
        (WRITE.one_shot(), None, Some(WRITE)),
    ] {
        assert_eq!(selector.select(SOON).events(), Ok(1));
        selector.modify(fd, now).unwrap();
        assert_eq!(selector.next_ready().map(|(_, events)| events), delivered, "{now:?}");
        let later = ready(&mut selector, NOW);
        assert_eq!(later.get(&fd).copied(), then, "{now:?}");
        selector.modify(fd, READ).unwrap();
        selector.modify(fd, READ.one_shot()).unwrap();
        agree(&selector);
    }
}

pub fn a_fired_one_shot_is_registered_again<B: Kernel, M: Table>() {
    let (one, two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&two, WRITE, ()).unwrap();
    for _ in 0..3 {
        selector.register(&one, WRITE.one_shot(), ()).unwrap();
        assert_eq!(ready(&mut selector, SOON).len(), 2);
        assert_eq!(ready(&mut selector, SOON).len(), 1);
        assert_eq!(selector.unregister(&one).unwrap().mode, Mode::OneShot);
        agree(&selector);
    }
}

/// Re-arming needs room where disarming made some.
pub fn a_full_table_fires_and_is_rearmed<B: Kernel, M: Table>() {
    let count = M::CAPACITY.unwrap_or(80);
    let Some(_reserved) = needs::descriptors(2 * count + 2) else { return };
    let pairs: Vec<_> = (0..count).map(|_| pair()).collect();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    for (one, _) in &pairs {
        selector.register(one, WRITE.one_shot(), ()).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(ready(&mut selector, SOON).len(), pairs.len());
        assert!(ready(&mut selector, NOW).is_empty());
        for (one, _) in &pairs {
            selector.modify(one, WRITE.one_shot()).unwrap();
        }
        agree(&selector);
    }
}
