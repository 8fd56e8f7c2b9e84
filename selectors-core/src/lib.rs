//! Python's `selectors` without std and without an allocator, for embedded Unix programs.
//!
//! A selector owns its sources and keeps them in a table whose capacity is part of
//! its type. It calls epoll, kqueue, poll or select through rustix, which on most of
//! Linux's architectures does not need libc either. An echo server with room for 63
//! peers, which survives a peer that resets its connection or does not read, and a
//! moment without a free descriptor:
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
//! # Overview
//!
//! - [`Selector`] has all the methods. [`DefaultSelector`], `EpollSelector`, `KqueueSelector`, [`PollSelector`],
//!   `SelectSelector` and [`AnySelector`] are its aliases, with a backend and a capacity `N`. `EpollSelector` exists on
//!   Linux and Android, `KqueueSelector` on the BSDs and Apple's systems, `SelectSelector` everywhere except on illumos and
//!   Solaris.
//! - [`Events`] are the readiness flags, [`Mode`] says when they are reported, and [`Interest`] is both together.
//! - [`SelectorKey`] is a registration, and [`KeyId`] names one. [`KeyMut`] is a key that acts: it reads, writes, modifies,
//!   pauses and unregisters. [`KeyMap`] and [`Walk`] visit all keys.
//! - [`SelectResult`] says how a wait has ended, and [`Error`] why a call failed.
//! - [`WakeCell`] wakes a selector from a signal handler or another thread.
//! - [`SelectorCell`] is memory for a selector in a `static`.
//! - [`wait`] waits for one descriptor, without a selector.
//! - [`portability`] says what differs between platforms and backends.
//! - [`backend`] and [`storage`] are the parts of a selector's type.
//!
//! # Rules
//!
//! - **The selector owns the source.** `unregister` returns it, and dropping it closes it. If `register` fails, the source is
//!   dropped. [`try_register`](Selector::try_register) returns it inside the error, so that a server whose table is full can
//!   still send a message to the peer.
//! - **A ready key borrows the selector.** Read, write, modify and unregister through the key. To use the selector itself, copy
//!   the [id](SelectorKey::id) out of the key first: `let id = key.id();`. Between two calls of
//!   [`next_ready`](Selector::next_ready) anything may be registered, modified and unregistered.
//! - **`READ` at the end of the stream** means that `read` returns 0. Hang-ups and errors wake every key that is registered for
//!   `READ` or `WRITE`. The [table of events](Events) has the details.
//! - **Sources should be non-blocking, and a write may be partial.** Keep the remaining bytes in the data, for instance in a
//!   `heapless::Vec`. Register for [`Events::WRITE`] until they are sent, and read no more in this time.
//! - **A key that has to rest is [paused](Selector::pause).** It stays registered, and nothing is reported for it.
//! - **A signal ends a wait**, and the result is [`interrupted`](SelectResult::interrupted). A handler that has to end the wait
//!   for certain calls [`WakeCell::wake`] on a `static`.
//! - **Timers**: `select` has a timeout, and a timerfd is a source like any other.
//! - **No error is a panic.** On error the selector is unchanged.
//!
//! The guide of the crate `selectors-std` explains all of this with examples, and shows the way from Python, mio and polling. It
//! applies to this crate as well.
//!
//! # Memory
//!
//! A selector of `N` keys takes `N * K + F` bytes, and at most 200 more. `K` is 8 bytes and the size of
//! `Option<SelectorKey<S, D>>`, rounded up to its alignment. It is 32 bytes for an `OwnedFd` and a `u32`.
//!
//! | selector | `K` | `F` |
//! |---|---|---|
//! | `EpollSelector`, `KqueueSelector` | as above | 12 to 16 bytes, or 32, for each event of a batch, 64 by default |
//! | [`PollSelector`] | 24 more | 0 |
//! | `SelectSelector` | 16 more | 384 |
//!
//! Nothing is ever allocated. A [`SelectorCell`] puts all of it into a `static`. A wait uses less than 4 kB of stack, whatever
//! `N` is. On FreeBSD, where an event of the kernel has 64 bytes, it is less than 6 kB. The code does not use floating point, and no code that a running program calls can panic. Another capacity adds a few
//! hundred bytes of code, since most of the code is shared. A look-up by descriptor scans the table. Events and ids find their key
//! without a scan.
//!
//! On kqueue with 32-bit pointers, the kernel carries 16 bits of slot and 16 bits of generation. A table holds at most 65,535
//! keys there. A stale event is mistaken for a current one only after 65,536 registrations in one slot between two waits. epoll
//! carries 64 bits everywhere.
//!
//! # Features
//!
//! - `std`, off by default: sources may be std's own types (`TcpStream`, `Arc`, `Box`, …). Keys implement `Read` and `Write`.
//!   Errors convert into `std::io::Error`, and wakers into `std::task::Waker`. It adds `Selector::select_until`. The crate
//!   `selectors-std` turns it on, and adds tables that grow. Leave it off in a program without std.
//!
//! [`rustix`] is here with its features `event`, `net`, `pipe` and `process`, and with `std` and `fs` if this crate has `std`. For
//! others, depend on rustix 1 yourself. Its types are the same.
#![no_std]

#[cfg(feature = "std")]
extern crate std;

#[cfg(not(unix))]
compile_error!(
    "selectors-core needs epoll, kqueue or poll; it supports Linux, Android, the BSDs, Apple's systems and illumos"
);

pub mod backend;
mod cell;
mod engine;
mod entry;
mod error;
mod events;
mod key;
mod map;
mod platform;
mod poll_flags;
#[doc = include_str!("portability.md")]
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

/// A selector with room for `N` keys on `poll`.
///
/// The methods are those of [`Selector`]. The details are at [`backend::Poll`].
///
/// ```
/// let selector = selectors_core::PollSelector::<rustix::fd::OwnedFd, (), 16>::new()?;
/// # Ok::<(), selectors_core::Error>(())
/// ```
pub type PollSelector<S, D, const N: usize> = Selector<Poll<Fixed<N>>, S, D, Fixed<N>>;

/// A selector with room for `N` keys whose backend is chosen when the program runs.
///
/// [`new`](Selector::new) uses the best one that the kernel allows. [`of_kind`](Selector::of_kind) uses a given one.
/// [`kind`](Selector::kind) returns which one it is. The other methods are those of [`Selector`]. The details are at
/// [`backend::Any`].
///
/// ```
/// let selector = selectors_core::AnySelector::<rustix::fd::OwnedFd, (), 16>::new()?;
/// println!("on {}", selector.kind());
/// # Ok::<(), selectors_core::Error>(())
/// ```
pub type AnySelector<S, D, const N: usize> = Selector<Any<Fixed<N>>, S, D, Fixed<N>>;

if_epoll! {
    /// A selector with room for `N` keys on Linux's epoll.
    ///
    /// The methods are those of [`Selector`]. The details are at [`backend::Epoll`].
    ///
    /// ```
    /// let selector = selectors_core::EpollSelector::<rustix::fd::OwnedFd, (), 16>::new()?;
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub type EpollSelector<S, D, const N: usize> = Selector<backend::Epoll, S, D, Fixed<N>>;

    // Not an alias of the alias above: rustdoc would show it without its methods.
    /// The best selector of this platform, with room for `N` keys, [`EpollSelector`].
    ///
    /// Its methods are those of [`Selector`]: [`new`](Selector::new), [`register`](Selector::register),
    /// [`modify`](Selector::modify), [`pause`](Selector::pause), [`resume`](Selector::resume),
    /// [`unregister`](Selector::unregister), [`select`](Selector::select), [`next_ready`](Selector::next_ready),
    /// [`get_key`](Selector::get_key), [`get_key_mut`](Selector::get_key_mut), [`get_map`](Selector::get_map),
    /// [`walk`](Selector::walk), [`waker_in`](Selector::waker_in), [`close`](Selector::close) and more.
    ///
    /// ```
    /// use rustix::fd::OwnedFd;
    ///
    /// // Up to 64 sources of type OwnedFd, with a number as data.
    /// let selector = selectors_core::DefaultSelector::<OwnedFd, u32, 64>::new()?;
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub type DefaultSelector<S, D, const N: usize> = Selector<backend::Epoll, S, D, Fixed<N>>;
}
if_kqueue! {
    /// A selector with room for `N` keys on kqueue.
    ///
    /// The methods are those of [`Selector`]. The details are at [`backend::Kqueue`].
    ///
    /// ```
    /// let selector = selectors_core::KqueueSelector::<rustix::fd::OwnedFd, (), 16>::new()?;
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub type KqueueSelector<S, D, const N: usize> = Selector<backend::Kqueue, S, D, Fixed<N>>;

    // Not an alias of the alias above: rustdoc would show it without its methods.
    /// The best selector of this platform, with room for `N` keys, [`KqueueSelector`].
    ///
    /// Its methods are those of [`Selector`]: [`new`](Selector::new), [`register`](Selector::register),
    /// [`modify`](Selector::modify), [`pause`](Selector::pause), [`resume`](Selector::resume),
    /// [`unregister`](Selector::unregister), [`select`](Selector::select), [`next_ready`](Selector::next_ready),
    /// [`get_key`](Selector::get_key), [`get_key_mut`](Selector::get_key_mut), [`get_map`](Selector::get_map),
    /// [`walk`](Selector::walk), [`waker_in`](Selector::waker_in), [`close`](Selector::close) and more.
    ///
    /// ```
    /// let selector = selectors_core::DefaultSelector::<rustix::fd::OwnedFd, u32, 64>::new()?;
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub type DefaultSelector<S, D, const N: usize> = Selector<backend::Kqueue, S, D, Fixed<N>>;
}
if_no_queue! {
    // Not an alias of the alias above: rustdoc would show it without its methods.
    /// The best selector of this platform, with room for `N` keys, [`PollSelector`].
    ///
    /// Its methods are those of [`Selector`]: [`new`](Selector::new), [`register`](Selector::register),
    /// [`modify`](Selector::modify), [`pause`](Selector::pause), [`resume`](Selector::resume),
    /// [`unregister`](Selector::unregister), [`select`](Selector::select), [`next_ready`](Selector::next_ready),
    /// [`get_key`](Selector::get_key), [`get_key_mut`](Selector::get_key_mut), [`get_map`](Selector::get_map),
    /// [`walk`](Selector::walk), [`waker_in`](Selector::waker_in), [`close`](Selector::close) and more.
    ///
    /// ```
    /// let selector = selectors_core::DefaultSelector::<rustix::fd::OwnedFd, u32, 64>::new()?;
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub type DefaultSelector<S, D, const N: usize> = Selector<Poll<Fixed<N>>, S, D, Fixed<N>>;
}
if_select! {
    /// A selector with room for `N` keys on `select`, for descriptors below 1024.
    ///
    /// The methods are those of [`Selector`]. The details are at [`backend::Select`].
    ///
    /// ```
    /// let selector = selectors_core::SelectSelector::<rustix::fd::OwnedFd, (), 16>::new()?;
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub type SelectSelector<S, D, const N: usize> = Selector<backend::Select<Fixed<N>>, S, D, Fixed<N>>;
}

/// The README's program is compiled with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
