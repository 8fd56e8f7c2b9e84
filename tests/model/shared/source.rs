//! What is registered: a number, which may be exchanged, and with which the
//! source may lie or panic.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use super::language::Manner;

/// A panic that was planned.
#[derive(Debug, PartialEq, Eq)]
pub struct Panicked;

/// Panics without the hook, which would print a message and end a fuzz target.
fn panic() -> ! {
    resume_unwind(Box::new(Panicked))
}

/// Calls a function, and catches a panic that was planned.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| match payload.downcast() {
        Ok(planned) => *planned,
        Err(other) => resume_unwind(other),
    })
}

/// What a source says when its number is read.
#[derive(Debug)]
pub struct Said {
    /// In turn.
    numbers: Cell<[RawFd; 2]>,
    times: Cell<usize>,
    /// It panics when this becomes zero.
    until_panic: Cell<u8>,
}

impl Said {
    /// What it is going to say next.
    pub fn next(&self) -> Result<RawFd, Panicked> {
        let numbers = self.numbers.get();
        if self.until_panic.get() == 1 { Err(Panicked) } else { Ok(numbers[self.times.get() % 2]) }
    }

    fn say(&self) -> RawFd {
        let next = self.next();
        self.times.set(self.times.get() + 1);
        self.until_panic.set(self.until_panic.get().saturating_sub(1));
        next.unwrap_or_else(|Panicked| panic())
    }

    /// How often it has named its number since that was last exchanged.
    pub fn times(&self) -> usize {
        self.times.get()
    }
}

/// It says, too, when it is dropped.
#[derive(Debug)]
pub struct Source {
    pub said: Rc<Said>,
    _counted: Rc<()>,
}

impl Source {
    pub fn new(fd: RawFd, counted: &Rc<()>) -> Self {
        let said =
            Said { numbers: Cell::new([fd; 2]), times: Cell::new(0), until_panic: Cell::new(0) };
        Self { said: Rc::new(said), _counted: counted.clone() }
    }

    /// Gets another number. This is the function that has exclusive access to
    /// the source.
    pub fn exchange(&mut self, fd: RawFd, manner: Manner) {
        let old = self.said.numbers.get()[0];
        self.said.numbers.set([fd, if manner == Manner::Lie { old } else { fd }]);
        self.said.times.set(0);
        self.said.until_panic.set(if let Manner::Fail(at) = manner { at % 3 + 1 } else { 0 });
        if manner == Manner::Panic {
            panic();
        }
    }

    /// What it says first after such an exchange, if it comes to that.
    pub fn after_exchange(fd: RawFd, manner: Manner) -> Result<RawFd, Panicked> {
        match manner {
            Manner::Panic => Err(Panicked),
            Manner::Fail(at) if at % 3 == 0 => Err(Panicked),
            _ => Ok(fd),
        }
    }
}

impl AsRawFd for Source {
    fn as_raw_fd(&self) -> RawFd {
        self.said.say()
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: not -1. Whether it is open is another matter: the promise is
        // broken on purpose, as the numbers are the model's own.
        unsafe { BorrowedFd::borrow_raw(self.said.say()) }
    }
}
