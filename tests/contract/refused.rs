//! A kernel that refuses a system call, for one thread and as long as that
//! runs.

use std::os::fd::RawFd;

use rustix::io::Errno;

/// A system call that is refused.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "nothing is refused where there is no seccomp")]
pub struct Refusal {
    pub call: i64,
    /// If only the calls are refused that have this descriptor as this
    /// argument, counted from 0.
    pub about: Option<(u8, RawFd)>,
    pub errno: Errno,
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")
))]
mod seccomp {
    use std::os::fd::RawFd;

    use rustix::io::Errno;

    use crate::filter::{self, Call};
    use crate::needs;

    use super::Refusal;

    /// No descriptor is free.
    pub const NO_INSTANCE: Refusal =
        Refusal { call: libc::SYS_epoll_create1, about: None, errno: Errno::MFILE };
    /// A sandbox forbids every change of a set.
    pub const NO_CHANGE: Refusal =
        Refusal { call: libc::SYS_epoll_ctl, about: None, errno: Errno::PERM };

    /// The refusal of one descriptor, by `epoll_ctl`.
    pub fn of_one(fd: RawFd, errno: Errno) -> Refusal {
        Refusal { call: libc::SYS_epoll_ctl, about: Some((2, fd)), errno }
    }

    /// What a rebuild of an epoll set with this key calls, and why the kernel
    /// may refuse it.
    pub fn refusals(key: RawFd) -> Vec<Refusal> {
        let every = |call, errno| Refusal { call, about: None, errno };
        vec![
            NO_INSTANCE,
            every(libc::SYS_epoll_create1, Errno::NFILE),
            every(libc::SYS_epoll_create1, Errno::NOMEM),
            every(libc::SYS_epoll_create1, Errno::PERM),
            NO_CHANGE,
            every(libc::SYS_epoll_ctl, Errno::NOSYS),
            of_one(key, Errno::NOSPC),
            of_one(key, Errno::NOMEM),
            every(libc::SYS_dup3, Errno::MFILE),
            every(libc::SYS_dup3, Errno::BUSY),
            every(libc::SYS_dup3, Errno::PERM),
        ]
    }

    /// What is worked on, from one thread to another and back.
    struct Carried<T>(T);

    // SAFETY: what the rows carry are selectors, of which `main.rs` has the
    // compiler check, for each pair, that they are Send; inside a generic row
    // it can't see that. And the one thread waits for the other.
    unsafe impl<T> Send for Carried<T> {}

    impl<T> Carried<T> {
        fn take(self) -> T {
            self.0
        }
    }

    /// Runs `work` of a selector where the kernel refuses a call. Returns
    /// nothing if it has no such filters.
    pub fn refused<T>(refusal: Refusal, work: impl FnOnce() -> T) -> Option<T> {
        let Refusal { call, about, errno } = refusal;
        let about = about.map(|(argument, fd)| (argument, u64::try_from(fd).unwrap()));
        let work = Carried(work);
        let done = filter::without(&[Call(call, about)], errno, || Carried(work.take()()));
        done.inspect_err(|refusal| needs::skip(refusal)).ok().map(Carried::take)
    }
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")
)))]
mod seccomp {
    use std::os::fd::RawFd;

    use rustix::io::Errno;

    use super::Refusal;

    pub const NO_INSTANCE: Refusal = Refusal { call: 0, about: None, errno: Errno::MFILE };
    pub const NO_CHANGE: Refusal = Refusal { call: 0, about: None, errno: Errno::PERM };

    pub fn of_one(_fd: RawFd, errno: Errno) -> Refusal {
        Refusal { call: 0, about: None, errno }
    }

    pub fn refusals(_key: RawFd) -> Vec<Refusal> {
        vec![]
    }

    pub fn refused<T>(_refusal: Refusal, _work: impl FnOnce() -> T) -> Option<T> {
        None
    }
}

pub use seccomp::{NO_CHANGE, NO_INSTANCE, of_one, refusals, refused};
