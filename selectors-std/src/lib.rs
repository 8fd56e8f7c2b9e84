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
//! [partial writes](guide#non-blocking-sockets-and-partial-writes), and has a
//! [chat server](guide#a-first-program).
//!
//! Until the crate is released, add it by the path of its folder:
//!
//! ```toml
//! [dependencies]
//! selectors-std = { path = "../selectors/selectors-std" }
//! ```
//!
//! The model is Python's. [`register`](Selector::register) a source with the [`Events`] of interest and your data.
//! [`select`](Selector::select) waits. [`next_ready`](Selector::next_ready) returns one ready key after the other, and the key reads,
//! writes, modifies, pauses and unregisters. Three things differ, because Rust allows more:
//!
//! - **The selector owns the source**, until `unregister` returns it. So a watched descriptor is not closed by mistake, and its number
//!   is not reused. The [guide](guide#owning-sources) has the one exception. Only [`register_raw`](Selector::register_raw), for file
//!   descriptors as numbers, is `unsafe`. To keep the source, register `&source`, an `Rc` or an `Arc`.
//! - **Ready keys come one at a time**, not as a list. So nothing is allocated for a wait, and an event whose key was changed in the
//!   meantime is cut down to what the key says now.
//! - **Keys have [ids](KeyId)** that never name a later registration. Store ids, where a Python program stores sockets or numbers.
//!
//! And there is more: urgent data ([`Events::PRIORITY`]), edge-triggered and one-shot interest ([`Events::edge`],
//! [`Events::one_shot`]), [pausing](Selector::pause), [non-blocking connects](connect()), [wakers](Selector::waker) and
//! [channels](channel()) for other threads.
//!
//! # Callbacks
//!
//! Python's echo server keeps functions in the data. Function pointers do the same. Copy the function and the id out of the key, and
//! the callback may do anything to the selector:
//!
//! ```
//! # use selectors_std::{DefaultSelector, Events, KeyId};
//! # use std::{io::{self, Read}, os::unix::net::UnixStream};
//! type Selector = DefaultSelector<UnixStream, Data>;
//!
//! struct Data {
//!     callback: fn(&mut Selector, KeyId, Events) -> io::Result<()>,
//! }
//!
//! fn read(selector: &mut Selector, id: KeyId, _events: Events) -> io::Result<()> {
//!     if let Some(mut key) = selector.get_key_mut(id) {
//!         if key.read(&mut [0; 64])? == 0 {
//!             drop(key.unregister());
//!         }
//!     }
//!     Ok(())
//! }
//!
//! # let (ours, theirs) = UnixStream::pair()?;
//! # ours.set_nonblocking(true)?;
//! let mut selector = Selector::new()?;
//! selector.register(ours, Events::READ, Data { callback: read })?;
//! # drop(theirs);
//! selector.select(None)?;
//! while let Some((key, events)) = selector.next_ready() {
//!     let (id, callback) = (key.id(), key.data.callback);
//!     callback(&mut selector, id, events)?;
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
//! | [`AnySelector`] | all | the backend is chosen, or named, when the program runs |
//!
//! They are one type, [`Selector`], whose page has all the methods. For programs without std or without an allocator the same
//! selectors are in the crate `selectors-core`, with a capacity in the type. This crate adds tables that grow. [`wait`] waits for one
//! descriptor without a selector, and [`select`](select()) for a few.
//!
//! # Rules
//!
//! The [guide] explains all of this with examples. The [table of events](Events) shows what each event means on each system call.
//!
//! - **Sources should be non-blocking.** Readiness is a hint, because another process may have read first. Call
//!   `set_nonblocking(true)`, and treat `WouldBlock` as "not yet". [More](guide#non-blocking-sockets-and-partial-writes)
//! - **A write may be partial.** Keep the remaining bytes, and register for [`Events::WRITE`] until they are sent, then no longer. Most
//!   sockets are writable most of the time, so a level-triggered `WRITE` ends every wait immediately.
//! - **`READ` at the end of the stream** means that `read` returns 0, or the error. Hang-ups and errors wake any key registered for
//!   `READ` or `WRITE`. [More](guide#end-of-stream-and-hang-ups)
//! - **A ready key borrows the selector.** Act through the key, or copy its id first: `let id = key.id();`.
//!   [More](guide#key-ids)
//! - **On error the selector is unchanged**, and the message often says what to do. [More](guide#errors)
//!
//! # Further reading
//!
//! - [`guide`]: the model, a first program, compiler errors, and everything above at length.
//! - [`guide::python`]: every name of Python's `selectors` and `select`, and the echo server in both languages.
//! - [`guide::mio_and_polling`]: the same for mio and polling.
//! - [`guide::shared_selector`]: a selector that other threads change while it waits.
//! - [`Selector`] and [`KeyMut`]: all the methods, each with an example.
//! - [`portability`]: what differs between platforms and backends.
//! - `examples/` in the repository: programs of one file each.
//!
//! # Features
//!
//! This crate has no features. All backends of the platform are there.
//!
//! [`rustix`] is here with its features `event`, `fs`, `net`, `pipe`, `process` and `std`. For others, depend on rustix 1 yourself.
//! Its types are the same.

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

/// A waker of one of the selectors here, which can be cloned and sent to any thread.
///
/// [`Selector::waker`] returns it. Its method is `wake`, and it converts into
/// [`std::task::Waker`]. To hand over items as well, create a [`channel`](channel()).
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
/// assert!(selector.select(None)?.woken()); // returned when the thread had woken it
/// # Ok::<(), selectors_std::Error>(())
/// ```
pub type Waker = selectors_core::Waker<std::sync::Arc<WakeCell>>;

/// A growing selector on `poll`.
///
/// The methods are those of [`Selector`]. The details are at [`backend::Poll`].
///
/// ```
/// use selectors_std::{Events, PollSelector};
///
/// let mut selector = PollSelector::new()?;
/// selector.register(std::fs::File::open("/dev/null")?, Events::READ, "always ready")?;
/// assert_eq!(selector.select(None)?.events(), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
pub type PollSelector<S, D = ()> = Selector<Poll<Growable>, S, D, Growable>;

/// A growing selector whose backend is chosen when the program runs.
///
/// [`new`](Selector::new) uses the best one that the kernel allows. [`of_kind`](Selector::of_kind) uses a given one.
/// [`kind`](Selector::kind) returns which one it is. The other methods are those of [`Selector`]. The details are at
/// [`backend::Any`].
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
    /// The methods are those of [`Selector`]. The details are at [`backend::Epoll`].
    ///
    /// ```
    /// let selector = selectors_std::EpollSelector::<std::net::TcpStream>::new()?;
    /// # Ok::<(), selectors_std::Error>(())
    /// ```
    pub type EpollSelector<S, D = ()> = Selector<backend::Epoll<BATCH>, S, D, Growable>;

    // Not an alias of the alias above: rustdoc would show it without its methods.
    /// The best selector of this platform, [`EpollSelector`].
    ///
    /// Its methods are those of [`Selector`]: [`new`](Selector::new), [`register`](Selector::register),
    /// [`modify`](Selector::modify), [`pause`](Selector::pause), [`resume`](Selector::resume),
    /// [`unregister`](Selector::unregister), [`select`](Selector::select), [`next_ready`](Selector::next_ready),
    /// [`get_key`](Selector::get_key), [`get_key_mut`](Selector::get_key_mut), [`get_map`](Selector::get_map),
    /// [`walk`](Selector::walk), [`waker`](Selector::waker), [`close`](Selector::close) and more.
    ///
    /// `S` is the source and `D` your data. The compiler infers both from `register`:
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
    /// The methods are those of [`Selector`]. The details are at [`backend::Kqueue`].
    ///
    /// ```
    /// let selector = selectors_std::KqueueSelector::<std::net::TcpStream>::new()?;
    /// # Ok::<(), selectors_std::Error>(())
    /// ```
    pub type KqueueSelector<S, D = ()> = Selector<backend::Kqueue<BATCH>, S, D, Growable>;

    // Not an alias of the alias above: rustdoc would show it without its methods.
    /// The best selector of this platform, [`KqueueSelector`].
    ///
    /// Its methods are those of [`Selector`]: [`new`](Selector::new), [`register`](Selector::register),
    /// [`modify`](Selector::modify), [`pause`](Selector::pause), [`resume`](Selector::resume),
    /// [`unregister`](Selector::unregister), [`select`](Selector::select), [`next_ready`](Selector::next_ready),
    /// [`get_key`](Selector::get_key), [`get_key_mut`](Selector::get_key_mut), [`get_map`](Selector::get_map),
    /// [`walk`](Selector::walk), [`waker`](Selector::waker), [`close`](Selector::close) and more.
    ///
    /// `S` is the source and `D` your data.
    ///
    /// ```
    /// let selector = selectors_std::DefaultSelector::<std::net::TcpStream>::new()?;
    /// # Ok::<(), selectors_std::Error>(())
    /// ```
    pub type DefaultSelector<S, D = ()> = Selector<backend::Kqueue<BATCH>, S, D, Growable>;
}
if_no_queue! {
    // Not an alias of the alias above: rustdoc would show it without its methods.
    /// The best selector of this platform, [`PollSelector`].
    ///
    /// Its methods are those of [`Selector`]: [`new`](Selector::new), [`register`](Selector::register),
    /// [`modify`](Selector::modify), [`pause`](Selector::pause), [`resume`](Selector::resume),
    /// [`unregister`](Selector::unregister), [`select`](Selector::select), [`next_ready`](Selector::next_ready),
    /// [`get_key`](Selector::get_key), [`get_key_mut`](Selector::get_key_mut), [`get_map`](Selector::get_map),
    /// [`walk`](Selector::walk), [`waker`](Selector::waker), [`close`](Selector::close) and more.
    ///
    /// `S` is the source and `D` your data.
    ///
    /// ```
    /// let selector = selectors_std::DefaultSelector::<std::net::TcpStream>::new()?;
    /// # Ok::<(), selectors_std::Error>(())
    /// ```
    pub type DefaultSelector<S, D = ()> = Selector<Poll<Growable>, S, D, Growable>;
}
if_select! {
    /// A growing selector on `select`, for descriptors below 1024.
    ///
    /// The methods are those of [`Selector`]. The details are at [`backend::Select`].
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
