//! What the system says of the files at numbers.

use std::collections::HashSet;

use rustix::event::{PollFd, PollFlags};
use rustix::fd::{BorrowedFd, RawFd};
use rustix::fs::FileType;
use rustix::io::{self, Errno};

use super::queue::{WRITING, ZERO};

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct File {
    pub kind: FileType,
    number: (u64, u64),
}

#[allow(clippy::unnecessary_cast, reason = "not the same width on every CPU")]
pub fn file(fd: BorrowedFd<'_>) -> io::Result<File> {
    let stat = rustix::fs::fstat(fd)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    Ok(File { kind, number: (stat.st_dev as u64, stat.st_ino as u64) })
}

/// What is open at a number.
pub fn borrow<'a>(fd: RawFd) -> io::Result<BorrowedFd<'a>> {
    if fd < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: whether it is open is found out before anything else is done with
    // it.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    rustix::io::fcntl_getfd(fd).map(|_| fd)
}

pub fn is_queue(number: RawFd) -> bool {
    std::fs::read_link(format!("/proc/self/fd/{number}"))
        .is_ok_and(|file| file.as_os_str() == "anon_inode:[eventpoll]")
}

/// Whether the last wait of this queue has left something in its list, as far
/// as the system shows what is in it.
pub fn has_queued(number: RawFd, queued: &HashSet<u64>) -> bool {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
    text.lines().filter(|line| line.starts_with("tfd:")).any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match u64::from_str_radix(words[5], 16).unwrap() {
            WRITING => has_queued(words[1].parse().unwrap(), queued),
            serial => queued.contains(&serial),
        }
    })
}

/// Whether a pipe's other end is closed.
pub fn is_broken(pipe: BorrowedFd<'_>) -> io::Result<bool> {
    let mut requested = [PollFd::from_borrowed_fd(pipe, PollFlags::empty())];
    rustix::event::poll(&mut requested, Some(&ZERO))?;
    Ok(!requested[0].revents().is_empty())
}
