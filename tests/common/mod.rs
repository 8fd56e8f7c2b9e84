//! Helpers of several binaries. This file has every pair of a backend and a key
//! table that the platform has.
#![allow(dead_code, reason = "each binary uses a part of it")]
#![allow(unreachable_pub, reason = "nothing here is reached from elsewhere")]

pub mod alone;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")
))]
pub mod filter;
pub mod growable;
pub mod needs;
#[cfg(target_os = "linux")]
pub mod process;
#[cfg(unix)]
pub mod program;
#[allow(unsafe_code, reason = "signals are handled and sent with what the C library gives")]
#[path = "../contract/signals.rs"]
pub mod signals;
#[path = "../contract/support.rs"]
pub mod support;
#[cfg(target_os = "linux")]
pub mod traced;
#[cfg(target_os = "linux")]
pub mod without_std;

use std::net::{SocketAddr, TcpStream};
use std::panic::resume_unwind;
use std::{env, thread};

use selectors_core::backend::{Any, Backend, Poll};
use selectors_std::Growable;
use support::Table;

/// A table with capacity for all that the tests register.
pub type Fixed = selectors_core::storage::Fixed<128>;

/// For how many seconds the long tests run. `SOAK_SECONDS` sets it.
pub fn soak_seconds() -> u64 {
    env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

/// Runs `work` with all items at the same time. This is for work that mostly
/// waits.
pub fn at_once<T: Send>(items: impl IntoIterator<Item = T>, work: impl Fn(T) + Sync) {
    let work = &work;
    thread::scope(|scope| {
        let spawn = |item| {
            // A test that is skipped prints the name of its thread.
            let name = thread::current().name().unwrap_or("a test").to_owned();
            thread::Builder::new().name(name).spawn_scoped(scope, move || work(item)).unwrap()
        };
        let threads: Vec<_> = items.into_iter().map(spawn).collect();
        for thread in threads {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
}

/// A simple generator of random numbers. Its seed is not zero.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn roll(&mut self, sides: usize) -> usize {
        usize::try_from(self.next() % sides as u64).unwrap()
    }
}

/// An address of this machine at which nothing listens, with a connection that
/// keeps the port from other programs.
///
/// On some systems a connection to a port that is only bound is not refused.
pub fn closed_port() -> ((TcpStream, TcpStream), SocketAddr) {
    let ends = support::tcp();
    let address = ends.1.local_addr().unwrap();
    (ends, address)
}

/// A check that is run with every pair.
pub trait Check {
    /// Runs it with this pair.
    fn check<B: Backend, M: Table>(&mut self, pair: &str);
}

/// Runs a check with every pair.
pub fn every_pair(check: &mut impl Check) {
    needs::limit();
    queue(check);
    sets(check);
    check.check::<Poll<Fixed>, Fixed>("poll, fixed");
    check.check::<Poll<Growable>, Growable>("poll, growable");
    check.check::<Any<Fixed>, Fixed>("any, fixed");
    check.check::<Any<Growable, 256>, Growable>("any, growable");
}

selectors_core::if_epoll! {
    fn queue(check: &mut impl Check) {
        use selectors_core::backend::Epoll;
        check.check::<Epoll, Fixed>("epoll, fixed");
        check.check::<Epoll<256>, Growable>("epoll, growable");
    }
}
selectors_core::if_kqueue! {
    fn queue(check: &mut impl Check) {
        use selectors_core::backend::Kqueue;
        check.check::<Kqueue, Fixed>("kqueue, fixed");
        check.check::<Kqueue<256>, Growable>("kqueue, growable");
    }
}
selectors_core::if_no_queue! {
    fn queue(_check: &mut impl Check) {}
}
selectors_core::if_select! {
    fn sets(check: &mut impl Check) {
        use selectors_core::backend::Select;
        check.check::<Select<Fixed>, Fixed>("select, fixed");
        check.check::<Select<Growable>, Growable>("select, growable");
    }
}
selectors_core::if_no_select! {
    fn sets(_check: &mut impl Check) {}
}
