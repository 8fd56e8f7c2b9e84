//! The same use of a selector with one capacity, two, or four.

#![no_std]
#![no_main]

#[path = "../../../../../examples/no_std_daemon/src/start.rs"]
mod start;

use rustix::fd::BorrowedFd;
use selectors_core::{DefaultSelector, Events, SelectorCell};

type Selector<const N: usize> = DefaultSelector<BorrowedFd<'static>, u32, N>;

#[inline(never)]
fn exercise<const N: usize>(
    cell: &'static SelectorCell<Selector<N>>,
    fd: BorrowedFd<'static>,
) -> Option<u32> {
    let selector = cell.open().ok()?;
    selector.register(fd, Events::READ, 7).ok()?;
    selector.modify(&fd, Events::READ | Events::WRITE).ok()?;
    selector.select(None).ok()?;
    let reported =
        selector.next_ready().map(|(key, events)| key.data + u32::from(events.bits()))?;
    *selector.get_key_mut(&fd)?.data_mut() += 1;
    let sum = selector.get_map().iter().map(|key| key.data).sum::<u32>();
    Some(reported + sum + selector.unregister(&fd).ok()?.data)
}

fn main(_: start::Arguments) -> i32 {
    static A: SelectorCell<Selector<16>> = SelectorCell::new();
    static B: SelectorCell<Selector<32>> = SelectorCell::new();
    static C: SelectorCell<Selector<64>> = SelectorCell::new();
    static D: SelectorCell<Selector<100>> = SelectorCell::new();
    // SAFETY: nothing closes the standard output.
    let fd = unsafe { BorrowedFd::borrow_raw(1) };
    let mut done = [exercise(&A, fd), None, None, None];
    if cfg!(feature = "two") {
        done[1] = exercise(&B, fd);
    }
    if cfg!(feature = "four") {
        done[2..].copy_from_slice(&[exercise(&C, fd), exercise(&D, fd)]);
    }
    done.into_iter().flatten().sum::<u32>() as i32
}
