//! Do the programs of `examples/` and of the documentation work, as processes
//! between real peers?
//!
//! Most peers are threads of the tests. Other peers are programs that may be
//! installed: redis-server, redis-benchmark, nginx, wrk, curl, nc and strace.
//! With `CI=true` all of them must be.
#![cfg(unix)]
#![allow(unreachable_pub, reason = "nothing here is reached from outside")]

mod chat;
#[path = "../common/mod.rs"]
mod common;
mod counterparts;
#[cfg(target_os = "linux")]
mod daemon;
mod echo;
#[cfg(target_os = "linux")]
mod first_pages;
mod http;
#[cfg(target_os = "linux")] // where all of 127.0.0.0/8 is this machine
mod port_scan;
mod proxy;
mod proxy_real;
#[cfg(target_os = "linux")]
mod serial;
mod sharded;
mod shared_selector;
mod shortage;
mod supervisor;
#[cfg(target_os = "linux")]
mod watch;
mod workers;
