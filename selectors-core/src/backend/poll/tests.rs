//! A kernel, or an emulator of one, that counts wrongly.
#![allow(unsafe_code)]

use super::{Backend, Events, Poll, Token, Watched};
use crate::backend::NOW;
use crate::platform::open_wake;
use crate::storage::Fixed;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};

/// Two descriptors that can be written to, or two pipes, registered for that.
fn two(ends: &[(OwnedFd, Option<OwnedFd>); 2]) -> Poll<Fixed<4>> {
    // SAFETY: the descriptors stay open for longer than the backend.
    let mut poll = unsafe { Poll::new() }.unwrap();
    for (ends, slot) in ends.iter().zip(0..) {
        // SAFETY: as above.
        unsafe { poll.add(to_write(ends), token(slot), Events::WRITE.into()) }.unwrap();
    }
    poll
}

fn to_write((one, other): &(OwnedFd, Option<OwnedFd>)) -> BorrowedFd<'_> {
    other.as_ref().unwrap_or(one).as_fd()
}

fn token(slot: u32) -> Token {
    Token { slot, generation: 0 }
}

fn drain(poll: &mut Poll<Fixed<4>>) -> usize {
    let mut events = 0;
    while poll.peek().is_some() {
        poll.advance();
        events += 1;
    }
    assert_eq!((poll.pending(), poll.kept), (0, 0));
    events
}

#[test]
fn a_kernel_that_counts_more_than_it_has_marked() {
    let ends = [(); 2].map(|()| open_wake().unwrap());
    let mut poll = two(&ends);
    for (kept, pending) in [(0, 1), (3, 7)] {
        (poll.ready, poll.kept) = (pending, kept);
        assert_eq!(drain(&mut poll), 0);
        assert_eq!(poll.wait(Some(&NOW)), Ok(2));
        (poll.ready, poll.kept) = (2 + pending, kept);
        assert_eq!(drain(&mut poll), 2);
    }
    assert_eq!(poll.wait(Some(&NOW)), Ok(2));
}

#[test]
fn a_kernel_that_counts_less_than_it_has_marked() {
    let ends = [(); 2].map(|()| open_wake().unwrap());
    for change in [true, false] {
        let mut poll = two(&ends);
        assert_eq!(poll.wait(Some(&NOW)), Ok(2));
        poll.ready = 1;
        assert_eq!(drain(&mut poll), 1);
        for slot in 0..2 {
            let interest = Events::WRITE.into();
            let fd = to_write(&ends[slot as usize]);
            let watched = Watched { fd, token: token(slot), interest, armed: true };
            if change {
                // SAFETY: it was added.
                unsafe { poll.modify(&watched, interest) }.unwrap();
            } else {
                poll.remove(&watched);
            }
        }
        assert!(drain(&mut poll) <= 1);
        assert_eq!(poll.wait(Some(&NOW)), Ok(if change { 2 } else { 0 }));
    }
}

/// Then an entry may have a result of the kernel, and another that was kept.
#[test]
fn the_next_registration_in_a_slot_has_no_result_of_the_former_one() {
    let ends = [(); 2].map(|()| open_wake().unwrap());
    let mut poll = two(&ends);
    let (fd, interest) = (to_write(&ends[1]), Events::WRITE.into());
    let watched = Watched { fd, token: token(1), interest, armed: true };
    assert_eq!(poll.wait(Some(&NOW)), Ok(2));
    poll.ready = 1;
    // SAFETY: it was added.
    unsafe { poll.modify(&watched, interest) }.unwrap();
    assert_eq!(poll.peek(), Some((token(0), Events::WRITE)));
    poll.advance();
    assert_eq!(poll.wait(Some(&NOW)), Ok(2));
    poll.remove(&watched);
    assert_eq!(poll.kept(token(1)), Events::empty());
}
