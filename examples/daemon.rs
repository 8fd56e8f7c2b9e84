//! An echo service with a control channel, which is `no_std_daemon` with std.
//!
//! ```text
//! daemon ADDRESS CONTROL [IDLE]      daemon 0.0.0.0:7777 /run/echo.control 60
//! ```
//!
//! A peer that has neither sent nor received a byte for IDLE seconds is closed.
//! CONTROL is a Unix datagram socket. It responds to `stat` with counters and a
//! line for each key, and `quit` ends the daemon.
//!
//! Compare it with `no_std_daemon/src/main.rs`. The other files are the same.
//! It is for Linux, because it uses a timerfd.

#![cfg_attr(not(target_os = "linux"), allow(unused_imports))]

#[cfg(target_os = "linux")]
#[path = "no_std_daemon/src/daemon.rs"]
mod daemon;
#[cfg(target_os = "linux")]
#[path = "no_std_daemon/src/sockets.rs"]
mod sockets;
#[cfg(target_os = "linux")]
#[path = "no_std_daemon/src/text.rs"]
mod text;

use std::env;
use std::ffi::CString;
use std::process::ExitCode;
use std::time::Duration;

#[cfg(target_os = "linux")]
use daemon::{Daemon, Role};
use rustix::fd::OwnedFd;
use selectors_std::{DefaultSelector, Error, Events, KeyId};

#[cfg(target_os = "linux")]
type Selector = DefaultSelector<OwnedFd, Role>;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    let Err(error) = run(env::args()) else { return ExitCode::SUCCESS };
    eprintln!("{error}");
    ExitCode::FAILURE
}

#[cfg(target_os = "linux")]
fn run(mut arguments: env::Args) -> Result<(), Box<dyn std::error::Error>> {
    const USAGE: &str = "usage: daemon ADDRESS CONTROL [IDLE]";
    let address = arguments.nth(1).ok_or(USAGE)?.parse()?;
    let control = CString::new(arguments.next().ok_or(USAGE)?)?;
    let idle = arguments.next().map_or(Ok(60), |text| text.parse())?;
    let mut selector = Selector::new()?;
    let mut daemon = Daemon::new(&mut selector, address, &control, Duration::from_secs(idle))?;
    let ended = daemon.serve();
    let _ = rustix::fs::unlink(&control);
    Ok(ended?)
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("there is no timerfd on this system");
    ExitCode::FAILURE
}
