use core::fmt;

use rustix::fd::{AsRawFd, BorrowedFd, RawFd};
use rustix::io::Errno;

use crate::events::{Events, Mode};
use crate::key::Lookup;
use crate::platform::refused_file;

mod message;

/// An error of a selector or a waker.
///
/// **On error the selector is unchanged.** Its keys and the kernel's set are as
/// before the call.
///
/// The message names the descriptor and the system call. Where a remedy is
/// known, the message ends with it. The error holds no source, so `?` works
/// with `std::io::Error`, `Box<dyn Error>` and anyhow's error, whatever the
/// types of the sources and the data are.
///
/// # In an `io::Error`
///
/// With the feature `std` it converts into `std::io::Error`, which keeps it
/// inside. **`raw_os_error()` of that is `None`**, because the message is this
/// error's. The error number is one step further:
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
/// let file = File::open("/proc/self/exe")?;
/// let refused = selector.register(file, Events::READ, ()).unwrap_err();
/// let error = io::Error::from(refused);
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
/// assert!(refused.to_string().ends_with("; modify or unregister it"));
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
    /// The events are empty or have an output-only flag.
    ///
    /// Python raises `ValueError`.
    #[doc(alias = "ValueError")]
    InvalidEvents {
        /// The events that were passed.
        events: Events,
    },
    /// The file descriptor is negative.
    ///
    /// Such numbers come from a call that failed, or from a constant such as
    /// `rustix::fs::CWD`. Python raises `ValueError`.
    InvalidFd {
        /// The number that was passed.
        fd: RawFd,
    },
    /// The file descriptor is registered already.
    ///
    /// Modify its key, or unregister it first. It may have been registered
    /// through another object with the same number. Python raises `KeyError`.
    #[doc(alias = "KeyError")]
    #[doc(alias = "EEXIST")]
    AlreadyRegistered {
        /// The file descriptor.
        fd: RawFd,
    },
    /// There is no such key.
    ///
    /// Another handler may have unregistered it. Python raises `KeyError`.
    #[doc(alias = "KeyError")]
    NotRegistered {
        /// The id or the number that was looked up.
        key: Lookup,
    },
    /// The key table is full.
    ///
    /// A table of fixed capacity has no free slot, or a growing one finds no
    /// memory. A waker uses a slot too.
    Full {
        /// The number of slots that the table has.
        capacity: usize,
    },
    /// The file descriptor is too large for the `select` call.
    ///
    /// The other backends have no such limit.
    #[doc(alias = "FD_SETSIZE")]
    FdOutOfRange {
        /// The file descriptor.
        fd: RawFd,
        /// The first number that is too large.
        limit: RawFd,
    },
    /// The backend does not support these events, or not in this mode.
    ///
    /// [`Kind`](crate::Kind) says in advance what a backend supports.
    Unsupported {
        /// The backend's name.
        backend: &'static str,
        /// The events that were requested.
        events: Events,
        /// The mode that was requested.
        mode: Mode,
    },
    /// The platform has no backend of this name or kind.
    UnknownBackend,
    /// The [`WakeCell`](crate::WakeCell) belongs to another selector.
    ///
    /// Or this selector has another cell already.
    WakerInUse,
    /// The selector of this waker was dropped.
    WakerClosed,
    /// The [`SelectorCell`](crate::SelectorCell) holds a selector already.
    CellInUse,
    /// The kernel refused a system call.
    ///
    /// Python raises `OSError`.
    #[doc(alias = "OSError")]
    #[doc(alias = "POLLNVAL")]
    #[doc(alias = "EV_ERROR")]
    #[doc(alias = "KQ_EV_ERROR")]
    #[doc(alias = "errno")]
    Os {
        /// The name of the system call.
        call: &'static str,
        /// The file descriptor, if the call has one.
        fd: Option<RawFd>,
        /// The error number.
        errno: Errno,
        /// The kind of the open file, if the refusal is due to that.
        ///
        /// `register`, `modify` and `wait` look it up if the error number is
        /// `EPERM` or `EBADF`. It is `None` if the descriptor is closed.
        ///
        /// selectors-core needs its feature `std` for that. selectors-std has
        /// it always.
        file: Option<FileKind>,
    },
}

/// The kind of an open file that the kernel refused to watch.
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

/// Returns an `Error::Os`, the one variant that is built in many places.
pub(crate) fn os(call: &'static str, fd: Option<RawFd>, errno: Errno) -> Error {
    Error::Os { call, fd, errno, file: None }
}

/// Returns an `Error::Os` that may be due to the kind of the file.
#[cold]
pub(crate) fn os_about(call: &'static str, fd: BorrowedFd<'_>, errno: Errno) -> Error {
    Error::Os { call, fd: Some(fd.as_raw_fd()), errno, file: refused_file(fd, errno) }
}

// An error is returned by value from every call.
const _: () = assert!(size_of::<Error>() <= 24 + 2 * size_of::<RawFd>());

impl Error {
    /// Returns the error number of the kernel, or `None` if it returned none.
    ///
    /// This is the `errno` of C and of Python's `OSError`.
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
    /// assert_eq!(refused.errno(), Some(Errno::PERM)); // it is always ready
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

impl core::error::Error for Error {}

/// An error of [`try_register`], with the source and the data.
///
/// It converts into [`Error`], and with the feature `std` into
/// `std::io::Error`. Both conversions drop the source and the data.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// # use selectors_core::{DefaultSelector, Error, Events};
/// use std::{io::Write, os::unix::net::UnixStream};
///
/// let (first, second) = UnixStream::pair()?;
/// // Of selectors-core, with a capacity of one:
/// let mut selector = DefaultSelector::<_, _, 1>::new()?;
/// selector.register(first, Events::READ, ())?;
/// if let Err(mut refused) = selector.try_register(second, Events::READ, ()) {
///     assert_eq!(refused.error, Error::Full { capacity: 1 });
///     refused.fileobj.write_all(b"too many connections")?;
///     // It is dropped here, which closes it.
/// }
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// [`try_register`]: crate::Selector::try_register
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RegisterError<S, D> {
    /// The reason for the refusal.
    pub error: Error,
    /// The source that was not registered.
    pub fileobj: S,
    /// The data that belongs to it.
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
        /// Converts the error, and keeps it inside.
        ///
        /// `kind()` is that of the error number, if there is one.
        fn from(error: Error) -> Self {
            let kind = match error {
                Error::Os { errno, .. } => errno.kind(),
                Error::InvalidEvents { .. } | Error::InvalidFd { .. } => {
                    io::ErrorKind::InvalidInput
                }
                Error::AlreadyRegistered { .. } => io::ErrorKind::AlreadyExists,
                Error::NotRegistered { .. } | Error::UnknownBackend => io::ErrorKind::NotFound,
                Error::Full { .. } => io::ErrorKind::OutOfMemory,
                Error::FdOutOfRange { .. } | Error::Unsupported { .. } => {
                    io::ErrorKind::Unsupported
                }
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
