//! A kernel, or an emulator of one, that counts wrongly.
#![allow(unsafe_code)]

use super::{Backend, Events, Poll, Token, Watched};
use crate::backend::NOW;
use crate::storage::Fixed;
use rustix::fd::{AsFd, OwnedFd};

/// Two pipes, registered to be written to.
fn two(pipes: &[(OwnedFd, OwnedFd); 2]) -> Poll<Fixed<4>> {
    // SAFETY: the pipes stay open for longer than the backend.
    let mut poll = unsafe { Poll::new() }.unwrap();
    for ((_, end), slot) in pipes.iter().zip(0..) {
        // SAFETY: as above.
        unsafe { poll.add(end.as_fd(), token(slot), Events::WRITE.into()) }.unwrap();
    }
    poll
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
    let pipes = [(); 2].map(|()| rustix::pipe::pipe().unwrap());
    let mut poll = two(&pipes);
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
    let pipes = [(); 2].map(|()| rustix::pipe::pipe().unwrap());
    for change in [true, false] {
        let mut poll = two(&pipes);
        assert_eq!(poll.wait(Some(&NOW)), Ok(2));
        poll.ready = 1;
        assert_eq!(drain(&mut poll), 1);
        for slot in 0..2 {
            let interest = Events::WRITE.into();
            let fd = pipes[slot as usize].1.as_fd();
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
