//! What a program calls while it runs, for each backend of Linux: functions
//! that are not inlined, so that the test finds them, with arguments that the
//! compiler can't know.

#![no_std]
#![no_main]

#[path = "../../../../../examples/no_std_daemon/src/start.rs"]
mod start;

use core::time::Duration;

use rustix::fd::{BorrowedFd, RawFd};
use selectors_core::backend::{Any, Backend, Epoll, Poll, Select};
use selectors_core::storage::Fixed;
use selectors_core::{Events, Interest, Mode, SelectorCell, WakeCell};

type Memory = Fixed<8>;
type Selector<B> = selectors_core::Selector<B, BorrowedFd<'static>, u32, Memory>;

#[inline(never)]
fn register<B: Backend>(
    selector: &mut Selector<B>,
    source: BorrowedFd<'static>,
    interest: Interest,
) -> bool {
    selector.register(source, interest, 7).is_ok()
}

#[inline(never)]
fn modify<B: Backend>(selector: &mut Selector<B>, fd: RawFd, interest: Interest) -> bool {
    let done = selector.modify(fd, interest).is_ok();
    if cfg!(feature = "planted") { [true, false, done][fd as usize] } else { done }
}

#[inline(never)]
fn unregister<B: Backend>(selector: &mut Selector<B>, fd: RawFd) -> bool {
    selector.unregister(fd).is_ok()
}

#[inline(never)]
fn select<B: Backend>(selector: &mut Selector<B>, timeout: Option<Duration>) -> usize {
    selector.select(timeout).map_or(0, |result| result.events())
}

#[inline(never)]
fn next_ready<B: Backend>(selector: &mut Selector<B>) -> u32 {
    selector.next_ready().map_or(0, |(key, events)| key.data + u32::from(events.bits()))
}

fn exercise<B: Backend>(
    cell: &'static SelectorCell<Selector<B>>,
    wake: &'static WakeCell,
    numbers: [i32; 3],
) -> u32 {
    let Ok(selector) = cell.open() else { return 0 };
    let _ = selector.waker_in(wake);
    let [fd, bits, seconds] = numbers;
    // SAFETY: nothing closes the standard streams.
    let source = unsafe { BorrowedFd::borrow_raw(fd & 1) };
    let mode = [Mode::Level, Mode::Edge, Mode::OneShot].into_iter().nth((bits >> 8) as usize);
    let interest = Events::from_bits_retain(bits as u16).with_mode(mode.unwrap_or_default());
    let timeout = (seconds >= 0).then(|| Duration::new(seconds as u64, bits as u32 & 0xFFF));
    let done = [
        register(selector, source, interest),
        modify(selector, fd, interest),
        select(selector, timeout) > 0,
        next_ready(selector) > 0,
        unregister(selector, fd),
    ];
    done.into_iter().map(u32::from).sum()
}

fn main(arguments: start::Arguments) -> i32 {
    static EPOLL: SelectorCell<Selector<Epoll>> = SelectorCell::new();
    static POLL: SelectorCell<Selector<Poll<Memory>>> = SelectorCell::new();
    static SELECT: SelectorCell<Selector<Select<Memory>>> = SelectorCell::new();
    static ANY: SelectorCell<Selector<Any<Memory>>> = SelectorCell::new();
    static WAKE: [WakeCell; 4] = [const { WakeCell::new() }; 4];
    let mut numbers = [0; 3];
    for (number, argument) in numbers.iter_mut().zip(arguments) {
        *number = argument.to_bytes().len() as i32 - 1;
    }
    let done = exercise(&EPOLL, &WAKE[0], numbers)
        + exercise(&POLL, &WAKE[1], numbers)
        + exercise(&SELECT, &WAKE[2], numbers)
        + exercise(&ANY, &WAKE[3], numbers);
    done as i32
}
