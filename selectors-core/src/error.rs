use core::fmt;

use rustix::fd::{AsRawFd, BorrowedFd, RawFd};
use rustix::io::Errno;

use crate::events::{Events, Mode};
use crate::key::Lookup;

/// An error of a selector.
///
/// On error the selector is unchanged. Its table and the kernel's set agree. The message names the descriptor and the system
/// call, and says what to do where that is known. The error holds no source, so `?` works with `std::io::Error`,
/// `Box<dyn Error>` and anyhow's error, whatever the sources and the data are.
///
/// # In an `io::Error`
///
/// With the feature `std` it converts into `std::io::Error`, which keeps it inside. `raw_os_error()` of that is `None`,
/// because the message is this error's. The error number is one step further:
///
/// ```
/// # #[cfg(all(feature = "std", target_os = "linux"))] {
/// # use selectors_core::{EpollSelector, Error, Events};
/// use rustix::io::Errno;
/// use std::{fs::File, io};
///
/// fn errno(error: &io::Error) -> Option<Errno> {
///     error.get_ref()?.downcast_ref::<Error>()?.errno()
/// }
///
/// # let mut selector = EpollSelector::<_, _, 4>::new()?;
/// let refused = selector.register(File::open("/proc/self/exe")?, Events::READ, ());
/// let error = io::Error::from(refused.unwrap_err());
/// assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
/// assert_eq!(errno(&error), Some(Errno::PERM));
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// # use selectors_core::{DefaultSelector, Error, Events};
/// use std::{io, os::unix::net::UnixStream};
///
/// let (ours, _theirs) = UnixStream::pair()?;
/// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
/// selector.register(&ours, Events::READ, ())?;
/// let refused = selector.register(&ours, Events::WRITE, ()).unwrap_err();
/// assert!(matches!(refused, Error::AlreadyRegistered { .. }));
/// assert!(refused.to_string().contains("modify or unregister it"));
///
/// let error = io::Error::from(refused);
/// assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
/// assert!(error.get_ref().is_some_and(|inner| inner.is::<Error>()));
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The events are empty or have an output-only flag. [Python: `ValueError`]
    #[doc(alias = "ValueError")]
    InvalidEvents {
        /// The events.
        events: Events,
    },
    /// A negative number is no descriptor. [Python: `ValueError`]
    InvalidFd {
        /// The number.
        fd: RawFd,
    },
    /// The descriptor is registered already; modify or unregister it. [Python: `KeyError`]
    #[doc(alias = "KeyError")]
    #[doc(alias = "EEXIST")]
    AlreadyRegistered {
        /// The descriptor.
        fd: RawFd,
    },
    /// There is no such key. [Python: `KeyError`]
    #[doc(alias = "KeyError")]
    NotRegistered {
        /// What was looked up.
        key: Lookup,
    },
    /// The key table is full, or a growing one finds no memory. A waker uses a slot of it, too.
    Full {
        /// How many keys the table holds.
        capacity: usize,
    },
    /// The `select` call can't watch a descriptor this large; poll and epoll can.
    #[doc(alias = "FD_SETSIZE")]
    FdOutOfRange {
        /// The descriptor.
        fd: RawFd,
        /// The first number that is too large.
        limit: RawFd,
    },
    /// The backend does not support these events, or not in this mode.
    Unsupported {
        /// The backend's name.
        backend: &'static str,
        /// The events.
        events: Events,
        /// The mode.
        mode: Mode,
    },
    /// There is no such backend on this platform.
    UnknownBackend,
    /// The selector has a waker of another cell already, or the cell is in use by another selector.
    WakerInUse,
    /// The selector of this waker was dropped.
    WakerClosed,
    /// The cell holds a selector already.
    CellInUse,
    /// The kernel refused. [Python: `OSError`]
    #[doc(alias = "OSError")]
    #[doc(alias = "POLLNVAL")]
    #[doc(alias = "EV_ERROR")]
    #[doc(alias = "KQ_EV_ERROR")]
    #[doc(alias = "errno")]
    Os {
        /// The system call.
        call: &'static str,
        /// The descriptor, if the call has one.
        fd: Option<RawFd>,
        /// The error number.
        errno: Errno,
        /// What the descriptor refers to, if `register`, `modify` or `wait` was refused because of that.
        ///
        /// Only known with the feature `std`, and if the descriptor is open.
        file: Option<FileKind>,
    },
}

/// The kind of an open file, as far as it explains a refusal.
///
/// # Examples
///
/// ```
/// # #[cfg(all(feature = "std", target_os = "linux"))] {
/// # use selectors_core::{EpollSelector, Error, Events, FileKind};
/// let directory = std::fs::File::open("/")?;
/// # let mut selector = EpollSelector::<_, _, 4>::new()?;
/// let refused = selector.register(directory, Events::READ, ()).unwrap_err();
/// assert!(matches!(refused, Error::Os { file: Some(FileKind::Directory), .. }));
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A character or block device.
    Device,
    /// A socket, a pipe or anything else.
    Other,
}

/// Shorthand for the one variant that is built in many places.
pub(crate) fn os(call: &'static str, fd: Option<RawFd>, errno: Errno) -> Error {
    Error::Os { call, fd, errno, file: None }
}

/// As `os`, for a refusal that may be due to the kind of the file.
#[cold]
pub(crate) fn os_about(call: &'static str, fd: BorrowedFd<'_>, errno: Errno) -> Error {
    let file = matches!(errno, Errno::PERM | Errno::BADF).then(|| file_kind(fd)).flatten();
    Error::Os { call, fd: Some(fd.as_raw_fd()), errno, file }
}

#[cfg(feature = "std")]
fn file_kind(fd: BorrowedFd<'_>) -> Option<FileKind> {
    use rustix::fs::FileType;
    let stat = rustix::fs::fstat(fd).ok()?;
    Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::Regular,
        FileType::Directory => FileKind::Directory,
        FileType::CharacterDevice | FileType::BlockDevice => FileKind::Device,
        _ => FileKind::Other,
    })
}

/// Without std the message lists what the reason may be.
#[cfg(not(feature = "std"))]
fn file_kind(_fd: BorrowedFd<'_>) -> Option<FileKind> {
    None
}

// An error is returned by value from every call.
const _: () = assert!(size_of::<Error>() <= 32);

impl Error {
    /// Returns the error number, if the kernel returned one.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(all(feature = "std", target_os = "linux"))] {
    /// use rustix::io::Errno;
    /// # use selectors_core::{EpollSelector, Events};
    /// let file = std::fs::File::open("/proc/self/exe")?;
    /// # let mut selector = EpollSelector::<_, _, 4>::new()?;
    /// let refused = selector.register(file, Events::READ, ()).unwrap_err();
    /// assert_eq!(refused.errno(), Some(Errno::PERM)); // always ready: just read it
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match *self {
            Self::Os { errno, .. } => Some(errno),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::InvalidEvents { events } if events.is_empty() => f.write_str(
                "no events to watch for; request READ, WRITE, PRIORITY or READ_HANGUP, or pause the key",
            ),
            Self::InvalidEvents { events } => {
                f.write_str("only READ, WRITE, PRIORITY and READ_HANGUP can be requested, not ")?;
                bitflags::parser::to_writer(&events, &mut *f)
            }
            Self::InvalidFd { fd } => write!(f, "{fd} is no file descriptor"),
            Self::AlreadyRegistered { fd } => {
                write!(f, "descriptor {fd} is registered already: modify or unregister it")
            }
            Self::NotRegistered { key: Lookup::Fd(fd) } => write!(f, "descriptor {fd} is not registered"),
            Self::NotRegistered { key: Lookup::Id(_) } => f.write_str("the key is not registered any more"),
            Self::Full { capacity } => {
                write!(f, "the key table is full: it holds {capacity}, a waker included")
            }
            Self::FdOutOfRange { fd, limit } => {
                write!(f, "select can't watch descriptor {fd}, only those below {limit}: use poll or epoll")
            }
            Self::Unsupported { backend, events, mode } => {
                write!(f, "{backend} does not support ")?;
                bitflags::parser::to_writer(&events, &mut *f)?;
                f.write_str(match mode {
                    Mode::Level => "",
                    Mode::Edge => " when edge-triggered",
                    Mode::OneShot => " as a one-shot",
                })
            }
            Self::UnknownBackend => f.write_str("no such selector backend on this platform"),
            Self::WakerInUse => f.write_str("the waker belongs to another selector"),
            Self::WakerClosed => f.write_str("the selector of this waker was dropped"),
            Self::CellInUse => f.write_str("the cell holds a selector already"),
            Self::Os { call, fd, errno, file } => {
                f.write_str(call)?;
                if let Some(fd) = fd {
                    write!(f, " of descriptor {fd}")?;
                }
                write!(f, ": {errno}")?;
                match advice(call, errno, file) {
                    Some(advice) => write!(f, " ({advice})"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Returns what to do about the refusals that occur in practice.
fn advice(call: &str, errno: Errno, file: Option<FileKind>) -> Option<&'static str> {
    Some(match (errno, file) {
        // An open descriptor is known with std only.
        (Errno::BADF, Some(_)) => "the descriptor is open but can't be polled, as one opened with O_PATH",
        (Errno::BADF, None) if cfg!(feature = "std") => "the descriptor is closed",
        (Errno::BADF, None) => "the descriptor is closed, or was opened with O_PATH",
        (Errno::PERM, Some(FileKind::Regular)) => "a regular file is always ready: just read it",
        (Errno::PERM, Some(FileKind::Directory)) => "a directory can't be polled",
        (Errno::PERM, Some(FileKind::Device)) => "this device can't be polled: just read it, or use poll",
        (Errno::PERM, Some(FileKind::Other)) => "a sandbox forbids the call, or the file can't be polled",
        (Errno::PERM, None) if call == "epoll_ctl" => {
            "a regular file, a directory or a device that can't be polled, or a sandbox forbids the call"
        }
        (Errno::LOOP, _) => "selectors are nested too deep, or in a circle",
        (Errno::MFILE, _) => "too many open descriptors: see RLIMIT_NOFILE",
        (Errno::NOSPC, _) => "see /proc/sys/fs/epoll/max_user_watches",
        (Errno::NOENT, _) if call == "epoll_ctl" => "another file has taken this number: unregister it",
        (Errno::INVAL, _) if call == "poll" => "more descriptors than RLIMIT_NOFILE?",
        _ => return None,
    })
}

impl core::error::Error for Error {}

/// An error of [`try_register`], with the source and the data.
///
/// It converts into [`Error`], and with the feature `std` into `std::io::Error`, and drops both then.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// # use selectors_core::{DefaultSelector, Error, Events};
/// use std::{io::Write, os::unix::net::UnixStream};
///
/// let ((first, _), (second, mut theirs)) = (UnixStream::pair()?, UnixStream::pair()?);
/// let mut selector = DefaultSelector::<_, _, 1>::new()?; // of selectors-core, with a capacity of one
/// selector.register(first, Events::READ, ())?;
/// if let Err(mut refused) = selector.try_register(second, Events::READ, ()) {
///     assert_eq!(refused.error, Error::Full { capacity: 1 });
///     refused.fileobj.write_all(b"too many connections")?; // then it is dropped: closed
/// }
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// [`try_register`]: crate::Selector::try_register
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RegisterError<S, D> {
    /// The reason.
    pub error: Error,
    /// The source.
    pub fileobj: S,
    /// The data.
    pub data: D,
}

// By hand, so that `?` and `unwrap` need no Debug of sources and data.
impl<S, D> fmt::Debug for RegisterError<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisterError").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<S, D> fmt::Display for RegisterError<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<S, D> core::error::Error for RegisterError<S, D> {}

impl<S, D> From<RegisterError<S, D>> for Error {
    fn from(refused: RegisterError<S, D>) -> Self {
        refused.error
    }
}

#[cfg(feature = "std")]
mod std_io {
    use std::io;

    use super::{Error, RegisterError};

    impl From<Error> for io::Error {
        /// Keeps the [`Error`] inside. Its `kind()` is that of the error number, if there is one.
        fn from(error: Error) -> Self {
            let kind = match error {
                Error::Os { errno, .. } => errno.kind(),
                Error::InvalidEvents { .. } | Error::InvalidFd { .. } => io::ErrorKind::InvalidInput,
                Error::AlreadyRegistered { .. } => io::ErrorKind::AlreadyExists,
                Error::NotRegistered { .. } | Error::UnknownBackend => io::ErrorKind::NotFound,
                Error::Full { .. } => io::ErrorKind::OutOfMemory,
                Error::FdOutOfRange { .. } | Error::Unsupported { .. } => io::ErrorKind::Unsupported,
                Error::WakerInUse | Error::CellInUse => io::ErrorKind::ResourceBusy,
                Error::WakerClosed => io::ErrorKind::BrokenPipe,
            };
            io::Error::new(kind, error)
        }
    }

    impl<S, D> From<RegisterError<S, D>> for io::Error {
        fn from(refused: RegisterError<S, D>) -> Self {
            refused.error.into()
        }
    }
}
