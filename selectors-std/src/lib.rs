#![doc = "TODO"]

mod growable;
mod lists;

pub use selectors_core::*;

pub use growable::{Growable, GrowableList, HashIndex};
pub use lists::select;

use selectors_core::backend::{Any, Poll};

/// How many events one wait can bring: enough that a busy server asks the kernel seldom, and three
/// kilobytes of stack.
const BATCH: usize = 256;

/// A waker of one of the selectors here: may be cloned, and sent to any thread.
pub type Waker = selectors_core::Waker<std::sync::Arc<WakeCell>>;

/// A growing selector on `poll`.
pub type PollSelector<S, D = ()> = Selector<Poll<Growable>, S, D, Growable>;

/// A growing selector whose backend is chosen when the program runs.
pub type AnySelector<S, D = ()> = Selector<Any<Growable, BATCH>, S, D, Growable>;

if_epoll! {
    /// A growing selector on Linux's epoll.
    pub type EpollSelector<S, D = ()> = Selector<backend::Epoll<BATCH>, S, D, Growable>;

    /// The best selector of this platform: [`EpollSelector`].
    pub type DefaultSelector<S, D = ()> = EpollSelector<S, D>;
}
if_kqueue! {
    /// A growing selector on kqueue.
    pub type KqueueSelector<S, D = ()> = Selector<backend::Kqueue<BATCH>, S, D, Growable>;

    /// The best selector of this platform: [`KqueueSelector`].
    pub type DefaultSelector<S, D = ()> = KqueueSelector<S, D>;
}
if_no_queue! {
    /// The best selector of this platform: [`PollSelector`].
    pub type DefaultSelector<S, D = ()> = PollSelector<S, D>;
}
if_select! {
    /// A growing selector on `select`.
    pub type SelectSelector<S, D = ()> = Selector<backend::Select<Growable>, S, D, Growable>;
}
