//! The messages of errors: what failed and with which value, then the remedy
//! after a semicolon.

use core::fmt;

use super::Error;
use crate::events::{Events, Mode};
use crate::key::Lookup;
use crate::platform::advice;

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
