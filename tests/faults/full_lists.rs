//! A storage whose lists refuse to grow, at each place where a selector makes
//! them grow. The selector must undo what it pushed before.

#![allow(unsafe_code, reason = "a storage of its own")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustix::io::{read, write};
use selectors_core::backend::{Any, Backend, Poll};
use selectors_core::storage::{List, Storage};
use selectors_core::{Error, Events, Kind, Selector, WakeCell};
use selectors_std::{GrowableList, HashIndex};

use crate::common::support::{Found, NOW, SOON, pair, ready};

thread_local! {
    /// How many more items this thread's lists accept, if that is limited.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

struct Limited<T>(GrowableList<T>);

impl<T> Default for Limited<T> {
    fn default() -> Self {
        Self(GrowableList::default())
    }
}

impl<T> Deref for Limited<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for Limited<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

// SAFETY: the list inside, which may also refuse a push.
unsafe impl<T> List<T> for Limited<T> {
    fn push(&mut self, item: T) -> Result<(), T> {
        match LEFT.get() {
            Some(0) => return Err(item),
            Some(left) => LEFT.set(Some(left - 1)),
            None => {}
        }
        self.0.push(item)
    }

    fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }
}

enum Refusing {}

// SAFETY: the containers are as their traits demand, and an `Arc` leads to one
// cell.
unsafe impl Storage for Refusing {
    type List<T> = Limited<T>;
    type Index = HashIndex;
    type Wake = Arc<WakeCell>;
}

type Sel<'a, B> = Selector<B, &'a UnixStream, usize, Refusing>;

/// Does something while only so many items may be pushed.
fn limited<T>(left: usize, work: impl FnOnce() -> T) -> T {
    LEFT.set(Some(left));
    let result = work();
    LEFT.set(None);
    result
}

/// Each of the streams becomes ready in turn, and it alone is reported.
fn all_work<B: Backend>(
    selector: &mut Sel<'_, B>,
    pairs: &[(UnixStream, UnixStream)],
    count: usize,
) {
    assert_eq!(selector.get_map().len(), count);
    let keys: Vec<_> = selector.get_map().iter().map(|key| key.fd).collect();
    for (one, two) in pairs {
        write(two, b"!").unwrap();
        let expected: BTreeMap<RawFd, Events> = keys
            .iter()
            .filter(|fd| **fd == one.as_raw_fd())
            .map(|fd| (*fd, Events::READ))
            .collect();
        assert_eq!(ready(selector, NOW), expected);
        read(one, &mut [0; 8]).unwrap();
        assert_eq!(selector.select(NOW).events(), Ok(0));
    }
}

/// Returns how often a registration and a change were refused.
fn refused_at_each_push<B: Backend>() -> (usize, usize) {
    let pairs: Vec<_> = (0..5).map(|_| pair()).collect();
    let (mut registrations, mut changes) = (0, 0);
    let mut selector = Sel::<B>::new().unwrap();
    for (number, (one, _)) in pairs.iter().enumerate() {
        for left in 0.. {
            let registered =
                limited(left, || selector.try_register(one, Events::READ, number).map(|_| ()));
            let Err(refused) = registered else { break };
            registrations += 1;
            assert!(matches!(refused.error, Error::Full { .. }), "{}", refused.error);
            assert_eq!((refused.fileobj.as_raw_fd(), refused.data), (one.as_raw_fd(), number));
            all_work(&mut selector, &pairs, number);
        }
        all_work(&mut selector, &pairs, number + 1);
    }

    // A one-shot that was delivered has no entry on poll; to re-arm it makes
    // one.
    let one = &pairs[2].0;
    for interest in [Events::WRITE.one_shot(), Events::READ.one_shot()] {
        selector.modify(one, Events::WRITE.one_shot()).unwrap();
        assert_eq!(ready(&mut selector, SOON), [(one.as_raw_fd(), Events::WRITE)].into());
        for left in 0.. {
            let Err(error) = limited(left, || selector.modify(one, interest)) else { break };
            changes += 1;
            assert!(matches!(error, Error::Full { .. }), "{error}");
            assert_eq!(ready(&mut selector, NOW), [].into(), "it is disarmed as before");
        }
    }
    selector.modify(one, Events::READ).unwrap();
    all_work(&mut selector, &pairs, pairs.len());
    for (one, _) in &pairs {
        assert_eq!(selector.unregister(one).unwrap().fileobj.as_raw_fd(), one.as_raw_fd());
    }
    all_work(&mut selector, &pairs, 0);
    (registrations, changes)
}

#[test]
fn a_list_that_refuses_leaves_nothing_behind() {
    // Each key has an item in poll's three lists.
    let (registrations, changes) = refused_at_each_push::<Poll<Refusing>>();
    assert!(registrations >= 15 && changes >= 2, "{registrations} and {changes}");

    let kind = Sel::<Any<Refusing>>::new().unwrap().kind();
    let (registrations, _) = refused_at_each_push::<Any<Refusing>>();
    assert!(registrations >= 5, "{kind}: {registrations}");
    assert_eq!(kind == Kind::Epoll, cfg!(any(target_os = "linux", target_os = "android")));
}

selectors_core::if_epoll! {
    #[test]
    fn a_list_that_refuses_leaves_nothing_behind_on_epoll() {
        let (registrations, changes) = refused_at_each_push::<selectors_core::backend::Epoll>();
        assert!(registrations >= 5 && changes == 0, "{registrations} and {changes}");
    }
}

selectors_core::if_select! {
    #[test]
    fn a_list_that_refuses_leaves_nothing_behind_on_select() {
        let (registrations, changes) = refused_at_each_push::<selectors_core::backend::Select<Refusing>>();
        assert!(registrations >= 10 && changes == 0, "{registrations} and {changes}");
    }
}
