//! A backend without a kernel. It records its calls, refuses on demand, and
//! reports what a step has prepared.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use rustix::event::Timespec;
use rustix::io::Errno;
use selectors_core::backend::{Backend, Rebuilt, Token, Watched};
use selectors_core::{Error, Events, Interest, Kind};

/// One entry of the kernel's set, if there were one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub fd: RawFd,
    pub token: Token,
    pub interest: Interest,
    pub armed: bool,
}

#[derive(Debug, Default)]
pub struct Kernel {
    pub set: Vec<Entry>,
    /// What the next wait returns.
    pub raised: VecDeque<(Token, Events)>,
    /// The next call is refused with this.
    pub refusal: Option<Errno>,
    /// Every call that reached the backend.
    pub calls: u64,
    pub rebuilds: u64,
}

thread_local! {
    static KERNEL: RefCell<Kernel> = RefCell::default();
}

/// Looks at, or changes, the kernel of this thread's fakes. One selector at a
/// time has one.
pub fn kernel<T>(see: impl FnOnce(&mut Kernel) -> T) -> T {
    KERNEL.with_borrow_mut(see)
}

#[derive(Debug)]
pub struct Fake {
    batch: VecDeque<(Token, Events)>,
}

impl Kernel {
    fn call(&mut self) -> Result<(), Errno> {
        self.calls += 1;
        self.refusal.take().map_or(Ok(()), Err)
    }

    /// What the selector says of a registration must be what it said before.
    fn known(&mut self, watched: &Watched<'_>) -> &mut Entry {
        let said = Entry {
            fd: watched.fd.as_raw_fd(),
            token: watched.token,
            interest: watched.interest,
            armed: watched.armed,
        };
        let found = self.set.iter_mut().find(|entry| **entry == said);
        found.unwrap_or_else(|| panic!("{said:?} was never said"))
    }
}

#[allow(unsafe_code)]
// SAFETY: it makes no system call.
unsafe impl Backend for Fake {
    const KIND: Option<Kind> = Some(Kind::Epoll);

    unsafe fn new() -> Result<Self, Error> {
        kernel(|kernel| *kernel = Kernel::default());
        Ok(Self { batch: VecDeque::new() })
    }

    fn kind(&self) -> Kind {
        Kind::Epoll
    }

    unsafe fn add(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> Result<(), Error> {
        let fd = fd.as_raw_fd();
        kernel(|kernel| {
            kernel.call().map_err(|errno| Error::Os {
                call: "add",
                fd: Some(fd),
                errno,
                file: None,
            })?;
            assert!(
                kernel.set.iter().all(|entry| entry.fd != fd && entry.token != token),
                "{fd} is there"
            );
            kernel.set.push(Entry { fd, token, interest, armed: true });
            Ok(())
        })
    }

    unsafe fn modify(&mut self, old: &Watched<'_>, new: Interest) -> Result<(), Error> {
        kernel(|kernel| {
            kernel.known(old);
            let fd = Some(old.fd.as_raw_fd());
            kernel.call().map_err(|errno| Error::Os { call: "modify", fd, errno, file: None })?;
            let entry = kernel.known(old);
            (entry.interest, entry.armed) = (new, true);
            Ok(())
        })
    }

    fn remove(&mut self, old: &Watched<'_>) {
        kernel(|kernel| {
            kernel.calls += 1;
            let gone = *kernel.known(old);
            kernel.set.retain(|entry| *entry != gone);
        });
    }

    fn disarm(&mut self, fired: &Watched<'_>) {
        kernel(|kernel| kernel.known(fired).armed = false);
    }

    fn wait(&mut self, _timeout: Option<&Timespec>) -> rustix::io::Result<usize> {
        assert!(self.batch.is_empty(), "events are lost by this wait");
        kernel(|kernel| {
            kernel.call()?;
            self.batch = std::mem::take(&mut kernel.raised);
            Ok(self.batch.len())
        })
    }

    fn peek(&mut self) -> Option<(Token, Events)> {
        self.batch.front().copied()
    }

    fn advance(&mut self) {
        assert!(self.batch.pop_front().is_some(), "nothing was shown");
    }

    fn pending(&self) -> usize {
        self.batch.len()
    }

    fn take_wake(&mut self, _token: Token) -> bool {
        false
    }

    unsafe fn rebuild<'a>(&mut self, watched: impl Iterator<Item = Watched<'a>>) -> Rebuilt {
        kernel(|kernel| {
            if kernel.call().is_err() {
                return Rebuilt::Refused;
            }
            let mut count = 0;
            for entry in watched {
                kernel.known(&entry);
                count += 1;
            }
            assert_eq!(count, kernel.set.len(), "not everything is watched again");
            kernel.rebuilds += 1;
            Rebuilt::Done
        })
    }
}
