//! The contract over the emulated kqueue. The rows run unchanged where `if_kqueue!` says that there is a real one.

mod facts;
mod tests;

#[path = "../../emulated_kqueue/mod.rs"]
mod emulated;

pub use emulated::Kqueue;
use emulated::{inject, queue, sys as kqueue_sys};

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
