//! Forks. The exit status of a child shows whether it has panicked.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::process::{Pid, WaitOptions, waitpid};

// The `fork` of the C library also prepares the allocator for it.
unsafe extern "C" {
    fn fork() -> i32;
    fn _exit(status: i32) -> !;
    fn alarm(seconds: u32) -> u32;
}

/// Ends the process after this time, if a lost wake leaves it waiting.
pub fn ends_within(seconds: u32) {
    // SAFETY: has no conditions. No other part of the tests uses the alarm.
    unsafe { alarm(seconds) };
}

/// A forked process.
#[must_use]
pub struct Child(i32);

/// Forks. The child does this, and ends.
pub fn forked(child: impl FnOnce()) -> Child {
    // SAFETY: the child has the thread that forks, which goes on with its own
    // memory. Locks that another thread held are not used in it: the rows with
    // more threads only allocate there, which the C library provides for.
    match unsafe { fork() } {
        0 => {
            ends_within(60);
            let failed = catch_unwind(AssertUnwindSafe(child)).is_err();
            // SAFETY: has no conditions. Nothing of the parent's is flushed or
            // dropped a second time.
            unsafe { _exit(failed.into()) }
        }
        -1 => panic!("{}", io::Error::last_os_error()),
        number => Child(number),
    }
}

impl Child {
    /// Waits for its end. It must not have panicked.
    pub fn succeeded(self) {
        let pid = Pid::from_raw(self.0).unwrap();
        let status = loop {
            match waitpid(Some(pid), WaitOptions::empty()) {
                Ok(status) => break status.unwrap().1,
                Err(errno) => assert_eq!(errno, rustix::io::Errno::INTR),
            }
        };
        assert_eq!(status.exit_status(), Some(0), "the child failed: {status:?}");
    }
}

/// A pipe by which one process lets another one continue.
pub struct Turn(PipeReader, PipeWriter);

impl Turn {
    pub fn new() -> Self {
        let (read, write) = io::pipe().unwrap();
        Self(read, write)
    }

    pub fn give(&self) {
        (&self.1).write_all(b"!").unwrap();
    }

    pub fn wait(&self) {
        (&self.0).read_exact(&mut [0]).unwrap();
    }

    /// Whether it has been given, without waiting.
    pub fn is_given(&self) -> bool {
        let mut fds = [rustix::event::PollFd::new(&self.0, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, Some(&rustix::event::Timespec::default())).unwrap() == 1
    }
}
