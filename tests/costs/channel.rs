//! A channel whose queues have grown allocates nothing.

use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;

use selectors_core::backend::Backend;
use selectors_std::{PollSelector, channel};

use crate::common::growable::{Growing, on_every_growable_backend};
use crate::common::support::SOON;
use crate::counting::calls;

on_every_growable_backend! {
    a_steady_state_allocates_nothing
}

fn a_steady_state_allocates_nothing<B: Backend>(mut selector: Growing<B>) {
    const BURST: u32 = 100;
    let (sender, mut inbox) = channel(&mut selector).unwrap();
    let mut round = |times: u32| {
        let (calls, ()) = calls(|| {
            for time in 0..times {
                // Bursts of any size up to this one, received in both ways.
                (0..=time % BURST).for_each(|item| sender.send(item).unwrap());
                selector.select(SOON).unwrap();
                while time % 3 == 0 && inbox.try_recv().is_ok() {}
                assert_eq!(inbox.try_iter().count() == 0, time % 3 == 0);
            }
        });
        calls
    };
    // Both queues grow to the size of the largest burst.
    assert_ne!(round(3 * BURST), 0, "the allocator counts");
    assert_eq!(round(10 * BURST), 0);
}

#[test]
fn a_sending_thread_allocates_nothing() {
    let mut selector = PollSelector::<UnixStream>::new().unwrap();
    let (sender, mut inbox) = channel(&mut selector).unwrap();
    let ((turn, turns), (end, ends)) = (mpsc::sync_channel(1), mpsc::sync_channel(1));
    let sending = thread::spawn(move || {
        let burst = || (0..50).for_each(|item| sender.send(item).unwrap());
        for _ in 0..4 {
            turns.recv().unwrap();
            burst();
            end.send(()).unwrap();
        }
        turns.recv().unwrap();
        calls(burst).0
    });
    for round in 0..5 {
        turn.send(()).unwrap();
        // So that both queues grow to the size of a burst.
        if round < 4 {
            ends.recv().unwrap();
        }
        let mut received = 0;
        while received < 50 {
            assert!(!selector.select(SOON).unwrap().timed_out());
            received += inbox.try_iter().count();
        }
    }
    assert_eq!(sending.join().unwrap(), 0);
}
