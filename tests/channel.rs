//! The channel of selectors-std: its sender wakes the selector, on every growable backend.
#![allow(unsafe_code, reason = "an allocator can't be counted without one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use selectors_core::backend::Backend;
use selectors_std::{
    AnySelector, Events, Growable, Inbox, PollSelector, Selector, Sender, TryRecvError, channel,
};

struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: each call is handed on as it came; counting touches a thread-local number, which needs neither an
// allocation nor a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: as the caller promised.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NOW: Option<Duration> = Some(Duration::ZERO);

/// If this passes, the test fails.
const LATE: Option<Duration> = Some(Duration::from_secs(20));

/// The type of every selector that grows, with `UnixStream` sources.
type Of<B> = Selector<B, UnixStream, u32, Growable>;

/// Runs a test with each of them.
macro_rules! on_every_growable_backend {
    ($($test:ident)*) => { $(mod $test {
        use super::*;

        #[test]
        fn on_poll() {
            super::$test(PollSelector::new().unwrap());
        }

        #[test]
        fn on_any() {
            super::$test(AnySelector::new().unwrap());
        }

        selectors_core::if_epoll! {
            #[test]
            fn on_epoll() {
                super::$test(selectors_std::EpollSelector::new().unwrap());
            }
        }

        selectors_core::if_kqueue! {
            #[test]
            fn on_kqueue() {
                super::$test(selectors_std::KqueueSelector::new().unwrap());
            }
        }

        selectors_core::if_select! {
            #[test]
            fn on_select() {
                super::$test(selectors_std::SelectSelector::new().unwrap());
            }
        }
    })* };
}

on_every_growable_backend! {
    an_item_wakes_the_selector
    items_of_several_threads_arrive_once_and_in_order
    the_end_of_the_last_sender_wakes_and_shows
    a_send_without_a_selector_gives_the_item_back
    a_send_without_an_inbox_gives_the_item_back
    what_an_iterator_left_comes_first
    sources_go_through_the_channel
    two_channels_share_the_waker
    a_steady_state_allocates_nothing
}

fn an_item_wakes_the_selector<B: Backend>(mut selector: Of<B>) {
    let (sender, mut inbox) = channel(&mut selector).unwrap();
    assert!(selector.select(NOW).unwrap().timed_out());
    assert_eq!(inbox.try_recv(), Err(TryRecvError::Empty));

    let sending = thread::spawn(move || {
        sender.send("hello").unwrap();
        sender
    });
    let result = selector.select(LATE).unwrap();
    assert!(result.woken() && result.events() == 0, "{result:?}");
    assert!(selector.next_ready().is_none());
    // The wake may come before the item, but the inbox waits for it.
    assert_eq!(inbox.try_recv(), Ok("hello"));
    assert_eq!(inbox.try_recv(), Err(TryRecvError::Empty));
    assert!(!inbox.is_closed());
    let _sender = sending.join().unwrap();
    assert!(selector.select(NOW).unwrap().timed_out(), "one wake ends one wait");
}

fn items_of_several_threads_arrive_once_and_in_order<B: Backend>(mut selector: Of<B>) {
    const THREADS: u32 = 4;
    const ITEMS: u32 = 20_000;
    let (sender, mut inbox) = channel(&mut selector).unwrap();
    let sending: Vec<_> = (0..THREADS)
        .map(|thread| {
            let sender = sender.clone();
            thread::spawn(move || (0..ITEMS).for_each(|item| sender.send((thread, item)).unwrap()))
        })
        .collect();
    drop(sender);

    let mut next = [0; THREADS as usize];
    while !inbox.is_closed() {
        let result = selector.select(LATE).unwrap();
        assert!(!result.timed_out(), "an item or the end was not reported: {next:?}, {inbox:?}");
        for (thread, item) in inbox.try_iter() {
            let next = &mut next[thread as usize];
            assert_eq!(item, *next);
            *next += 1;
        }
    }
    assert_eq!(next, [ITEMS; THREADS as usize]);
    sending.into_iter().for_each(|thread| thread.join().unwrap());
}

fn the_end_of_the_last_sender_wakes_and_shows<B: Backend>(mut selector: Of<B>) {
    let (sender, mut inbox) = channel::<u32, _, _, _, _>(&mut selector).unwrap();
    let second = sender.clone();
    drop(sender);
    assert!(selector.select(NOW).unwrap().timed_out(), "it was not the last one");
    assert!(!inbox.is_closed());

    let ending = thread::spawn(move || {
        second.send(7).unwrap();
        drop(second);
    });
    ending.join().unwrap();
    assert!(selector.select(LATE).unwrap().woken());
    assert!(!inbox.is_closed(), "an item is left");
    assert_eq!(inbox.try_recv(), Ok(7));
    assert!(inbox.is_closed());
    assert_eq!(inbox.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(inbox.try_iter().count(), 0);

    // While the selector waits, and without an item.
    let (sender, inbox) = channel::<u32, _, _, _, _>(&mut selector).unwrap();
    let ending = thread::spawn(move || drop(sender));
    assert!(selector.select(LATE).unwrap().woken());
    ending.join().unwrap();
    assert!(inbox.is_closed());
}

fn a_send_without_a_selector_gives_the_item_back<B: Backend>(mut selector: Of<B>) {
    let (sender, mut inbox) = channel(&mut selector).unwrap();
    sender.send("one").unwrap();
    selector.close();
    assert_eq!(sender.send("two").unwrap_err().0, "two");
    // What arrived before can still be received, and nothing else.
    assert_eq!(inbox.try_recv(), Ok("one"));
    assert_eq!(inbox.try_recv(), Err(TryRecvError::Empty));
    drop(sender);
    assert!(inbox.is_closed());
}

/// An item with a sender of its own channel.
struct Owning(Option<(UnixStream, Sender<Owning>)>);

fn a_send_without_an_inbox_gives_the_item_back<B: Backend>(mut selector: Of<B>) {
    let (sender, inbox) = channel(&mut selector).unwrap();
    // An item that owns a sender of the same channel is dropped with the inbox.
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    sender.send(Owning(Some((ours, sender.clone())))).unwrap();
    drop(inbox);
    assert_eq!(theirs.read(&mut [0]).unwrap(), 0, "the item was not dropped");
    assert!(sender.send(Owning(None)).unwrap_err().0.0.is_none());
    assert!(selector.select(LATE).unwrap().woken());
    drop(sender);
    assert!(selector.select(NOW).unwrap().timed_out(), "no inbox, no wake");
}

fn what_an_iterator_left_comes_first<B: Backend>(mut selector: Of<B>) {
    let (sender, mut inbox) = channel(&mut selector).unwrap();
    (0..4).for_each(|item| sender.send(item).unwrap());
    assert!(inbox.try_iter().take(2).eq([0, 1]));
    sender.send(4).unwrap();
    let mut items = inbox.try_iter();
    assert_eq!(items.next(), Some(2));
    sender.send(5).unwrap();
    assert!(items.eq([3, 4]), "sent after the iterator was made");
    assert!(selector.select(LATE).unwrap().woken());
    assert!(inbox.try_iter().eq([5]));

    (6..8).for_each(|item| sender.send(item).unwrap());
    drop(sender);
    assert_eq!(inbox.try_iter().next(), Some(6));
    assert!(!inbox.is_closed(), "one is left");
    assert_eq!(inbox.try_recv(), Ok(7));
    assert!(inbox.is_closed());
}

fn sources_go_through_the_channel<B: Backend>(mut selector: Of<B>) {
    let (sender, mut inbox) = channel(&mut selector).unwrap();
    let accepting = thread::spawn(move || {
        (0..3)
            .map(|number| {
                let (ours, theirs) = UnixStream::pair().unwrap();
                sender.send((ours, number)).unwrap();
                theirs
            })
            .collect::<Vec<_>>()
    });
    while !inbox.is_closed() {
        assert!(!selector.select(LATE).unwrap().timed_out());
        for (stream, number) in inbox.try_iter() {
            selector.register(stream, Events::READ, number).unwrap();
        }
    }
    // All of them stay open, so that only the one that writes is reported.
    for (number, peer) in (0..).zip(&mut accepting.join().unwrap()) {
        peer.write_all(b"!").unwrap();
        assert_eq!(selector.select(LATE).unwrap().events(), 1);
        let (mut key, _) = selector.next_ready().unwrap();
        assert_eq!((key.data, key.read(&mut [0; 2]).unwrap()), (number, 1));
    }
}

fn two_channels_share_the_waker<B: Backend>(mut selector: Of<B>) {
    let (one, mut ones) = channel(&mut selector).unwrap();
    let (two, mut twos) = channel(&mut selector).unwrap();
    let waker = selector.waker().unwrap();
    one.send(1).unwrap();
    two.send("2").unwrap();
    waker.wake().unwrap();
    assert!(selector.select(LATE).unwrap().woken());
    assert_eq!((ones.try_recv(), twos.try_recv()), (Ok(1), Ok("2")));
    assert!(selector.select(NOW).unwrap().timed_out());
}

fn a_steady_state_allocates_nothing<B: Backend>(mut selector: Of<B>) {
    const BURST: u32 = 100;
    let (sender, mut inbox) = channel(&mut selector).unwrap();
    let mut round = |times: u32| {
        let before = CALLS.get();
        for time in 0..times {
            // Bursts of any size up to this one, received in both ways.
            (0..=time % BURST).for_each(|item| sender.send(item).unwrap());
            selector.select(LATE).unwrap();
            while time % 3 == 0 && inbox.try_recv().is_ok() {}
            assert_eq!(inbox.try_iter().count() == 0, time % 3 == 0);
        }
        CALLS.get() - before
    };
    // Both queues grow to the size of the largest burst.
    assert_ne!(round(3 * BURST), 0, "the allocator counts");
    assert_eq!(round(10 * BURST), 0);
}

/// Neither in the thread that sends.
#[test]
fn a_sending_thread_allocates_nothing() {
    let mut selector = PollSelector::<UnixStream>::new().unwrap();
    let (sender, mut inbox) = channel(&mut selector).unwrap();
    let (turn, turns) = mpsc::sync_channel(1);
    let sending = thread::spawn(move || {
        let burst = || (0..50).for_each(|item| sender.send(item).unwrap());
        for _ in 0..4 {
            turns.recv().unwrap();
            burst();
        }
        turns.recv().unwrap();
        let before = CALLS.get();
        burst();
        CALLS.get() - before
    });
    for _ in 0..5 {
        turn.send(()).unwrap();
        let mut received = 0;
        while received < 50 {
            assert!(!selector.select(LATE).unwrap().timed_out());
            received += inbox.try_iter().count();
        }
    }
    assert_eq!(sending.join().unwrap(), 0);
}

#[test]
fn the_ends_show_their_state() {
    let mut selector = PollSelector::<UnixStream>::new().unwrap();
    let (sender, inbox) = channel(&mut selector).unwrap();
    sender.send(1).unwrap();
    let second = sender.clone();
    assert_eq!(format!("{inbox:?}"), "Inbox { items: 1, senders: 2 }");
    assert_eq!(format!("{second:?}"), "Sender { is_closed: false, .. }");
    drop(inbox);
    assert_eq!(format!("{second:?}"), "Sender { is_closed: true, .. }");
}

#[test]
fn both_ends_can_go_to_other_threads() {
    fn goes<T: Send>() {}
    fn is_shared<T: Send + Sync + Clone>() {}
    is_shared::<Sender<Cell<u8>>>();
    goes::<Inbox<Cell<u8>>>();
}
