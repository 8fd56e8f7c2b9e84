//! Processes that close all their descriptors and use the numbers for other
//! files.

use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::{AsRawFd, RawFd};

use selectors_core::Error;
use selectors_core::backend::Backend;

use super::process::forked;
use super::rows::{Inherited, leave, new, woken, works};
use crate::common::support::Table;

/// Numbers that this process closes, and then uses for pipes. A cell must not
/// read, write or close any of them.
struct Strangers(Vec<(PipeReader, PipeWriter)>);

impl Strangers {
    const PIPES: RawFd = 30;

    /// Closes all descriptors, as a daemon does, and then opens files.
    fn instead_of_all() -> Self {
        for number in 0..2 * Self::PIPES {
            // SAFETY: the caller has dropped or forgotten what owns them.
            // Nothing is printed from here on.
            unsafe { libc_close(number) };
        }
        let pipes: Vec<_> = (0..Self::PIPES).map(|_| pipe().unwrap()).collect();
        for ((read, write), number) in pipes.iter().zip(0..) {
            assert_eq!((read.as_raw_fd(), write.as_raw_fd()), (2 * number, 2 * number + 1));
            rustix::io::ioctl_fionbio(read, true).unwrap();
            rustix::io::write(write, b"1234567").unwrap();
        }
        Self(pipes)
    }

    fn are_untouched(&self) {
        for (read, write) in &self.0 {
            assert_eq!(rustix::io::write(write, b"8"), Ok(1));
            let mut buffer = [0; 64];
            assert_eq!(rustix::io::read(read, &mut buffer), Ok(8));
            assert!(buffer.starts_with(b"12345678"));
        }
    }
}

unsafe extern "C" {
    // The function of rustix does not allow a number that is not open.
    #[link_name = "close"]
    fn libc_close(number: RawFd) -> i32;
}

/// Whether the backend works after all descriptors were closed. The emulated
/// kqueue would close its own, which are other files then.
fn can_close_all<B>() -> bool {
    !std::any::type_name::<B>().contains("emulated")
}

/// Runs a daemon that inherits from a parent that was woken. The parent still
/// has its wake and its selector.
///
/// A daemon is usually a child of a child, so that it is not the leader of a
/// session.
fn daemon<B: Backend, M: Table>(run: impl FnOnce(Inherited<B, M>)) {
    let cell = M::cell();
    let (selector, waker) = new::<B, M>(&cell);
    waker.wake().unwrap();
    let mut inherited = Some((selector, waker, cell));
    if can_close_all::<B>() {
        forked(|| {
            rustix::process::setsid().unwrap();
            forked(|| run(inherited.take().unwrap())).succeeded();
        })
        .succeeded();
    }
    let (mut selector, waker, cell) = inherited.unwrap();
    woken(&mut selector);
    works(&mut selector, &waker, &cell);
}

/// It drops what the parent had attached, and what it has attached itself. Then
/// it needs no reset.
pub fn a_daemon_that_drops_its_selectors_first<B: Backend, M: Table>() {
    for attaches_before in [false, true] {
        daemon::<B, M>(|(selector, waker, cell)| {
            leave(&mut Some(selector));
            if attaches_before {
                let (mut own, wakes_it) = new::<B, M>(&cell);
                works(&mut own, &wakes_it, &cell);
            }
            let strangers = Strangers::instead_of_all();
            for _ in 0..2 {
                let (mut own, wakes_it) = new::<B, M>(&cell);
                assert_eq!(waker.wake(), Err(Error::WakerClosed));
                works(&mut own, &wakes_it, &cell);
            }
            drop((waker, cell));
            strangers.are_untouched();
        });
    }
}

/// It can't drop its selectors, as their descriptors are closed already.
pub fn a_daemon_that_resets_its_cell<B: Backend, M: Table>() {
    for (attaches_before, attaches_after) in
        [(false, true), (true, true), (false, false), (true, false)]
    {
        daemon::<B, M>(|(selector, waker, cell)| {
            std::mem::forget(selector);
            if attaches_before {
                let (own, wakes_it) = new::<B, M>(&cell);
                wakes_it.wake().unwrap();
                std::mem::forget(own);
            }
            let strangers = Strangers::instead_of_all();
            // SAFETY: the selectors are forgotten, and there is no other
            // thread.
            unsafe { cell.reset() };
            assert_eq!(cell.wake(), Err(Error::WakerClosed));
            assert_eq!(waker.wake(), Err(Error::WakerClosed));
            for _ in 0..if attaches_after { 2 } else { 0 } {
                let (mut own, wakes_it) = new::<B, M>(&cell);
                assert_eq!(waker.wake(), Err(Error::WakerClosed));
                works(&mut own, &wakes_it, &cell);
            }
            drop((waker, cell));
            strangers.are_untouched();
        });
    }
}

/// The cell is like a new one. Dropping an earlier selector does not affect it.
pub fn a_reset_without_a_fork<B: Backend, M: Table>() {
    let cell = M::cell();
    for pending in [false, true] {
        let (forgotten, stale) = new::<B, M>(&cell);
        if pending {
            stale.wake().unwrap();
        }
        // SAFETY: the selector is only dropped from here on, and there is no
        // other thread.
        unsafe { cell.reset() };
        assert_eq!(stale.wake(), Err(Error::WakerClosed));
        let (mut selector, waker) = new::<B, M>(&cell);
        works(&mut selector, &waker, &cell);
        drop(forgotten);
        works(&mut selector, &waker, &cell);
        assert_eq!(stale.wake(), Err(Error::WakerClosed));
    }
    // SAFETY: no selector has it.
    unsafe { cell.reset() };
    let (mut selector, waker) = new::<B, M>(&cell);
    works(&mut selector, &waker, &cell);
}
