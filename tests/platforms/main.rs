//! Does it hold where the operating system differs, or the process: forks, missing system calls, unusual descriptors?
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
