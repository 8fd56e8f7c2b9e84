//! A kernel that refuses a system call, for one thread and as long as it runs.

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")
))]
mod seccomp {
    use std::thread;

    use rustix::io::Errno;
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

    use crate::needs;

    /// What a rebuild of an epoll set calls, and why the kernel may refuse it.
    pub fn refusals() -> Vec<(i64, Errno)> {
        vec![
            (libc::SYS_epoll_create1, Errno::MFILE),
            (libc::SYS_epoll_ctl, Errno::NOMEM),
            (libc::SYS_dup3, Errno::MFILE),
        ]
    }

    /// What is worked on, from one thread to another and back.
    struct Carried<T>(T);

    // SAFETY: what the rows carry are selectors, of which `main.rs` has the compiler check, for each pair, that
    // they are Send; inside a generic row it can't see that. And the one thread waits for the other.
    unsafe impl<T> Send for Carried<T> {}

    impl<T> Carried<T> {
        fn take(self) -> T {
            self.0
        }
    }

    /// Runs `work`, a selector's, where the kernel refuses `call`; nothing, where such filters can't be had.
    pub fn refused<T>(call: i64, errno: Errno, work: impl FnOnce() -> T) -> Option<T> {
        let refuse = SeccompAction::Errno(errno.raw_os_error().unsigned_abs());
        let machine = std::env::consts::ARCH.try_into().unwrap();
        let rules = [(call, vec![])].into();
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, machine).unwrap();
        let program = BpfProgram::try_from(filter).unwrap();
        let work = Carried(work);
        thread::scope(|scope| {
            let other = scope.spawn(move || {
                let work = work.take();
                apply_filter(&program).map_err(|error| error.to_string())?;
                Ok(Carried(work()))
            });
            let done: Result<_, String> = other.join().unwrap();
            let skip = |error: &String| needs::skip(&format!("the kernel refuses a filter: {error}"));
            done.inspect_err(skip).ok().map(Carried::take)
        })
    }
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")
)))]
mod seccomp {
    use rustix::io::Errno;

    pub fn refusals() -> Vec<(i64, Errno)> {
        vec![]
    }

    pub fn refused<T>(_call: i64, _errno: Errno, _work: impl FnOnce() -> T) -> Option<T> {
        None
    }
}

pub use seccomp::{refusals, refused};
