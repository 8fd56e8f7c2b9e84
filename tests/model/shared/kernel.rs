//! What a kernel has of a selector: the models of it, one for each sort of
//! interface.

use std::os::fd::RawFd;

use rustix::io::Errno;
use selectors_core::{Events, Interest, Mode};

use super::batch::{Report, Token};
use super::world::{FileId, Readiness, World};

/// Whether a registration can be reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Armed {
    Yes,
    /// It may report a hang-up, or be armed after all.
    Perhaps,
    No,
}

/// A key, as the selector adds it to a new instance.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub number: RawFd,
    pub requested: Interest,
    pub token: Token,
    pub armed: bool,
}

/// A model of what is watched. It gets each call that is made, and says what
/// the calls may return.
pub trait Kernel {
    /// The call that refuses a change.
    fn call(&self) -> &'static str {
        "epoll_ctl"
    }

    /// The descriptor of an epoll instance.
    fn own(&self) -> Option<RawFd> {
        None
    }

    fn add(
        &mut self,
        world: &World,
        number: RawFd,
        requested: Interest,
        token: Token,
    ) -> Result<(), Errno>;
    fn modify(
        &mut self,
        world: &World,
        number: RawFd,
        requested: Interest,
        token: Token,
    ) -> Result<(), Errno>;
    fn remove(&mut self, world: &World, number: RawFd);

    /// What is watched, in the models that keep this of it.
    fn watches(&mut self) -> Box<dyn Iterator<Item = &mut Watch> + '_> {
        Box::new(std::iter::empty())
    }

    /// A one-shot was delivered, which the wait at this time returned.
    fn fired(&mut self, token: Token, fetched: u64) {
        self.watches().filter(|watch| watch.token == token).for_each(|watch| watch.fired(fetched));
    }

    /// A wait has surely returned this.
    fn fetched(&mut self, token: Token, when: u64) {
        self.watches().filter(|watch| watch.token == token).for_each(|watch| watch.fetched(when));
    }

    /// A wait has returned this, or there was no room for it.
    fn perhaps_fetched(&mut self, token: Token, when: u64) {
        self.watches()
            .filter(|watch| watch.token == token)
            .for_each(|watch| watch.perhaps_reported_at = when);
    }

    /// Something may have been closed since the last step.
    fn forget_closed(&mut self, _world: &World) {}

    /// A wait finds out which numbers are closed. Returns how many it may have
    /// counted.
    fn drop_closed(&mut self, _world: &World) -> usize {
        0
    }

    /// Whether nothing is reported of a key, though it has not fired.
    fn is_dropped(&self, _token: Token) -> bool {
        false
    }

    /// There is a new instance, to which these keys were added.
    fn rebuild(&mut self, _world: &World, _keys: &[Known]) {
        panic!("there is nothing to recreate");
    }

    /// What a wait may return.
    fn reports(
        &self,
        world: &World,
        look: &dyn Fn(FileId) -> Readiness,
        lives: &dyn Fn(Token) -> bool,
    ) -> Vec<Report>;

    /// Compares with what is really watched, among which are so many wakers.
    fn assert_agrees(&mut self, _world: &World, _wakers: usize) {}
}

/// What epoll and kqueue have of a registration.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    pub file: FileId,
    pub requested: Interest,
    pub token: Token,
    pub armed: Armed,
    /// When it was added or modified, and when a wait last returned it, surely
    /// or perhaps.
    pub touched: u64,
    pub reported_at: u64,
    pub perhaps_reported_at: u64,
}

impl Watch {
    pub fn new(world: &World, file: FileId, requested: Interest, token: Token) -> Self {
        Self {
            file,
            requested,
            token,
            armed: Armed::Yes,
            touched: world.now,
            reported_at: 0,
            perhaps_reported_at: 0,
        }
    }

    /// See `Kernel::fired`. What a wait returned has been disarmed then, but it
    /// may have been armed again since.
    pub fn fired(&mut self, fetched: u64) {
        self.armed = if self.touched > fetched { Armed::Perhaps } else { Armed::No };
    }

    /// See `Kernel::fetched`.
    pub fn fetched(&mut self, when: u64) {
        if self.touched > when {
            return;
        }
        self.reported_at = when;
        if self.requested.mode == Mode::OneShot {
            self.armed = Armed::No;
        }
    }

    /// Whether a wait may return it, and whether it must, when this is there at
    /// least.
    pub fn due(&self, world: &World, least: u16) -> (bool, bool) {
        if self.requested.mode != Mode::Edge {
            return (true, self.armed == Armed::Yes);
        }
        // TCP's own acknowledgements may be an edge, any time after what caused
        // them.
        let may = self.touched.max(world.stirred[self.file]) > self.reported_at
            || world.is_tcp(self.file);
        let raised = world.raised[self.file] > self.reported_at && least & Events::READ.bits() != 0;
        (may, self.touched > self.reported_at || raised)
    }
}
