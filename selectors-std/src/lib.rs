//! Python's `selectors` for Rust: one safe interface to epoll, kqueue, poll and select.
//!
//! An echo server to copy. It survives a peer that resets its connection or does
//! not read, and a moment without a free descriptor:
//!
#![doc = concat!("```no_run\n", include_str!("front_page.rs"))]
//!
//! fn main() -> io::Result<()> {
//!     serve(TcpListener::bind("localhost:10000")?)
//! }
//! ```
//!
//! It reads no more from a peer that does not read its echo. The guide says more about
//! [partial writes](guide#sockets-that-do-not-block-and-partial-writes), and has a
//! [chat server](guide#a-first-program).
//!
//! The model is Python's. [`register`](Selector::register) a source with the [`Events`] of interest and data of your own;
//! [`select`](Selector::select) waits; [`next_ready`](Selector::next_ready) takes one ready key after the other; the program reads, writes,
//! registers, modifies and unregisters as it likes, also while it takes. Three things differ, because they can be
//! better in Rust:
//!
//! - **The selector owns the source**, and gives it back from `unregister`. So a watched descriptor is not closed by mistake, and its
//!   number not reused; the [guide](guide#who-owns-a-source) has the one exception. Only
//!   [`register_raw`](Selector::register_raw), for bare numbers, is `unsafe`. To keep the source, register `&source`, an `Rc` or an `Arc`.
//! - **Ready keys are taken one at a time**, not returned as a list: nothing is allocated per wait, and an event whose key
//!   changed meanwhile is judged by what the key says now.
//! - **There is more to ask for**: urgent data ([`Events::PRIORITY`]), edge-triggered and one-shot interest
//!   ([`Events::edge`], [`Events::one_shot`]), wake-ups from other threads ([`Selector::waker`]).
//!
//! # Callbacks
//!
//! What Python's echo server does with functions in the data works with function pointers. They are copied out of the key
//! before the call, so that a callback may do anything to the selector:
//!
//! ```
//! # use selectors_std::{DefaultSelector, Events};
//! # use std::{io::{self, Read}, os::fd::RawFd, os::unix::net::UnixStream};
//! type Selector = DefaultSelector<UnixStream, Callback>;
//!
//! #[derive(Clone, Copy)]
//! struct Callback(fn(&mut Selector, RawFd, Events) -> io::Result<()>);
//!
//! fn read(selector: &mut Selector, fd: RawFd, _events: Events) -> io::Result<()> {
//!     let key = selector.unregister(fd)?;
//!     (&key.fileobj).read(&mut [0; 64])?;
//!     Ok(())
//! }
//!
//! # let (ours, theirs) = UnixStream::pair()?;
//! # ours.set_nonblocking(true)?;
//! let mut selector = Selector::new()?;
//! selector.register(ours, Events::READ, Callback(read))?;
//! # drop(theirs);
//! selector.select(None)?;
//! while let Some((key, events)) = selector.next_ready() {
//!     let (fd, Callback(callback)) = (key.fd, *key.data);
//!     callback(&mut selector, fd, events)?;
//! }
//! # assert!(selector.get_map().is_empty());
//! # Ok::<(), io::Error>(())
//! ```
//!
//! # Choosing a selector
//!
//! | type | platforms | for |
//! |---|---|---|
//! | [`DefaultSelector`] | all | nearly everything: the best of the platform |
//! | `EpollSelector` | Linux, Android | thousands of descriptors; edge-triggered interest |
//! | `KqueueSelector` | the BSDs, Apple's | the same there |
//! | [`PollSelector`] | all | regular files among the descriptors; no kernel object |
//! | `SelectSelector` | all but illumos and Solaris | descriptors below 1024, if a sandbox allows nothing else |
//! | [`AnySelector`] | all | the backend is found out, or named, when the program runs |
//!
//! They are one type, [`Selector`], whose page has all the methods. Without std or an allocator
//! the same selectors are in the crate `selectors-core`, with a capacity in the type; this crate re-exports
//! all of it and adds tables that grow. For one descriptor, once, there is [`wait`], and for a few [`select`](select()).
//!
//! # What to know
//!
//! The [guide] has all of this with examples; the [table of events](Events) says what means what on which system call.
//!
//! - **Sources should not block.** Readiness is a hint; another process may have read first. `set_nonblocking(true)`, and
//!   take `WouldBlock` as "not yet". [More](guide#sockets-that-do-not-block-and-partial-writes)
//! - **A write may be partial.** Keep the rest, ask for [`Events::WRITE`] until it is gone, then no longer: most sockets are
//!   writable most of the time, and a level-triggered `WRITE` returns at once.
//! - **`READ` at the end of the stream** means that `read` returns 0 (or the error). Hang-ups and errors wake who asked for `READ` or
//!   `WRITE`. [More](guide#what-read-means-at-the-end)
//! - **Look-ups take a number or a reference**: `modify(key.fd, …)`, `unregister(&stream)`.
//! - **An error leaves the selector as it was**, but for [`Replaced`](Error::Replaced), and often says what to do about it.
//!   [More](guide#errors)
//!
//! # Where to go on
//!
//! - [`guide`]: the model, ownership, backends, modes, ends, timeouts, wake-ups, nesting, fork, errors.
//! - [`guide::python`]: every name of Python's `selectors` and `select`, and the echo server in both languages.
//! - [`guide::mio_and_polling`]: the same for mio and polling.
//! - [`Selector`]: all the methods, each with an example.
//! - [`portability`]: what differs between platforms and backends.
//! - `examples/` in the repository: programs of one file to start from.
//!
//! # Features
//!
//! None. Everything that the platform has is there.

pub mod guide;

mod channel;
mod connect;
mod growable;
mod lists;

pub use selectors_core::{
    Error, Events, FileKind, Interest, Iter, KeyId, KeyMap, KeyMut, Kind, Lookup, Mode, RegisterError,
    SelectResult, Selector, SelectorCell, SelectorKey, SelectorType, Stats, WakeCell, Walk, backend,
    portability, rustix, storage, wait,
};

#[doc(no_inline)]
pub use std::sync::mpsc::{SendError, TryRecvError};

pub use channel::{Inbox, Sender, channel};
pub use connect::connect;
pub use growable::{Growable, GrowableList, HashIndex};
pub use lists::select;

use selectors_core::backend::{Any, Poll};
use selectors_core::{if_epoll, if_kqueue, if_no_queue, if_select};

/// The number of events that a wait of the selectors here returns at most, on epoll and kqueue.
///
/// The selector has a buffer of twelve to sixteen bytes for each of them.
pub const BATCH: usize = 256;

/// A waker of one of the selectors here: may be cloned, and sent to any thread.
///
/// Made by [`Selector::waker`]; has one method, [`wake`](selectors_core::Waker::wake).
///
/// ```
/// use selectors_std::{DefaultSelector, Waker};
/// use std::{os::fd::OwnedFd, thread};
///
/// let mut selector = DefaultSelector::<OwnedFd>::new()?;
/// let waker: Waker = selector.waker()?;
/// let other = waker.clone();
/// thread::spawn(move || other.wake());
/// selector.select(None)?; // returns when the thread has woken it
/// # Ok::<(), selectors_std::Error>(())
/// ```
pub type Waker = selectors_core::Waker<std::sync::Arc<WakeCell>>;

/// A growing selector on `poll`: on every platform, for every descriptor.
///
/// The methods are those of [`Selector`], the details are at [`backend::Poll`].
///
/// ```
/// use selectors_std::{Events, PollSelector};
///
/// let mut selector = PollSelector::new()?;
/// selector.register(std::fs::File::open("/dev/null")?, Events::READ, "always ready")?;
/// assert_eq!(selector.select(None)?, 1);
/// # Ok::<(), std::io::Error>(())
/// ```
pub type PollSelector<S, D = ()> = Selector<Poll<Growable>, S, D, Growable>;

/// A growing selector whose backend is chosen when the program runs.
///
/// [`new`](Selector::new) probes for the best that the kernel grants, [`of_kind`](Selector::of_kind) takes the one that is named,
/// [`kind`](Selector::kind) says which it is. The other methods are those of [`Selector`], the details are at [`backend::Any`].
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
    /// The methods are those of [`Selector`], the details are at [`backend::Epoll`].
    ///
    /// ```
    /// let selector = selectors_std::EpollSelector::<std::net::TcpStream>::new()?;
    /// # Ok::<(), selectors_std::Error>(())
    /// ```
    pub type EpollSelector<S, D = ()> = Selector<backend::Epoll<BATCH>, S, D, Growable>;

    // Not an alias of the alias above: rustdoc would show it without its methods.
    /// The best selector of this platform: [`EpollSelector`].
    ///
    /// Opens with [`new`](Selector::new); then [`register`](Selector::register), [`modify`](Selector::modify),
    /// [`unregister`](Selector::unregister), [`select`](Selector::select), [`next_ready`](Selector::next_ready),
    /// [`get_key`](Selector::get_key), [`get_key_mut`](Selector::get_key_mut), [`get_map`](Selector::get_map),
    /// [`waker`](Selector::waker), [`close`](Selector::close): all the methods are those of [`Selector`].
    ///
    /// `S` is the source, `D` the data. Both are seldom written:
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
    /// The methods are those of [`Selector`], the details are at [`backend::Kqueue`].
    ///
    /// ```
    /// let selector = selectors_std::KqueueSelector::<std::net::TcpStream>::new()?;
    /// # Ok::<(), selectors_std::Error>(())
    /// ```
    pub type KqueueSelector<S, D = ()> = Selector<backend::Kqueue<BATCH>, S, D, Growable>;

    // Not an alias of the alias above: rustdoc would show it without its methods.
    /// The best selector of this platform: [`KqueueSelector`].
    ///
    /// Opens with [`new`](Selector::new); then [`register`](Selector::register), [`modify`](Selector::modify),
    /// [`unregister`](Selector::unregister), [`select`](Selector::select), [`next_ready`](Selector::next_ready),
    /// [`get_key`](Selector::get_key), [`get_key_mut`](Selector::get_key_mut), [`get_map`](Selector::get_map),
    /// [`waker`](Selector::waker), [`close`](Selector::close): all the methods are those of [`Selector`].
    ///
    /// `S` is the source, `D` the data.
    ///
    /// ```
    /// let selector = selectors_std::DefaultSelector::<std::net::TcpStream>::new()?;
    /// # Ok::<(), selectors_std::Error>(())
    /// ```
    pub type DefaultSelector<S, D = ()> = Selector<backend::Kqueue<BATCH>, S, D, Growable>;
}
if_no_queue! {
    // Not an alias of the alias above: rustdoc would show it without its methods.
    /// The best selector of this platform: [`PollSelector`].
    ///
    /// Opens with [`new`](Selector::new); then [`register`](Selector::register), [`modify`](Selector::modify),
    /// [`unregister`](Selector::unregister), [`select`](Selector::select), [`next_ready`](Selector::next_ready),
    /// [`get_key`](Selector::get_key), [`get_key_mut`](Selector::get_key_mut), [`get_map`](Selector::get_map),
    /// [`waker`](Selector::waker), [`close`](Selector::close): all the methods are those of [`Selector`].
    ///
    /// `S` is the source, `D` the data.
    ///
    /// ```
    /// let selector = selectors_std::DefaultSelector::<std::net::TcpStream>::new()?;
    /// # Ok::<(), selectors_std::Error>(())
    /// ```
    pub type DefaultSelector<S, D = ()> = Selector<Poll<Growable>, S, D, Growable>;
}
if_select! {
    /// A growing selector on `select`: for descriptors below 1024.
    ///
    /// The methods are those of [`Selector`], the details are at [`backend::Select`].
    ///
    /// ```
    /// let selector = selectors_std::SelectSelector::<std::net::TcpStream>::new()?;
    /// # Ok::<(), selectors_std::Error>(())
    /// ```
    pub type SelectSelector<S, D = ()> = Selector<backend::Select<Growable>, S, D, Growable>;
}

/// The README's program is compiled, and run, with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
