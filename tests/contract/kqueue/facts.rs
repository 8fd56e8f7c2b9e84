//! What the backend relies on, tested on the kernel, or on the emulation,
//! without the backend.

use std::ffi::c_void;
use std::io::{PipeReader, PipeWriter, Write};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::ptr::without_provenance_mut;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::fd::{AsRawFd, OwnedFd, RawFd};
use rustix::io::Errno;

use super::kqueue_sys::{Event, EventFilter, EventFlags, kevent_timespec, kqueue};
use crate::support::{apart, pair};

const DISPATCH: EventFlags = EventFlags::from_bits_retain(0x80);
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

fn number(udata: usize) -> *mut c_void {
    without_provenance_mut(udata)
}

/// The errno in the receipt of one change.
fn change(
    queue: &OwnedFd,
    filter: EventFilter,
    flags: EventFlags,
    udata: usize,
) -> Result<(), Errno> {
    let change = Event::new(filter, flags | EventFlags::RECEIPT, number(udata));
    let mut receipt = [MaybeUninit::uninit(); 1];
    // SAFETY: a descriptor that is closed leaves the queue.
    let (receipts, _) =
        unsafe { kevent_timespec(queue, &[change], &mut receipt[..], Some(&NOW)) }.unwrap();
    assert_eq!(receipts.len(), 1);
    assert!(receipts[0].flags().contains(EventFlags::ERROR));
    match receipts[0].data() {
        0 => Ok(()),
        errno => Err(Errno::from_raw_os_error(errno.try_into().unwrap())),
    }
}

/// Returns the pending events. Each is: whether it is to write, the flags, the
/// data, and the user data.
fn reported(queue: &OwnedFd) -> Vec<(bool, EventFlags, i64, usize)> {
    let mut events = [MaybeUninit::uninit(); 8];
    // SAFETY: no changes.
    let (events, _) = unsafe { kevent_timespec(queue, &[], &mut events[..], Some(&NOW)) }.unwrap();
    let item = |event: &Event| {
        let write = matches!(event.filter(), EventFilter::Write(_));
        (write, event.flags(), event.data(), event.udata().addr())
    };
    events.iter().map(item).collect()
}

fn readable() -> (OwnedFd, UnixStream, UnixStream, RawFd) {
    let (one, mut two) = pair();
    two.write_all(b"four").unwrap();
    let fd = one.as_raw_fd();
    (kqueue().unwrap(), one, two, fd)
}

fn each_filter_reports_its_own_event() {
    let (queue, _one, _two, fd) = readable();
    change(&queue, EventFilter::Read(fd), EventFlags::ADD, 1).unwrap();
    change(&queue, EventFilter::Write(fd), EventFlags::ADD, 2).unwrap();
    for _ in 0..2 {
        let mut reported = reported(&queue);
        reported.sort_by_key(|event| event.0);
        assert_eq!((reported.len(), reported[0].2, reported[0].3, reported[1].3), (2, 4, 1, 2));
        assert!(
            reported
                .iter()
                .all(|(_, flags, ..)| !flags.intersects(EventFlags::EOF | EventFlags::ERROR))
        );
    }
}

fn adding_again_changes_the_user_data_but_not_the_mode() {
    let (queue, _one, _two, fd) = readable();
    change(&queue, EventFilter::Read(fd), EventFlags::ADD, 1).unwrap();
    change(&queue, EventFilter::Read(fd), EventFlags::ADD, 2).unwrap();
    assert_eq!(reported(&queue).iter().map(|event| event.3).collect::<Vec<_>>(), [2]);
    assert_eq!(reported(&queue).len(), 1);
    change(&queue, EventFilter::Read(fd), EventFlags::DELETE, 0).unwrap();
    assert_eq!(reported(&queue).len(), 0);
}

fn clear_reports_what_is_new() {
    let (queue, _one, mut two, fd) = readable();
    change(&queue, EventFilter::Read(fd), EventFlags::ADD | EventFlags::CLEAR, 1).unwrap();
    assert_eq!((reported(&queue).len(), reported(&queue).len()), (1, 0));
    two.write_all(b"!").unwrap();
    assert_eq!(reported(&queue)[0].2, 5, "data is how much there is");
    assert_eq!(reported(&queue).len(), 0);
    // Adding it again evaluates it again.
    change(
        &queue,
        EventFilter::Read(fd),
        EventFlags::ADD | EventFlags::ENABLE | EventFlags::CLEAR,
        1,
    )
    .unwrap();
    assert_eq!(reported(&queue).len(), 1);
}

fn one_shot_deletes_and_dispatch_disables() {
    let (queue, _one, _two, fd) = readable();
    change(&queue, EventFilter::Read(fd), EventFlags::ADD | EventFlags::ONESHOT, 1).unwrap();
    assert_eq!((reported(&queue).len(), reported(&queue).len()), (1, 0));
    assert_eq!(change(&queue, EventFilter::Read(fd), EventFlags::DELETE, 0), Err(Errno::NOENT));

    change(&queue, EventFilter::Read(fd), EventFlags::ADD | DISPATCH, 1).unwrap();
    assert_eq!((reported(&queue).len(), reported(&queue).len()), (1, 0));
    change(&queue, EventFilter::Read(fd), EventFlags::ADD | DISPATCH, 1).unwrap();
    assert_eq!(reported(&queue).len(), 0, "adding alone does not enable");
    change(&queue, EventFilter::Read(fd), EventFlags::ADD | EventFlags::ENABLE | DISPATCH, 1)
        .unwrap();
    assert_eq!((reported(&queue).len(), reported(&queue).len()), (1, 0));
    assert_eq!(change(&queue, EventFilter::Read(fd), EventFlags::DELETE, 0), Ok(()));
}

fn a_disabled_filter_reports_nothing() {
    let (queue, _one, _two, fd) = readable();
    change(&queue, EventFilter::Read(fd), EventFlags::ADD, 1).unwrap();
    change(&queue, EventFilter::Read(fd), EventFlags::DISABLE, 1).unwrap();
    assert_eq!(reported(&queue).len(), 0);
    assert_eq!(change(&queue, EventFilter::Write(fd), EventFlags::DISABLE, 1), Err(Errno::NOENT));
}

fn refusals_are_receipts() {
    let (queue, one, _two, _) = readable();
    let fd = apart(&one);
    let number = fd.as_raw_fd();
    assert_eq!(change(&queue, EventFilter::Read(number), EventFlags::DELETE, 0), Err(Errno::NOENT));
    change(&queue, EventFilter::Read(number), EventFlags::ADD, 7).unwrap();
    drop(fd);
    assert_eq!(change(&queue, EventFilter::Read(number), EventFlags::ADD, 0), Err(Errno::BADF));
    for flags in [EventFlags::DELETE, EventFlags::DISABLE] {
        let refused = change(&queue, EventFilter::Read(number), flags, 0);
        assert!(
            matches!(refused, Err(Errno::BADF | Errno::NOENT)),
            "{refused:?}, which is macOS's second"
        );
    }
}

/// Though its file lives on under another number.
fn a_closed_descriptor_loses_its_filters() {
    let (queue, one, _two, _) = readable();
    let fd = apart(&one);
    let number = fd.as_raw_fd();
    change(&queue, EventFilter::Read(number), EventFlags::ADD, 7).unwrap();
    change(&queue, EventFilter::Write(number), EventFlags::ADD, 7).unwrap();
    assert_eq!(reported(&queue).len(), 2);
    drop(fd);
    assert_eq!(reported(&queue).len(), 0);
    change(&queue, EventFilter::Read(one.as_raw_fd()), EventFlags::ADD, 8).unwrap();
    assert_eq!(reported(&queue).iter().map(|event| event.3).collect::<Vec<_>>(), [8]);
}

fn the_end_is_reported_with_data_still_to_read() {
    let (queue, _one, two, fd) = readable();
    change(&queue, EventFilter::Read(fd), EventFlags::ADD, 1).unwrap();
    change(&queue, EventFilter::Write(fd), EventFlags::ADD, 1).unwrap();
    drop(two);
    let reported = reported(&queue);
    assert_eq!(reported.len(), 2);
    assert!(reported.iter().all(|(_, flags, ..)| flags.contains(EventFlags::EOF)));
    assert!(reported.iter().any(|(write, _, data, _)| !write && *data == 4));
}

/// NetBSD says the same of a closed descriptor. The backend handles all three.
fn a_broken_pipe_may_be_refused() {
    let (reader, writer): (PipeReader, PipeWriter) = std::io::pipe().unwrap();
    drop(reader);
    let queue = kqueue().unwrap();
    let result = change(&queue, EventFilter::Write(writer.as_raw_fd()), EventFlags::ADD, 1);
    match result {
        Ok(()) => assert!(reported(&queue)[0].1.contains(EventFlags::EOF)),
        Err(errno) => {
            assert!(matches!(errno, Errno::PIPE | Errno::BADF), "{errno}");
            assert_eq!(reported(&queue).len(), 0);
        }
    }
}

fn without_room_for_events_a_call_does_not_wait() {
    let queue = kqueue().unwrap();
    let start = Instant::now();
    let mut no_room: [MaybeUninit<Event>; 0] = [];
    // SAFETY: no changes.
    let (events, _) = unsafe { kevent_timespec(&queue, &[], &mut no_room[..], None) }.unwrap();
    assert_eq!(events.len(), 0);
    assert!(start.elapsed() < Duration::from_secs(15));
}

fn an_empty_queue_keeps_the_time() {
    let queue = kqueue().unwrap();
    let (start, time) = (Instant::now(), Timespec { tv_sec: 0, tv_nsec: 20_000_000 });
    let mut room = [MaybeUninit::uninit(); 1];
    // SAFETY: no changes.
    let (events, _) = unsafe { kevent_timespec(&queue, &[], &mut room[..], Some(&time)) }.unwrap();
    assert_eq!(events.len(), 0);
    assert!(start.elapsed() >= Duration::from_millis(20));
}

/// A batch that is too small: the other events come later, and none starves.
fn more_events_than_room_take_turns() {
    let (queue, _one, _two, fd) = readable();
    change(&queue, EventFilter::Read(fd), EventFlags::ADD, 1).unwrap();
    change(&queue, EventFilter::Write(fd), EventFlags::ADD, 2).unwrap();
    let mut seen = [false; 2];
    for _ in 0..8 {
        let mut room = [MaybeUninit::uninit(); 1];
        // SAFETY: no changes.
        let (events, _) =
            unsafe { kevent_timespec(&queue, &[], &mut room[..], Some(&NOW)) }.unwrap();
        assert_eq!(events.len(), 1);
        seen[events[0].udata().addr() - 1] = true;
    }
    assert_eq!(seen, [true; 2]);
}

fn a_queue_in_a_queue_is_readable() {
    let (inner, _one, _two, fd) = readable();
    let outer = kqueue().unwrap();
    change(&outer, EventFilter::Read(inner.as_raw_fd()), EventFlags::ADD, 9).unwrap();
    assert_eq!(reported(&outer).len(), 0);
    change(&inner, EventFilter::Write(fd), EventFlags::ADD, 1).unwrap();
    assert_eq!(reported(&outer).iter().map(|event| event.3).collect::<Vec<_>>(), [9]);
}

/// All changes of a list are made, also those after a refused one, and the
/// receipts have their order.
fn several_changes_fit_one_call() {
    let (queue, _one, _two, fd) = readable();
    change(&queue, EventFilter::Read(fd), EventFlags::ADD, 1).unwrap();
    let (read, write) = (EventFilter::Read(fd), EventFilter::Write(fd));
    let clear = EventFlags::ADD | EventFlags::ENABLE | EventFlags::CLEAR;
    let changes = [
        Event::new(write, EventFlags::DELETE | EventFlags::RECEIPT, number(2)),
        Event::new(read, EventFlags::DELETE | EventFlags::RECEIPT, number(2)),
        Event::new(EventFilter::Read(fd), clear | EventFlags::RECEIPT, number(2)),
        Event::new(EventFilter::Write(fd), clear | EventFlags::RECEIPT, number(2)),
    ];
    let mut room = [MaybeUninit::uninit(); 4];
    // SAFETY: the descriptor is open as long as the queue.
    let (receipts, _) =
        unsafe { kevent_timespec(&queue, &changes, &mut room[..], Some(&NOW)) }.unwrap();
    let errors: Vec<i64> = receipts.iter().map(Event::data).collect();
    assert_eq!(errors, [i64::from(Errno::NOENT.raw_os_error()), 0, 0, 0]);
    assert!(receipts.iter().all(|receipt| receipt.flags().contains(EventFlags::ERROR)));
    assert_eq!(reported(&queue).len(), 2);
    assert_eq!(reported(&queue).len(), 0, "both are in the new mode");
}

/// A kernel without receipts says it in no other way.
fn without_room_a_refusal_is_the_error_of_the_call() {
    let (queue, _one, _two, fd) = readable();
    let call = |filter, flags| {
        let mut no_room: [MaybeUninit<Event>; 0] = [];
        let change = [Event::new(filter, flags, number(1))];
        // SAFETY: the descriptor is open as long as the queue.
        unsafe { kevent_timespec(&queue, &change, &mut no_room[..], Some(&NOW)) }.map(|_| ())
    };
    assert_eq!(call(EventFilter::Read(fd), EventFlags::DELETE), Err(Errno::NOENT));
    assert_eq!(call(EventFilter::Read(fd), EventFlags::ADD | DISPATCH), Ok(()));
    assert_eq!(
        (reported(&queue).len(), reported(&queue).len()),
        (1, 0),
        "the call has consumed no event"
    );
}

/// FreeBSD reports it once, and deletes the filter.
fn a_reader_that_leaves_is_an_end() {
    let (reader, writer) = std::io::pipe().unwrap();
    let queue = kqueue().unwrap();
    change(&queue, EventFilter::Write(writer.as_raw_fd()), EventFlags::ADD, 1).unwrap();
    assert_eq!(reported(&queue).len(), 1);
    drop(reader);
    let end = reported(&queue);
    assert!(end.len() == 1 && end[0].1.contains(EventFlags::EOF), "{end:?}");
    let deleted = end[0].1.contains(EventFlags::ONESHOT);
    assert_eq!(reported(&queue).len(), usize::from(!deleted));
    let delete = change(&queue, EventFilter::Write(writer.as_raw_fd()), EventFlags::DELETE, 1);
    assert_eq!(delete, if deleted { Err(Errno::NOENT) } else { Ok(()) });
}

/// The outer one reports it once more, until there was a wait on the inner one.
fn a_drained_queue_in_a_queue() {
    let (inner, mut one, _two, fd) = readable();
    let outer = kqueue().unwrap();
    change(&inner, EventFilter::Read(fd), EventFlags::ADD, 1).unwrap();
    change(&outer, EventFilter::Read(inner.as_raw_fd()), EventFlags::ADD, 9).unwrap();
    assert_eq!((reported(&inner).len(), reported(&outer).len()), (1, 1));
    std::io::Read::read_exact(&mut one, &mut [0; 4]).unwrap();
    assert!(reported(&outer).len() <= 1);
    assert_eq!((reported(&inner).len(), reported(&outer).len()), (0, 0));
}

macro_rules! tests {
    ($($fact:ident)+) => {
        mod on_each_kernel {
            $(#[test]
            fn $fact() {
                super::super::on_each_kernel(super::$fact);
            })+
        }
    };
}
tests! {
    each_filter_reports_its_own_event
    adding_again_changes_the_user_data_but_not_the_mode
    clear_reports_what_is_new
    one_shot_deletes_and_dispatch_disables
    a_disabled_filter_reports_nothing
    refusals_are_receipts
    a_closed_descriptor_loses_its_filters
    the_end_is_reported_with_data_still_to_read
    a_broken_pipe_may_be_refused
    without_room_for_events_a_call_does_not_wait
    an_empty_queue_keeps_the_time
    more_events_than_room_take_turns
    a_queue_in_a_queue_is_readable
    several_changes_fit_one_call
    without_room_a_refusal_is_the_error_of_the_call
    a_reader_that_leaves_is_an_end
    a_drained_queue_in_a_queue
}
