//! The number of instructions of a handler does not depend on the number of
//! keys, if it finds them by id on either table, or by number on the growing
//! one. The fixed one looks through its keys for a number.
//!
//! The test runs itself again under valgrind, which counts what one function
//! and those that it calls execute.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::{env, fs};

use rustix::event::{EventfdFlags, eventfd};
use selectors_core::backend::{Backend, Epoll, Poll, Select};
use selectors_core::storage::Fixed;
use selectors_core::{Events, Lookup, Mode, Selector};
use selectors_std::Growable;

use crate::common::alone::{is_alone, run_under};
use crate::common::needs;
use crate::common::support::Table;

const READ: Events = Events::READ;
const BOTH: Events = Events::READ.union(Events::WRITE);

type Sel<B, M> = Selector<B, OwnedFd, usize, M>;

/// A table with capacity for all that is registered.
type Few = Fixed<512>;

/// What a handler does: to the key that is reported, and to all keys.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// The first one modifies every key, as there is something to send to all.
    ModifyAll,
    /// The first one unregisters every second key.
    RemoveHalf,
    /// Each one modifies its key and the next one.
    ModifyTwo,
    /// Each one unregisters its key.
    Remove,
    /// Each one arms its key again, which is a one-shot.
    Rearm,
}

const ALL: [Work; 5] =
    [Work::ModifyAll, Work::RemoveHalf, Work::ModifyTwo, Work::Remove, Work::Rearm];

fn handle<B: Backend, M: Table>(
    selector: &mut Sel<B, M>,
    work: Work,
    number: usize,
    keys: &[Lookup],
) {
    let key = keys[number];
    match work {
        Work::ModifyAll => {
            for key in keys {
                selector.modify(*key, BOTH).unwrap();
            }
        }
        Work::RemoveHalf => {
            for key in keys.iter().skip(1).step_by(2) {
                drop(selector.unregister(*key).unwrap());
            }
        }
        Work::ModifyTwo => {
            selector.modify(key, BOTH).unwrap();
            selector.modify(keys[(number + 1) % keys.len()], READ).unwrap();
        }
        Work::Remove => drop(selector.unregister(key).unwrap()),
        Work::Rearm => selector.modify(key, READ.one_shot()).unwrap(),
    }
}

/// Handles so many events. Valgrind finds it by its name.
#[inline(never)]
fn counted_batches<B: Backend, M: Table>(
    selector: &mut Sel<B, M>,
    work: Work,
    keys: &[Lookup],
    expected: usize,
) {
    let mut events = 0;
    while events < expected {
        assert_ne!(selector.select(None).unwrap().events(), 0);
        while let Some((key, _)) = selector.next_ready() {
            events += 1;
            let number = key.data;
            if events == 1 || !matches!(work, Work::ModifyAll | Work::RemoveHalf) {
                handle(selector, work, number, keys);
            }
        }
    }
}

/// Valgrind writes here what it has counted since the call of
/// `counted_batches`.
#[inline(never)]
fn counting_ends() {
    std::hint::black_box("ends");
}

fn batch<B: Backend, M: Table>(by: &str, work: Work, count: usize) {
    let mut selector = Sel::<B, M>::new().unwrap();
    let mut keys = Vec::<Lookup>::new();
    let mode = if matches!(work, Work::Rearm) { Mode::OneShot } else { Mode::Level };
    for number in 0..count {
        let fd = eventfd(1, EventfdFlags::CLOEXEC).unwrap();
        let key = selector.register(fd, READ.with_mode(mode), number).unwrap();
        keys.push(if by == "number" { key.fd.into() } else { key.id().into() });
    }
    let expected = if matches!(work, Work::RemoveHalf) { count / 2 } else { count };
    counted_batches(&mut selector, work, &keys, expected);
    counting_ends();
    let table = if M::CAPACITY.is_some() { "fixed" } else { "growable" };
    println!("batch: {}, {work:?}, {table} by {by}", selector.kind());
}

const SIZES: [usize; 3] = [100, 200, 400];

fn all() {
    for (work, size) in ALL.into_iter().flat_map(|work| SIZES.map(|size| (work, size))) {
        for by in ["number", "id"] {
            batch::<Epoll, Growable>(by, work, size);
            batch::<Poll<Growable>, Growable>(by, work, size);
            batch::<Select<Growable>, Growable>(by, work, size);
        }
        batch::<Epoll, Few>("id", work, size);
        batch::<Poll<Few>, Few>("id", work, size);
    }
}

/// What was counted, and the instructions with each number of keys.
type Counts = BTreeMap<String, Vec<f64>>;

fn counts() -> Option<Counts> {
    let valgrind = needs::installed("valgrind")?;
    // Valgrind keeps to the soft limit that it was started with.
    let _descriptors = needs::descriptors(SIZES[2] + 20)?;
    let folder = env::temp_dir().join(format!("selectors-linear-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let out = folder.join("part");
    let mut command = Command::new(valgrind);
    command
        .args([
            "--tool=callgrind",
            "--zero-before=*counted_batches*",
            "--dump-before=*counting_ends*",
        ])
        .arg(format!("--callgrind-out-file={}", out.display()));
    let text = run_under(command, batches_are_linear);
    let mut counts = Counts::new();
    let batches = text.lines().filter_map(|line| line.split_once("batch: ")).map(|(_, what)| what);
    for (part, what) in (1..).zip(batches) {
        let dump = fs::read_to_string(format!("{}.{part}", out.display())).unwrap();
        let total = dump.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap();
        counts.entry(what.to_owned()).or_default().push(total.trim().parse().unwrap());
    }
    fs::remove_dir_all(folder).unwrap();
    Some(counts)
}

#[test]
fn batches_are_linear() {
    if is_alone() {
        return all();
    }
    let Some(counts) = counts() else { return };
    assert_eq!(counts.len(), 8 * ALL.len());
    for (what, counts) in counts {
        println!("{what}: {counts:?} instructions with {SIZES:?} keys");
        let [small, medium, large] = counts[..] else { panic!("{counts:?}") };
        // Twice the keys, twice the instructions. The list of select is sorted,
        // so that a removal moves a part of it. It has no more than 1024 keys.
        let growth = (large - medium) / (medium - small);
        let moved = what.starts_with("select, Remove");
        assert!(growth <= if moved { 3.5 } else { 2.3 }, "{what} grows {growth:.2} times");
    }
}
