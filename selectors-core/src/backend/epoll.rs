use core::fmt;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{Nsecs, PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::{self, Errno};

use super::{Backend, Kind, NOW, Rebuilt};
use crate::error::{Error, os, os_about};
use crate::events::{Events, Interest, Mode};
use crate::table::{Token, Watched};

/// Linux's epoll.
///
/// The time of a wait does not grow with the number of descriptors. A wait
/// returns at most `BATCH` events. The selector stores twelve to sixteen bytes
/// for each of them. If more descriptors are ready, the kernel takes turns.
/// Regular files are refused (`EPERM`).
///
/// One wait is one system call, `epoll_wait`, if something is ready.
/// `epoll_wait` counts in milliseconds. If the timeout has a fraction of a
/// millisecond and nothing is ready before, a second call, `ppoll`, waits for
/// the fraction. A third call fetches what becomes ready in it. Such a wait is
/// as exact as the kernel's timers. If the kernel refuses `ppoll`, the timeout
/// is rounded up to a whole millisecond.
///
/// **Note:** rustix has a feature `linux_5_11`. If any crate of the program
/// turns it on, each wait is an `epoll_pwait2`. Kernels before 5.11 do not have
/// that call, so every wait fails there with `ENOSYS`.
/// [`AnySelector`](crate::AnySelector) notices that when it is opened and uses
/// poll.
///
/// **Note:** in a program that was started with descriptors 0 to 2 closed, the
/// epoll instance may get one of these numbers. Code that replaces the standard
/// streams, such as `rustix::stdio::dup2_stdin`, then replaces the epoll
/// instance, and every wait fails with `EINVAL`. Open `/dev/null` for such a
/// stream first.
///
/// Only this backend and kqueue have a descriptor of their own: see
/// [`Selector`]'s `AsFd`.
///
/// # Examples
///
/// A selector with another batch is one line:
///
/// ```
/// use rustix::fd::OwnedFd;
/// use selectors_core::{Selector, backend::Epoll, storage::Fixed};
///
/// // Up to 16 keys, and 8 events for each wait.
/// type Thrifty<D> = Selector<Epoll<8>, OwnedFd, D, Fixed<16>>;
/// let selector = Thrifty::<()>::new()?;
/// # Ok::<(), selectors_core::Error>(())
/// ```
///
/// [`Selector`]: crate::Selector
pub struct Epoll<const BATCH: usize = 64> {
    fd: OwnedFd,
    /// Whether `fd` was handed out, so that another instance may watch it.
    shared: AtomicBool,
    ready: Batch<BATCH>,
    /// The part of it that is pending.
    pending: Range<usize>,
}

/// The events of a wait as the kernel wrote them. An event is decoded when it
/// is consumed.
struct Batch<const N: usize>([Event; N]);

#[allow(unsafe_code)]
// SAFETY: an event is a number of 32 bits and one of 64, of which the latter
// might be a pointer in a program that made it from one. Here all are made from
// numbers, by `data`, and nothing else is read out.
unsafe impl<const N: usize> Send for Batch<N> {}
#[allow(unsafe_code)]
// SAFETY: as above, and nothing changes an event through a shared reference.
unsafe impl<const N: usize> Sync for Batch<N> {}

impl<const BATCH: usize> Epoll<BATCH> {
    /// epoll refuses an empty buffer, so such a selector must not compile.
    const HAS_ROOM: () = assert!(BATCH > 0, "a batch holds at least one event");

    #[inline]
    fn wait_once(&mut self, timeout: Option<&Timespec>) -> io::Result<usize> {
        let ready = epoll::wait(borrow(&self.fd), &mut self.ready.0, timeout)?;
        // Otherwise it is empty already.
        if ready > 0 {
            self.pending = 0..ready;
        }
        Ok(ready)
    }

    /// Waits for a time that is no whole number of milliseconds.
    #[cold]
    fn wait_finely(&mut self, time: &Timespec) -> io::Result<usize> {
        let fraction = Timespec { tv_sec: 0, tv_nsec: time.tv_nsec % MILLISECOND };
        let whole = Timespec { tv_nsec: time.tv_nsec - fraction.tv_nsec, ..*time };
        let ready = self.wait_once(Some(&whole))?;
        if ready > 0 {
            return Ok(ready);
        }
        let mut own = [PollFd::from_borrowed_fd(borrow(&self.fd), PollFlags::IN)];
        match rustix::event::poll(&mut own, Some(&fraction)) {
            Ok(0) => return Ok(0),
            Ok(_) => {
                let ready = self.wait_once(Some(&NOW))?;
                if ready > 0 {
                    return Ok(ready);
                }
                // Another reader was faster. How much time is left is not
                // known.
            }
            Err(Errno::INTR) => return Err(Errno::INTR),
            // Only the refinement is refused, by a limit or a sandbox.
            Err(_) => {}
        }
        self.wait_once(Some(&Timespec { tv_sec: 0, tv_nsec: MILLISECOND }))
    }

    fn control(result: io::Result<()>, fd: BorrowedFd<'_>) -> Result<(), Error> {
        result.map_err(|errno| os_about("epoll_ctl", fd, errno))
    }
}

/// The unit of `epoll_wait`, in nanoseconds.
const MILLISECOND: Nsecs = 1_000_000;

/// Returns whether `epoll_ctl` is permitted.
///
/// The kernel refuses to add an instance to itself (`EINVAL`). Every other
/// refusal is that of a sandbox.
fn may_control(fd: &OwnedFd) -> bool {
    epoll::add(borrow(fd), borrow(fd), data(Token::NONE), EventFlags::empty()) == Err(Errno::INVAL)
}

// Not inlined: the test that looks for ways to panic knows it by name.
#[inline(never)]
fn create() -> io::Result<OwnedFd> {
    epoll::create(CreateFlags::CLOEXEC)
}

fn flags(interest: Interest) -> EventFlags {
    // The kernel adds hang-ups and errors by itself.
    let flags = EventFlags::from_bits_retain(interest.events.mask().bits().into());
    match interest.mode {
        Mode::Level => flags,
        Mode::Edge => flags | EventFlags::ET,
        Mode::OneShot => flags | EventFlags::ONESHOT,
    }
}

/// The names of the bits differ from ours, their values don't.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the bits above are flags of the request")]
fn events(flags: EventFlags) -> Events {
    const _: () = assert!(
        EventFlags::IN.bits() == Events::READ.bits() as u32
            && EventFlags::PRI.bits() == Events::PRIORITY.bits() as u32
            && EventFlags::OUT.bits() == Events::WRITE.bits() as u32
            && EventFlags::ERR.bits() == Events::ERROR.bits() as u32
            && EventFlags::HUP.bits() == Events::HANGUP.bits() as u32
            && EventFlags::RDHUP.bits() == Events::READ_HANGUP.bits() as u32
    );
    Events::from_bits_retain(flags.bits() as u16)
}

fn data(token: Token) -> EventData {
    EventData::new_u64(token.to_u64())
}

/// As `as_fd`, without its check for -1, which would bring all of the panic
/// machinery into a small program.
#[inline]
#[allow(unsafe_code)]
fn borrow(fd: &OwnedFd) -> BorrowedFd<'_> {
    // SAFETY: an `OwnedFd` is never -1, as its constructors demand.
    unsafe { core::hint::assert_unchecked(fd.as_raw_fd() != -1) };
    fd.as_fd()
}

#[allow(unsafe_code)]
// SAFETY: `add`, `modify` and `remove` use the descriptor that they get,
// `rebuild` those that it gets. Nothing is closed but instances that were
// created here. No index, addition or unwrap can fail.
unsafe impl<const BATCH: usize> Backend for Epoll<BATCH> {
    const KIND: Option<Kind> = Some(Kind::Epoll);

    unsafe fn new() -> Result<Self, Error> {
        const { Self::HAS_ROOM };
        let none = Event { flags: EventFlags::empty(), data: data(Token::NONE) };
        let fd = create().map_err(|errno| os("epoll_create1", None, errno))?;
        let shared = AtomicBool::new(false);
        Ok(Self { fd, shared, ready: Batch([none; BATCH]), pending: 0..0 })
    }

    fn kind(&self) -> Kind {
        Kind::Epoll
    }

    fn probe(&mut self) -> Result<(), Error> {
        if !may_control(&self.fd) {
            return Err(os("epoll_ctl", None, Errno::PERM));
        }
        self.wait_once(Some(&NOW)).map_err(|errno| os(Kind::Epoll.call(), None, errno))?;
        Ok(())
    }

    unsafe fn add(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> Result<(), Error> {
        let added = match epoll::add(borrow(&self.fd), fd, data(token), flags(interest)) {
            // No key has this number. So the entry is that of a registration
            // that was removed while its descriptor was closed, and a duplicate
            // has brought the same file back there.
            Err(Errno::EXIST) => epoll::modify(borrow(&self.fd), fd, data(token), flags(interest)),
            added => added,
        };
        Self::control(added, fd)
    }

    #[inline]
    unsafe fn modify(&mut self, old: &Watched<'_>, new: Interest) -> Result<(), Error> {
        Self::control(epoll::modify(borrow(&self.fd), old.fd, data(old.token), flags(new)), old.fd)
    }

    fn remove(&mut self, old: &Watched<'_>) {
        // A closed descriptor has left by itself (EBADF), or its number belongs
        // to a file that was never added (ENOENT). What a duplicate keeps alive
        // is met as a stale event.
        let _ = epoll::delete(borrow(&self.fd), old.fd);
        for event in self.ready.0.get_mut(self.pending.clone()).into_iter().flatten() {
            if event.data.u64() == old.token.to_u64() {
                event.data = data(Token::NONE);
            }
        }
    }

    fn disarm(&mut self, _fired: &Watched<'_>) {} // the kernel has done it

    #[inline]
    fn wait(&mut self, timeout: Option<&Timespec>) -> io::Result<usize> {
        match timeout {
            Some(time) if time.tv_nsec % MILLISECOND != 0 => self.wait_finely(time),
            _ => self.wait_once(timeout),
        }
    }

    #[inline]
    fn peek(&mut self) -> Option<(Token, Events)> {
        if self.pending.is_empty() {
            return None;
        }
        // SAFETY: `pending` is a part of what the kernel has written to
        // `ready`. The hint spares a check for each event.
        unsafe { core::hint::assert_unchecked(self.pending.end <= BATCH) };
        let event = self.ready.0.get(self.pending.start)?;
        Some((Token::from_u64(event.data.u64()), events(event.flags)))
    }

    #[inline]
    fn advance(&mut self) {
        self.pending.start += 1;
    }

    #[inline]
    fn pending(&self) -> usize {
        self.pending.len()
    }

    fn take_wake(&mut self, token: Token) -> bool {
        let pending = self.ready.0.get_mut(self.pending.clone()).unwrap_or_default();
        let Some(position) = pending.iter().position(|event| event.data.u64() == token.to_u64())
        else {
            return false;
        };
        // The first one fills the gap.
        if let Some(&first) = pending.first() {
            pending.iter_mut().skip(position).take(1).for_each(|gap| *gap = first);
        }
        self.advance();
        true
    }

    unsafe fn rebuild<'a>(&mut self, watched: impl Iterator<Item = Watched<'a>>) -> Rebuilt {
        let Ok(fresh) = create() else { return Rebuilt::Refused };
        if !may_control(&fresh) {
            return Rebuilt::Refused;
        }
        for entry in watched {
            // After a one-shot fired, the kernel keeps the entry but no events.
            let flags = if entry.armed { flags(entry.interest) } else { EventFlags::ONESHOT };
            let added = epoll::add(borrow(&fresh), entry.fd, data(entry.token), flags);
            if let Err(Errno::NOMEM | Errno::NOSPC) = added {
                return Rebuilt::Refused;
            }
            // Another refusal means that the descriptor was closed without the
            // selector's knowledge, or that its number has a new file that
            // can't be watched. There is nothing to report then, and the
            // program finds out by using it.
        }
        // The same number, so that the new instance is where the old one was
        // known.
        let fresh = borrow(&fresh);
        let _ = borrow(&self.fd); // is not -1, which dup3 checks
        if io::dup3(fresh, &mut self.fd, io::DupFlags::CLOEXEC).is_err() {
            return Rebuilt::Refused;
        }
        if self.shared.swap(false, Ordering::Relaxed) {
            return Rebuilt::Replaced;
        }
        Rebuilt::Done
    }
}

impl<const BATCH: usize> AsFd for Epoll<BATCH> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.store(true, Ordering::Relaxed);
        self.fd.as_fd()
    }
}

impl<const BATCH: usize> fmt::Debug for Epoll<BATCH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Epoll")
            .field("fd", &self.fd.as_raw_fd())
            .field("pending", &self.pending())
            .finish()
    }
}
