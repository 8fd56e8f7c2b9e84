//! The messages of errors: what failed and with which value, then the remedy
//! after a semicolon.

use core::fmt;

use rustix::io::Errno;

use super::{Error, FileKind};
use crate::events::{Events, Mode};
use crate::key::Lookup;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::InvalidEvents { events } if events.is_empty() => f.write_str(
                "no events to watch for; request READ, WRITE, PRIORITY or READ_HANGUP, or pause the key",
            ),
            Self::InvalidEvents { events } => {
                bitflags::parser::to_writer(&events.difference(Events::REQUESTABLE), &mut *f)?;
                f.write_str(" can't be requested; request READ, WRITE, PRIORITY or READ_HANGUP")
            }
            Self::InvalidFd { fd } => write!(f, "descriptor {fd} is negative; pass one that is open"),
            Self::AlreadyRegistered { fd } => {
                write!(f, "descriptor {fd} is registered already; modify or unregister it")
            }
            Self::NotRegistered { key: Lookup::Fd(fd) } => {
                write!(f, "descriptor {fd} is not registered; register it first")
            }
            Self::NotRegistered { key: Lookup::Id(id) } => {
                write!(f, "{id:?} is not registered; it was unregistered, or is another selector's")
            }
            Self::Full { capacity } => write!(
                f,
                "the key table is full with {capacity} keys, a waker included; \
                 unregister one, or choose a larger capacity"
            ),
            Self::FdOutOfRange { fd, limit } => write!(
                f,
                "select can't watch descriptor {fd}, only those below {limit}; use poll, epoll or kqueue"
            ),
            Self::Unsupported { backend, events, mode } => {
                write!(f, "{backend} does not support {}", unsupported(backend, events, mode))
            }
            Self::UnknownBackend => {
                f.write_str("no such backend on this platform; choose among epoll, kqueue, poll and select")
            }
            Self::WakerInUse => f.write_str(
                "the wake cell belongs to another selector, or the selector has another cell; \
                 use one cell for each selector",
            ),
            Self::WakerClosed => f.write_str("the selector of this waker was dropped; drop the waker too"),
            Self::CellInUse => {
                f.write_str("the cell holds a selector already; use one cell for each selector")
            }
            Self::Os { call, fd, errno, file } => {
                f.write_str(call)?;
                if let Some(fd) = fd {
                    write!(f, " of descriptor {fd}")?;
                }
                write!(f, ": {errno}")?;
                match advice(call, errno, file) {
                    Some(advice) => write!(f, ": {advice}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Returns what it is that a backend does not support, and the remedy.
fn unsupported(backend: &str, events: Events, mode: Mode) -> &'static str {
    if mode == Mode::Edge && backend != "kqueue" {
        "edge-triggered mode; use level-triggered or one-shot mode, or epoll or kqueue"
    } else if events.contains(Events::READ_HANGUP) && !events.contains(Events::READ) {
        "READ_HANGUP without READ; request READ too"
    } else {
        "PRIORITY; use poll or select"
    }
}

/// Returns the reason and the remedy of refusals that occur in practice.
fn advice(call: &str, errno: Errno, file: Option<FileKind>) -> Option<&'static str> {
    Some(match (errno, file) {
        // An open descriptor is known with std only.
        (Errno::BADF, Some(_)) => "the descriptor is open but can't be polled; open it without O_PATH",
        (Errno::BADF, None) if cfg!(feature = "std") => {
            "the descriptor is closed; keep it open while it is watched"
        }
        (Errno::BADF, None) => {
            "the descriptor is closed, or can't be polled; keep it open, and open it without O_PATH"
        }
        (Errno::PERM, Some(FileKind::Regular)) => {
            "a regular file is always ready; read it without a selector, or use poll"
        }
        (Errno::PERM, Some(FileKind::Directory)) => "a directory can't be polled; read it without a selector",
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
        (Errno::LOOP, _) => "selectors are nested too deeply or form a cycle; unregister one of them",
        (Errno::MFILE, _) => "the process has no descriptor left; close some, or raise RLIMIT_NOFILE",
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
