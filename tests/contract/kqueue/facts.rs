//! What the backend relies on, asked of the kernel, or of the emulation, without the backend.

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
fn change(queue: &OwnedFd, filter: EventFilter, flags: EventFlags, udata: usize) -> Result<(), Errno> {
    let change = Event::new(filter, flags | EventFlags::RECEIPT, number(udata));
    let mut receipt = [MaybeUninit::uninit(); 1];
    // SAFETY: a descriptor that is closed leaves the queue.
    let (receipts, _) =
        unsafe { kevent_timespec(queue, &[change], &mut receipt, Some(&NOW)) }.unwrap();
    assert_eq!(receipts.len(), 1);
    assert!(receipts[0].flags().contains(EventFlags::ERROR));
    match receipts[0].data() {
        0 => Ok(()),
        errno => Err(Errno::from_raw_os_error(errno.try_into().unwrap())),
    }
}

/// What comes at once: whether it is to write, the flags, the data, and the user data.
fn told(queue: &OwnedFd) -> Vec<(bool, EventFlags, i64, usize)> {
    let mut events = [MaybeUninit::uninit(); 8];
    // SAFETY: no changes.
    let (events, _) = unsafe { kevent_timespec(queue, &[], &mut events, Some(&NOW)) }.unwrap();
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

#[test]
fn each_filter_tells_its_own_event() {
    let (queue, _one, _two, fd) = readable();
    change(&queue, EventFilter::Read(fd), EventFlags::ADD, 1).unwrap();
    change(&queue, EventFilter::Write(fd), EventFlags::ADD, 2).unwrap();
    for _ in 0..2 {
        let mut told = told(&queue);
        told.sort_by_key(|event| event.0);
        assert_eq!((told.len(), told[0].2, told[0].3, told[1].3), (2, 4, 1, 2));
        assert!(told.iter().all(|(_, flags, ..)| !flags.intersects(EventFlags::EOF | EventFlags::ERROR)));
    }
}

#[test]
fn adding_again_changes_the_user_data_but_not_the_mode() {
    let (queue, _one, _two, fd) = readable();
    change(&queue, EventFilter::Read(fd), EventFlags::ADD, 1).unwrap();
    change(&queue, EventFilter::Read(fd), EventFlags::ADD, 2).unwrap();
    assert_eq!(told(&queue).iter().map(|event| event.3).collect::<Vec<_>>(), [2]);
    assert_eq!(told(&queue).len(), 1);
    change(&queue, EventFilter::Read(fd), EventFlags::DELETE, 0).unwrap();
    assert_eq!(told(&queue).len(), 0);
}

#[test]
fn clear_tells_what_is_new() {
    let (queue, _one, mut two, fd) = readable();
    change(&queue, EventFilter::Read(fd), EventFlags::ADD | EventFlags::CLEAR, 1).unwrap();
    assert_eq!((told(&queue).len(), told(&queue).len()), (1, 0));
    two.write_all(b"!").unwrap();
    assert_eq!(told(&queue)[0].2, 5, "it tells how much there is");
    assert_eq!(told(&queue).len(), 0);
    // Adding it again looks anew.
    change(&queue, EventFilter::Read(fd), EventFlags::ADD | EventFlags::ENABLE | EventFlags::CLEAR, 1).unwrap();
    assert_eq!(told(&queue).len(), 1);
}

#[test]
fn one_shot_deletes_and_dispatch_disables() {
    let (queue, _one, _two, fd) = readable();
    change(&queue, EventFilter::Read(fd), EventFlags::ADD | EventFlags::ONESHOT, 1).unwrap();
    assert_eq!((told(&queue).len(), told(&queue).len()), (1, 0));
    assert_eq!(change(&queue, EventFilter::Read(fd), EventFlags::DELETE, 0), Err(Errno::NOENT));

    change(&queue, EventFilter::Read(fd), EventFlags::ADD | DISPATCH, 1).unwrap();
    assert_eq!((told(&queue).len(), told(&queue).len()), (1, 0));
    change(&queue, EventFilter::Read(fd), EventFlags::ADD | DISPATCH, 1).unwrap();
    assert_eq!(told(&queue).len(), 0, "adding alone does not enable");
    change(&queue, EventFilter::Read(fd), EventFlags::ADD | EventFlags::ENABLE | DISPATCH, 1).unwrap();
    assert_eq!((told(&queue).len(), told(&queue).len()), (1, 0));
    assert_eq!(change(&queue, EventFilter::Read(fd), EventFlags::DELETE, 0), Ok(()));
}

#[test]
fn disabled_is_silent() {
    let (queue, _one, _two, fd) = readable();
    change(&queue, EventFilter::Read(fd), EventFlags::ADD, 1).unwrap();
    change(&queue, EventFilter::Read(fd), EventFlags::DISABLE, 1).unwrap();
    assert_eq!(told(&queue).len(), 0);
    assert_eq!(change(&queue, EventFilter::Write(fd), EventFlags::DISABLE, 1), Err(Errno::NOENT));
}

#[test]
fn refusals_are_receipts() {
    let (queue, one, _two, _) = readable();
    let fd = apart(&one);
    let number = fd.as_raw_fd();
    assert_eq!(change(&queue, EventFilter::Read(number), EventFlags::DELETE, 0), Err(Errno::NOENT));
    change(&queue, EventFilter::Read(number), EventFlags::ADD, 7).unwrap();
    drop(fd);
    for flags in [EventFlags::DELETE, EventFlags::ADD, EventFlags::DISABLE] {
        assert_eq!(change(&queue, EventFilter::Read(number), flags, 0), Err(Errno::BADF));
    }
}

/// Though its file lives on under another number.
#[test]
fn a_closed_descriptor_takes_its_filters_with_it() {
    let (queue, one, _two, _) = readable();
    let fd = apart(&one);
    let number = fd.as_raw_fd();
    change(&queue, EventFilter::Read(number), EventFlags::ADD, 7).unwrap();
    change(&queue, EventFilter::Write(number), EventFlags::ADD, 7).unwrap();
    assert_eq!(told(&queue).len(), 2);
    drop(fd);
    assert_eq!(told(&queue).len(), 0);
    change(&queue, EventFilter::Read(one.as_raw_fd()), EventFlags::ADD, 8).unwrap();
    assert_eq!(told(&queue).iter().map(|event| event.3).collect::<Vec<_>>(), [8]);
}

#[test]
fn the_end_is_told_with_data_still_to_read() {
    let (queue, _one, two, fd) = readable();
    change(&queue, EventFilter::Read(fd), EventFlags::ADD, 1).unwrap();
    change(&queue, EventFilter::Write(fd), EventFlags::ADD, 1).unwrap();
    drop(two);
    let told = told(&queue);
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|(_, flags, ..)| flags.contains(EventFlags::EOF)));
    assert!(told.iter().any(|(write, _, data, _)| !write && *data == 4));
}

/// The backend can do with both answers.
#[test]
fn a_broken_pipe_may_be_refused() {
    let (reader, writer): (PipeReader, PipeWriter) = std::io::pipe().unwrap();
    drop(reader);
    let queue = kqueue().unwrap();
    let answer = change(&queue, EventFilter::Write(writer.as_raw_fd()), EventFlags::ADD, 1);
    match answer {
        Ok(()) => assert!(told(&queue)[0].1.contains(EventFlags::EOF)),
        Err(errno) => assert_eq!((errno, told(&queue).len()), (Errno::PIPE, 0)),
    }
}

#[test]
fn without_room_for_events_nobody_waits() {
    let queue = kqueue().unwrap();
    let start = Instant::now();
    let mut no_room: [MaybeUninit<Event>; 0] = [];
    // SAFETY: no changes.
    let (events, _) = unsafe { kevent_timespec(&queue, &[], &mut no_room, None) }.unwrap();
    assert_eq!(events.len(), 0);
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[test]
fn an_empty_queue_keeps_the_time() {
    let queue = kqueue().unwrap();
    let (start, time) = (Instant::now(), Timespec { tv_sec: 0, tv_nsec: 20_000_000 });
    let mut room = [MaybeUninit::uninit(); 1];
    // SAFETY: no changes.
    let (events, _) = unsafe { kevent_timespec(&queue, &[], &mut room, Some(&time)) }.unwrap();
    assert_eq!(events.len(), 0);
    assert!(start.elapsed() >= Duration::from_millis(20));
}

/// A batch that is too small: the rest comes later, and nobody starves.
#[test]
fn more_events_than_room_take_turns() {
    let (queue, _one, _two, fd) = readable();
    change(&queue, EventFilter::Read(fd), EventFlags::ADD, 1).unwrap();
    change(&queue, EventFilter::Write(fd), EventFlags::ADD, 2).unwrap();
    let mut seen = [false; 2];
    for _ in 0..8 {
        let mut room = [MaybeUninit::uninit(); 1];
        // SAFETY: no changes.
        let (events, _) = unsafe { kevent_timespec(&queue, &[], &mut room, Some(&NOW)) }.unwrap();
        assert_eq!(events.len(), 1);
        seen[events[0].udata().addr() - 1] = true;
    }
    assert_eq!(seen, [true; 2]);
}

#[test]
fn a_queue_in_a_queue_is_readable() {
    let (inner, _one, _two, fd) = readable();
    let outer = kqueue().unwrap();
    change(&outer, EventFilter::Read(inner.as_raw_fd()), EventFlags::ADD, 9).unwrap();
    assert_eq!(told(&outer).len(), 0);
    change(&inner, EventFilter::Write(fd), EventFlags::ADD, 1).unwrap();
    assert_eq!(told(&outer).iter().map(|event| event.3).collect::<Vec<_>>(), [9]);
}
