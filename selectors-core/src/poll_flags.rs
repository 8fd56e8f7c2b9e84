//! Events as `poll` has them, for its backend and for `wait`.

use rustix::event::PollFlags;

use crate::events::Events;
use crate::platform::{HALF_CLOSE, flag};

/// Returns what is requested of `poll` for an interest.
pub(crate) fn flags(events: Events) -> PollFlags {
    let mut flags = PollFlags::empty();
    if events.contains(Events::READ) {
        flags |= flag::READ;
    }
    if events.intersects(Events::READ.union(Events::READ_HANGUP)) {
        flags |= HALF_CLOSE;
    }
    if events.contains(Events::WRITE) {
        flags |= flag::WRITE;
    }
    if events.contains(Events::PRIORITY) {
        flags |= flag::PRIORITY;
    }
    flags
}

/// poll's bits and ours.
const NAMES: [(PollFlags, Events); 6] = [
    (flag::READ, Events::READ),
    (flag::WRITE, Events::WRITE),
    (flag::PRIORITY, Events::PRIORITY),
    (flag::ERROR, Events::ERROR),
    (flag::HANGUP, Events::HANGUP),
    (flag::READ_HANGUP, Events::READ_HANGUP),
];

/// Whether the bits' values are ours, as on Linux.
#[allow(
    clippy::cast_sign_loss,
    clippy::unnecessary_cast,
    reason = "a signed type on some systems; bits have no sign"
)]
const SAME: bool = {
    let mut same = true;
    let mut index = 0;
    while index < NAMES.len() {
        same &= NAMES[index].0.bits() as u16 == NAMES[index].1.bits();
        index += 1;
    }
    same
};

#[inline]
#[allow(clippy::cast_sign_loss, clippy::unnecessary_cast, reason = "as above")]
pub(crate) fn events(flags: PollFlags) -> Events {
    if SAME {
        return Events::from_bits_retain(flags.bits() as u16); // `reported` drops the other bits
    }
    let found = NAMES.iter().filter(|(flag, _)| flags.intersects(*flag));
    found.fold(Events::empty(), |events, (_, event)| events | *event)
}
