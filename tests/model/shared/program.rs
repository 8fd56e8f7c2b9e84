//! Runs a program on each selector, and compares it with its model and with the
//! other selectors.

use std::collections::BTreeMap;
use std::os::fd::RawFd;

use selectors_core::backend::{Any, Epoll, Poll, Select};
use selectors_core::storage::Fixed;
use selectors_core::{Events, Kind, Selector};
use selectors_std::Growable;

use super::emulated_kqueue::systems::{FreeBsd, MacOs, NetBsd, NoReceipts, On};
use super::emulated_kqueue::{Kqueue, queue};
use super::language::{LONGEST, Step};
use super::subject::{Modeled, Subject, Table};
use super::world::{World, open_descriptors};

/// Fewer than there are places, so that it fills up.
type Few = Fixed<5>;

/// How many kinds of selectors `make` knows.
pub const KINDS: usize = 14;

/// Batches of one, three and more than enough; each backend with both tables.
fn make(kind: usize) -> Box<dyn Subject> {
    match kind % KINDS {
        0 => Box::new(Modeled::<Epoll<3>, Few>::new(0, 3).with_own_descriptor()),
        1 => Box::new(Modeled::<Poll<Few>, Few>::new(1, usize::MAX)),
        2 => Box::new(Modeled::<Select<Few>, Few>::new(2, usize::MAX)),
        3 => Box::new(Modeled::<Epoll<256>, Growable>::new(3, 256).with_own_descriptor()),
        4 => Box::new(Modeled::<Poll<Growable>, Growable>::new(4, usize::MAX)),
        5 => Box::new(Modeled::<Select<Growable>, Growable>::new(5, usize::MAX)),
        6 => Box::new(Modeled::<Epoll<1>, Growable>::new(6, 1).with_own_descriptor()),
        7 => Box::new(Modeled::<Any<Few, 2>, Few>::new(7, 2)),
        // Room for both filters of all: a wait that returns a part of a key's
        // events is tested by the contract.
        8 => Box::new(Modeled::<Kqueue<32>, Few>::new(8, 32)),
        9 => Box::new(Modeled::<Kqueue<32>, Growable>::new(9, 32)),
        // The other kernels differ in what they refuse and acknowledge, and in
        // what becomes of a broken pipe.
        10 => Box::new(Modeled::<On<NetBsd, 32>, Growable>::new(10, 32)),
        11 => Box::new(Modeled::<On<NoReceipts, 32>, Few>::new(11, 32)),
        12 => Box::new(Modeled::<On<FreeBsd, 32>, Growable>::new(12, 32)),
        _ => Box::new(Modeled::<On<MacOs, 32>, Few>::new(13, 32)),
    }
}

/// The cells of those that don't allocate open their descriptors once and keep
/// them.
fn open_cells() {
    fn open<M: Table>(number: usize) {
        Selector::<Poll<Few>, std::fs::File, (), Few>::new()
            .unwrap()
            .waker_in(Few::cell(number))
            .unwrap();
    }
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| (0..KINDS).for_each(open::<Few>));
}

type Delivered = BTreeMap<(RawFd, u16), Events>;

/// Two selectors with the same registrations must have delivered the same. What
/// each has delivered was compared with its model; this finds what the models
/// have in common.
fn compare(one: (Kind, &Delivered), two: (Kind, &Delivered)) {
    let ends = Events::HANGUP | Events::ERROR;
    for (key, delivered) in one.1 {
        let Some(other) = two.1.get(key) else { continue };
        let differs = !(one.0.reports_error() && two.0.reports_error())
            && (*delivered | *other).intersects(ends);
        if differs {
            continue;
        }
        let half = if one.0.reports_hangup() && two.0.reports_hangup() {
            Events::READ_HANGUP
        } else {
            Events::empty()
        };
        let seen = Events::READ | Events::WRITE | Events::PRIORITY | ends | half;
        assert_eq!(*delivered & seen, *other & seen, "{} and {} of {key:?}", one.0, two.0);
    }
}

fn settle(world: &World, subjects: &mut [Box<dyn Subject>]) {
    let before = world.look();
    let all: Vec<_> =
        subjects.iter_mut().map(|subject| (subject.kind(), subject.settle(world))).collect();
    // TCP may take its time.
    if before == world.look() {
        for pair in all.windows(2) {
            compare((pair[0].0, &pair[0].1), (pair[1].0, &pair[1].1));
        }
    }
}

/// Runs the steps on selectors of these kinds, and checks after each that all
/// is as the models say.
pub fn run(steps: &[Step], kinds: impl Iterator<Item = usize>) {
    let mut world = World::new();
    queue::end_all();
    open_cells();
    let open = open_descriptors();
    let mut subjects: Vec<_> = kinds.map(make).collect();
    for step in &steps[..steps.len().min(LONGEST)] {
        world.step(step);
        if matches!(step, Step::Settle) {
            settle(&world, &mut subjects);
        }
        for subject in &mut subjects {
            subject.step(&world, step);
            subject.check(&world);
        }
    }
    drop(subjects);
    queue::end_all();
    world.close();
    assert_eq!(open_descriptors(), open, "descriptors have leaked");
}

/// As above, on all of them.
pub fn run_all(steps: &[Step]) {
    run(steps, 0..KINDS);
}
