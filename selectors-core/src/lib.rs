//! Python's `selectors` without std and without an allocator, for embedded Unix programs.
//!
//! A selector owns its sources and keeps them in a table whose capacity is part of its type. It calls
//! epoll, kqueue, poll or select through rustix: on Linux not even libc is needed. An echo server with room for 63 peers:
//!
//! ```no_run
//! #![no_std]
//! # extern crate std; // doc tests are programs of std; the crate isn't
//! use rustix::fd::OwnedFd;
//! use rustix::io::Errno;
//! use selectors_core::{DefaultSelector, Error, Events};
//!
//! #[derive(Clone, Copy)]
//! enum Role {
//!     Listener,
//!     Peer,
//! }
//!
//! fn serve(listener: OwnedFd) -> Result<(), Error> {
//!     let mut buffer = [0; 256];
//!     let mut selector = DefaultSelector::<OwnedFd, Role, 64>::new()?;
//!     selector.register(listener, Events::READ, Role::Listener)?;
//!     loop {
//!         selector.select(None)?;
//!         while let Some((key, _ready)) = selector.next_ready() {
//!             let fd = key.fd;
//!             match key.data {
//!                 Role::Listener => {
//!                     if let Ok(peer) = rustix::net::accept(key.fileobj) {
//!                         // A table that is full gives the peer back: dropped here, and so closed.
//!                         let _ = selector.register(peer, Events::READ, Role::Peer);
//!                     }
//!                 }
//!                 Role::Peer => match rustix::io::read(key.fileobj, &mut buffer) {
//!                     Ok(n) if n > 0 => drop(rustix::io::write(key.fileobj, &buffer[..n])),
//!                     Err(Errno::INTR | Errno::AGAIN) => {}
//!                     _ => drop(selector.unregister(fd)?), // the key owns the socket: closed here
//!                 },
//!             }
//!         }
//!     }
//! }
//! # fn main() {}
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
//! - [`wait`] needs no selector: one descriptor, one system call.
//! - [`portability`] says what differs between platforms and backends.
//! - [`backend`] and [`storage`] are what selectors are made of, for those who make another one.
//!
//! # Memory
//!
//! A selector of `N` keys takes, for each, the source, the data and 20 bytes or so; poll needs 24 bytes more, select 16; and once, for the
//! events of a wait, 12 bytes for each that the batch holds, 64 unless said otherwise. Nothing else is allocated, ever.
//! A wait uses less than 2 kB of stack, whatever `N`. Descriptors are looked up by a scan of the table, events find their key
//! without one.
//!
//! # Features
//!
//! - `std` (off): sources may be std's own types (`TcpStream`, `Arc`, `Box`, …), and errors convert into `std::io::Error`.
//!   The crate `selectors-std` has it on, and adds tables that grow. Do not turn it on in a program without std.
#![no_std]

#[cfg(feature = "std")]
extern crate std;

pub mod backend;
mod engine;
mod error;
mod events;
mod key;
mod map;
mod platform;
#[doc = include_str!("portability.md")]
pub mod portability {}
mod selector;
pub mod storage;
mod table;
mod wait;
mod waker;

pub use backend::Kind;
pub use engine::Stats;
pub use error::{Error, RegisterError};
pub use events::{Events, Interest, Mode};
pub use key::{Fileno, KeyMut, SelectorKey};
pub use map::{Iter, KeyMap};
pub use selector::Selector;
#[doc(hidden)]
pub use wait::in_steps;
pub use wait::wait;
pub use waker::{WakeCell, Waker};

use backend::{Any, Poll};
use storage::Fixed;

/// A selector with room for `N` keys on `poll`.
pub type PollSelector<S, D, const N: usize> = Selector<Poll<Fixed<N>>, S, D, Fixed<N>>;

/// A selector with room for `N` keys whose backend is chosen when the program runs.
pub type AnySelector<S, D, const N: usize> = Selector<Any<Fixed<N>>, S, D, Fixed<N>>;

if_epoll! {
    /// A selector with room for `N` keys on Linux's epoll.
    pub type EpollSelector<S, D, const N: usize> = Selector<backend::Epoll, S, D, Fixed<N>>;

    /// The best selector of this platform: [`EpollSelector`].
    pub type DefaultSelector<S, D, const N: usize> = EpollSelector<S, D, N>;
}
if_kqueue! {
    /// A selector with room for `N` keys on kqueue.
    pub type KqueueSelector<S, D, const N: usize> = Selector<backend::Kqueue, S, D, Fixed<N>>;

    /// The best selector of this platform: [`KqueueSelector`].
    pub type DefaultSelector<S, D, const N: usize> = KqueueSelector<S, D, N>;
}
if_no_queue! {
    /// The best selector of this platform: [`PollSelector`].
    pub type DefaultSelector<S, D, const N: usize> = PollSelector<S, D, N>;
}
if_select! {
    /// A selector with room for `N` keys on `select`.
    pub type SelectSelector<S, D, const N: usize> = Selector<backend::Select<Fixed<N>>, S, D, Fixed<N>>;
}
