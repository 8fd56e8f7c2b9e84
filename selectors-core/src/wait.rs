use core::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, AsRawFd};
use rustix::io::Errno;

use crate::backend::{Kind, check_support};
use crate::error::{Error, os, os_about};
use crate::events::Events;
use crate::{platform, poll_flags};

/// Waits until one descriptor is ready, without a selector.
///
/// Returns the events that it is ready for. They are empty if the timeout has
/// passed or a signal arrived. The timeout `None` waits indefinitely, and zero
/// does not wait. A timeout is never cut short. The page on
/// [portability](crate::portability#waits) says how exact it is.
///
/// This is level-triggered. Hang-ups and errors are reported as by
/// [`PollSelector`](crate::PollSelector).
///
/// This makes one system call, `poll` (on Linux `ppoll`). Use a selector for
/// several descriptors, or to wait for the same one often.
///
/// # Errors
///
/// - Returns [`Error::InvalidEvents`] if `events` is empty or has an
///   output-only flag.
/// - Returns [`Error::Unsupported`] if `events` has `READ_HANGUP` without
///   `READ`, on a platform whose `poll` does not report it.
/// - Returns [`Error::InvalidFd`] if the descriptor is negative, such as
///   `rustix::fs::CWD`.
/// - Returns [`Error::Os`] with `EBADF` if the descriptor is closed, or is open
///   and can't be polled (`O_PATH` on Linux).
/// - Returns [`Error::Os`] with `ENOMEM` if the kernel has no memory, or with
///   `EINVAL` if `RLIMIT_NOFILE` is 0.
///
/// # Examples
///
/// In selectors-std, write `selectors_std` for `selectors_core`.
///
/// ```
/// # #[cfg(feature = "std")] {
/// use selectors_core::{Events, wait};
/// use std::{io::Write, time::Duration};
///
/// let (ours, mut theirs) = std::os::unix::net::UnixStream::pair()?;
/// assert!(wait(&ours, Events::READ, Some(Duration::from_micros(50)))?.is_empty());
/// theirs.write_all(b"!")?;
/// assert_eq!(wait(&ours, Events::READ, None)?, Events::READ);
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias = "poll")]
#[doc(alias = "ppoll")]
pub fn wait(fd: impl AsFd, events: Events, timeout: Option<Duration>) -> Result<Events, Error> {
    if !events.can_be_requested() {
        return Err(Error::InvalidEvents { events });
    }
    check_support(Kind::Poll, events.into())?;
    let fd = fd.as_fd();
    if !platform::is_valid(fd.as_raw_fd()) {
        // `poll` would ignore it, and wait for the whole timeout.
        return Err(Error::InvalidFd { fd: fd.as_raw_fd() });
    }
    let mut one = [PollFd::from_borrowed_fd(fd, poll_flags::flags(events))];
    match in_steps(timeout, |time| platform::poll(&mut one, time)) {
        // Closed, or `O_PATH`: `poll` returns immediately and nothing is ready,
        // so a loop would spin.
        Ok(_) if one[0].revents().contains(PollFlags::NVAL) => {
            Err(os_about("poll", fd, Errno::BADF))
        }
        Ok(_) => Ok(poll_flags::events(one[0].revents()).reported(events.mask())),
        Err(Errno::INTR) => Ok(Events::empty()),
        Err(errno) => Err(os("poll", Some(fd.as_raw_fd()), errno)),
    }
}

/// The longest timeout that every system call here accepts, in seconds.
///
/// Two billion milliseconds are 23 days.
const LONGEST: u64 = 2_000_000;

/// Waits in several steps if the timeout is longer than a system call accepts.
///
/// This is for selectors-std, and no part of the interface.
///
/// # Errors
///
/// Returns the errors of `wait`.
#[inline]
pub fn in_steps(
    timeout: Option<Duration>,
    mut wait: impl FnMut(Option<&Timespec>) -> rustix::io::Result<usize>,
) -> rustix::io::Result<usize> {
    // This never fails, as LONGEST fits into a Timespec.
    let step = |time: Duration| Timespec::try_from(time).ok();
    let mut beyond = timeout.map_or(0, |time| time.as_secs().saturating_sub(LONGEST));
    let first =
        |time: Duration| step(Duration::new(time.as_secs().min(LONGEST), time.subsec_nanos()));
    let mut time = timeout.and_then(first);
    loop {
        match wait(time.as_ref()) {
            Ok(0) if beyond > 0 => {
                let next = beyond.min(LONGEST);
                beyond -= next;
                time = step(Duration::from_secs(next));
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, in_steps};
    use core::time::Duration;

    fn steps(timeout: Option<Duration>) -> (u32, i64) {
        let (mut calls, mut seconds) = (0, 0);
        let waited = in_steps(timeout, |time| {
            calls += 1;
            seconds += time.map_or(0, |time| time.tv_sec);
            Ok(usize::from(calls == 1000))
        });
        assert!(waited.is_ok());
        (calls, seconds)
    }

    #[test]
    fn long_timeouts_are_cut_into_steps() {
        assert_eq!(steps(None), (1, 0));
        assert_eq!(steps(Some(Duration::from_millis(1))), (1, 0));
        let longest = Duration::from_secs(LONGEST);
        assert_eq!(steps(Some(longest)), (1, 2_000_000));
        assert_eq!(steps(Some(longest + Duration::from_millis(1))), (1, 2_000_000));
        assert_eq!(steps(Some(longest * 3 + Duration::from_secs(1))), (4, 6_000_001));
        assert_eq!(steps(Some(Duration::MAX)), (1000, 2_000_000_000));
    }
}
