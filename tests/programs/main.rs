//! Runs the programs to start from as processes: against peers of the test's own, which need nothing but
//! a Rust toolchain, and against the real counterparts that are installed. Where `CI=true` all of
//! these must be installed: redis-server, redis-benchmark, nginx, wrk, curl and nc.
#![cfg(unix)]
#![allow(unreachable_pub, reason = "nothing here is reached from elsewhere")]

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
