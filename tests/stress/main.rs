//! Do selectors work under load: with many threads, signals and descriptors,
//! and for a long time?
//!
//! With `--cfg loom` a model checker runs instead: see `memory_orderings.rs`.
#![allow(unsafe_code, reason = "signals are sent and handled with what the C library gives")]

#[cfg(not(loom))]
#[path = "../common/mod.rs"]
mod common;
#[cfg(not(loom))]
mod many_descriptors;
#[cfg(loom)]
mod memory_orderings;
#[cfg(not(loom))]
mod signals;
#[cfg(all(target_os = "linux", not(loom)))]
mod soak;
#[cfg(not(loom))]
mod wake_storm;
#[cfg(all(target_os = "linux", not(loom)))]
mod wakers_in_threads;
