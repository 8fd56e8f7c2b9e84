//! What Unix has, under the names that `windows.rs` has, too.

pub(crate) use core::sync::atomic::AtomicI32 as AtomicFd;

use rustix::event::PollFlags;
pub use rustix::event::poll;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::{self, Errno};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::entry::{KeyMut, SelectorType};
use crate::error::{Error, FileKind, os, os_about};

/// Items for platforms with eventfd and with `POLLRDHUP`, which happen to be
/// the same.
macro_rules! if_eventfd {
    ($($item:item)*) => {
        $(#[cfg(any(
            target_os = "linux", target_os = "android", target_os = "freebsd", target_os = "illumos",
        ))] $item)*
    };
}

/// Items for platforms without both.
macro_rules! if_no_eventfd {
    ($($item:item)*) => {
        $(#[cfg(not(any(
            target_os = "linux", target_os = "android", target_os = "freebsd", target_os = "illumos",
        )))] $item)*
    };
}

/// The number of no descriptor.
pub(crate) const NO_FD: RawFd = -1;

/// Returns whether a descriptor can have this number.
#[inline]
#[must_use]
pub const fn is_valid(fd: RawFd) -> bool {
    fd >= 0
}

impl<Sel: SelectorType<Source: AsFd>> AsFd for KeyMut<'_, Sel> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fileobj.as_fd()
    }
}

/// poll's flags for ours.
pub mod flag {
    use super::PollFlags;

    pub const READ: PollFlags = PollFlags::IN;
    pub const WRITE: PollFlags = PollFlags::OUT;
    pub const PRIORITY: PollFlags = PollFlags::PRI;
    pub const ERROR: PollFlags = PollFlags::ERR;
    pub const HANGUP: PollFlags = PollFlags::HUP;
    pub const READ_HANGUP: PollFlags = super::HALF_CLOSE;
}

if_eventfd! {
    /// The request for `READ_HANGUP`, where poll distinguishes it.
    pub(crate) const HALF_CLOSE: PollFlags = PollFlags::RDHUP;
}
if_no_eventfd! {
    pub(crate) const HALF_CLOSE: PollFlags = PollFlags::empty();
}

/// Refuses a closed descriptor.
pub(crate) fn check_open(fd: BorrowedFd<'_>) -> Result<(), Error> {
    io::fcntl_getfd(fd).map(drop).map_err(|errno| os_about("fcntl", fd, errno))
}

/// Returns whether another attempt may succeed, because something is short now.
pub(crate) const fn is_shortage(errno: Errno) -> bool {
    matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM)
}

/// Returns the number of this process, which is positive.
pub(crate) fn process() -> i32 {
    rustix::process::getpid().as_raw_pid()
}

/// Returns what the descriptor refers to, if the kernel has refused it because
/// of that.
#[cfg(feature = "std")]
pub(crate) fn refused_file(fd: BorrowedFd<'_>, errno: Errno) -> Option<FileKind> {
    use rustix::fs::FileType;
    if !matches!(errno, Errno::PERM | Errno::BADF) {
        return None;
    }
    let stat = rustix::fs::fstat(fd).ok()?;
    Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::Regular,
        FileType::Directory => FileKind::Directory,
        FileType::CharacterDevice | FileType::BlockDevice => FileKind::Device,
        _ => FileKind::Other,
    })
}

/// Returns `None`, as without std the message lists the possible reasons.
#[cfg(not(feature = "std"))]
pub(crate) fn refused_file(_fd: BorrowedFd<'_>, _errno: Errno) -> Option<FileKind> {
    None
}

/// Returns the reason and the remedy of refusals that occur in practice.
pub(crate) fn advice(call: &str, errno: Errno, file: Option<FileKind>) -> Option<&'static str> {
    Some(match (errno, file) {
        // An open descriptor is known with std only.
        (Errno::BADF, Some(_)) => {
            "the descriptor is open but can't be polled; open it without O_PATH"
        }
        (Errno::BADF, None) if cfg!(feature = "std") => {
            "the descriptor is closed; keep it open while it is watched"
        }
        (Errno::BADF, None) => {
            "the descriptor is closed, or can't be polled; keep it open, and open it without O_PATH"
        }
        (Errno::PERM, Some(FileKind::Regular)) => {
            "a regular file is always ready; read it without a selector, or use poll"
        }
        (Errno::PERM, Some(FileKind::Directory)) => {
            "a directory can't be polled; read it without a selector"
        }
        (Errno::PERM, Some(FileKind::Device)) => {
            "this device can't be polled; read it without a selector, or use poll"
        }
        (Errno::PERM, Some(FileKind::Other)) => {
            "a sandbox forbids the call, or the file can't be polled; use AnySelector, or poll"
        }
        (Errno::PERM, None) if call == "epoll_ctl" => {
            "the file can't be polled, as regular files and directories, or a sandbox forbids the call; use poll"
        }
        (Errno::PERM | Errno::NOSYS, None) if call == "epoll_create1" => {
            "the kernel or a sandbox forbids the call; use AnySelector, or poll"
        }
        (Errno::LOOP, _) => {
            "selectors are nested too deeply or form a cycle; unregister one of them"
        }
        (Errno::MFILE, _) => {
            "the process has no descriptor left; close some, or raise RLIMIT_NOFILE"
        }
        (Errno::NOSPC, _) => {
            "the user watches too many descriptors; raise /proc/sys/fs/epoll/max_user_watches"
        }
        (Errno::NOENT, _) if call == "epoll_ctl" => {
            "the descriptor was closed, and another file has its number; unregister it"
        }
        (Errno::INVAL, _) if call == "poll" => {
            "perhaps there are more descriptors than RLIMIT_NOFILE; watch fewer, or raise it"
        }
        _ => return None,
    })
}

/// What a wake writes.
pub(crate) const WAKE: [u8; 8] = 1_u64.to_ne_bytes();

/// Writes a wake to the end of [`open_wake`] that is for it.
#[inline]
pub(crate) fn write_wake(end: BorrowedFd<'_>) -> io::Result<()> {
    io::write(end, &WAKE).map(drop)
}

/// Empties a descriptor of [`open_wake`], so that it does not end a
/// level-triggered wait again.
pub(crate) fn drain_wake(fd: BorrowedFd<'_>) {
    let mut sink = [0_u8; 64];
    while let Ok(64) | Err(Errno::INTR) = io::read(fd, &mut sink) {}
}

/// Returns the descriptor, with another number if that is 0, 1 or 2.
///
/// Programs use these as their standard streams. What they print would be a
/// wake.
fn beyond_standard_streams(fd: OwnedFd) -> Result<OwnedFd, Error> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    io::fcntl_dupfd_cloexec(&fd, 3).map_err(|errno| os("fcntl", None, errno))
}

if_eventfd! {
    /// Opens a descriptor to watch and write to, or two.
    ///
    /// They are non-blocking and close-on-exec.
    pub(crate) fn open_wake() -> Result<(OwnedFd, Option<OwnedFd>), Error> {
        use rustix::event::{EventfdFlags, eventfd};
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| os("eventfd", None, errno))?;
        Ok((beyond_standard_streams(fd)?, None))
    }
}
if_no_eventfd! {
    pub(crate) fn open_wake() -> Result<(OwnedFd, Option<OwnedFd>), Error> {
        // Not pipe2, which Apple lacks; not EVFILT_USER, which NetBSD and
        // OpenBSD lack.
        let (read, write) = rustix::pipe::pipe().map_err(|errno| os("pipe", None, errno))?;
        for end in [&read, &write] {
            io::fcntl_setfd(end, io::FdFlags::CLOEXEC)
                .and_then(|()| io::ioctl_fionbio(end, true))
                .map_err(|errno| os("fcntl", None, errno))?;
        }
        Ok((beyond_standard_streams(read)?, Some(beyond_standard_streams(write)?)))
    }
}

/// The error number of a connection that a non-blocking socket has begun.
pub const CONNECTING: Errno = Errno::INPROGRESS;

/// Opens a TCP socket that is non-blocking and close-on-exec.
///
/// # Errors
///
/// Those of `socket`.
#[cfg(not(target_vendor = "apple"))]
pub fn open_stream(family: AddressFamily) -> io::Result<OwnedFd> {
    socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)
}

/// Opens a socket as std does.
///
/// Here no flag of `socket` sets these options. A write raises no SIGPIPE.
///
/// # Errors
///
/// Those of `socket`, `fcntl`, `ioctl` and `setsockopt`.
#[cfg(target_vendor = "apple")]
pub fn open_stream(family: AddressFamily) -> io::Result<OwnedFd> {
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::empty(), None)?;
    io::fcntl_setfd(&socket, io::FdFlags::CLOEXEC)?;
    io::ioctl_fionbio(&socket, true)?;
    rustix::net::sockopt::set_socket_nosigpipe(&socket, true)?;
    Ok(socket)
}
