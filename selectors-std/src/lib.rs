//! Python's `selectors` for Rust: one safe interface to epoll, kqueue, poll and
//! select.
//!
#![doc = include_str!("loop.md")]
//!
//! # A server to copy
//!
//! This echo server survives a peer that resets its connection, a peer that
//! does not read, and a moment without a free descriptor.
//!
#![doc = concat!("```no_run\n", include_str!("front_page.rs"))]
//!
//! fn main() -> io::Result<()> { serve(TcpListener::bind("localhost:10000")?) }
//! ```
//!
//! It reads no more from a peer that does not read its echo. See [partial
//! writes](guide::connections#partial-writes-and-back-pressure) in the guide,
//! which also has a [chat server](guide#a-first-server).
//!
//! Until the crate is released, depend on it by the path of its folder:
//!
//! ```toml
//! [dependencies]
//! selectors-std = { path = "../selectors/selectors-std" }
//! ```
//!
//! # Further reading
//!
//! - [`guide`]: one section for each task, from a first server to compiler
//!   errors.
//! - [`model`]: the rules of every selector, with pictures.
//! - [`guide::python`]: every name of Python's `selectors` and `select`, and an
//!   echo server in both languages, with callbacks.
//! - [`guide::mio_and_polling`]: the same for mio and polling.
//! - [`guide::shared_selector`]: a selector that other threads change while it
//!   waits.
//! - [`portability`]: what differs between platforms and backends.
//! - [`guide::examples`]: a chat server, a port scanner and a supervisor, to
//!   copy.
//!
//! # Types
//!
//! - [`Selector`] has all the methods. [`DefaultSelector`] is its alias for
//!   nearly every program, with the best backend of the platform. The other
//!   aliases name their backend: see [Choosing a
//!   backend](guide::backends#choosing-a-backend).
//! - [`KeyMut`] is a key that acts. [`KeyId`] names a key, and never a later
//!   one.
//! - [`Events`] say what to watch for, and what was reported.
//!   [`edge`](Events::edge) and [`one_shot`](Events::one_shot) choose the mode.
//! - [`SelectResult`] says how a wait has ended, and [`Error`] why a call
//!   failed.
//! - [`channel()`] and [`Waker`] hand work to a selector from other threads.
//! - [`connect()`] begins a connection without waiting for it.
//! - [`wait`] waits for one descriptor without a selector, and
//!   [`select`](select()) for a few.
//!
//! The crate `selectors-core` has the same selectors for programs without std
//! or without an allocator, with a capacity in the type. This crate adds tables
//! that grow.
//!
//! # Features
//!
//! This crate has no features. All backends of the platform are there.
//!
//! The crate re-exports `rustix` with its features `event`, `fs`, `net`,
//! `pipe`, `process` and `std`. For others, depend on rustix 1 yourself. Its
//! types are the same.

pub mod guide;

mod channel;
mod connect;
mod growable;
mod lists;

pub use selectors_core::{
    Error, Events, FileKind, Interest, Iter, KeyId, KeyMap, KeyMut, Kind, Lookup, Mode,
    RegisterError, SelectResult, Selector, SelectorCell, SelectorKey, SelectorType, Stats,
    WakeCell, Walk, backend, model, portability, rustix, storage, wait,
};

#[doc(no_inline)]
pub use std::sync::mpsc::{SendError, TryRecvError};

pub use channel::{Inbox, Sender, channel};
pub use connect::connect;
pub use growable::{Growable, GrowableList, HashIndex};
pub use lists::select;

use selectors_core::backend::{Any, Poll};
use selectors_core::{if_epoll, if_kqueue, if_no_queue, if_select};

/// The maximum number of events in a batch, which one wait returns.
///
/// It holds for epoll and kqueue. The selector has a buffer of 12 to 32 bytes
/// for each event.
pub const BATCH: usize = 256;

/// A waker of a selector, which can be cloned and sent to any thread.
///
/// [`Selector::waker`] returns it. Its method is `wake`, and it converts into
/// [`std::task::Waker`]. To hand over items as well, create a
/// [`channel`](channel()).
///
/// # Examples
///
/// ```
/// use selectors_std::{DefaultSelector, Waker};
/// use std::{os::fd::OwnedFd, thread};
///
/// let mut selector = DefaultSelector::<OwnedFd>::new()?;
/// let waker: Waker = selector.waker()?;
/// let other = waker.clone();
/// thread::spawn(move || other.wake());
/// assert!(selector.select(None)?.woken()); // by the thread
/// # Ok::<(), selectors_std::Error>(())
/// ```
pub type Waker = selectors_core::Waker<std::sync::Arc<WakeCell>>;

/// A growing selector on `poll`.
///
/// The methods are those of [`Selector`]. The details are at [`backend::Poll`].
///
/// ```
/// use selectors_std::{Events, PollSelector};
/// use std::fs::File;
///
/// let mut selector = PollSelector::new()?;
/// let null = File::open("/dev/null")?;
/// selector.register(null, Events::READ, "always ready")?;
/// assert_eq!(selector.select(None)?.events(), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
pub type PollSelector<S, D = ()> = Selector<Poll<Growable>, S, D, Growable>;

/// A growing selector with a backend that is chosen at run time.
///
/// [`new`](Selector::new) uses the best one that the kernel allows.
/// [`of_kind`](Selector::of_kind) uses a given one. [`kind`](Selector::kind)
/// returns which one it is. The other methods are those of [`Selector`]. The
/// details are at [`backend::Any`].
///
/// ```
/// use selectors_std::AnySelector;
/// use std::net::TcpStream;
///
/// let probed = AnySelector::<TcpStream>::new()?;
/// let named = AnySelector::<TcpStream>::of_kind("poll".parse()?)?;
/// println!("{} rather than {}", probed.kind(), named.kind());
/// # Ok::<(), selectors_std::Error>(())
/// ```
pub type AnySelector<S, D = ()> = Selector<Any<Growable, BATCH>, S, D, Growable>;

if_epoll! {
    /// A growing selector on Linux's epoll.
    ///
    /// The methods are those of [`Selector`]. The details are at
    /// [`backend::Epoll`].
    ///
    /// ```
    /// use selectors_std::EpollSelector;
    /// use std::net::TcpStream;
    ///
    /// let selector = EpollSelector::<TcpStream>::new()?;
    /// # Ok::<(), selectors_std::Error>(())
    /// ```
    pub type EpollSelector<S, D = ()> = Selector<backend::Epoll<BATCH>, S, D, Growable>;

    // Not an alias of the alias above, which rustdoc would show without
    // methods.
    /// The best selector of this platform, which is [`EpollSelector`].
    ///
    /// The methods are those of [`Selector`].
    ///
    /// `S` is the source and `D` your data. The compiler infers both from
    /// `register`:
    ///
    /// ```
    /// use selectors_std::{DefaultSelector, Events};
    /// use std::{io::Write, os::unix::net::UnixStream};
    ///
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// let mut selector = DefaultSelector::new()?;
    /// selector.register(ours, Events::READ, "a friend")?;
    /// theirs.write_all(b"hello")?;
    /// selector.select(None)?;
    /// while let Some((key, events)) = selector.next_ready() {
    ///     println!("{} is ready for {events:?}", key.data);
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub type DefaultSelector<S, D = ()> = Selector<backend::Epoll<BATCH>, S, D, Growable>;
}
if_kqueue! {
    /// A growing selector on kqueue.
    ///
    /// The methods are those of [`Selector`]. The details are at
    /// [`backend::Kqueue`].
    ///
    /// ```
    /// use selectors_std::KqueueSelector;
    /// use std::net::TcpStream;
    ///
    /// let selector = KqueueSelector::<TcpStream>::new()?;
    /// # Ok::<(), selectors_std::Error>(())
    /// ```
    pub type KqueueSelector<S, D = ()> = Selector<backend::Kqueue<BATCH>, S, D, Growable>;

    // Not an alias of the alias above, which rustdoc would show without
    // methods.
    /// The best selector of this platform, which is [`KqueueSelector`].
    ///
    /// The methods are those of [`Selector`].
    ///
    /// `S` is the source and `D` your data.
    ///
    /// ```
    /// use selectors_std::DefaultSelector;
    /// use std::net::TcpStream;
    ///
    /// let selector = DefaultSelector::<TcpStream>::new()?;
    /// # Ok::<(), selectors_std::Error>(())
    /// ```
    pub type DefaultSelector<S, D = ()> = Selector<backend::Kqueue<BATCH>, S, D, Growable>;
}
if_no_queue! {
    // Not an alias of the alias above, which rustdoc would show without
    // methods.
    /// The best selector of this platform, which is [`PollSelector`].
    ///
    /// The methods are those of [`Selector`].
    ///
    /// `S` is the source and `D` your data.
    ///
    /// ```
    /// use selectors_std::DefaultSelector;
    /// use std::net::TcpStream;
    ///
    /// let selector = DefaultSelector::<TcpStream>::new()?;
    /// # Ok::<(), selectors_std::Error>(())
    /// ```
    pub type DefaultSelector<S, D = ()> = Selector<Poll<Growable>, S, D, Growable>;
}
if_select! {
    /// A growing selector on `select`, for descriptors below 1024.
    ///
    /// The methods are those of [`Selector`]. The details are at
    /// [`backend::Select`].
    ///
    /// ```
    /// use selectors_std::SelectSelector;
    /// use std::net::TcpStream;
    ///
    /// let selector = SelectSelector::<TcpStream>::new()?;
    /// # Ok::<(), selectors_std::Error>(())
    /// ```
    pub type SelectSelector<S, D = ()> = Selector<backend::Select<Growable>, S, D, Growable>;
}

/// The README's program is compiled with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
