//! Parents and children with selectors of their own.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use selectors_core::backend::Backend;
use selectors_core::storage::Storage;
use selectors_core::{Error, Events, Kind, Selector, Waker};

use super::process::{Turn, forked};
use crate::common::support::{NOW, SOON, Table, pair};

pub(crate) type Waiting<B, M> = Selector<B, OwnedFd, (), M>;
/// What a child drops or forgets.
pub(crate) type Inherited<B, M> =
    (Waiting<B, M>, Waker<<M as Storage>::Wake>, <M as Storage>::Wake);

pub(crate) fn new<B: Backend, M: Table>(cell: &M::Wake) -> (Waiting<B, M>, Waker<M::Wake>) {
    let mut selector = Selector::new().unwrap();
    let waker = selector.waker_in(cell.clone()).unwrap();
    (selector, waker)
}

pub(crate) fn woken<B: Backend, M: Table>(selector: &mut Waiting<B, M>) {
    assert!(selector.select(SOON).unwrap().woken());
    assert!(selector.next_ready().is_none());
    quiet(selector);
}

fn quiet<B: Backend, M: Table>(selector: &mut Waiting<B, M>) {
    assert!(selector.select(NOW).unwrap().timed_out());
    assert!(selector.next_ready().is_none());
}

/// Its waker and its cell wake it, and each wake ends one wait.
pub(crate) fn works<B: Backend, M: Table>(
    selector: &mut Waiting<B, M>,
    waker: &Waker<M::Wake>,
    cell: &M::Wake,
) {
    quiet(selector);
    for _ in 0..3 {
        waker.wake().unwrap();
        woken(selector);
        cell.wake().unwrap();
        waker.wake().unwrap();
        woken(selector);
    }
}

/// What a child does with a selector that it has inherited.
pub(crate) fn leave<B: Backend, M: Table>(selector: &mut Option<Waiting<B, M>>) {
    let selector = selector.take().unwrap();
    if selector.kind() == Kind::Kqueue {
        // It was not inherited, and its number may be another file's.
        std::mem::forget(selector);
    }
}

/// A child with a selector of its own on the inherited cell: with a wake of the
/// parent pending or not, and whatever it does with the inherited selector.
pub fn a_child_with_its_own_selector<B: Backend, M: Table>() {
    for pending in [false, true] {
        for (leave_before, leave_after) in [(true, false), (false, true), (false, false)] {
            let cell = M::cell();
            let (selector, waker) = new::<B, M>(&cell);
            let mut selector = Some(selector);
            if pending {
                waker.wake().unwrap();
            }
            forked(|| {
                if leave_before {
                    leave(&mut selector);
                }
                let (mut own, wakes_it) = new::<B, M>(&cell);
                works(&mut own, &wakes_it, &cell);
                assert_eq!(waker.wake(), Err(Error::WakerClosed));
                let mut second = Waiting::<B, M>::new().unwrap();
                assert_eq!(second.waker_in(cell.clone()).unwrap_err(), Error::WakerInUse);
                if leave_after {
                    leave(&mut selector);
                }
                works(&mut own, &wakes_it, &cell);
                drop(own);
                assert_eq!(cell.wake(), Err(Error::WakerClosed));
                let (mut own, wakes_it) = new::<B, M>(&cell);
                assert_eq!(waker.wake(), Err(Error::WakerClosed));
                works(&mut own, &wakes_it, &cell);
            })
            .succeeded();
            let mut selector = selector.unwrap();
            if pending {
                woken(&mut selector);
            }
            works(&mut selector, &waker, &cell);
        }
    }
}

/// A child that drops what it inherits, also the cell, ends nothing in the
/// parent.
pub fn a_child_that_only_drops_what_it_inherits<B: Backend, M: Table>() {
    let (ours, _theirs) = pair();
    for pending in [false, true] {
        let cell = M::cell();
        let (mut selector, waker) = new::<B, M>(&cell);
        selector.register(ours.try_clone().unwrap().into(), Events::WRITE.one_shot(), ()).unwrap();
        let mut inherited = Some((selector, waker, cell));
        if pending {
            inherited.as_ref().unwrap().1.wake().unwrap();
        }
        forked(|| {
            let (selector, waker, cell) = inherited.take().unwrap();
            leave(&mut Some(selector));
            drop((waker, cell));
        })
        .succeeded();
        let (mut selector, waker, cell) = inherited.unwrap();
        let result = selector.select(SOON).unwrap();
        assert_eq!((result.events(), result.woken()), (1, pending));
        assert_eq!(selector.next_ready().map(|(_, events)| events), Some(Events::WRITE));
        works(&mut selector, &waker, &cell);
    }
}

pub fn a_child_that_ends_at_once<B: Backend, M: Table>() {
    let cell = M::cell();
    let (mut selector, waker) = new::<B, M>(&cell);
    for _ in 0..3 {
        waker.wake().unwrap();
        forked(|| {}).succeeded();
        woken(&mut selector);
        forked(|| {}).succeeded();
        works(&mut selector, &waker, &cell);
    }
}

/// Hundreds of wakes of each process, while the other one waits. None ends a
/// wait of the other one.
pub fn parent_and_child_wait_at_the_same_time<B: Backend, M: Table>() {
    const WAKES: usize = 300;
    let cell = M::cell();
    let (mut selector, waker) = new::<B, M>(&cell);
    let (ready, parents_are_over, childs_are_over) = (Turn::new(), Turn::new(), Turn::new());
    let child = forked(|| {
        let (mut own, wakes_it) = new::<B, M>(&cell);
        ready.give();
        while !parents_are_over.is_given() {
            assert!(
                own.select(Some(Duration::from_millis(1))).unwrap().timed_out(),
                "a wake of the parent"
            );
        }
        for _ in 0..WAKES {
            wakes_it.wake().unwrap();
            woken(&mut own);
        }
        childs_are_over.give();
    });
    ready.wait();
    for _ in 0..WAKES {
        waker.wake().unwrap();
        woken(&mut selector);
    }
    parents_are_over.give();
    while !childs_are_over.is_given() {
        assert!(
            selector.select(Some(Duration::from_millis(1))).unwrap().timed_out(),
            "a wake of the child"
        );
    }
    child.succeeded();
    works(&mut selector, &waker, &cell);
}

/// Three generations, each with a selector on the same cell, and each with a
/// wake that is pending at its fork.
pub fn children_of_children<B: Backend, M: Table>() {
    fn generation<B: Backend, M: Table>(cell: &M::Wake, older: &[Waker<M::Wake>], left: u32) {
        let (mut selector, waker) = new::<B, M>(cell);
        works(&mut selector, &waker, cell);
        let mut wakers = older.to_vec();
        wakers.push(waker.clone());
        for pending in [true, false] {
            if pending {
                waker.wake().unwrap();
            }
            if left > 0 {
                forked(|| generation::<B, M>(cell, &wakers, left - 1)).succeeded();
            }
            assert!(older.iter().all(|older| older.wake() == Err(Error::WakerClosed)));
            if pending {
                woken(&mut selector);
            }
            works(&mut selector, &waker, cell);
        }
    }
    generation::<B, M>(&M::cell(), &[], 2);
}

/// No selector has it then, but one had. Both processes attach it, and have
/// nothing in common.
pub fn a_cell_that_is_free_at_the_fork<B: Backend, M: Table>() {
    let cell = M::cell();
    let (selector, stale) = new::<B, M>(&cell);
    stale.wake().unwrap();
    drop(selector);
    let (attached, over) = (Turn::new(), Turn::new());
    let child = forked(|| {
        let (mut own, waker) = new::<B, M>(&cell);
        works(&mut own, &waker, &cell);
        attached.give();
        over.wait();
        works(&mut own, &waker, &cell);
    });
    attached.wait();
    let (mut selector, waker) = new::<B, M>(&cell);
    works(&mut selector, &waker, &cell);
    over.give();
    child.succeeded();
    works(&mut selector, &waker, &cell);
    assert_eq!(stale.wake(), Err(Error::WakerClosed));
}

/// The waker is that of the first selector in both processes. It does not wake
/// the second.
pub fn an_inherited_waker_and_the_next_selector_of_the_parent<B: Backend, M: Table>() {
    let cell = M::cell();
    let (selector, waker) = new::<B, M>(&cell);
    let (again, over) = (Turn::new(), Turn::new());
    let child = forked(|| {
        again.wait();
        // Whether its selector has been dropped is not known here.
        let _ = waker.wake();
        over.give();
    });
    drop(selector);
    let (mut selector, waker) = new::<B, M>(&cell);
    again.give();
    over.wait();
    works(&mut selector, &waker, &cell);
    child.succeeded();
}

/// The waker belongs to the parent as long as the cell does. If the child drops
/// the inherited selector, the waker still wakes the parent, and no wake of the
/// parent is lost.
pub fn an_inherited_waker_that_is_used_before_the_cell_is_attached<B: Backend, M: Table>() {
    for (pending, leaves) in [(false, false), (true, false), (false, true), (true, true)] {
        let cell = M::cell();
        let (selector, waker) = new::<B, M>(&cell);
        let mut selector = Some(selector);
        if pending {
            waker.wake().unwrap();
        }
        forked(|| {
            if leaves {
                leave(&mut selector);
            }
            waker.wake().unwrap();
        })
        .succeeded();
        let mut selector = selector.unwrap();
        woken(&mut selector);
        works(&mut selector, &waker, &cell);
    }
}

/// This is a mistake of a program. It does not lose the wakes of the selector
/// that has the cell in this process.
pub fn an_inherited_selector_that_is_used_after_the_cell_is_attached<B: Backend, M: Table>() {
    let cell = M::cell();
    let (mut selector, waker) = new::<B, M>(&cell);
    if selector.kind() == Kind::Kqueue {
        return; // A child has no copy of it that could be used.
    }
    let (woken_here, over) = (Turn::new(), Turn::new());
    let child = forked(|| {
        let (mut own, wakes_it) = new::<B, M>(&cell);
        woken_here.wait();
        for _ in 0..3 {
            wakes_it.wake().unwrap();
            selector.select(NOW).unwrap();
            assert!(selector.next_ready().is_none());
            woken(&mut own);
        }
        // A second handle is for what it had.
        assert_eq!(selector.waker_in(cell.clone()).unwrap().wake(), Err(Error::WakerClosed));
        works(&mut own, &wakes_it, &cell);
        over.give();
    });
    waker.wake().unwrap();
    woken_here.give();
    over.wait();
    child.succeeded();
}

/// A thread that only the parent has was perhaps in the middle of a wake. The
/// child does not wait for it, and keeps no descriptor open because of it.
pub fn forks_in_the_middle_of_wakes<B: Backend, M: Table>() {
    let cell = M::cell();
    let (mut selector, waker) = new::<B, M>(&cell);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                waker.wake().unwrap();
            }
        });
        // Also after a panic, as the scope waits for the thread.
        let _over = Over(&over);
        for _ in 0..50 {
            assert!(selector.select(SOON).unwrap().woken());
            forked(|| {
                let before = next();
                for _ in 0..3 {
                    let (mut own, wakes_it) = new::<B, M>(&cell);
                    works(&mut own, &wakes_it, &cell);
                    drop(own);
                    assert_eq!(next(), before, "a descriptor is left open");
                }
            })
            .succeeded();
        }
    });
    let _ = selector.select(NOW).unwrap();
    works(&mut selector, &waker, &cell);
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The number of the next descriptor that is opened.
fn next() -> RawFd {
    rustix::io::dup(std::io::stdin()).unwrap().as_raw_fd()
}

/// A cell has descriptors as long as a selector has the cell.
pub fn nothing_is_left_open<B: Backend, M: Table>() {
    // The emulated kqueue then keeps the number of the first selector.
    drop(Waiting::<B, M>::new().unwrap());
    let cell = M::cell();
    let before = next();
    for _ in 0..100 {
        let (mut selector, waker) = new::<B, M>(&cell);
        works(&mut selector, &waker, &cell);
        drop(selector);
        assert_eq!(next(), before);
    }
}
