//! A selector's waker as `std::task::Waker`: it ends the wait for a future.

use std::os::unix::net::UnixStream;
use std::task::Waker;
use std::thread;

use selectors_core::WakeCell;
use selectors_std::DefaultSelector;

use crate::common::support::{NOW, SOON};

#[test]
fn a_task_waker_ends_the_wait() {
    let mut selector = DefaultSelector::<UnixStream>::new().unwrap();
    let waker: Waker = selector.waker().unwrap().into();
    assert!(selector.select(NOW).unwrap().timed_out());
    waker.wake_by_ref();
    assert!(selector.select(SOON).unwrap().woken());

    let clone = waker.clone();
    assert!(waker.will_wake(&clone));
    let waking = thread::spawn(move || clone.wake());
    assert!(selector.select(SOON).unwrap().woken());
    waking.join().unwrap();

    // Without a selector a wake does nothing.
    selector.close();
    waker.wake();
}

#[test]
fn a_task_waker_of_a_fixed_selector_uses_its_cell() {
    static WAKE: WakeCell = WakeCell::new();
    let mut selector = selectors_core::DefaultSelector::<UnixStream, (), 2>::new().unwrap();
    let waker: Waker = selector.waker_in(&WAKE).unwrap().into();
    waker.wake();
    assert!(selector.select(SOON).unwrap().woken());
    assert!(selector.select(NOW).unwrap().timed_out());
}
