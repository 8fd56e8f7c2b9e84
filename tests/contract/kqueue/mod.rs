//! The source of the kqueue backend, compiled once more over an emulation, where there is no kqueue.
//!
//! `selectors-core/src/backend/kqueue.rs` takes all it uses from the module above it. There that is
//! rustix, here it is `sys`, with the same names and answers. So every row of the contract runs through the
//! backend's own code, and errors can be injected at each of its calls. What a real kernel does is known
//! as far as `queue` tells; the rows run unchanged where `if_kqueue!` says that there is a real one.

mod facts;
mod inject;
mod queue;
mod sys;
mod tests;

#[path = "../../../selectors-core/src/backend/kqueue.rs"]
mod backend;

pub use backend::Kqueue;

// What `backend` finds above itself.
use rustix::fd::RawFd;
use rustix::io::Errno;
use selectors_core::backend::{Backend, Token, Watched};
use selectors_core::{Error, Events, Interest, Kind, Mode};
use sys as kqueue_sys;

fn os(call: &'static str, fd: Option<RawFd>, errno: Errno) -> Error {
    Error::Os { call, fd, errno }
}

use crate::support::{Kernel, KernelSet, Table};
use rustix::fd::{AsRawFd, BorrowedFd};
use selectors_core::Selector;

impl<const BATCH: usize> Kernel for Kqueue<BATCH> {
    type Small = Kqueue<3>;

    fn watched<S, D, M: Table>(selector: &Selector<Self, S, D, M>) -> Option<KernelSet> {
        Some(queue::watched(selector.as_raw_fd()))
    }

    fn fileno<S, D, M: Table>(selector: &Selector<Self, S, D, M>) -> Option<BorrowedFd<'_>> {
        Some(rustix::fd::AsFd::as_fd(selector))
    }
}
