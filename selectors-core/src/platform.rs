//! What differs between operating systems. No other file of the workspace lists
//! them.
//!
//! The macros, and what is public in `unix.rs` and `windows.rs`, are for the
//! other crates of the workspace, too, and no part of the interface.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::*;

/// Items for platforms with epoll.
#[doc(hidden)]
#[macro_export]
macro_rules! if_epoll {
    ($($item:item)*) => {
        $(#[cfg(any(target_os = "linux", target_os = "android"))] $item)*
    };
}

/// Items for platforms with kqueue.
#[doc(hidden)]
#[macro_export]
macro_rules! if_kqueue {
    ($($item:item)*) => {
        $(#[cfg(any(
            target_os = "dragonfly", target_os = "freebsd", target_os = "ios", target_os = "macos",
            target_os = "netbsd", target_os = "openbsd", target_os = "tvos", target_os = "visionos",
            target_os = "watchos",
        ))] $item)*
    };
}

/// Items for platforms with neither epoll nor kqueue.
#[doc(hidden)]
#[macro_export]
macro_rules! if_no_queue {
    ($($item:item)*) => {
        $(#[cfg(not(any(
            target_os = "linux", target_os = "android",
            target_os = "dragonfly", target_os = "freebsd", target_os = "ios", target_os = "macos",
            target_os = "netbsd", target_os = "openbsd", target_os = "tvos", target_os = "visionos",
            target_os = "watchos",
        )))] $item)*
    };
}

/// Items for platforms whose `select` rustix can call.
///
/// These are not the ones where it never takes more than `FD_SETSIZE`
/// descriptors, and not Windows, where rustix's sets lose sockets.
#[doc(hidden)]
#[macro_export]
macro_rules! if_select {
    ($($item:item)*) => {
        $(#[cfg(not(any(target_os = "illumos", target_os = "solaris", windows)))] $item)*
    };
}

/// Items for platforms without it.
#[doc(hidden)]
#[macro_export]
macro_rules! if_no_select {
    ($($item:item)*) => {
        $(#[cfg(any(target_os = "illumos", target_os = "solaris", windows))] $item)*
    };
}

if_epoll! {
    /// How many bits the kernel carries for an event's registration: epoll 64
    /// everywhere, kqueue a pointer's width.
    pub(crate) const USER_DATA_BITS: u32 = u64::BITS;
}
if_kqueue! {
    pub(crate) const USER_DATA_BITS: u32 = usize::BITS;
}
if_no_queue! {
    pub(crate) const USER_DATA_BITS: u32 = u64::BITS;
}

/// Whether poll reports hang-ups of every kind of descriptor. NetBSD's does so
/// of pipes, and not of sockets. That of Windows does not distinguish them from
/// a half-close.
pub(crate) const POLL_HANGUP: bool = cfg!(not(any(target_os = "netbsd", windows)));

/// Whether poll reports errors that are pending. Where kqueue is, poll reports
/// such a descriptor as ready or hung up.
pub(crate) const POLL_ERROR: bool = cfg!(not(any(
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "ios",
    target_os = "macos",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "tvos",
    target_os = "visionos",
    target_os = "watchos",
)));
