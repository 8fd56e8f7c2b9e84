//! What does it cost: system calls, instructions, allocations, memory, code?
#![allow(
    unsafe_code,
    reason = "an allocator that counts, and a thread on memory of the test's own"
)]

mod allocations;
#[cfg(target_os = "linux")]
mod batches;
mod channel;
#[path = "../common/mod.rs"]
mod common;
mod counting;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod machine_code;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod system_calls;
#[cfg(target_os = "linux")]
mod timeouts;
