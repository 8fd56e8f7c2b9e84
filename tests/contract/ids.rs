//! What names a key: its id, its number, or anything that has a descriptor.

use crate::support::UnixStream;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::collections::HashSet;
use std::io::Write;
use std::rc::Rc;

#[cfg(unix)]
use rustix::io::dup2;
use selectors_core::{Error, Events, KeyId, Lookup, Selector};

use crate::support::{Kernel, NOW, SOON, Table, agree, apart, dup, pair, ready};
use crate::zombies::{Sel, empty_returns, watch, zombie};

const READ: Events = Events::READ;
const WRITE: Events = Events::WRITE;

/// Nothing is found by an id whose key has been unregistered, and nothing
/// happens to another key.
fn names_nothing<B: Kernel, S, D, M: Table>(selector: &mut Selector<B, S, D, M>, id: KeyId) {
    let missing = Error::NotRegistered { key: Lookup::Id(id) };
    assert!(selector.get_key(id).is_none() && selector.get_key_mut(id).is_none());
    assert!(!selector.get_map().contains(id) && selector.get_map().get(id).is_none());
    assert_eq!(selector.modify(id, WRITE), Err(missing));
    assert_eq!(selector.pause(id), Err(missing));
    assert_eq!(selector.resume(id), Err(missing));
    assert_eq!(selector.unregister(id).map(|_| ()), Err(missing));
}

/// An id does not name a later registration, not even that of the same source,
/// in the same slot, under the same number.
pub fn never_name_a_later_registration<B: Kernel, M: Table>() {
    let (one, two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    let other = selector.register(&two, WRITE, 0).unwrap().id();
    let mut ids = HashSet::from([other]);
    for number in 1..100 {
        let id = selector.register(&one, READ, number).unwrap().id();
        for old in ids.iter().copied().filter(|old| *old != other).collect::<Vec<_>>() {
            assert!(selector.get_key(old).is_none(), "{old:?} is not {id:?}");
        }
        assert!(ids.insert(id), "{id:?} is used again");
        assert_eq!(selector.get_key(id).unwrap().data, number);
        let key = selector.unregister(id).unwrap();
        assert_eq!((key.id(), key.data), (id, number));
        names_nothing(&mut selector, id);
    }
    let last = selector.register(&one, READ, 100).unwrap().id();
    for old in ids.into_iter().filter(|old| *old != other) {
        names_nothing(&mut selector, old);
    }
    assert_eq!(selector.get_key(&one).map(|key| (key.id(), key.events)), Some((last, READ)));
    assert_eq!(selector.get_key(other).map(|key| key.data), Some(0));
    assert_eq!(selector.get_map().len(), 2);
    agree(&selector);
    assert_eq!(ready(&mut selector, SOON), [(two.as_raw_fd(), WRITE)].into());
}

pub fn survive_what_happens_to_the_key<B: Kernel, M: Table>() {
    let mut selector = Sel::<B, M>::new().unwrap();
    let (one, mut two) = pair();
    watch(&mut selector, &one, READ, "key");
    let id = selector.get_key(&one).unwrap().id();
    let check = |selector: &mut Sel<B, M>| {
        let key = selector.get_key(id).unwrap();
        assert_eq!((key.id(), key.fd, key.data), (id, one.as_raw_fd(), "key"));
        assert_eq!(selector.get_key_mut(one.as_raw_fd()).unwrap().id(), id);
        agree(selector);
    };
    selector.modify(id, WRITE.one_shot()).unwrap();
    check(&mut selector);
    assert_eq!(ready(&mut selector, SOON).len(), 1);
    check(&mut selector);
    selector.pause(id).unwrap();
    check(&mut selector);
    let (_alive, _) = zombie(&mut selector);
    empty_returns(&mut selector);
    check(&mut selector);
    selector.modify(id, READ).unwrap();
    let (_alive, _) = zombie(&mut selector);
    empty_returns(&mut selector);
    check(&mut selector);
    two.write_all(b"!").unwrap();
    selector.select(SOON).unwrap();
    let (key, events) = selector.next_ready().unwrap();
    assert_eq!((key.id(), events), (id, READ));
    assert_eq!(key.unregister().id(), id);
    names_nothing(&mut selector, id);
}

/// Of a batch, one key leaves and its number comes back with another file,
/// which has nothing to report.
#[cfg(unix)]
pub fn a_number_comes_back_within_a_batch<B: Kernel, M: Table>() {
    let peers = [(); 3].map(|()| pair());
    let mut selector = Selector::<B, OwnedFd, _, M>::new().unwrap();
    let ids = [0, 1].map(|number| {
        rustix::io::write(&peers[number].1, b"!").unwrap();
        // A duplicate stays open, as a child process may have one.
        selector.register(apart(&peers[number].0), READ, "old").unwrap().id()
    });
    selector.select(SOON).unwrap();
    let first = selector.next_ready().unwrap().0.id();
    let second = if first == ids[0] { ids[1] } else { ids[0] };
    let mut fd = selector.unregister(second).unwrap().fileobj;
    dup2(&peers[2].0, &mut fd).unwrap();
    let number = fd.as_raw_fd();
    let new = selector.register(fd, READ, "new").unwrap().id();
    assert!(selector.next_ready().is_none());
    names_nothing(&mut selector, second);
    let _ = selector.unregister(first).unwrap();
    assert!(ready(&mut selector, NOW).is_empty());
    rustix::io::write(&peers[2].1, b"!").unwrap();
    selector.select(SOON).unwrap();
    let (key, _) = selector.next_ready().unwrap();
    assert_eq!((key.id(), key.fd, key.data), (new, number, "new"));
    agree(&selector);
}

#[cfg(unix)]
enum Peer {
    Stream(UnixStream),
    Number(OwnedFd),
}

#[cfg(unix)]
impl AsFd for Peer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stream(stream) => stream.as_fd(),
            Self::Number(fd) => fd.as_fd(),
        }
    }
}

/// No source needs `AsRawFd` to be looked up.
#[cfg(unix)]
pub fn look_ups_accept_anything_with_a_descriptor<B: Kernel, M: Table>() {
    let (one, two) = pair();
    let number = two.as_raw_fd();
    let shared = Rc::new(Peer::Stream(one));
    let mut selector = Selector::<B, Rc<Peer>, _, M>::new().unwrap();
    let id = selector.register(Rc::clone(&shared), WRITE, 0).unwrap().id();
    selector.register(Rc::new(Peer::Number(two.into())), READ, 1).unwrap();
    assert_eq!(selector.get_key(number).unwrap().data, 1);

    let peer: &Peer = &shared;
    let object: &dyn AsFd = &*shared;
    let boxed: Box<dyn AsFd> = Box::new(shared.as_fd());
    let borrowed: BorrowedFd<'_> = shared.as_fd();
    let lookups: [Lookup; 8] = [
        id.into(),
        borrowed.as_raw_fd().into(),
        (&shared).into(),
        peer.into(),
        object.into(),
        (&boxed).into(),
        (&borrowed).into(),
        (&&&shared).into(),
    ];
    for lookup in lookups {
        assert_eq!(selector.get_key(lookup).unwrap().id(), id, "{lookup:?}");
        assert_eq!(selector.get_map().get(lookup).unwrap().data, 0);
        assert_eq!(selector.get_key_mut(lookup).unwrap().id(), id);
        selector.modify(lookup, READ).unwrap();
        selector.pause(lookup).unwrap();
        selector.resume(lookup).unwrap();
        selector.modify(lookup, WRITE).unwrap();
    }
    // Each method accepts a reference to them.
    selector.modify(&shared, READ).unwrap();
    selector.modify(peer, WRITE).unwrap();
    assert!(selector.get_map().contains(&boxed) && selector.get_key(&borrowed).is_some());
    assert_eq!(selector.unregister(&*shared).unwrap().id(), id);
    assert!(selector.get_key(&shared).is_none());
    agree(&selector);
}

/// In each method that looks a key up.
pub fn what_is_unknown_is_not_registered<B: Kernel, M: Table>() {
    let (one, two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, READ, ()).unwrap();
    let other = dup(&two).unwrap();
    for key in [Lookup::from(&two), Lookup::from(&other), Lookup::Fd(!0), Lookup::Fd(RawFd::MIN)] {
        let missing = Error::NotRegistered { key };
        assert_eq!(selector.pause(key), Err(missing));
        assert_eq!(selector.resume(key), Err(missing));
        assert_eq!(selector.modify(key, READ), Err(missing));
        assert_eq!(selector.unregister(key).map(|_| ()), Err(missing));
        assert!(selector.get_key(key).is_none() && selector.get_key_mut(key).is_none());
    }
    assert_eq!(selector.get_map().len(), 1);
    agree(&selector);
}
