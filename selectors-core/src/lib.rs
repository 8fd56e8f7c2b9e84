#![doc = "TODO"]
#![no_std]

#[cfg(feature = "std")]
extern crate std;

pub mod backend;
mod engine;
mod error;
mod events;
mod key;
mod map;
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
