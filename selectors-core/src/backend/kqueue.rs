use core::fmt;
use core::mem::MaybeUninit;

use rustix::event::Timespec;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::{self, Errno};

// Everything that is ours comes through the module above, and so do the system calls: the tests
// compile this file once more, below a module where the calls are an emulation.
use super::kqueue_sys::{self as sys, Event, EventFilter, EventFlags};
use super::{Backend, Error, Events, Interest, Kind, Mode, Rebuilt, Token, Watched, os, os_about};

/// The kqueue of the BSDs and Apple's systems.
///
/// The time of a wait does not grow with the number of descriptors. The kernel has two filters for a descriptor, one for
/// reading and one for writing. Their events are returned as one item if they arrive together. [`Events::PRIORITY`] is
/// [`Error::Unsupported`], because rustix has no filter for it. So is [`Events::READ_HANGUP`] without [`Events::READ`].
/// [`Events::ERROR`] is never reported: a failed connection is readable, writable and hung up, and
/// `SelectorKey::take_error` returns the reason.
///
/// A wait returns at most `BATCH` events. One wait is one system call, `kevent`, whose timeout has nanoseconds. A change is
/// one call for each filter. A kqueue is not inherited across `fork`, so a child opens its own. The page on
/// [portability](crate::portability#platforms) says on which systems this has run.
///
/// # Examples
///
/// A selector with another batch is one line:
///
/// ```
/// use rustix::fd::OwnedFd;
/// use selectors_core::{Selector, backend::Kqueue, storage::Fixed};
///
/// type Thrifty<D> = Selector<Kqueue<8>, OwnedFd, D, Fixed<16>>; // 16 keys, 8 events for each wait
/// let selector = Thrifty::<()>::new()?;
/// # Ok::<(), selectors_core::Error>(())
/// ```
pub struct Kqueue<const BATCH: usize = 64> {
    fd: OwnedFd,
    ready: heapless::Vec<Ready, BATCH>,
    next: usize,
    broken: heapless::Vec<Broken, BATCH>,
}

#[derive(Clone, Copy)]
struct Ready {
    token: Token,
    events: Events,
    fd: RawFd,
}

/// A pipe whose other end was gone when it was to be watched, for which some kernels have no filter
/// but EPIPE. It is reported from here, or its key would wait indefinitely.
struct Broken {
    token: Token,
    event: Events,
    mode: Mode,
}

/// `EV_DISPATCH`, for which rustix has no name: the filter disables itself when it fires.
const DISPATCH: EventFlags = EventFlags::from_bits_retain(0x80);

const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// All that there are filters for.
const BOTH: Events = Events::READ.union(Events::WRITE);

/// How a filter is armed.
fn arming(mode: Mode) -> EventFlags {
    // ADD alone would not enable a filter that fired once, ENABLE alone not look at it anew.
    let add = EventFlags::ADD | EventFlags::ENABLE;
    if mode == Mode::Edge {
        add | EventFlags::CLEAR
    } else if mode == Mode::OneShot {
        add | DISPATCH
    } else {
        add
    }
}

fn filter(fd: RawFd, event: Events) -> EventFilter {
    if event == Events::READ { EventFilter::Read(fd) } else { EventFilter::Write(fd) }
}

/// A pointer's width is all that the kernel carries: on 32-bit platforms each half of the token has
/// to do with sixteen bits, and the table counts no further there.
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
    /// With an empty buffer kevent would return at once, so such a selector must not compile.
    const HAS_ROOM: () = assert!(BATCH > 0, "a batch holds at least one event");

    /// Makes one change to one filter.
    #[allow(unsafe_code)]
    fn change(&self, filter: EventFilter, token: Token, flags: EventFlags) -> Result<(), Errno> {
        let change = [Event::new(filter, flags | EventFlags::RECEIPT, to_udata(token))];
        loop {
            let mut receipt = [MaybeUninit::uninit(); 1];
            // SAFETY: the descriptor in `change` is open, as the caller of `add` promises, until its filters are deleted. If
            // it is closed all the same, the kernel deletes them. `receipt` has the length that the kernel is given.
            let answer = unsafe { sys::kevent_timespec(&self.fd, &change, &mut receipt, Some(&NOW)) };
            let receipts = match answer {
                Ok((receipts, _)) => receipts,
                // Whether it has been made or not, making it again is the same.
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno),
            };
            // A receipt is an event with the error bit set; 0 means that all is well.
            let receipt = receipts.iter().find(|receipt| receipt.flags().contains(EventFlags::ERROR));
            return match receipt.map_or(0, Event::data) {
                0 => Ok(()),
                errno => Err(Errno::from_raw_os_error(i32::try_from(errno).unwrap_or(0))),
            };
        }
    }

    /// Arms the filters of an interest, and stops at the first that is refused.
    fn arm(&mut self, fd: RawFd, token: Token, interest: Interest) -> Result<(), Errno> {
        self.broken.retain(|broken| broken.token != token || !interest.events.contains(broken.event));
        for event in interest.events.intersection(BOTH).iter() {
            match self.change(filter(fd, event), token, arming(interest.mode)) {
                Err(Errno::PIPE) => {
                    let broken = Broken { token, event, mode: interest.mode };
                    self.broken.push(broken).map_err(|_| Errno::PIPE)?;
                }
                answer => answer?,
            }
        }
        Ok(())
    }

    /// Deletes or disables the filters of these events, and answers with the first refusal.
    fn silence(&mut self, fd: RawFd, token: Token, events: Events, how: EventFlags) -> Result<(), Errno> {
        self.broken.retain(|broken| broken.token != token || !events.contains(broken.event));
        let mut refusal = Ok(());
        for event in events.intersection(BOTH).iter() {
            match self.change(filter(fd, event), token, how) {
                // Never added, or gone with what was at this number before.
                Ok(()) | Err(Errno::NOENT) => {}
                refused => refusal = refusal.and(refused),
            }
        }
        refusal
    }

    /// All or nothing of it.
    fn try_modify(&mut self, old: &Watched<'_>, new: Interest) -> Result<(), Errno> {
        let Watched { token, interest: before, .. } = *old;
        let fd = old.fd.as_raw_fd();
        // What is there keeps its mode when it is added again, so that it has to go first.
        let stays = if before.mode == new.mode { before.events } else { Events::empty() };
        self.silence(fd, token, before.events.difference(stays), EventFlags::DELETE)
            .and_then(|()| self.arm(fd, token, new))
            .and_then(|()| self.silence(fd, token, stays.difference(new.events), EventFlags::DELETE))
            .inspect_err(|_| {
                let kept = if old.armed { stays } else { Events::empty() };
                let _ = self.silence(fd, token, new.events.difference(kept), EventFlags::DELETE);
                if old.armed {
                    let _ = self.arm(fd, token, before);
                }
            })
    }

    /// Remembers an event of the kernel.
    fn collect(&mut self, event: &Event) {
        let eof = event.flags().contains(EventFlags::EOF);
        let (fd, events) = match event.filter() {
            _ if event.flags().contains(EventFlags::ERROR) => return,
            EventFilter::Read(fd) if eof => (fd, Events::READ | Events::READ_HANGUP),
            EventFilter::Read(fd) => (fd, Events::READ),
            EventFilter::Write(fd) if eof => (fd, Events::WRITE | Events::HANGUP),
            EventFilter::Write(fd) => (fd, Events::WRITE),
            _ => return,
        };
        tell(&mut self.ready, Ready { token: from_udata(event.udata()), events, fd });
    }

    /// Tells of the pipes that have no filter, as long as there is room; a level-triggered one stays.
    fn collect_broken(&mut self) {
        let Self { broken, ready, .. } = self;
        broken.retain(|&Broken { token, event, mode }| {
            let events = event | Events::HANGUP;
            let told = tell(ready, Ready { token, events, fd: -1 });
            !told || mode == Mode::Level
        });
    }
}

/// Both filters of one registration make one item. False if there is no room for it.
fn tell<const BATCH: usize>(batch: &mut heapless::Vec<Ready, BATCH>, item: Ready) -> bool {
    match batch.iter_mut().find(|ready| ready.token == item.token) {
        Some(ready) => {
            ready.events |= item.events;
            true
        }
        None => batch.push(item).is_ok(),
    }
}

#[allow(unsafe_code)]
// SAFETY: `add`, `modify`, `remove`, `disarm` and `rebuild` use the descriptors that they get. `rebuild` also deletes filters
// of a closed number, which has no effect on the file there. Nothing is closed but the kqueue itself. No index, addition
// or unwrap can fail.
unsafe impl<const BATCH: usize> Backend for Kqueue<BATCH> {
    const KIND: Option<Kind> = Some(Kind::Kqueue);

    unsafe fn new() -> Result<Self, Error> {
        const { Self::HAS_ROOM };
        let fd = sys::kqueue().map_err(|errno| os("kqueue", None, errno))?;
        // Not too late: no child inherits it across a fork that comes between the two.
        io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)
            .map_err(|errno| os("fcntl", Some(fd.as_raw_fd()), errno))?;
        Ok(Self { fd, ready: heapless::Vec::new(), next: 0, broken: heapless::Vec::new() })
    }

    fn kind(&self) -> Kind {
        Kind::Kqueue
    }

    unsafe fn add(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> Result<(), Error> {
        let number = fd.as_raw_fd();
        self.arm(number, token, interest).map_err(|errno| {
            let _ = self.silence(number, token, interest.events, EventFlags::DELETE);
            os_about("kevent", fd, errno)
        })
    }

    unsafe fn modify(&mut self, old: &Watched<'_>, new: Interest) -> Result<(), Error> {
        self.try_modify(old, new).map_err(|errno| os_about("kevent", old.fd, errno))
    }

    fn remove(&mut self, old: &Watched<'_>) {
        // Should it be refused: see `rebuild`.
        let _ = self.silence(old.fd.as_raw_fd(), old.token, old.interest.events, EventFlags::DELETE);
        for ready in self.ready.iter_mut().skip(self.next) {
            if ready.token == old.token {
                ready.token = Token::NONE;
            }
        }
    }

    fn disarm(&mut self, fired: &Watched<'_>) {
        // The filter that fired has disabled itself, the other has not.
        if fired.interest.events.contains(BOTH) {
            // Should it be refused, it fires once more, and is told to nobody.
            let _ = self.silence(fired.fd.as_raw_fd(), fired.token, BOTH, EventFlags::DISABLE);
        }
    }

    #[allow(unsafe_code)]
    fn wait(&mut self, timeout: Option<&Timespec>) -> io::Result<usize> {
        self.ready.clear();
        self.next = 0;
        let timeout = if self.broken.is_empty() { timeout } else { Some(&NOW) };
        let mut buffer = [MaybeUninit::uninit(); BATCH];
        // SAFETY: there are no changes, and what is watched was added under the promise of `add`. `buffer` has the length
        // that the kernel is given.
        let (events, _) = unsafe { sys::kevent_timespec(&self.fd, &[], &mut buffer, timeout)? };
        for event in events.iter() {
            self.collect(event);
        }
        self.collect_broken();
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
        found.map(|place| self.ready.swap_remove(place)).is_some()
    }

    /// A closed descriptor takes its filters with it. What can be told of a registration that is gone
    /// is a filter whose deletion was refused: it is among the last batch, and deleted again.
    unsafe fn rebuild<'a>(&mut self, watched: impl Iterator<Item = Watched<'a>>) -> Rebuilt {
        let mut stale: heapless::Vec<_, BATCH> = self.ready.iter().map(|ready| (ready.fd, BOTH)).collect();
        for Watched { fd, interest, .. } in watched {
            for (_, events) in stale.iter_mut().filter(|(stale, _)| *stale == fd.as_raw_fd()) {
                events.remove(interest.events);
            }
        }
        for (fd, events) in stale {
            let _ = self.silence(fd, Token::NONE, events, EventFlags::DELETE);
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
        f.debug_struct("Kqueue").field("fd", &self.fd.as_raw_fd()).field("pending", &self.pending()).finish()
    }
}
