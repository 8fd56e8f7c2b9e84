use core::fmt;
use core::mem::MaybeUninit;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::{self, Errno};

// The crate's own items come through the module above, and so do the system
// calls: the tests compile these files once more, below a module where the
// calls are an emulation.
use super::kqueue_sys::{self as sys, Event, EventFlags};
use super::{Backend, Error, Events, Interest, Kind, Mode, Rebuilt, Token, Watched, os, os_about};

// The paths are written out, because they would be others where the tests
// include this file.
#[path = "kqueue/batch.rs"]
mod batch;
#[path = "kqueue/changes.rs"]
mod changes;

use batch::{Positions, Ready};
use changes::{Changes, DISPATCH, between, each, is_broken_pipe, is_hung_up, subject};

/// The kqueue of the BSDs and Apple's systems.
///
/// The time of a wait does not grow with the number of descriptors. The kernel
/// has two filters for a descriptor, one for reading and one for writing. Their
/// events are returned as one item if they arrive together.
/// [`Events::PRIORITY`] is [`Error::Unsupported`], because rustix has no filter
/// for it. So is [`Events::READ_HANGUP`] without [`Events::READ`].
/// [`Events::ERROR`] is never reported: a failed connection is readable,
/// writable and hung up, and `SelectorKey::take_error` returns the reason.
///
/// A wait returns at most `BATCH` events. One wait is one system call,
/// `kevent`, whose timeout has nanoseconds. A change is one call, too, and one
/// more that undoes it if the kernel refuses a part of it. Some kernels have no
/// filter for a pipe whose other end is closed. While such a pipe is watched,
/// one call of `poll` may precede each wait.
///
/// A kqueue is not inherited across `fork`, so a child opens its own. The page
/// on [portability](crate::portability#platforms) says on which systems this
/// has run.
///
/// # Examples
///
/// A selector with another batch is one line:
///
/// ```
/// use rustix::fd::OwnedFd;
/// use selectors_core::{Selector, backend::Kqueue, storage::Fixed};
///
/// // Up to 16 keys, and 8 events for each wait.
/// type Thrifty<D> = Selector<Kqueue<8>, OwnedFd, D, Fixed<16>>;
/// let selector = Thrifty::<()>::new()?;
/// # Ok::<(), selectors_core::Error>(())
/// ```
pub struct Kqueue<const BATCH: usize = 64> {
    fd: OwnedFd,
    ready: heapless::Vec<Ready, BATCH>,
    next: usize,
    broken: heapless::Vec<Broken, BATCH>,
    /// Whether the kernel acknowledges changes. It is taken to do so until it
    /// does not.
    receipts: bool,
}

/// A pipe whose other end is closed, for which the kernel has no filter: it
/// refused to add one, or it has deleted it. The event is reported from here.
/// Without it, the key would wait indefinitely.
#[derive(Clone, Copy)]
struct Broken {
    fd: RawFd,
    token: Token,
    event: Events,
    mode: Mode,
}

const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// The events that have a filter.
const BOTH: Events = Events::READ.union(Events::WRITE);

/// The interest of a registration without filters.
const NOTHING: Interest = Events::empty().with_mode(Mode::Level);

/// The width of each half of a token.
///
/// The kernel carries as many bits as a pointer has. On 32-bit platforms that
/// is sixteen for each half, and the table counts no further there.
const HALF: u32 = usize::BITS / 2;

#[allow(clippy::cast_possible_truncation, reason = "the halves are small enough")]
fn to_udata(token: Token) -> *mut core::ffi::c_void {
    let packed = token.to_u64();
    let (slot, generation) = (packed as u32 as usize, (packed >> 32) as usize);
    core::ptr::without_provenance_mut(generation << HALF | slot)
}

fn from_udata(udata: *mut core::ffi::c_void) -> Token {
    let packed = udata.addr() as u64;
    Token::from_u64(packed >> HALF << 32 | packed & ((1 << HALF) - 1))
}

impl<const BATCH: usize> Kqueue<BATCH> {
    /// With an empty buffer kevent would return immediately, so such a selector
    /// must not compile.
    const HAS_ROOM: () = assert!(BATCH > 0, "a batch holds at least one event");

    /// Makes all changes by one call, and records for each how it went.
    fn submit(&mut self, fd: RawFd, token: Token, changes: &mut Changes) {
        if changes.is_empty() {
            return;
        }
        if self.receipts {
            // Which filters are changed: what was pending of them is evaluated
            // again, or is of no interest any more.
            let changed =
                changes.iter().fold(Events::empty(), |events, change| events | change.event);
            let Self { fd: queue, ready, next, .. } = self;
            if *next >= ready.len() {
                ready.clear();
                *next = 0;
            }
            // A kernel that returns an event in place of a receipt does so for
            // the first change to the queue, and is not given the occasion
            // again. Nothing else is pending then, so that there is room.
            let keep = |event: &Event| {
                let item =
                    decode(event).filter(|item| item.fd != fd || !changed.intersects(item.events));
                // A level is reported again by the next wait.
                let once = event.flags().intersects(EventFlags::CLEAR | DISPATCH);
                let Some(item) = item.filter(|_| once) else { return };
                match ready.iter_mut().skip(*next).find(|ready| ready.token == item.token) {
                    Some(ready) => ready.events |= item.events,
                    None => _ = ready.push(item),
                }
            };
            self.receipts = changes::with_receipts(queue, fd, token, changes, keep);
        }
        if !self.receipts {
            changes::without_receipts(&self.fd, fd, token, changes);
        }
    }

    /// Leads the filters of a registration from one interest to another, by one
    /// call.
    ///
    /// Returns the first refusal. The other changes are made nevertheless.
    fn lead(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        before: Interest,
        after: Interest,
    ) -> Result<(), Errno> {
        let mut changes = between(before, after);
        let number = fd.as_raw_fd();
        self.broken.retain(|broken| broken.token != token);
        self.submit(number, token, &mut changes);
        let mut verdict = Ok(());
        for change in &changes {
            let Some(refusal) = change.refusal() else { continue };
            let refusal = if change.is_addition() && is_broken_pipe(refusal, fd) {
                let broken = Broken { fd: number, token, event: change.event, mode: after.mode };
                self.broken.push(broken).map_err(|_| Errno::PIPE)
            } else {
                Err(refusal)
            };
            verdict = verdict.and(refusal);
        }
        verdict
    }

    /// Remembers an event of the kernel.
    fn collect(&mut self, positions: &mut Positions<BATCH>, event: &Event) {
        let Some(item) = decode(event) else { return };
        positions.add(&mut self.ready, item);
        // FreeBSD deletes the filter when the reader of a pipe is closed, and
        // reports that as a one-shot, which it was not. In the other modes
        // there is nothing more to report.
        let flags = event.flags();
        if flags.contains(EventFlags::EOF | EventFlags::ONESHOT)
            && !flags.intersects(EventFlags::CLEAR | DISPATCH)
        {
            let Ready { fd, token, events } = item;
            let event = events.intersection(BOTH);
            if !self.broken.iter().any(|broken| broken.token == token && broken.event == event) {
                // Without room it is reported this once.
                let _ = self.broken.push(Broken { fd, token, event, mode: Mode::Level });
            }
        }
    }

    /// Reports the pipes that have no filter, as long as there is room. A
    /// level-triggered one stays.
    fn collect_broken(&mut self, positions: &mut Positions<BATCH>) {
        let Self { broken, ready, .. } = self;
        broken.retain(|&Broken { fd, token, event, mode }| {
            let events = event | Events::HANGUP;
            let reported = positions.add(ready, Ready { token, events, fd });
            !reported || mode == Mode::Level
        });
    }

    /// Drops those among the broken pipes that were closed without the
    /// selector's knowledge.
    #[allow(unsafe_code)]
    fn drop_closed(&mut self) {
        if self.broken.is_empty() {
            return;
        }
        let mut polled: heapless::Vec<_, BATCH> = heapless::Vec::new();
        for broken in &self.broken {
            // SAFETY: the number is not -1, since it was a descriptor's. It is
            // open, as the caller of `add` promises, until the registration is
            // removed, which drops it here. If it is closed nevertheless, poll
            // says so.
            let fd = unsafe { BorrowedFd::borrow_raw(broken.fd) };
            // Hang-ups are reported always, except by macOS, which has to be
            // given the flag.
            let _ = polled.push(PollFd::from_borrowed_fd(fd, PollFlags::HUP));
        }
        if rustix::event::poll(&mut polled, Some(&NOW)).is_ok() {
            let mut polled = polled.iter();
            self.broken.retain(|_| polled.next().is_none_or(is_hung_up));
        }
    }
}

/// Returns what an event of the kernel says. Entries for refused changes are
/// none.
fn decode(event: &Event) -> Option<Ready> {
    let (fd, events) = subject(event).filter(|_| !event.flags().contains(EventFlags::ERROR))?;
    let end = if events == Events::READ { Events::READ_HANGUP } else { Events::HANGUP };
    let eof = event.flags().contains(EventFlags::EOF);
    let events = if eof { events | end } else { events };
    Some(Ready { token: from_udata(event.udata()), events, fd })
}

#[allow(unsafe_code)]
// SAFETY: `add`, `modify`, `remove`, `disarm` and `rebuild` use the descriptors
// that they get. `rebuild` also deletes filters of a closed number, which has
// no effect on the file there. Nothing is closed but the kqueue itself. No
// index, addition or unwrap can fail.
unsafe impl<const BATCH: usize> Backend for Kqueue<BATCH> {
    const KIND: Option<Kind> = Some(Kind::Kqueue);

    unsafe fn new() -> Result<Self, Error> {
        const { Self::HAS_ROOM };
        let fd = sys::kqueue().map_err(|errno| os("kqueue", None, errno))?;
        // Not too late: no child inherits it across a fork that comes between
        // the two.
        io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)
            .map_err(|errno| os("fcntl", Some(fd.as_raw_fd()), errno))?;
        Ok(Self {
            fd,
            ready: heapless::Vec::new(),
            next: 0,
            broken: heapless::Vec::new(),
            receipts: true,
        })
    }

    fn kind(&self) -> Kind {
        Kind::Kqueue
    }

    unsafe fn add(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> Result<(), Error> {
        self.lead(fd, token, NOTHING, interest).map_err(|errno| {
            let _ = self.lead(fd, token, interest, NOTHING);
            os_about("kevent", fd, errno)
        })
    }

    unsafe fn modify(&mut self, old: &Watched<'_>, new: Interest) -> Result<(), Error> {
        let Watched { fd, token, interest, armed, .. } = *old;
        self.lead(fd, token, interest, new).map_err(|errno| {
            let _ = if armed {
                self.lead(fd, token, new, interest)
            } else {
                // The one-shot that fired stays disarmed.
                self.lead(fd, token, (interest.events | new.events).with_mode(new.mode), NOTHING)
            };
            os_about("kevent", fd, errno)
        })
    }

    fn remove(&mut self, old: &Watched<'_>) {
        // If a deletion is refused: see `rebuild`.
        let _ = self.lead(old.fd, old.token, old.interest, NOTHING);
        for ready in self.ready.iter_mut().skip(self.next) {
            if ready.token == old.token {
                ready.token = Token::NONE;
            }
        }
    }

    fn disarm(&mut self, fired: &Watched<'_>) {
        // The filter that fired has disabled itself, the other has not.
        if fired.interest.events.contains(BOTH) {
            self.broken.retain(|broken| broken.token != fired.token);
            // If it is refused, the filter fires once more, and the event is
            // dropped.
            self.submit(fired.fd.as_raw_fd(), fired.token, &mut each(BOTH, EventFlags::DISABLE));
        }
    }

    #[allow(unsafe_code)]
    fn wait(&mut self, timeout: Option<&Timespec>) -> io::Result<usize> {
        self.ready.clear();
        self.next = 0;
        self.drop_closed();
        let timeout = if self.broken.is_empty() { timeout } else { Some(&NOW) };
        let mut buffer = [MaybeUninit::uninit(); BATCH];
        // SAFETY: there are no changes, and what is watched was added under the
        // promise of `add`.
        let (events, _) = unsafe { sys::kevent_timespec(&self.fd, &[], &mut buffer[..], timeout)? };
        let mut positions = Positions::new();
        for event in events.iter() {
            self.collect(&mut positions, event);
        }
        self.collect_broken(&mut positions);
        Ok(self.ready.len())
    }

    fn peek(&mut self) -> Option<(Token, Events)> {
        self.ready.get(self.next).map(|ready| (ready.token, ready.events))
    }

    fn advance(&mut self) {
        self.next += 1;
    }

    fn pending(&self) -> usize {
        self.ready.len() - self.next
    }

    fn take_wake(&mut self, token: Token) -> bool {
        let found = self.ready.iter().position(|ready| ready.token == token);
        found.map(|position| self.ready.swap_remove(position)).is_some()
    }

    /// A closed descriptor takes its filters with it. What can be reported of a
    /// registration that does not exist is a filter whose deletion was refused,
    /// or a broken pipe without a filter. The first is among the last batch,
    /// and is deleted again.
    unsafe fn rebuild<'a>(&mut self, watched: impl Iterator<Item = Watched<'a>>) -> Rebuilt {
        let mut stale: heapless::Vec<_, BATCH> =
            self.ready.iter().map(|ready| (ready.fd, BOTH)).collect();
        let mut broken: heapless::Vec<Broken, BATCH> = heapless::Vec::new();
        for Watched { fd, token, interest, .. } in watched {
            for (_, events) in stale.iter_mut().filter(|(stale, _)| *stale == fd.as_raw_fd()) {
                events.remove(interest.events);
            }
            for old in self.broken.iter().filter(|broken| broken.token == token) {
                let _ = broken.push(*old);
            }
        }
        self.broken = broken;
        for (fd, events) in stale {
            self.submit(fd, Token::NONE, &mut each(events, EventFlags::DELETE));
        }
        Rebuilt::Done
    }
}

impl<const BATCH: usize> AsFd for Kqueue<BATCH> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl<const BATCH: usize> fmt::Debug for Kqueue<BATCH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kqueue")
            .field("fd", &self.fd.as_raw_fd())
            .field("pending", &self.pending())
            .finish()
    }
}
