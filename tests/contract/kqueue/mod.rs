//! The contract over the emulated kqueue. The rows run unchanged where
//! `if_kqueue!` says that there is a real one.

mod broken;
mod calls;
mod facts;
mod polls;
mod tests;

#[path = "../../emulated_kqueue/mod.rs"]
mod emulated;

pub use emulated::Kqueue;
use emulated::systems::{Emulated, System};
pub use emulated::systems::{FreeBsd, MacOs, NetBsd, NoReceipts, On};
use emulated::{inject, queue, sys as kqueue_sys};
use polls::As;

use crate::support::{Best, Kernel, KernelSet, Reports, Table};
use rustix::fd::{AsRawFd, BorrowedFd};
use selectors_core::backend::{Backend, Poll, Select};
use selectors_core::{Kind, Selector};

pub type NetBsdPoll<M> = As<NetBsd, Poll<M>>;
pub type NetBsdSelect<M> = As<NetBsd, Select<M>>;
pub type FreeBsdPoll<M> = As<FreeBsd, Poll<M>>;
pub type MacOsPoll<M> = As<MacOs, Poll<M>>;

/// Those with receipts, on which the facts rely.
fn on_each_kernel(fact: fn()) {
    for system in System::ALL.into_iter().filter(|system| *system != System::NoReceipts) {
        println!("{system:?}");
        system.run(fact);
    }
}

impl<const BATCH: usize> Kernel for Kqueue<BATCH> {
    type Small = Kqueue<3>;
    type Inner = Kqueue;

    fn forget_closed() {
        queue::end_closed();
    }

    fn watched<S, D, M: Table>(selector: &Selector<Self, S, D, M>) -> Option<KernelSet> {
        Some(queue::watched(selector.as_raw_fd()))
    }

    fn fileno<S, D, M: Table>(selector: &Selector<Self, S, D, M>) -> Option<BorrowedFd<'_>> {
        Some(rustix::fd::AsFd::as_fd(selector))
    }
}

impl<E: Emulated, const BATCH: usize> Kernel for On<E, BATCH> {
    type Small = On<E, 3>;
    type Inner = On<E>;

    fn forget_closed() {
        queue::end_closed();
    }

    fn watched<S, D, M: Table>(selector: &Selector<Self, S, D, M>) -> Option<KernelSet> {
        Some(queue::watched(selector.as_raw_fd()))
    }

    fn fileno<S, D, M: Table>(selector: &Selector<Self, S, D, M>) -> Option<BorrowedFd<'_>> {
        Some(rustix::fd::AsFd::as_fd(selector))
    }
}

impl<E: Emulated, B: Backend> Kernel for As<E, B> {
    type Small = Self;
    type Inner = Best;

    fn reports(kind: Kind) -> Reports {
        polls::reports(E::SYSTEM, kind)
    }
}
