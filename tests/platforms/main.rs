//! Do selectors work in unusual processes and on unusual kernels: after forks,
//! without some system calls, with unusual descriptors?
#![allow(unsafe_code, reason = "processes fork, and close what they have not opened")]
#![allow(unreachable_pub, reason = "nothing here is reached from elsewhere")]

mod choice_of_backend;
#[path = "../common/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
mod descriptor_numbers;
#[cfg(target_os = "linux")]
mod descriptor_table;
#[cfg(unix)]
mod fork;
