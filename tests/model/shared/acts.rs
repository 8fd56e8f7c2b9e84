//! The same operation, done to a selector and to its model.

use std::os::fd::RawFd;

use selectors_core::backend::Backend;
use selectors_core::storage::Storage;
use selectors_core::{Error, KeyMut, Lookup, Selector, SelectorKey, SelectorType};

use super::keys::{Calls, Key, Keys, Name};
use super::language::{Act, Manner, Named, Place};
use super::source::{Source, catch};

/// A number by its place.
pub type Number = fn(Place) -> RawFd;

/// The way to name a key.
pub fn lookup(keys: &Keys, named: Named, number: Number) -> Option<Lookup> {
    let one = |which: u8, of: usize| usize::from(which) % of.max(1);
    match named {
        Named::At(place) => Some(number(place).into()),
        Named::Id(which) => Some(keys.all.values().nth(one(which, keys.all.len()))?.id?.into()),
        Named::Former(which) => {
            Some((*keys.former.iter().rev().nth(one(which, keys.former.len()))?).into())
        }
    }
}

fn assert_unregistered(former: &SelectorKey<Source, Name>, name: Name, expected: &Key) {
    assert_eq!(
        (former.fd, former.interest(), former.is_paused()),
        (expected.fd, expected.requested, expected.paused)
    );
    assert_eq!((former.data, Some(former.id())), (name, expected.id));
}

/// Does something to a key, by the key's own methods.
pub fn act<Sel: SelectorType<Source = Source, Data = Name>>(
    mut key: KeyMut<'_, Sel>,
    keys: &mut Keys,
    calls: &mut impl Calls,
    act: Act,
    number: Number,
) {
    keys.assert_same(&key);
    let name = key.data;
    match act {
        Act::Nothing => assert_eq!(*key.data_mut(), name),
        Act::Modify(requested) => {
            let requested = requested.interest();
            let expected = match keys.refusal(requested) {
                Ok(()) => keys.modify(calls, name, requested),
                refused => Ok(refused),
            };
            assert_eq!(catch(|| key.modify(requested)), expected);
        }
        Act::Pause => {
            keys.pause(calls, name);
            key.pause();
        }
        Act::Resume => {
            let expected = keys.resume(calls, name);
            assert_eq!(catch(|| key.resume()), expected);
        }
        Act::Unregister => {
            let expected = keys.unregister(calls, name);
            return assert_unregistered(&key.unregister(), name, &expected);
        }
        Act::Exchange(place, manner) => {
            // -1 is no number that a source can name.
            let fd = if number(place) == -1 { -2 } else { number(place) };
            let said = Source::after_exchange(fd, manner);
            let works = said.is_ok();
            keys.exchanged(calls, name, said, manner != Manner::Panic);
            let done = catch(|| {
                key.with_source(|source, data| {
                    assert_eq!(*data, name);
                    source.exchange(fd, manner);
                });
            });
            assert_eq!(done.is_ok(), works);
        }
    }
    keys.assert_same(&key);
}

/// Does something to a key, by the selector's methods that look it up.
pub fn call<B: Backend, M: Storage>(
    selector: &mut Selector<B, Source, Name, M>,
    lookup: Lookup,
    keys: &mut Keys,
    calls: &mut impl Calls,
    act: Act,
    number: Number,
) {
    let found = keys.look_up(lookup);
    match act {
        Act::Modify(requested) => {
            let requested = requested.interest();
            let expected = match keys.refusal(requested).and(found) {
                Ok(name) => keys.modify(calls, name, requested),
                Err(error) => Ok(Err(error)),
            };
            assert_eq!(catch(|| selector.modify(lookup, requested)), expected);
        }
        Act::Pause => {
            let expected = found.map(|name| keys.pause(calls, name));
            assert_eq!(selector.pause(lookup), expected);
        }
        Act::Resume => {
            let expected = match found {
                Ok(name) => keys.resume(calls, name),
                Err(error) => Ok(Err(error)),
            };
            assert_eq!(catch(|| selector.resume(lookup)), expected);
        }
        Act::Unregister => match (selector.unregister(lookup), found) {
            (Ok(former), Ok(name)) => {
                assert_unregistered(&former, name, &keys.unregister(calls, name));
            }
            (Err(error), found) => assert_eq!(Err(error), found),
            (Ok(former), _) => panic!("unregistered {lookup:?}: {former:?}"),
        },
        Act::Nothing | Act::Exchange(..) => through(selector, lookup, keys, calls, act, number),
    }
}

/// Does something to a key that `get_key_mut` returns.
pub fn through<B: Backend, M: Storage>(
    selector: &mut Selector<B, Source, Name, M>,
    lookup: Lookup,
    keys: &mut Keys,
    calls: &mut impl Calls,
    what: Act,
    number: Number,
) {
    match (selector.get_key_mut(lookup), keys.look_up(lookup)) {
        (Some(key), Ok(name)) => {
            assert_eq!(key.data, name);
            act(key, keys, calls, what, number);
        }
        (found, known) => {
            assert!(found.is_none(), "found {lookup:?}: {found:?}");
            assert_eq!(known, Err(Error::NotRegistered { key: lookup }));
        }
    }
}

/// Visits every key once.
pub fn walk<B: Backend, M: Storage>(
    selector: &mut Selector<B, Source, Name, M>,
    keys: &mut Keys,
    calls: &mut impl Calls,
    acts: [Act; 3],
    number: Number,
) {
    let mut left: Vec<_> = keys.all.keys().copied().collect();
    let mut turns = acts.into_iter().cycle();
    let mut walk = selector.walk();
    while let Some(key) = walk.next() {
        let place = left.iter().position(|name| *name == key.data);
        left.swap_remove(place.expect("visited twice"));
        act(key, keys, calls, turns.next().unwrap(), number);
    }
    assert!(left.is_empty(), "not visited: {left:?}");
}

/// Keeps the keys whose bits are set.
pub fn retain<B: Backend, M: Storage>(
    selector: &mut Selector<B, Source, Name, M>,
    keys: &mut Keys,
    calls: &mut impl Calls,
    bits: u8,
) {
    selector.retain(|key| {
        keys.assert_same(key);
        let (name, kept) = (key.data, bits >> (key.data % 8) & 1 == 1);
        if !kept {
            keys.unregister(calls, name);
        }
        kept
    });
}
