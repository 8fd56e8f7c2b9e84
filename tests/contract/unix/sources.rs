//! The sockets and numbers that the rows watch.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
pub use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, Ordering};

pub use rustix::io::dup;

use super::needs;

/// How often a row repeats what happens rarely.
pub const fn many(times: u32) -> u32 {
    times
}

/// A source that names a descriptor and does not own it.
pub type Raw = RawFd;

pub fn raw(fd: RawFd) -> Raw {
    fd
}

/// A duplicate under a number that no other test opens anything at: for tests
/// that close a number and look at it again, while other tests run in other
/// threads.
pub fn apart(fd: impl AsFd) -> OwnedFd {
    static NEXT: AtomicI32 = AtomicI32::new(0);
    let quarter = RawFd::try_from(needs::limit().min(1000) / 4).unwrap();
    let numbers =
        (0..quarter).map(|_| 3 * quarter + NEXT.fetch_add(1, Ordering::Relaxed) % quarter);
    // One that is in use, perhaps inherited, would give the next number, which
    // is another test's.
    let mut duplicates = numbers.filter_map(|number| {
        let duplicate = rustix::io::fcntl_dupfd_cloexec(&fd, number).ok()?;
        (duplicate.as_raw_fd() == number).then_some(duplicate)
    });
    duplicates.next().expect("a number that is free")
}

/// A duplicate beyond what the `select` call can watch, if the limits of the
/// process allow that.
pub fn beyond_select(fd: impl AsFd) -> Option<OwnedFd> {
    // The first of these numbers may be another test's.
    needs::number(1100).then(|| rustix::io::fcntl_dupfd_cloexec(fd, 1024).unwrap())
}
