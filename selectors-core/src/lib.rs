//! Python's `selectors` without std and without an allocator, for embedded Unix
//! programs.
//!
#![doc = include_str!("loop.md")]
//!
//! The keys are in a table whose capacity is part of the selector's type. The
//! system calls are those of rustix, which on most of Linux's architectures
//! does not need libc either.
//!
//! # A server to copy
//!
//! This echo server has capacity for 63 peers. It survives a peer that resets
//! its connection or does not read, and a moment without a free descriptor.
//!
//! ```no_run
//! #![no_std]
//! # extern crate std; // doc tests are programs of std; the crate isn't
//! # fn main() {}
//! # selectors_core::if_epoll! { // as not all systems have SendFlags::NOSIGNAL
//! # mod front_page {
//!
#![doc = include_str!("front_page.rs")]
//! # } }
//! ```
//!
//! A peer that does not read its echo is closed. To serve it, keep the
//! remaining bytes in the data, for instance in a `heapless::Vec`. The
//! repository's `examples/no_std_daemon` does so, with a timer, a control
//! channel and a selector in a `static`.
//!
//! # Further reading
//!
//! - [`model`]: the rules of every selector, with pictures.
//! - [`portability`]: what differs between platforms and backends.
//! - The guide of the crate `selectors-std` has a section for each task. It
//!   applies to this crate as well.
//!
//! # Types
//!
//! - [`Selector`] has all the methods. [`DefaultSelector`], `EpollSelector`,
//!   `KqueueSelector`, [`PollSelector`], `SelectSelector` and [`AnySelector`]
//!   are its aliases, with a backend and a capacity `N`.
//! - [`Events`] are the readiness flags, [`Mode`] says when they are reported,
//!   and [`Interest`] is both together.
//! - [`SelectorKey`] is a registration, and [`KeyId`] names one. [`KeyMut`] is
//!   a key that acts. [`KeyMap`] and [`Walk`] visit all keys.
//! - [`SelectResult`] says how a wait has ended, and [`Error`] why a call
//!   failed.
//! - [`WakeCell`] wakes a selector from a signal handler or another thread.
//! - [`SelectorCell`] is memory for a selector in a `static`.
//! - [`wait`] waits for one descriptor, without a selector.
//! - [`backend`] and [`storage`] are the parts of a selector's type.
//!
//! # Memory
//!
//! A selector of `N` keys takes `N * K + F` bytes, and at most 200 more. `K` is
//! 8 bytes and the size of `Option<SelectorKey<S, D>>`, rounded up to its
//! alignment. It is 32 bytes for an `OwnedFd` and a `u32`.
//!
//! | selector | `K` | `F` |
//! |---|---|---|
//! | `EpollSelector` | as above | 12 or 16 for each event of a batch |
//! | `KqueueSelector` | as above | up to 32 for each event of a batch |
//! | [`PollSelector`] | 24 more | 0 |
//! | `SelectSelector` | 16 more | 384 |
//!
//! A batch has 64 events by default. Nothing is ever allocated. A
//! [`SelectorCell`] puts all of it into a `static`.
//!
//! A wait uses less than 4 kB of stack, whatever `N` is. On FreeBSD it is less
//! than 6 kB, because an event of its kernel has 64 bytes.
//!
//! The code does not use floating point, and no code that a running program
//! calls can panic. Another capacity adds a few hundred bytes of code, since
//! most of the code is shared. A look-up by descriptor scans the table. Events
//! and ids find their key without a scan.
//!
//! On kqueue with 32-bit pointers, the kernel carries 16 bits of slot and 16
//! bits of generation. A table holds at most 65,535 keys there. A stale event
//! is mistaken for a current one only after 65,536 registrations in one slot
//! between two waits. epoll carries 64 bits everywhere.
//!
//! # Features
//!
//! - `std`, off by default. Sources may then be std's own types (`TcpStream`,
//!   `Arc`, `Box`, …). Keys implement `Read` and `Write`. Errors convert into
//!   `std::io::Error`, and wakers into `std::task::Waker`. It adds
//!   `Selector::select_until`. Leave it off in a program without std.
//!
//! The crate `selectors-std` turns it on, and adds tables that grow.
//!
//! The crate re-exports `rustix` with its features `event`, `net`, `pipe` and
//! `process`. With `std` it also has `std` and `fs`. For others, depend on
//! rustix 1 yourself. Its types are the same.
#![no_std]

#[cfg(feature = "std")]
extern crate std;

#[cfg(not(any(unix, windows)))]
compile_error!(
    "selectors-core needs epoll, kqueue or poll; it supports Linux, Android, the BSDs, Apple's systems, illumos and Windows"
);

pub mod backend;
mod cell;
mod engine;
mod entry;
mod error;
mod events;
mod key;
mod map;
#[doc = include_str!("model.md")]
pub mod model {}
#[doc(hidden)]
pub mod platform;
mod poll_flags;
#[doc = include_str!("portability.md")]
// On a narrow screen long names are wrapped.
#[doc = "<style>@media (max-width: 900px) {
.docblock td { width: 50% }
.docblock td code { overflow-wrap: anywhere }
}</style>"]
pub mod portability {}
#[cfg(doctest)]
mod safe_code;
mod select_result;
mod selector;
mod stats;
pub mod storage;
mod table;
mod wait;
mod waker;
mod walk;

#[doc(inline)]
pub use backend::Kind;
pub use cell::SelectorCell;
pub use entry::{KeyMut, SelectorType};
pub use error::{Error, FileKind, RegisterError};
pub use events::{Events, Interest, Mode};
pub use key::{KeyId, Lookup, SelectorKey};
pub use map::{Iter, KeyMap};
pub use rustix;
pub use select_result::SelectResult;
pub use selector::Selector;
pub use stats::Stats;
#[doc(hidden)]
pub use wait::in_steps;
pub use wait::wait;
pub use waker::{WakeCell, Waker};
pub use walk::Walk;

use backend::{Any, Poll};
use storage::Fixed;

/// A selector with capacity for `N` keys on `poll`.
///
/// The methods are those of [`Selector`]. The details are at [`backend::Poll`].
///
/// ```
/// use rustix::fd::OwnedFd;
/// use selectors_core::PollSelector;
///
/// let selector = PollSelector::<OwnedFd, (), 16>::new()?;
/// # Ok::<(), selectors_core::Error>(())
/// ```
pub type PollSelector<S, D, const N: usize> = Selector<Poll<Fixed<N>>, S, D, Fixed<N>>;

/// A selector with capacity for `N` keys and a backend chosen at run time.
///
/// [`new`](Selector::new) uses the best one that the kernel allows.
/// [`of_kind`](Selector::of_kind) uses a given one. [`kind`](Selector::kind)
/// returns which one it is. The other methods are those of [`Selector`]. The
/// details are at [`backend::Any`].
///
/// ```
/// use rustix::fd::OwnedFd;
/// use selectors_core::AnySelector;
///
/// let selector = AnySelector::<OwnedFd, (), 16>::new()?;
/// println!("on {}", selector.kind());
/// # Ok::<(), selectors_core::Error>(())
/// ```
pub type AnySelector<S, D, const N: usize> = Selector<Any<Fixed<N>>, S, D, Fixed<N>>;

if_epoll! {
    /// A selector with capacity for `N` keys on Linux's epoll.
    ///
    /// The methods are those of [`Selector`]. The details are at
    /// [`backend::Epoll`].
    ///
    /// ```
    /// use rustix::fd::OwnedFd;
    /// use selectors_core::EpollSelector;
    ///
    /// let selector = EpollSelector::<OwnedFd, (), 16>::new()?;
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub type EpollSelector<S, D, const N: usize> = Selector<backend::Epoll, S, D, Fixed<N>>;

    // Not an alias of the alias above, which rustdoc would show without
    // methods.
    /// The best selector of this platform, which is [`EpollSelector`].
    ///
    /// The methods are those of [`Selector`].
    ///
    /// ```
    /// use rustix::fd::OwnedFd;
    /// use selectors_core::DefaultSelector;
    ///
    /// // Up to 64 sources of type OwnedFd, with a number as data.
    /// let selector = DefaultSelector::<OwnedFd, u32, 64>::new()?;
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub type DefaultSelector<S, D, const N: usize> = Selector<backend::Epoll, S, D, Fixed<N>>;
}
if_kqueue! {
    /// A selector with capacity for `N` keys on kqueue.
    ///
    /// The methods are those of [`Selector`]. The details are at
    /// [`backend::Kqueue`].
    ///
    /// ```
    /// use rustix::fd::OwnedFd;
    /// use selectors_core::KqueueSelector;
    ///
    /// let selector = KqueueSelector::<OwnedFd, (), 16>::new()?;
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub type KqueueSelector<S, D, const N: usize> = Selector<backend::Kqueue, S, D, Fixed<N>>;

    // Not an alias of the alias above, which rustdoc would show without
    // methods.
    /// The best selector of this platform, which is [`KqueueSelector`].
    ///
    /// The methods are those of [`Selector`].
    ///
    /// ```
    /// use rustix::fd::OwnedFd;
    /// use selectors_core::DefaultSelector;
    ///
    /// let selector = DefaultSelector::<OwnedFd, u32, 64>::new()?;
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub type DefaultSelector<S, D, const N: usize> = Selector<backend::Kqueue, S, D, Fixed<N>>;
}
if_no_queue! {
    // Not an alias of the alias above, which rustdoc would show without
    // methods.
    /// The best selector of this platform, which is [`PollSelector`].
    ///
    /// The methods are those of [`Selector`].
    ///
    /// ```
    /// use rustix::fd::OwnedFd;
    /// use selectors_core::DefaultSelector;
    ///
    /// let selector = DefaultSelector::<OwnedFd, u32, 64>::new()?;
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub type DefaultSelector<S, D, const N: usize> = Selector<Poll<Fixed<N>>, S, D, Fixed<N>>;
}
if_select! {
    /// A selector with capacity for `N` keys on `select`.
    ///
    /// It is for descriptors below 1024. The methods are those of [`Selector`].
    /// The details are at [`backend::Select`].
    ///
    /// ```
    /// use rustix::fd::OwnedFd;
    /// use selectors_core::SelectSelector;
    ///
    /// let selector = SelectSelector::<OwnedFd, (), 16>::new()?;
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub type SelectSelector<S, D, const N: usize> = Selector<backend::Select<Fixed<N>>, S, D, Fixed<N>>;
}
