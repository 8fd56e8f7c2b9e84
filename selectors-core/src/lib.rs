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
//! # What is where
//!
//! - [`Selector`] has all the methods; [`DefaultSelector`], `EpollSelector`, `KqueueSelector`, [`PollSelector`], `SelectSelector` and
//!   [`AnySelector`] are its names, with a backend and a capacity `N` filled in. `EpollSelector` is on Linux and Android,
//!   `KqueueSelector` on the BSDs and Apple's systems, `SelectSelector` everywhere but on illumos and Solaris.
//! - [`Events`] is what can be asked for and told, [`Mode`] how long, [`Interest`] the two together.
//! - [`SelectorKey`] is a registration, [`KeyMut`] one whose data may be changed, [`KeyMap`] all of them.
//! - [`WakeCell`] wakes a selector from a signal handler or another thread.
//! - [`SelectorCell`] is a `static` with a selector in it.
//! - [`wait`] needs no selector: one descriptor, one system call.
//! - [`portability`] says what differs between platforms and backends.
//! - [`backend`] and [`storage`] are what selectors are made of, for those who make another one.
//!
//! # What to know
//!
//! - **The selector owns the source**, and gives it back from `unregister`, or inside the error when `register` fails: a peer that finds the
//!   table full can be told so, or be kept for later. Closing it is dropping it.
//! - **Take `fd` out of the key first**, `let fd = key.fd;`, as the key borrows the selector. Then anything may be registered, modified and
//!   unregistered between two ready keys.
//! - **`READ` at the end of the stream** means that `read` answers 0. Hang-ups and errors wake who asked for `READ` or `WRITE`; the
//!   [table of events](Events) has the details.
//! - **Sources should not block**, and a write may be partial: keep the rest in the data, a `heapless::Vec` for instance, ask for
//!   [`Events::WRITE`] until it is gone, and read no more meanwhile.
//! - **Signals**: a wait that a signal ends answers 0. A handler that has to end the wait for certain calls [`WakeCell::wake`] on a `static`.
//! - **Timers**: `select` takes a timeout; a timerfd is a source like any other.
//! - **No error is a panic**, and after every [`Error`] the selector is as it was.
//!
//! The guide of the crate `selectors-std` has all this at length, and the ways over from Python, mio and polling; it holds for this crate as well.
//!
//! # Memory
//!
//! A selector of `N` keys takes `N * K + F` bytes, and at most 200 more. `K`, for a key, is 8 bytes and the size of
//! `Option<SelectorKey<S, D>>`, rounded up to its alignment: with an `OwnedFd` and a number 24 or so. `F` is there once.
//!
//! | selector | `K` | `F` |
//! |---|---|---|
//! | `EpollSelector`, `KqueueSelector` | as above | 12 to 16 bytes for each event that a wait can bring, 64 unless said otherwise |
//! | [`PollSelector`] | 24 more | 0 |
//! | `SelectSelector` | 16 more | 384 |
//!
//! Nothing is allocated, ever; a [`SelectorCell`] puts all of it into a `static`. A wait uses less than 4 kB of stack, whatever `N`.
//! No code uses floating point, and none that a running program calls can panic. What is compiled for a further capacity is a shell
//! of a few hundred bytes. Descriptors are looked up by a scan of the table, events find their key without one.
//!
//! Where pointers have 32 bits, kqueue carries 16 bits of slot and 16 of generation: a table holds no more than 65 535 keys
//! there, and a stale event is mistaken only after 65 536 registrations in one slot between two waits. epoll carries 64
//! bits everywhere.
//!
//! # Features
//!
//! - `std` (off by default): sources may be std's own types (`TcpStream`, `Arc`, `Box`, …), and errors convert into `std::io::Error`.
//!   The crate `selectors-std` has it on, and adds tables that grow. Do not turn it on in a program without std.
#![no_std]

#[cfg(feature = "std")]
extern crate std;

#[cfg(not(unix))]
compile_error!(
    "selectors-core needs epoll, kqueue or poll: it supports Linux, Android, the BSDs, Apple's systems and illumos"
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

/// A selector with room for `N` keys on `poll`: on every platform, for every descriptor.
///
/// The methods are those of [`Selector`], the details are at [`backend::Poll`].
///
/// ```
/// let selector = selectors_core::PollSelector::<rustix::fd::OwnedFd, (), 16>::new()?;
/// # Ok::<(), selectors_core::Error>(())
/// ```
pub type PollSelector<S, D, const N: usize> = Selector<Poll<Fixed<N>>, S, D, Fixed<N>>;

/// A selector with room for `N` keys whose backend is chosen when the program runs.
///
/// [`new`](Selector::new) probes for the best that the kernel grants, [`of_kind`](Selector::of_kind) takes the one that is named,
/// [`kind`](Selector::kind) says which it is. The other methods are those of [`Selector`], the details are at [`backend::Any`].
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
    /// The methods are those of [`Selector`], the details are at [`backend::Epoll`].
    ///
    /// ```
    /// let selector = selectors_core::EpollSelector::<rustix::fd::OwnedFd, (), 16>::new()?;
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub type EpollSelector<S, D, const N: usize> = Selector<backend::Epoll, S, D, Fixed<N>>;

    // Not an alias of the alias above: rustdoc would show it without its methods.
    /// The best selector of this platform, with room for `N` keys: [`EpollSelector`].
    ///
    /// Opens with [`new`](Selector::new); then [`register`](Selector::register), [`modify`](Selector::modify),
    /// [`unregister`](Selector::unregister), [`select`](Selector::select), [`next_ready`](Selector::next_ready),
    /// [`get_key`](Selector::get_key), [`get_key_mut`](Selector::get_key_mut), [`get_map`](Selector::get_map),
    /// [`waker_in`](Selector::waker_in), [`close`](Selector::close): all the methods are those of [`Selector`].
    ///
    /// ```
    /// use rustix::fd::OwnedFd;
    ///
    /// // Sources are OwnedFds, their data counts, and there is room for 64 of them.
    /// let selector = selectors_core::DefaultSelector::<OwnedFd, u32, 64>::new()?;
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub type DefaultSelector<S, D, const N: usize> = Selector<backend::Epoll, S, D, Fixed<N>>;
}
if_kqueue! {
    /// A selector with room for `N` keys on kqueue.
    ///
    /// The methods are those of [`Selector`], the details are at [`backend::Kqueue`].
    ///
    /// ```
    /// let selector = selectors_core::KqueueSelector::<rustix::fd::OwnedFd, (), 16>::new()?;
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub type KqueueSelector<S, D, const N: usize> = Selector<backend::Kqueue, S, D, Fixed<N>>;

    // Not an alias of the alias above: rustdoc would show it without its methods.
    /// The best selector of this platform, with room for `N` keys: [`KqueueSelector`].
    ///
    /// Opens with [`new`](Selector::new); then [`register`](Selector::register), [`modify`](Selector::modify),
    /// [`unregister`](Selector::unregister), [`select`](Selector::select), [`next_ready`](Selector::next_ready),
    /// [`get_key`](Selector::get_key), [`get_key_mut`](Selector::get_key_mut), [`get_map`](Selector::get_map),
    /// [`waker_in`](Selector::waker_in), [`close`](Selector::close): all the methods are those of [`Selector`].
    ///
    /// ```
    /// let selector = selectors_core::DefaultSelector::<rustix::fd::OwnedFd, u32, 64>::new()?;
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub type DefaultSelector<S, D, const N: usize> = Selector<backend::Kqueue, S, D, Fixed<N>>;
}
if_no_queue! {
    // Not an alias of the alias above: rustdoc would show it without its methods.
    /// The best selector of this platform, with room for `N` keys: [`PollSelector`].
    ///
    /// Opens with [`new`](Selector::new); then [`register`](Selector::register), [`modify`](Selector::modify),
    /// [`unregister`](Selector::unregister), [`select`](Selector::select), [`next_ready`](Selector::next_ready),
    /// [`get_key`](Selector::get_key), [`get_key_mut`](Selector::get_key_mut), [`get_map`](Selector::get_map),
    /// [`waker_in`](Selector::waker_in), [`close`](Selector::close): all the methods are those of [`Selector`].
    ///
    /// ```
    /// let selector = selectors_core::DefaultSelector::<rustix::fd::OwnedFd, u32, 64>::new()?;
    /// # Ok::<(), selectors_core::Error>(())
    /// ```
    pub type DefaultSelector<S, D, const N: usize> = Selector<Poll<Fixed<N>>, S, D, Fixed<N>>;
}
if_select! {
    /// A selector with room for `N` keys on `select`: for descriptors below 1024.
    ///
    /// The methods are those of [`Selector`], the details are at [`backend::Select`].
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
