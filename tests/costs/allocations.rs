//! Neither crate allocates once a selector has grown to its size, and core's
//! never does.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use selectors_core::backend::{Backend, Poll};
use selectors_core::storage::{Fixed, Scan, Storage};
use selectors_core::{Error, Events, Selector, WakeCell, Waker};
use selectors_std::{Growable, GrowableList};

use crate::common::needs;
use crate::common::support::{Found, NOW, SOON, Table, pair};
use crate::common::{Check, every_pair};
use crate::counting::{bytes, calls, without_memory};

/// How many sources are registered at a time. At first these are the first of
/// them, then others.
const LIVE: usize = 28;
/// More than the map of `LIVE` keys has capacity for.
const SOURCES: usize = 4 * LIVE;

type Sources<'a> = [BorrowedFd<'a>];

/// Registers, modifies, waits, and unregisters while events are pending.
fn cycle<'a, B: Backend, M: Table>(
    selector: &mut Selector<B, BorrowedFd<'a>, usize, M>,
    sources: &Sources<'a>,
    first: usize,
) {
    for number in first..first + LIVE {
        selector.register(sources[number % SOURCES], Events::WRITE, number).unwrap();
    }
    for number in first..first + LIVE {
        let source = &sources[number % SOURCES];
        selector.modify(source, Events::READ | Events::WRITE).unwrap();
        selector.modify(source, Events::READ.one_shot()).unwrap();
        *selector.get_key_mut(source).unwrap().data_mut() += 1;
    }
    selector.select(Some(Duration::from_micros(50))).unwrap();
    let mut reported = 0;
    while reported < LIVE {
        assert_ne!(selector.select(SOON).unwrap().events(), 0);
        while let Some((key, events)) = selector.next_ready() {
            assert_eq!(events, Events::READ);
            reported += 1;
            let fd = key.fd;
            if reported % 2 == 0 {
                selector.modify(fd, Events::WRITE).unwrap();
            }
            let _ = selector.unregister(fd).unwrap();
        }
    }
    assert_eq!((reported, selector.get_map().len()), (LIVE, 0));
}

/// Keeps the number of keys, while one leaves and another comes. A map that
/// marks the slots of removed keys would fill up with these marks.
fn churn<'a, B: Backend, M: Table>(
    selector: &mut Selector<B, BorrowedFd<'a>, usize, M>,
    sources: &Sources<'a>,
) {
    for number in 0..LIVE {
        selector.register(sources[number % SOURCES], Events::READ, number).unwrap();
    }
    for number in LIVE..LIVE + 20 * SOURCES {
        let _ = selector.unregister(&sources[(number - LIVE) % SOURCES]).unwrap();
        selector.register(sources[number % SOURCES], Events::READ, number).unwrap();
        assert!(selector.get_key(&sources[number % SOURCES]).is_some());
    }
    for number in 20 * SOURCES..LIVE + 20 * SOURCES {
        let _ = selector.unregister(&sources[number % SOURCES]).unwrap();
    }
}

fn woken<B: Backend, M: Table>(
    selector: &mut Selector<B, BorrowedFd<'_>, usize, M>,
    waker: &Waker<M::Wake>,
) {
    let again = waker.clone();
    for _ in 0..3 {
        waker.wake().unwrap();
        again.wake().unwrap();
        assert_eq!(selector.select(SOON).woken_and(), Ok(0));
        assert!(selector.next_ready().is_none());
    }
    assert_eq!(selector.select(NOW).events(), Ok(0));
}

struct Allocates<'a>(&'a Sources<'a>, Vec<String>);

impl Check for Allocates<'_> {
    fn check<B: Backend, M: Table>(&mut self, pair: &str) {
        let sources = self.0;
        let cell = M::cell();
        let (grown, (mut selector, waker)) = calls(|| {
            let mut selector = Selector::<B, _, usize, M>::new().unwrap();
            let waker = selector.waker_in(cell).unwrap();
            cycle(&mut selector, sources, 0);
            (selector, waker)
        });
        let (steady, ()) = calls(|| {
            for round in 0..20 {
                cycle(&mut selector, sources, round * 11);
                churn(&mut selector, sources);
                woken(&mut selector, &waker);
            }
        });
        assert_eq!(steady, 0, "{pair}: calls of the allocator after {grown} while it grew");
        let (closed, ()) = calls(|| selector.close());
        let fixed = M::CAPACITY.is_some();
        assert_eq!(
            (grown == 0, closed == 0),
            (fixed, fixed),
            "{pair}: {grown} to grow, {closed} to close"
        );
        self.1.push(format!("{pair}: {grown} calls to grow, {steady} then, {closed} to close"));
    }
}

fn pairs() -> Vec<(UnixStream, UnixStream)> {
    let mut pairs: Vec<_> = (0..SOURCES).map(|_| pair()).collect();
    for (_, theirs) in &mut pairs {
        theirs.write_all(b"!").unwrap();
    }
    pairs
}

#[test]
fn a_selector_that_has_grown_allocates_nothing() {
    let Some(_reserved) = needs::descriptors(2 * SOURCES) else { return };
    let pairs = pairs();
    let sources: Vec<_> = pairs.iter().map(|(ours, _)| ours.as_fd()).collect();
    let mut check = Allocates(&sources, Vec::new());
    every_pair(&mut check);
    println!("{}", check.1.join("\n"));
    assert!(check.1.len() >= 4);
}

/// The error of a refusal has no text that would be allocated.
#[test]
fn refusals_allocate_nothing() {
    struct Refused<'a>(BorrowedFd<'a>);
    impl Check for Refused<'_> {
        fn check<B: Backend, M: Table>(&mut self, pair: &str) {
            let mut selector = Selector::<B, _, (), M>::new().unwrap();
            selector.register(self.0, Events::READ, ()).unwrap();
            let (calls, ()) = calls(|| {
                assert!(selector.register(self.0, Events::READ, ()).is_err());
                assert!(selector.register(self.0, Events::empty(), ()).is_err());
                assert!(selector.modify(-7, Events::READ).is_err());
                assert!(selector.unregister(1_000_000).is_err());
            });
            assert_eq!(calls, 0, "{pair}");
        }
    }
    let (ours, _theirs) = pair();
    every_pair(&mut Refused(ours.as_fd()));
}

#[test]
fn waiting_for_one_descriptor_allocates_nothing() {
    let (ours, theirs) = pair();
    let (calls, ()) = calls(|| {
        assert_eq!(selectors_core::wait(&ours, Events::READ, NOW), Ok(Events::empty()));
        assert_eq!(selectors_core::wait(&theirs, Events::WRITE, SOON), Ok(Events::WRITE));
    });
    assert_eq!(calls, 0);
}

/// Each call builds its arrays: the watched descriptors, the kernel's entries,
/// and each list of the result that is not empty. std may build the second of
/// these in two steps.
#[test]
fn three_lists_are_allocated_by_each_call() {
    const ARRAYS: std::ops::RangeInclusive<u64> = 4..=6;
    let Some(_reserved) = needs::descriptors(2 * SOURCES) else { return };
    let pairs = pairs();
    let (quiet, _theirs) = pair();
    let quiet = vec![&quiet; 100];
    let reported: Vec<_> = pairs.iter().map(|(ours, _)| ours).take(4).collect();
    for _ in 0..2 {
        let (calls, result) = calls(|| selectors_std::select(&quiet, &[], &quiet, NOW));
        assert!(ARRAYS.contains(&calls), "{calls}: each array is allocated and freed");
        let (readable, writable, exceptional) = result.unwrap();
        assert_eq!((readable.len(), writable.len(), exceptional.len()), (0, 0, 0));
        let (more, result) = self::calls(|| selectors_std::select(&reported, &reported, &[], SOON));
        assert_eq!(more, calls + 2, "two lists of the result are not empty");
        let (readable, writable, exceptional) = result.unwrap();
        assert_eq!((readable.len(), writable.len(), exceptional.len()), (4, 4, 0));
    }
    let (calls, _) = calls(|| selectors_std::select::<UnixStream>(&[], &[], &[], NOW));
    assert_eq!(calls, 0);
}

/// A growing table that can't grow returns the error of a full one, and loses
/// nothing.
struct WithoutMemory<'a> {
    sources: &'a Sources<'a>,
}

impl Check for WithoutMemory<'_> {
    fn check<B: Backend, M: Table>(&mut self, pair: &str) {
        let mut selector = Selector::<B, BorrowedFd<'_>, usize, M>::new().unwrap();
        let mut refusals = 0;
        for (number, source) in self.sources.iter().enumerate() {
            let refused =
                without_memory(|| selector.try_register(*source, Events::WRITE, number).err());
            let Some(refused) = refused else { continue };
            refusals += 1;
            assert!(matches!(refused.error, Error::Full { .. }), "{pair}: {}", refused.error);
            assert_eq!((refused.data, selector.get_map().len()), (number, number));
            selector.register(refused.fileobj, Events::WRITE, refused.data).unwrap();
        }
        assert_eq!(refusals > 0, M::CAPACITY.is_none(), "{pair}: {refusals}");
        let mut reported = 0;
        while reported < self.sources.len() {
            selector.select(SOON).unwrap();
            while let Some((key, _)) = selector.next_ready() {
                let fd = key.fd;
                let _ = selector.unregister(fd).unwrap();
                reported += 1;
            }
        }
        assert_eq!(selector.select(NOW).events(), Ok(0));
    }
}

#[test]
fn a_table_without_memory_is_full() {
    let Some(_reserved) = needs::descriptors(SOURCES) else { return };
    let pairs: Vec<_> = (0..SOURCES / 2).map(|_| pair()).collect();
    let sources: Vec<_> = pairs.iter().flat_map(|(one, two)| [one.as_fd(), two.as_fd()]).collect();
    every_pair(&mut WithoutMemory { sources: &sources });
}

/// The lists of a growing table without its hash map.
enum WithoutIndex {}

// SAFETY: containers of the two crates, and an `Arc` leads to one cell.
unsafe impl Storage for WithoutIndex {
    type List<T> = GrowableList<T>;
    type Index = Scan;
    type Wake = Arc<WakeCell>;
}

/// How many bytes a growing selector has allocated after each registration.
fn sizes<'a, M: Storage>(sources: &[BorrowedFd<'a>]) -> Vec<usize> {
    let mut sizes = Vec::with_capacity(sources.len());
    let before = bytes();
    let mut selector = Selector::<Poll<M>, BorrowedFd<'a>, u32, M>::new().unwrap();
    for (number, source) in (0..).zip(sources) {
        selector.register(*source, Events::READ, number).unwrap();
        sizes.push(usize::try_from(bytes() - before).unwrap());
    }
    sizes
}

/// Memory per key is what a server with ten thousand connections pays for.
#[test]
fn a_growing_table_takes_little_more_than_its_keys() {
    type Bounded<const N: usize> = Selector<Poll<Fixed<N>>, BorrowedFd<'static>, u32, Fixed<N>>;
    const KEY: usize = (size_of::<Bounded<1024>>() - size_of::<Bounded<512>>()) / 512;
    let Some(_reserved) = needs::descriptors(404) else { return };
    let (one, _two) = pair();
    let sources: Vec<_> = (0..400).map(|_| rustix::io::dup(&one).unwrap()).collect();
    let sources: Vec<_> = sources.iter().map(AsFd::as_fd).collect();
    let lists = sizes::<WithoutIndex>(&sources);
    let both = sizes::<Growable>(&sources);
    for (number, (lists, both)) in (1..).zip(lists.into_iter().zip(both)) {
        // An eighth may be spare capacity, and at least eight slots.
        let room = number + number / 8 + 8;
        assert!(
            (KEY * number..=KEY * room).contains(&lists),
            "{lists} bytes in lists for {number} keys"
        );
        // Nine bytes for each slot of the map. It doubles when seven eighths of
        // the slots are in use.
        let index = both - lists;
        assert!(
            (9 * number..=26 * number + 100).contains(&index),
            "{index} bytes of index for {number} keys"
        );
    }
}
