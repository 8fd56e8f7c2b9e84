//! What happens if a system call fails, no descriptor is free, or a list can't
//! grow?
//!
//! After each failure the source has come back, table and kernel agree, and the
//! next call works.

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod calls;
#[path = "../common/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
mod descriptor_limit;
mod full_lists;
#[cfg(target_os = "linux")]
mod no_free_descriptor;
