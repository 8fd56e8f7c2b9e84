//! What only Windows has to do for the contract.

use std::ffi::c_void;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::windows::io::{BorrowedSocket, RawSocket};
use std::time::{Duration, Instant};

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::net::{SendFlags, getpeername, getsockname, send};
use selectors_core::{Events, Selector};

use crate::support::{Kernel, NOW, SOON, Table, pair, ready};

#[link(name = "kernel32")]
unsafe extern "system" {
    fn GetHandleInformation(object: *mut c_void, flags: *mut u32) -> i32;
}

/// A waker's socket is connected to itself, and all of these in the process are
/// tests' wakers.
pub fn a_waker_is_not_inherited<B: Kernel, M: Table>() {
    const INHERIT: u32 = 1;
    let mut selector = Selector::<B, OwnedFd, (), M>::new().unwrap();
    let _waker = selector.waker_in(M::cell()).unwrap();
    let mut seen = 0;
    for number in (4..0x4000).step_by(4) {
        // SAFETY: it is only looked at. Whether there is a socket of this
        // number is what the calls return.
        let socket = unsafe { BorrowedSocket::borrow_raw(number) };
        if getsockname(socket).ok().is_none_or(|own| getpeername(socket) != Ok(Some(own))) {
            continue;
        }
        let mut flags = 0;
        let handle = number as RawSocket as *mut c_void;
        // SAFETY: the flags are written to where the pointer points.
        assert_ne!(unsafe { GetHandleInformation(handle, &raw mut flags) }, 0);
        assert_eq!(flags & INHERIT, 0, "{number} is inherited");
        seen += 1;
    }
    assert_ne!(seen, 0);
}

/// `WSAPoll` reports a peer that sends no more of every socket, also of one
/// that waits to be written to.
pub fn a_hang_up_that_is_not_requested_does_not_end_the_wait<B: Kernel, M: Table>() {
    const TIMEOUT: Duration = Duration::from_millis(50);
    let (one, mut two) = pair();
    while (&one).write(&[0; 65_536]).is_ok() {}
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, Events::WRITE, ()).unwrap();
    assert!(selector.select(NOW).unwrap().timed_out());
    two.shutdown(Shutdown::Write).unwrap();
    let start = Instant::now();
    assert!(selector.select(Some(TIMEOUT)).unwrap().timed_out());
    assert!(start.elapsed() >= TIMEOUT);
    let mut sink = vec![0; 65_536];
    while two.read(&mut sink).is_ok_and(|length| length > 0) {}
    assert_eq!(ready(&mut selector, SOON), [(one.as_raw_fd(), Events::WRITE)].into());
    selector.modify(&one, Events::READ).unwrap();
    let end = ready(&mut selector, SOON)[&one.as_raw_fd()];
    assert_eq!(end, Events::READ | Events::READ_HANGUP);
}

/// The lists of selectors-std, which know nothing of backends and tables.
pub fn lists_of_sockets<B: Kernel, M: Table>() {
    let (one, two) = pair();
    let ready = |timeout| {
        let (read, write, urgent) =
            selectors_std::select(&[&one], &[&one], &[&one], timeout).unwrap();
        (read.len(), write.len(), urgent.len())
    };
    assert_eq!(ready(SOON), (0, 1, 0));
    send(&two, b"!", SendFlags::OOB).unwrap();
    while ready(NOW).2 == 0 {}
    assert_eq!(ready(SOON), (0, 1, 1));
    two.shutdown(Shutdown::Write).unwrap();
    while ready(NOW).0 == 0 {}

    let start = Instant::now();
    let none: &[&OwnedFd] = &[];
    let timeout = Duration::from_millis(20);
    let (read, write, urgent) = selectors_std::select(none, none, none, Some(timeout)).unwrap();
    assert!(read.is_empty() && write.is_empty() && urgent.is_empty() && start.elapsed() >= timeout);
}
