//! The channel of selectors-std: its sender wakes the selector, on every
//! growable backend.

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use selectors_core::backend::Backend;
use selectors_std::{Events, Inbox, PollSelector, Sender, TryRecvError, channel};

use crate::common::growable::{Growing, on_every_growable_backend};
use crate::common::support::{NOW, SOON};

on_every_growable_backend! {
    an_item_wakes_the_selector
    items_of_several_threads_arrive_once_and_in_order
    the_end_of_the_last_sender_wakes_and_shows
    a_send_without_a_selector_gives_the_item_back
    a_send_without_an_inbox_gives_the_item_back
    what_an_iterator_left_comes_first
    sources_go_through_the_channel
    two_channels_share_the_waker
}

fn an_item_wakes_the_selector<B: Backend>(mut selector: Growing<B>) {
    let (sender, mut inbox) = channel(&mut selector).unwrap();
    assert!(selector.select(NOW).unwrap().timed_out());
    assert_eq!(inbox.try_recv(), Err(TryRecvError::Empty));

    let sending = thread::spawn(move || {
        sender.send("hello").unwrap();
        sender
    });
    let result = selector.select(SOON).unwrap();
    assert!(result.woken() && result.events() == 0, "{result:?}");
    assert!(selector.next_ready().is_none());
    // The wake may come before the item, but the inbox waits for it.
    assert_eq!(inbox.try_recv(), Ok("hello"));
    assert_eq!(inbox.try_recv(), Err(TryRecvError::Empty));
    assert!(!inbox.is_closed());
    let _sender = sending.join().unwrap();
    assert!(selector.select(NOW).unwrap().timed_out(), "one wake ends one wait");
}

fn items_of_several_threads_arrive_once_and_in_order<B: Backend>(mut selector: Growing<B>) {
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
        let result = selector.select(SOON).unwrap();
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

fn the_end_of_the_last_sender_wakes_and_shows<B: Backend>(mut selector: Growing<B>) {
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
    assert!(selector.select(SOON).unwrap().woken());
    assert!(!inbox.is_closed(), "an item is left");
    assert_eq!(inbox.try_recv(), Ok(7));
    assert!(inbox.is_closed());
    assert_eq!(inbox.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(inbox.try_iter().count(), 0);

    // While the selector waits, and without an item.
    let (sender, inbox) = channel::<u32, _, _, _, _>(&mut selector).unwrap();
    let ending = thread::spawn(move || drop(sender));
    assert!(selector.select(SOON).unwrap().woken());
    ending.join().unwrap();
    assert!(inbox.is_closed());
}

fn a_send_without_a_selector_gives_the_item_back<B: Backend>(mut selector: Growing<B>) {
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

fn a_send_without_an_inbox_gives_the_item_back<B: Backend>(mut selector: Growing<B>) {
    let (sender, inbox) = channel(&mut selector).unwrap();
    // An item that owns a sender of the same channel is dropped with the inbox.
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    sender.send(Owning(Some((ours, sender.clone())))).unwrap();
    drop(inbox);
    assert_eq!(theirs.read(&mut [0]).unwrap(), 0, "the item was not dropped");
    assert!(sender.send(Owning(None)).unwrap_err().0.0.is_none());
    assert!(selector.select(SOON).unwrap().woken());
    drop(sender);
    assert!(selector.select(NOW).unwrap().timed_out(), "no inbox, no wake");
}

fn what_an_iterator_left_comes_first<B: Backend>(mut selector: Growing<B>) {
    let (sender, mut inbox) = channel(&mut selector).unwrap();
    (0..4).for_each(|item| sender.send(item).unwrap());
    assert!(inbox.try_iter().take(2).eq([0, 1]));
    sender.send(4).unwrap();
    let mut items = inbox.try_iter();
    assert_eq!(items.next(), Some(2));
    sender.send(5).unwrap();
    assert!(items.eq([3, 4]), "sent after the iterator was made");
    assert!(selector.select(SOON).unwrap().woken());
    assert!(inbox.try_iter().eq([5]));

    (6..8).for_each(|item| sender.send(item).unwrap());
    drop(sender);
    assert_eq!(inbox.try_iter().next(), Some(6));
    assert!(!inbox.is_closed(), "one is left");
    assert_eq!(inbox.try_recv(), Ok(7));
    assert!(inbox.is_closed());
}

fn sources_go_through_the_channel<B: Backend>(mut selector: Growing<B>) {
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
        assert!(!selector.select(SOON).unwrap().timed_out());
        for (stream, number) in inbox.try_iter() {
            selector.register(stream, Events::READ, number).unwrap();
        }
    }
    // All of them stay open, so that only the one that writes is reported.
    for (number, peer) in (0..).zip(&mut accepting.join().unwrap()) {
        peer.write_all(b"!").unwrap();
        assert_eq!(selector.select(SOON).unwrap().events(), 1);
        let (mut key, _) = selector.next_ready().unwrap();
        assert_eq!((key.data, key.read(&mut [0; 2]).unwrap()), (number, 1));
    }
}

fn two_channels_share_the_waker<B: Backend>(mut selector: Growing<B>) {
    let (one, mut ones) = channel(&mut selector).unwrap();
    let (two, mut twos) = channel(&mut selector).unwrap();
    let waker = selector.waker().unwrap();
    one.send(1).unwrap();
    two.send("2").unwrap();
    waker.wake().unwrap();
    assert!(selector.select(SOON).unwrap().woken());
    assert_eq!((ones.try_recv(), twos.try_recv()), (Ok(1), Ok("2")));
    assert!(selector.select(NOW).unwrap().timed_out());
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
