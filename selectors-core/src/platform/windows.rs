//! What Windows has, under the names that `unix.rs` has, too: sockets, and
//! `WSAPoll` for them.

#[cfg(target_pointer_width = "32")]
pub(crate) use core::sync::atomic::AtomicU32 as AtomicFd;
#[cfg(target_pointer_width = "64")]
pub(crate) use core::sync::atomic::AtomicU64 as AtomicFd;

use core::ffi::c_void;
use core::net::{Ipv4Addr, SocketAddrV4};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, AsSocket, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::{self, Errno};
use rustix::net::{self, AddressFamily, SocketType};

use crate::entry::{KeyMut, SelectorType};
use crate::error::{Error, FileKind, os, os_about};

/// `INVALID_SOCKET`.
pub(crate) const NO_FD: RawFd = RawFd::MAX;

/// Returns whether a socket can have this number.
#[inline]
#[must_use]
pub const fn is_valid(fd: RawFd) -> bool {
    fd != NO_FD
}

// With it the key has `AsFd`, too.
impl<Sel: SelectorType<Source: AsFd>> AsSocket for KeyMut<'_, Sel> {
    fn as_socket(&self) -> BorrowedFd<'_> {
        self.fileobj.as_fd()
    }
}

/// `WSAPoll`'s flags for ours.
pub mod flag {
    use super::PollFlags;

    // `POLLIN` includes out-of-band data, and WSAPoll refuses `POLLPRI`.
    pub const READ: PollFlags = PollFlags::RDNORM;
    pub const WRITE: PollFlags = PollFlags::OUT;
    pub const PRIORITY: PollFlags = PollFlags::RDBAND;
    pub const ERROR: PollFlags = PollFlags::ERR;
    pub const HANGUP: PollFlags = PollFlags::empty();
    // It is reported as soon as the peer sends no more, and a socket may still
    // be written to then.
    pub const READ_HANGUP: PollFlags = PollFlags::HUP;
}

/// `READ_HANGUP` can't be requested: `WSAPoll` reports it of every socket, some
/// systems after the data only.
pub(crate) const HALF_CLOSE: PollFlags = PollFlags::empty();

/// Refuses a closed socket.
pub(crate) fn check_open(fd: BorrowedFd<'_>) -> Result<(), Error> {
    net::sockopt::socket_type(fd).map(drop).map_err(|errno| os_about("getsockopt", fd, errno))
}

/// Returns whether another attempt may succeed, because something is short now.
pub(crate) const fn is_shortage(errno: Errno) -> bool {
    matches!(errno, Errno::MFILE | Errno::NOBUFS)
}

/// Returns a number of this process: one will do, as processes do not fork.
pub(crate) const fn process() -> i32 {
    1
}

/// Files can't be registered.
pub(crate) const fn refused_file(_fd: BorrowedFd<'_>, _errno: Errno) -> Option<FileKind> {
    None
}

/// Returns what to do about the refusals that occur in practice.
pub(crate) fn advice(_call: &str, errno: Errno, _file: Option<FileKind>) -> Option<&'static str> {
    match errno {
        Errno::BADF | Errno::NOTSOCK => {
            Some("the socket is closed, or this is no socket; keep it open while it is watched")
        }
        _ => None,
    }
}

/// A wait that finds nothing but hang-ups that are not reported asks again
/// after this time.
const STEP: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// Calls `WSAPoll`, with what poll has besides.
///
/// - An empty list waits for the timeout. `WSAPoll` refuses it.
/// - A closed socket is reported as `POLLNVAL`, also if there is no other one.
///   `WSAPoll` fails then.
/// - A hang-up of a socket that is not watched for `READ` does not end the
///   wait, as it would end every wait.
/// - The timeout is never cut short. `WSAPoll` rounds it to ticks.
///
/// # Errors
///
/// Those of `WSAPoll`. For an empty list also those of the calls that open a
/// socket.
pub fn poll(fds: &mut [PollFd<'_>], timeout: Option<&Timespec>) -> io::Result<usize> {
    let clock = Clock::start(timeout);
    let mut left = timeout.copied();
    loop {
        let (ready, hung_up) = if fds.is_empty() {
            sleep(left.as_ref())?;
            (0, false)
        } else {
            poll_once(fds, left.as_ref())?
        };
        left = clock.as_ref().map(Clock::left);
        if ready > 0 || left == Some(NOW) {
            return Ok(ready);
        }
        if hung_up {
            sleep(Some(&STEP))?;
            left = clock.as_ref().map(Clock::left);
        }
    }
}

/// Calls `WSAPoll` once. Returns how many sockets are ready, and whether
/// another one has hung up.
fn poll_once(fds: &mut [PollFd<'_>], timeout: Option<&Timespec>) -> io::Result<(usize, bool)> {
    match rustix::event::poll(fds, timeout) {
        Ok(_) => {}
        Err(Errno::NOTSOCK | Errno::BADF) => mark_closed(fds),
        Err(errno) => return Err(errno),
    }
    let (mut ready, mut hung_up) = (0, false);
    for entry in entries(fds) {
        if entry.revents == PollFlags::HUP.bits() && entry.events & flag::READ.bits() == 0 {
            entry.revents = 0;
            hung_up = true;
        }
        ready += usize::from(entry.revents != 0);
    }
    Ok((ready, hung_up))
}

/// Marks the sockets that are closed, and clears the others' results.
fn mark_closed(fds: &mut [PollFd<'_>]) {
    for fd in fds {
        let closed = net::sockopt::socket_type(&*fd).is_err();
        for entry in entries(core::slice::from_mut(fd)) {
            entry.revents = if closed { PollFlags::NVAL.bits() } else { 0 };
        }
    }
}

/// `WSAPOLLFD`, of which rustix does not return the request.
#[repr(C)]
struct Entry {
    socket: RawFd,
    events: i16,
    revents: i16,
}

#[allow(unsafe_code)]
fn entries<'a>(fds: &'a mut [PollFd<'_>]) -> &'a mut [Entry] {
    const { assert!(size_of::<Entry>() == size_of::<PollFd<'_>>()) };
    const { assert!(align_of::<Entry>() == align_of::<PollFd<'_>>()) };
    // SAFETY: rustix passes the array to WSAPoll as it is, so its items are
    // `WSAPOLLFD`s. These have the fields of `Entry`. The socket is not changed
    // by the caller, and the others may have any value. The borrow is the same.
    unsafe { core::slice::from_raw_parts_mut(fds.as_mut_ptr().cast(), fds.len()) }
}

/// Waits for nothing but the time.
fn sleep(timeout: Option<&Timespec>) -> io::Result<()> {
    if timeout == Some(&NOW) {
        return Ok(());
    }
    // Of a socket that nothing is requested of, and that has no connection,
    // nothing is reported.
    let quiet = open_datagram()?;
    rustix::event::poll(&mut [PollFd::new(&quiet, PollFlags::empty())], timeout).map(drop)
}

/// When a wait ends, in ticks of the performance counter.
struct Clock {
    end: i64,
    frequency: i64,
}

impl Clock {
    const NANOS: i128 = 1_000_000_000;

    /// Returns `None` if the wait is not limited.
    fn start(timeout: Option<&Timespec>) -> Option<Self> {
        let timeout = timeout?;
        let (now, frequency) = counter();
        let nanos = i128::from(timeout.tv_sec) * Self::NANOS + i128::from(timeout.tv_nsec);
        let ticks = (nanos * i128::from(frequency) + Self::NANOS - 1) / Self::NANOS;
        let end = i128::from(now).saturating_add(ticks);
        Some(Self { end: i64::try_from(end).unwrap_or(i64::MAX), frequency })
    }

    /// Returns how much time is left, rounded up.
    fn left(&self) -> Timespec {
        let ticks = i128::from(self.end.saturating_sub(counter().0).max(0));
        let frequency = i128::from(self.frequency);
        let nanos = (ticks * Self::NANOS + frequency - 1) / frequency;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "less than 2³¹ ms were given, and the remainder is below 10⁹"
        )]
        Timespec { tv_sec: (nanos / Self::NANOS) as _, tv_nsec: (nanos % Self::NANOS) as _ }
    }
}

#[link(name = "kernel32")]
#[allow(unsafe_code)]
unsafe extern "system" {
    fn QueryPerformanceCounter(ticks: *mut i64) -> i32;
    fn QueryPerformanceFrequency(ticks: *mut i64) -> i32;
}

#[link(name = "ws2_32")]
#[allow(unsafe_code)]
unsafe extern "system" {
    // rustix's `socket` opens sockets that child processes inherit.
    fn WSASocketW(
        family: i32,
        kind: i32,
        protocol: i32,
        info: *const c_void,
        group: u32,
        flags: u32,
    ) -> RawFd;
    safe fn WSAGetLastError() -> i32;
}

/// Returns the performance counter, and its ticks in a second.
#[allow(unsafe_code)]
fn counter() -> (i64, i64) {
    let (mut now, mut frequency) = (0, 1);
    // SAFETY: each writes a number to where the pointer points. Neither fails,
    // since Windows XP.
    unsafe {
        QueryPerformanceCounter(&raw mut now);
        QueryPerformanceFrequency(&raw mut frequency);
    }
    (now, frequency.max(1))
}

/// Opens a non-blocking socket that child processes do not inherit.
#[allow(unsafe_code)]
fn open_socket(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    const OVERLAPPED: u32 = 0x01;
    const NO_HANDLE_INHERIT: u32 = 0x80;
    const NOT_INITIALISED: i32 = 10093;

    let (family, kind) = (i32::from(family.as_raw()), kind.as_raw().cast_signed());
    let flags = OVERLAPPED | NO_HANDLE_INHERIT;
    // SAFETY: no pointer is given but null, which is allowed.
    let open = || unsafe { WSASocketW(family, kind, 0, core::ptr::null(), 0, flags) };
    let mut socket = open();
    if socket == NO_FD && WSAGetLastError() == NOT_INITIALISED {
        // As std does before its first socket.
        net::wsa_startup()?;
        socket = open();
    }
    if socket == NO_FD {
        return Err(Errno::from_raw_os_error(WSAGetLastError()));
    }
    // SAFETY: it is open, and owned by nothing else. It is not
    // `INVALID_SOCKET`.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

/// Opens a datagram socket with a number of its own.
fn open_datagram() -> io::Result<OwnedFd> {
    let socket = open_socket(AddressFamily::INET, SocketType::DGRAM)?;
    net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    Ok(socket)
}

/// The error number of a connection that a non-blocking socket has begun.
pub const CONNECTING: Errno = Errno::WOULDBLOCK;

/// Opens a TCP socket that is non-blocking, and that child processes do not
/// inherit.
///
/// # Errors
///
/// Those of `WSASocket` and `ioctlsocket`.
pub fn open_stream(family: AddressFamily) -> io::Result<OwnedFd> {
    open_socket(family, SocketType::STREAM)
}

/// Opens a datagram socket that is connected to itself, and so can be written
/// to and watched.
pub(crate) fn open_wake() -> Result<(OwnedFd, Option<OwnedFd>), Error> {
    let open = || {
        let socket = open_datagram()?;
        net::connect(&socket, &net::getsockname(&socket)?)?;
        Ok(socket)
    };
    open().map(|socket| (socket, None)).map_err(|errno| os("socket", None, errno))
}

/// What a wake writes.
pub(crate) const WAKE: [u8; 1] = *b"!";

/// Writes a wake to the socket of [`open_wake`].
#[inline]
pub(crate) fn write_wake(end: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        match io::write(end, &WAKE) {
            // With two threads that write, this does not mean that there is a
            // wake already.
            Err(Errno::AGAIN) => core::hint::spin_loop(),
            written => return written.map(drop),
        }
    }
}

/// Empties the socket of [`open_wake`], so that a level-triggered wait is not
/// ended by it again.
pub(crate) fn drain_wake(fd: BorrowedFd<'_>) {
    while let Ok(_) | Err(Errno::INTR) = io::read(fd, &mut [0_u8; 8]) {}
}
