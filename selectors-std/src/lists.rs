use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::io::Errno;
use selectors_core::platform::{flag, is_valid, poll};
use selectors_core::{Error, Events, in_steps, wait};

/// Waits until a source in one of three lists is ready.
///
/// This is Python's `select.select`.
///
/// Sources in the first list wait to read, those in the second to write, those
/// in the third for urgent data. Hang-ups and errors count as readable and as
/// writable, never as exceptional. Returns the ready sources of each list in
/// their order. A source that is in a list twice is returned twice.
///
/// All three are empty if the timeout has passed or a signal arrived. `None`
/// waits indefinitely. Sources of different types go together as `&dyn AsFd`.
///
/// This makes one system call, `poll` (on Linux `ppoll`), which also watches
/// descriptors from 1024 on. The kernel sees each descriptor once, in however
/// many lists it is. Each call allocates its arrays. Use a selector in a loop
/// that waits often.
///
/// # Errors
///
/// The `io::Error` has an [`Error`] inside:
///
/// - [`Error::InvalidFd`] if a source's descriptor is negative, such as
///   `rustix::fs::CWD`.
/// - [`Error::Os`] with `EBADF` if a descriptor is closed, or is open and can't
///   be polled (`O_PATH` on Linux).
/// - [`Error::Os`] with `EINVAL` if there are more descriptors than
///   `RLIMIT_NOFILE`, or with `ENOMEM` if the kernel has no memory.
///
/// # Examples
///
/// ```
/// use std::{io::Write, os::unix::net::UnixStream, time::Duration};
///
/// let (ours, mut theirs) = UnixStream::pair()?;
/// theirs.write_all(b"hello")?;
/// let time = Some(Duration::from_secs(5));
/// let (readable, writable, exceptional) =
///     selectors_std::select(&[&ours, &theirs], &[&ours], &[&ours], time)?;
/// assert_eq!((readable.len(), writable.len()), (1, 1));
/// assert!(exceptional.is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
#[allow(clippy::type_complexity, reason = "three lists, as in Python")]
pub fn select<'a, S: AsFd + ?Sized>(
    readable: &[&'a S],
    writable: &[&'a S],
    exceptional: &[&'a S],
    timeout: Option<Duration>,
) -> io::Result<(Vec<&'a S>, Vec<&'a S>, Vec<&'a S>)> {
    const LISTS: [PollFlags; 3] = [flag::READ, flag::WRITE, flag::PRIORITY];
    let gone = flag::HANGUP | flag::ERROR;
    let counts_as = [LISTS[0] | gone | flag::READ_HANGUP, LISTS[1] | gone, LISTS[2]];

    let sources = [readable, writable, exceptional];
    // A source's `as_fd` may return another descriptor each time, so it is
    // called once.
    let mut requests = Vec::with_capacity(sources.iter().map(|list| list.len()).sum());
    for (list, flag) in sources.iter().zip(LISTS) {
        for source in *list {
            let fd = source.as_fd();
            if !is_valid(fd.as_raw_fd()) {
                // `poll` would ignore it, and wait for the whole timeout.
                return Err(Error::InvalidFd { fd: fd.as_raw_fd() }.into());
            }
            requests.push((fd, flag));
        }
    }
    let mut fds = entries(requests.clone());
    match in_steps(timeout, |time| poll(&mut fds, time)) {
        Ok(_) => {}
        Err(Errno::INTR) => fds.iter_mut().for_each(PollFd::clear_revents),
        Err(errno) => return Err(Error::Os { call: "poll", fd: None, errno, file: None }.into()),
    }

    let mut requests = requests.into_iter();
    let mut ready = [const { Vec::new() }; 3];
    for ((list, counts_as), ready) in sources.into_iter().zip(counts_as).zip(&mut ready) {
        for (source, (fd, _)) in list.iter().zip(&mut requests) {
            let flags = reported(&fds, fd);
            if flags.contains(PollFlags::NVAL) {
                // The descriptor is closed or can't be polled, and the error of
                // this says which.
                wait(fd, Events::READ, Some(Duration::ZERO))?;
            }
            if flags.intersects(counts_as) {
                ready.push(*source);
            }
        }
    }
    Ok(ready.into())
}

/// Returns one entry for each descriptor, by ascending number.
///
/// The kernel compares the number of entries, not of descriptors, with
/// `RLIMIT_NOFILE`.
fn entries<'a>(mut requests: Vec<(BorrowedFd<'a>, PollFlags)>) -> Vec<PollFd<'a>> {
    requests.sort_unstable_by_key(|(fd, _)| fd.as_raw_fd());
    requests.dedup_by(|(fd, flags), (kept, all)| {
        let same = fd.as_raw_fd() == kept.as_raw_fd();
        if same {
            *all |= *flags;
        }
        same
    });
    requests.into_iter().map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)).collect()
}

/// Returns what the kernel reported for `fd`, which has an entry.
fn reported(fds: &[PollFd<'_>], fd: BorrowedFd<'_>) -> PollFlags {
    let position = fds.binary_search_by_key(&fd.as_raw_fd(), |entry| entry.as_fd().as_raw_fd());
    position.ok().and_then(|position| fds.get(position)).map_or(PollFlags::empty(), PollFd::revents)
}
