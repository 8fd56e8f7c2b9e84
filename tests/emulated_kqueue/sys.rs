//! What `rustix::event::kqueue` offers, as far as the backend uses it.

use std::ffi::c_void;
use std::mem::MaybeUninit;

use rustix::event::Timespec;
use rustix::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use rustix::io::{self, Errno};

use super::inject::{self, Failure};
use super::queue;
use super::systems::System;

/// What is watched, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventFilter {
    Read(RawFd),
    Write(RawFd),
    Unknown,
}

bitflags::bitflags! {
    /// The values are those of every kqueue.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct EventFlags: u16 {
        const ADD = 0x1;
        const DELETE = 0x2;
        const ENABLE = 0x4;
        const DISABLE = 0x8;
        const ONESHOT = 0x10;
        const CLEAR = 0x20;
        const RECEIPT = 0x40;
        const DISPATCH = 0x80;
        const ERROR = 0x4000;
        const EOF = 0x8000;
    }
}

/// A change, a receipt for one, or an event.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    filter: EventFilter,
    flags: EventFlags,
    data: i64,
    udata: *mut c_void,
}

// SAFETY: the pointer is a number that is never dereferenced.
unsafe impl Send for Event {}

impl Event {
    pub fn new(filter: EventFilter, flags: EventFlags, udata: *mut c_void) -> Self {
        assert_ne!(filter, EventFilter::Unknown, "rustix panics, too");
        Self { filter, flags, data: 0, udata }
    }

    pub fn filter(&self) -> EventFilter {
        self.filter
    }

    pub fn flags(&self) -> EventFlags {
        self.flags
    }

    pub fn data(&self) -> i64 {
        self.data
    }

    pub fn udata(&self) -> *mut c_void {
        self.udata
    }

    pub fn with(self, flags: EventFlags, data: i64) -> Self {
        Self { flags, data, ..self }
    }
}

pub fn kqueue() -> io::Result<OwnedFd> {
    match inject::next() {
        Some(Failure::Call(errno)) => Err(errno),
        _ => queue::open(),
    }
}

/// As of rustix, for slices only.
///
/// # Safety
///
/// None here: the emulation looks whether a descriptor is open, and still the
/// same.
pub unsafe fn kevent_timespec<'a>(
    kqueue: impl AsFd,
    changes: &[Event],
    events: &'a mut [MaybeUninit<Event>],
    timeout: Option<&Timespec>,
) -> io::Result<(&'a mut [Event], &'a mut [MaybeUninit<Event>])> {
    let failure = inject::next();
    if let Some(Failure::Call(errno)) = failure {
        return Err(errno);
    }
    let kqueue = kqueue.as_fd();
    let room = events.len();
    let acknowledges = queue::system(kqueue.as_raw_fd()) != System::NoReceipts
        && failure != Some(Failure::NoReceipts);
    let mut results = Vec::new();
    for (index, change) in changes.iter().enumerate() {
        let result = match failure {
            Some(Failure::Receipt(errno)) => Err(errno),
            Some(Failure::One(one, errno)) if one == index => Err(errno),
            _ => queue::change(kqueue, change),
        };
        if result.is_ok() && !(acknowledges && change.flags.contains(EventFlags::RECEIPT)) {
            continue;
        }
        let errno = result.err().map_or(0, Errno::raw_os_error);
        if results.len() < room {
            results.push(change.with(change.flags | EventFlags::ERROR, errno.into()));
        } else {
            result?;
        }
    }
    if failure == Some(Failure::Interrupted) {
        return Err(Errno::INTR);
    }
    if results.is_empty() && room > 0 {
        results = queue::wait(kqueue, room, timeout)?;
    }
    let (ready, rest) = events.split_at_mut(results.len());
    for (slot, result) in ready.iter_mut().zip(results) {
        slot.write(result);
    }
    // SAFETY: all of them were written by the loop above, and `MaybeUninit<T>`
    // has the layout of `T`.
    let ready = unsafe { &mut *(std::ptr::from_mut(ready) as *mut [Event]) };
    Ok((ready, rest))
}
