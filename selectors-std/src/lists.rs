use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use selectors_core::{Error, in_steps};

/// Waits until something of three lists is ready, and answers with what is: Python's `select.select`.
///
/// Sources of different types go together as `&dyn AsFd`. Who is in the first list waits to read (a hang-up or error counts), in the second to write, in the third for
/// urgent data. The same source may be in several lists. All three are empty when the timeout has passed or a signal
/// arrived; `None` waits for ever. One system call, `poll` (on Linux `ppoll`), so there is no limit of 1024; the arrays
/// are built anew by each call, which is why a program that does this again and again wants a selector.
///
/// # Errors
///
/// The kernel's: `EBADF` when a descriptor is closed, `ENOMEM`, or `EINVAL` for more descriptors than
/// `RLIMIT_NOFILE`.
///
/// ```
/// use std::{io::Write, os::unix::net::UnixStream, time::Duration};
///
/// let (ours, mut theirs) = UnixStream::pair()?;
/// theirs.write_all(b"hello")?;
/// let (readable, writable, exceptional) =
///     selectors_std::select(&[&ours, &theirs], &[&ours], &[&ours], Some(Duration::from_secs(5)))?;
/// assert_eq!((readable.len(), writable.len(), exceptional.len()), (1, 1, 0));
/// # Ok::<(), std::io::Error>(())
/// ```
#[allow(clippy::type_complexity, reason = "three lists, as in Python")]
pub fn select<'a, S: AsFd + ?Sized>(
    readable: &[&'a S],
    writable: &[&'a S],
    exceptional: &[&'a S],
    timeout: Option<Duration>,
) -> io::Result<(Vec<&'a S>, Vec<&'a S>, Vec<&'a S>)> {
    const LISTS: [PollFlags; 3] = [PollFlags::IN, PollFlags::OUT, PollFlags::PRI];
    let gone = PollFlags::HUP | PollFlags::ERR;
    let wakes = [LISTS[0] | gone, LISTS[1] | gone, LISTS[2]];

    let sources = [readable, writable, exceptional];
    let mut fds = Vec::with_capacity(sources.iter().map(|list| list.len()).sum());
    for (list, flag) in sources.iter().zip(LISTS) {
        fds.extend(list.iter().map(|one| PollFd::new(one, flag)));
    }
    let answered = in_steps(timeout, |time| {
        poll(&mut fds, time).map_err(|errno| Error::Os { call: "poll", fd: None, errno })
    });
    match answered {
        Ok(_) => {}
        Err(Error::Os { errno: Errno::INTR, .. }) => fds.iter_mut().for_each(PollFd::clear_revents),
        Err(error) => return Err(error.into()),
    }

    let mut answers = fds.iter();
    let mut ready = [const { Vec::new() }; 3];
    for ((list, wakes), ready) in sources.into_iter().zip(wakes).zip(&mut ready) {
        for (one, answer) in list.iter().zip(&mut answers) {
            if answer.revents().contains(PollFlags::NVAL) {
                let fd = Some(answer.as_fd().as_raw_fd());
                return Err(Error::Os { call: "poll", fd, errno: Errno::BADF }.into());
            }
            if answer.revents().intersects(wakes) {
                ready.push(*one);
            }
        }
    }
    Ok(ready.into())
}
