//! The number of instructions of a handler does not depend on the number of
//! keys.
//!
//! The test runs itself again under valgrind, which counts what one function
//! and those that it calls execute.

use std::collections::BTreeMap;
use std::os::fd::{OwnedFd, RawFd};
use std::process::Command;
use std::{env, fs};

use rustix::event::{EventfdFlags, eventfd};
use selectors_core::backend::{Backend, Epoll, Poll, Select};
use selectors_core::{Events, Mode};
use selectors_std::{Growable, Selector};

use crate::common::alone::{is_alone, run_under};
use crate::common::needs;

const READ: Events = Events::READ;
const BOTH: Events = Events::READ.union(Events::WRITE);

type Sel<B> = Selector<B, OwnedFd, usize, Growable>;

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

fn handle<B: Backend>(
    selector: &mut Sel<B>,
    work: Work,
    (fd, number): (RawFd, usize),
    fds: &[RawFd],
) {
    match work {
        Work::ModifyAll => {
            for fd in fds {
                selector.modify(*fd, BOTH).unwrap();
            }
        }
        Work::RemoveHalf => {
            for fd in fds.iter().skip(1).step_by(2) {
                drop(selector.unregister(*fd).unwrap());
            }
        }
        Work::ModifyTwo => {
            selector.modify(fd, BOTH).unwrap();
            selector.modify(fds[(number + 1) % fds.len()], READ).unwrap();
        }
        Work::Remove => drop(selector.unregister(fd).unwrap()),
        Work::Rearm => selector.modify(fd, READ.one_shot()).unwrap(),
    }
}

/// Handles so many events. Valgrind finds it by its name.
#[inline(never)]
fn counted_batches<B: Backend>(selector: &mut Sel<B>, work: Work, fds: &[RawFd], expected: usize) {
    let mut events = 0;
    while events < expected {
        assert_ne!(selector.select(None).unwrap().events(), 0);
        while let Some((key, _)) = selector.next_ready() {
            events += 1;
            let key = (key.fd, key.data);
            if events == 1 || !matches!(work, Work::ModifyAll | Work::RemoveHalf) {
                handle(selector, work, key, fds);
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

fn batch<B: Backend>(backend: &str, work: Work, count: usize) {
    let mut selector = Sel::<B>::new().unwrap();
    let mut fds = Vec::new();
    let mode = if matches!(work, Work::Rearm) { Mode::OneShot } else { Mode::Level };
    for number in 0..count {
        let fd = eventfd(1, EventfdFlags::CLOEXEC).unwrap();
        fds.push(selector.register(fd, READ.with_mode(mode), number).unwrap().fd);
    }
    let expected = if matches!(work, Work::RemoveHalf) { count / 2 } else { count };
    counted_batches(&mut selector, work, &fds, expected);
    counting_ends();
    println!("batch: {backend}, {work:?}");
}

const SIZES: [usize; 3] = [100, 200, 400];

fn all() {
    for (work, size) in ALL.into_iter().flat_map(|work| SIZES.map(|size| (work, size))) {
        batch::<Epoll>("epoll", work, size);
        batch::<Poll<Growable>>("poll", work, size);
        batch::<Select<Growable>>("select", work, size);
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
    assert_eq!(counts.len(), 3 * ALL.len());
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
