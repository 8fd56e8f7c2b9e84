//! What several tests share: every pair of a backend and a key table that this platform has.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(unreachable_pub, reason = "nothing here is reached from elsewhere")]

pub mod needs;
#[path = "../contract/support.rs"]
pub mod support;

use selectors_core::backend::{Any, Backend, Poll};
use selectors_std::Growable;
use support::Table;

/// Room for all that the tests register.
pub type Fixed = selectors_core::storage::Fixed<128>;

/// Something that is done with every pair.
pub trait Check {
    /// Does it with this one.
    fn check<B: Backend, M: Table>(&mut self, pair: &str);
}

/// Does it with all of them.
pub fn every_pair(check: &mut impl Check) {
    needs::limit();
    queue(check);
    sets(check);
    check.check::<Poll<Fixed>, Fixed>("poll, fixed");
    check.check::<Poll<Growable>, Growable>("poll, growable");
    check.check::<Any<Fixed>, Fixed>("any, fixed");
    check.check::<Any<Growable, 256>, Growable>("any, growable");
}

selectors_core::if_epoll! {
    fn queue(check: &mut impl Check) {
        use selectors_core::backend::Epoll;
        check.check::<Epoll, Fixed>("epoll, fixed");
        check.check::<Epoll<256>, Growable>("epoll, growable");
    }
}
selectors_core::if_kqueue! {
    fn queue(check: &mut impl Check) {
        use selectors_core::backend::Kqueue;
        check.check::<Kqueue, Fixed>("kqueue, fixed");
        check.check::<Kqueue<256>, Growable>("kqueue, growable");
    }
}
selectors_core::if_no_queue! {
    fn queue(_check: &mut impl Check) {}
}
selectors_core::if_select! {
    fn sets(check: &mut impl Check) {
        use selectors_core::backend::Select;
        check.check::<Select<Fixed>, Fixed>("select, fixed");
        check.check::<Select<Growable>, Growable>("select, growable");
    }
}
selectors_core::if_no_select! {
    fn sets(_check: &mut impl Check) {}
}
