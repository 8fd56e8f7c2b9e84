//! The changes of one system call, and how the kernel acknowledges each of
//! them.

use core::mem::MaybeUninit;

use rustix::event::{PollFd, PollFlags};
use rustix::fd::{BorrowedFd, OwnedFd, RawFd};
use rustix::io::Errno;

use super::sys::{self, Event, EventFilter, EventFlags};
use super::{BOTH, Events, Interest, Mode, NOW, Token, to_udata};

/// `EV_DISPATCH`, for which rustix has no name: the filter disables itself when
/// it fires.
pub(super) const DISPATCH: EventFlags = EventFlags::from_bits_retain(0x80);

/// A deletion and an addition for each of the two filters.
const MOST: usize = 4;

pub(super) type Changes = heapless::Vec<Change, MOST>;

/// A change to one filter of a descriptor.
pub(super) struct Change {
    /// `READ` or `WRITE`.
    pub(super) event: Events,
    pub(super) flags: EventFlags,
    /// None before the kernel has acknowledged it.
    outcome: Option<Result<(), Errno>>,
}

impl Change {
    /// Returns why the kernel has refused the change.
    ///
    /// To delete or disable a filter that is not there is no failure. The
    /// kernel may have deleted it when it fired, or with the file that was at
    /// this number before.
    pub(super) fn refusal(&self) -> Option<Errno> {
        let refusal = self.outcome.and_then(Result::err)?;
        (self.is_addition() || refusal != Errno::NOENT).then_some(refusal)
    }

    pub(super) fn is_addition(&self) -> bool {
        self.flags.contains(EventFlags::ADD)
    }

    fn filter(&self, fd: RawFd) -> EventFilter {
        if self.event == Events::READ { EventFilter::Read(fd) } else { EventFilter::Write(fd) }
    }
}

/// Returns how a filter is armed.
fn arming(mode: Mode) -> EventFlags {
    // ADD alone does not enable a filter that fired once, and ENABLE alone does
    // not evaluate it again.
    let add = EventFlags::ADD.union(EventFlags::ENABLE);
    match mode {
        Mode::Edge => add.union(EventFlags::CLEAR),
        Mode::OneShot => add.union(DISPATCH),
        _ => add,
    }
}

/// Returns the changes that lead from one interest to another.
///
/// A filter that stays keeps its mode when it is added again, so that it has to
/// be deleted first if the mode is another.
pub(super) fn between(before: Interest, after: Interest) -> Changes {
    let mut changes = Changes::new();
    for event in BOTH.iter() {
        let stays = after.events.contains(event);
        if before.events.contains(event) && !(stays && before.mode == after.mode) {
            let _ = changes.push(Change { event, flags: EventFlags::DELETE, outcome: None });
        }
        if stays {
            let _ = changes.push(Change { event, flags: arming(after.mode), outcome: None });
        }
    }
    changes
}

/// Returns the same change to the filters of all these events.
pub(super) fn each(events: Events, flags: EventFlags) -> Changes {
    events.intersection(BOTH).iter().map(|event| Change { event, flags, outcome: None }).collect()
}

/// Returns the descriptor and the direction of a filter of ours.
pub(super) fn subject(event: &Event) -> Option<(RawFd, Events)> {
    match event.filter() {
        EventFilter::Read(fd) => Some((fd, Events::READ)),
        EventFilter::Write(fd) => Some((fd, Events::WRITE)),
        _ => None,
    }
}

/// Makes all changes by one call. Returns false if the kernel did not
/// acknowledge each of them.
///
/// With `EV_RECEIPT` the kernel puts an entry with the error bit into `room`
/// for each change, in their order, and returns no events. A kernel that does
/// not know the flag has entries for refusals only. If there are none, it
/// returns pending events, which `event` gets.
#[allow(unsafe_code)]
pub(super) fn with_receipts(
    queue: &OwnedFd,
    fd: RawFd,
    token: Token,
    changes: &mut Changes,
    mut event: impl FnMut(&Event),
) -> bool {
    let list = list(fd, token, changes, EventFlags::RECEIPT);
    let mut buffer = [MaybeUninit::uninit(); MOST];
    let room = buffer.get_mut(..list.len()).unwrap_or_default();
    let received = loop {
        // SAFETY: the descriptor in `list` is open, as the caller of `add`
        // promises, until its filters are deleted. If it is closed
        // nevertheless, the kernel deletes them.
        match unsafe { sys::kevent_timespec(queue, &list, &mut *room, Some(&NOW)) } {
            Ok((received, _)) => break received,
            // Whether the changes were made or not, the result of making them
            // again is the same.
            Err(Errno::INTR) => {}
            Err(errno) => {
                changes.iter_mut().for_each(|change| change.outcome = Some(Err(errno)));
                return true;
            }
        }
    };
    let mut expected = changes.iter_mut();
    for entry in received.iter() {
        if !entry.flags().contains(EventFlags::ERROR) {
            event(entry);
        } else if let Some(change) =
            expected.find(|change| subject(entry) == Some((fd, change.event)))
        {
            change.outcome = Some(match i32::try_from(entry.data()) {
                Ok(0) => Ok(()),
                Ok(errno) => Err(Errno::from_raw_os_error(errno)),
                Err(_) => Err(Errno::INVAL),
            });
        }
    }
    changes.iter().all(|change| change.outcome.is_some())
}

/// Makes all changes by one call if none of them is refused, and else each by a
/// call of its own.
///
/// Without room for receipts or events, a refusal is the call's own error on
/// every kernel, and the changes after it are not made. To make a change that
/// has been made before has no effect.
pub(super) fn without_receipts(queue: &OwnedFd, fd: RawFd, token: Token, changes: &mut Changes) {
    let list = list(fd, token, changes, EventFlags::empty());
    if call(queue, &list).is_ok() {
        return changes.iter_mut().for_each(|change| change.outcome = Some(Ok(())));
    }
    for (change, event) in changes.iter_mut().zip(list) {
        change.outcome = Some(call(queue, &[event]));
    }
}

#[allow(unsafe_code)]
fn call(queue: &OwnedFd, changes: &[Event]) -> Result<(), Errno> {
    loop {
        let mut no_room: [MaybeUninit<Event>; 0] = [];
        // SAFETY: as in `with_receipts`.
        match unsafe { sys::kevent_timespec(queue, changes, &mut no_room, Some(&NOW)) } {
            Err(Errno::INTR) => {}
            result => return result.map(|_| ()),
        }
    }
}

fn list(
    fd: RawFd,
    token: Token,
    changes: &Changes,
    flags: EventFlags,
) -> heapless::Vec<Event, MOST> {
    let event =
        |change: &Change| Event::new(change.filter(fd), change.flags | flags, to_udata(token));
    changes.iter().map(event).collect()
}

/// Returns whether a refusal says that the other end of a pipe is closed.
///
/// Some kernels refuse it with `EPIPE`. NetBSD refuses it with `EBADF`, as it
/// does a descriptor that is closed, which poll distinguishes.
pub(super) fn is_broken_pipe(refusal: Errno, fd: BorrowedFd<'_>) -> bool {
    refusal == Errno::PIPE
        || refusal == Errno::BADF && {
            let mut one = [PollFd::from_borrowed_fd(fd, PollFlags::empty())];
            rustix::event::poll(&mut one, Some(&NOW)).is_ok() && is_hung_up(&one[0])
        }
}

/// Returns whether poll has found a descriptor open, and an end or an error of
/// it.
pub(super) fn is_hung_up(found: &PollFd<'_>) -> bool {
    !found.revents().is_empty() && !found.revents().contains(PollFlags::NVAL)
}
