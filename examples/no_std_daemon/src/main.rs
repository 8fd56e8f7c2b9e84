//! An echo service with a control channel, without std, libc and an allocator.
//!
//! ```text
//! daemon ADDRESS CONTROL [IDLE]      daemon 0.0.0.0:7777 /run/echo.control 60
//! ```
//!
//! A peer that has neither sent nor received a byte for IDLE seconds is closed.
//! CONTROL is a Unix datagram socket. It responds to `stat` with counters and a
//! line for each key, and `quit` ends the daemon.
//!
//! Compare it with `examples/daemon.rs`, which is the same with std.

#![no_std]
#![no_main]
#![deny(unsafe_code)]

mod daemon;
mod parse;
mod sockets;
mod start;
mod text;

use core::time::Duration;

use daemon::{Daemon, KEYS, Role};
use rustix::fd::OwnedFd;
use selectors_core::{DefaultSelector, Error, Events, KeyId, SelectorCell};
use start::Arguments;

type Selector = DefaultSelector<OwnedFd, Role, KEYS>;

/// All memory that grows with the number of peers is here, and the linker
/// counts it.
static SELECTOR: SelectorCell<Selector> = SelectorCell::new();

fn main(arguments: Arguments) -> i32 {
    let Err(error) = run(arguments) else { return 0 };
    let (call, number) = match error {
        Some(Error::Os { call, errno, .. }) => (call, errno.raw_os_error().unsigned_abs()),
        _ => ("usage: daemon ADDRESS CONTROL [IDLE], error", 22),
    };
    start::complain(text::Text::new().line(call, number.into()).as_bytes());
    1
}

fn run(mut arguments: Arguments) -> Result<(), Option<Error>> {
    let address = arguments.nth(1).and_then(|text| parse::address(text.to_bytes())).ok_or(None)?;
    let control = arguments.next().ok_or(None)?;
    let idle =
        arguments.next().map_or(Some(60), |text| parse::number(text.to_bytes())).ok_or(None)?;
    let mut daemon = Daemon::new(
        SELECTOR.open()?,
        address.into(),
        control,
        Duration::from_secs(u32::into(idle)),
    )?;
    let ended = daemon.serve();
    let _ = rustix::fs::unlink(control);
    Ok(ended?)
}
