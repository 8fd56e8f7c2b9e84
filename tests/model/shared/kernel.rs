//! What a kernel has of a selector: the models of it, one for each sort of interface.

use std::os::fd::RawFd;

use rustix::io::Errno;
use selectors_core::{Events, Interest};

use super::batch::{Answer, Token};
use super::world::{FileId, Readiness, World};

/// Whether a registration can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Armed {
    Yes,
    /// It may tell a hang-up, or be armed after all.
    Perhaps,
    No,
}

/// A key, as the selector tells it to a new instance.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub number: RawFd,
    pub asked: Interest,
    pub token: Token,
    pub armed: bool,
}

/// A model of what is watched. It is told each call that is made, and says what the calls may answer.
pub trait Kernel {
    /// The call that refuses a change.
    fn call(&self) -> &'static str {
        "epoll_ctl"
    }

    /// The descriptor of an epoll instance.
    fn own(&self) -> Option<RawFd> {
        None
    }

    fn add(&mut self, world: &World, number: RawFd, asked: Interest, token: Token) -> Result<(), Errno>;
    fn modify(&mut self, world: &World, number: RawFd, asked: Interest, token: Token) -> Result<(), Errno>;
    fn remove(&mut self, world: &World, number: RawFd);

    /// A one-shot was told, which the wait at this time brought.
    fn fired(&mut self, token: Token, fetched: u64);

    /// A wait has brought this for sure.
    fn fetched(&mut self, _token: Token, _when: u64) {}

    /// A wait has brought this, or there was no room for it.
    fn perhaps_fetched(&mut self, _token: Token, _when: u64) {}

    /// Something may have been closed since the last step.
    fn forget_closed(&mut self, _world: &World) {}

    /// A wait finds out which numbers are closed. Answers how many it may have counted.
    fn silence_closed(&mut self, _world: &World) -> usize {
        0
    }

    /// Whether nothing is told of a key, though it was not fired.
    fn is_silent(&self, _token: Token) -> bool {
        false
    }

    /// There is a new instance, which was told these keys.
    fn rebuild(&mut self, _world: &World, _keys: &[Known]) {
        panic!("there is nothing to make anew");
    }

    /// What a wait may bring.
    fn answers(
        &self,
        world: &World,
        look: &dyn Fn(FileId) -> Readiness,
        lives: &dyn Fn(Token) -> bool,
    ) -> Vec<Answer>;

    /// Compares with what is really watched, among which are so many wakers.
    fn assert_agrees(&mut self, _world: &World, _wakers: usize) {}
}

/// Whether a wait may bring an edge, and whether it must.
pub fn edge(world: &World, file: FileId, touched: u64, told: u64, least: u16) -> (bool, bool) {
    // TCP's own acknowledgements may be an edge, any time after what caused them.
    let may = touched.max(world.stirred[file]) > told || world.is_tcp(file);
    let raised = world.raised[file] > told && least & Events::READ.bits() != 0;
    (may, touched > told || raised)
}
