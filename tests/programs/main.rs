//! Runs the other programs in `examples/` as processes.
//!
//! Most of their peers are the test's, which need nothing but a Rust toolchain. Further peers are programs that may be
//! installed: redis-server, redis-benchmark, nginx, wrk, curl, nc and strace. With `CI=true` all of them must be.
#![cfg(unix)]
#![allow(unreachable_pub, reason = "nothing here is reached from outside")]

mod chat;
mod counterparts;
mod http;
#[path = "../common/needs.rs"]
mod needs;
#[cfg(target_os = "linux")] // where all of 127.0.0.0/8 is this machine
mod port_scan;
mod proxy;
mod proxy_real;
mod sharded;
mod shortage;
mod supervisor;
#[cfg(target_os = "linux")]
mod watch;
mod workers;

#[path = "../examples/program.rs"]
#[allow(dead_code, reason = "shared with the tests of the echo programs")]
mod program;
