//! More is ready than a wait returns, or than the caller consumes: each key has
//! its turn, and nothing is lost.
//!
//! epoll and kqueue return three events per wait here. poll and select return
//! all that is ready, so that the caller's loop, which breaks off after three,
//! is what divides them.

use crate::support::UnixStream;
use rustix::fd::{AsRawFd, RawFd};
use std::collections::BTreeMap;
use std::io::Write;

use selectors_core::{Events, Interest, Kind, Mode, Selector};

use crate::support::{Found, Kernel, NOW, SOON, Table, agree, pair};

const READY: usize = 8;

type Sel<'a, B, M> = Selector<<B as Kernel>::Small, &'a UnixStream, (), M>;

type Pairs = [(UnixStream, UnixStream); READY];

fn pairs() -> Pairs {
    [(); READY].map(|()| pair())
}

fn watching<B: Kernel, M: Table>(pairs: &Pairs, interest: impl Into<Interest>) -> Sel<'_, B, M> {
    let mut selector = Sel::<B, M>::new().unwrap();
    let interest = interest.into();
    for (one, _) in pairs {
        selector.register(one, interest, ()).unwrap();
    }
    selector
}

/// Waits, and takes at most so many.
fn take<B: Kernel, M: Table>(selector: &mut Sel<'_, B, M>, most: usize) -> Vec<RawFd> {
    assert!(selector.select(SOON).unwrap().events() > 0);
    let mut taken = Vec::new();
    while taken.len() < most {
        let Some((key, events)) = selector.next_ready() else { break };
        assert!(!events.is_empty());
        taken.push(key.fd);
    }
    assert!(!taken.is_empty());
    taken
}

fn modes<B: Kernel, M: Table>() -> impl Iterator<Item = Mode> {
    let edge = Sel::<B, M>::new().unwrap().kind().supports_edge();
    [Mode::OneShot, Mode::Edge].into_iter().filter(move |mode| edge || *mode != Mode::Edge)
}

/// How often each was reported.
#[derive(Default)]
struct Turns(BTreeMap<RawFd, usize>);

impl Turns {
    fn count(&mut self, reported: &[RawFd]) {
        for fd in reported {
            *self.0.entry(*fd).or_default() += 1;
        }
    }

    fn total(&self) -> usize {
        self.0.values().sum()
    }
}

pub fn equal_turns<B: Kernel, M: Table>() {
    let pairs = pairs();
    for most in [3, 1, 2, 4, 7, usize::MAX] {
        let mut selector = watching::<B, M>(&pairs, Events::WRITE);
        let mut turns = Turns::default();
        while turns.total() < 800 {
            let left = 800 - turns.total();
            turns.count(&take::<B, M>(&mut selector, most.min(left)));
        }
        let equal: BTreeMap<RawFd, usize> =
            pairs.iter().map(|(one, _)| (one.as_raw_fd(), 100)).collect();
        assert_eq!(turns.0, equal, "{most} taken per wait");
    }
}

pub fn a_batch_is_no_larger_than_said<B: Kernel, M: Table>() {
    let pairs = pairs();
    let mut selector = watching::<B, M>(&pairs, Events::WRITE);
    let batch = if matches!(selector.kind(), Kind::Poll | Kind::Select) { READY } else { 3 };
    for _ in 0..10 {
        assert_eq!(selector.select(SOON).events(), Ok(batch));
        let mut taken = 0;
        while selector.next_ready().is_some() {
            taken += 1;
        }
        assert_eq!(taken, batch);
    }
}

pub fn what_is_reported_once_survives_a_break<B: Kernel, M: Table>() {
    for mode in modes::<B, M>() {
        for most in 1..=4 {
            let pairs = pairs();
            let mut selector = watching::<B, M>(&pairs, Events::WRITE.with_mode(mode));
            let mut turns = Turns::default();
            while turns.total() < READY {
                turns.count(&take::<B, M>(&mut selector, most));
            }
            assert!(
                turns.0.len() == READY && turns.0.values().all(|turns| *turns == 1),
                "{:?}",
                turns.0
            );
            assert_eq!(selector.select(NOW).events(), Ok(0), "{mode:?}: reported again");
            agree(&selector);
        }
    }
}

/// More arrives between the waits, for keys that were reported already and for
/// keys that still wait.
pub fn what_arrives_late_is_not_lost<B: Kernel, M: Table>() {
    for mode in modes::<B, M>() {
        let mut pairs = pairs();
        for (_, two) in &mut pairs {
            two.write_all(b"!").unwrap();
        }
        let numbers: Vec<RawFd> = pairs.iter().map(|(one, _)| one.as_raw_fd()).collect();
        let mut peers: BTreeMap<RawFd, UnixStream> =
            pairs.iter().map(|(one, two)| (one.as_raw_fd(), two.try_clone().unwrap())).collect();
        let mut selector = watching::<B, M>(&pairs, Events::READ.with_mode(mode));
        let mut turns = Turns::default();
        for round in 0..40 {
            let reported = take::<B, M>(&mut selector, 3);
            turns.count(&reported);
            // A byte and a re-arming for each of them, so that all are owed
            // another turn.
            for fd in reported {
                peers.get_mut(&fd).unwrap().write_all(b"!").unwrap();
                selector.modify(fd, Events::READ.with_mode(mode)).unwrap();
            }
            let owed = numbers[round % READY];
            peers.get_mut(&owed).unwrap().write_all(b"!").unwrap();
        }
        assert_eq!(turns.0.len(), READY, "{mode:?}: {:?}", turns.0);
        let (least, most) = (turns.0.values().min().unwrap(), turns.0.values().max().unwrap());
        assert!(
            *least >= turns.total() / READY / 2 && most - least <= turns.total() / READY,
            "{:?}",
            turns.0
        );
    }
}

/// Keys come, go and change between the turns; those that stay have theirs.
pub fn changes_in_between_starve_no_key<B: Kernel, M: Table>() {
    let pairs = pairs();
    let restless = &pairs[3].0;
    for change in 0..3 {
        let mut selector = watching::<B, M>(&pairs, Events::WRITE);
        let mut turns = Turns::default();
        for round in 0..400 {
            turns.count(&take::<B, M>(&mut selector, 3));
            match change {
                0 => {
                    let _ = selector.unregister(restless).unwrap();
                    selector.register(restless, Events::WRITE, ()).unwrap();
                }
                1 if round % 2 == 0 => drop(selector.unregister(restless).unwrap()),
                1 => drop(selector.register(restless, Events::WRITE, ()).unwrap()),
                _ => {
                    let events =
                        if round % 2 == 0 { Events::WRITE | Events::READ } else { Events::WRITE };
                    selector.modify(restless, events).unwrap();
                }
            }
        }
        turns.0.remove(&restless.as_raw_fd());
        let (least, most) = (turns.0.values().min().unwrap(), turns.0.values().max().unwrap());
        assert_eq!(turns.0.len(), READY - 1);
        assert!(most - least <= 1, "change {change}: {:?}", turns.0);
    }
}

/// A reported key may be unregistered, as in servers. The others that were
/// ready with it are reported next.
pub fn an_unregistered_key_costs_no_other_its_turn<B: Kernel, M: Table>() {
    for mode in modes::<B, M>().chain([Mode::Level]) {
        let pairs = pairs();
        let mut selector = watching::<B, M>(&pairs, Events::WRITE.with_mode(mode));
        let mut left = READY;
        while left > 0 {
            for fd in take::<B, M>(&mut selector, 3) {
                let _ = selector.unregister(fd).expect("reported after it had left");
                left -= 1;
            }
            agree(&selector);
        }
        assert_eq!(selector.select(NOW).events(), Ok(0));
    }
}

/// What becomes ready while the others always are waits for no more than one
/// turn of each, and what was left of the batch.
pub fn a_late_key_has_its_turn<B: Kernel, M: Table>() {
    let pairs = pairs();
    for (late, mut peer) in pairs.iter().map(|(one, two)| (one, two)) {
        let mut selector = watching::<B, M>(&pairs, Events::WRITE);
        selector.modify(late, Events::READ).unwrap();
        let mut before = Turns::default();
        for _ in 0..11 {
            before.count(&take::<B, M>(&mut selector, 3));
        }
        assert!(!before.0.contains_key(&late.as_raw_fd()));
        peer.write_all(b"!").unwrap();
        let mut reported = Vec::new();
        while !reported.contains(&late.as_raw_fd()) {
            assert!(reported.len() < 2 * READY, "{reported:?}");
            reported.extend(take::<B, M>(&mut selector, 3));
        }
    }
}

/// A wake whose event finds no room in the batch is not lost with the marking
/// of the others.
pub fn a_wake_among_many_is_not_lost<B: Kernel, M: Table>() {
    let pairs = pairs();
    let mut selector = watching::<B, M>(&pairs, Events::WRITE.one_shot());
    let waker = selector.waker_in(M::cell()).unwrap();
    for _ in 0..3 {
        waker.wake().unwrap();
        let (mut reported, mut waits) = (0, 0);
        while !selector.select(NOW).unwrap().timed_out() {
            waits += 1;
            assert!(waits <= READY + 1, "a wake is reported once");
            // Further ones, while the first may still be in the kernel's queue.
            if reported == 3 {
                waker.wake().unwrap();
            }
            while selector.next_ready().is_some() {
                reported += 1;
            }
        }
        assert_eq!(reported, READY);
        waker.wake().unwrap();
        assert_eq!(selector.select(SOON).woken_and(), Ok(0));
        assert!(selector.next_ready().is_none());
        for (one, _) in &pairs {
            selector.modify(one, Events::WRITE.one_shot()).unwrap();
        }
    }
}
