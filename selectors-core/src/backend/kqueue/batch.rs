//! The events of one wait, one item for each registration.

use rustix::fd::RawFd;

use super::{Events, Token};

#[derive(Clone, Copy)]
pub(super) struct Ready {
    pub(super) token: Token,
    pub(super) events: Events,
    pub(super) fd: RawFd,
}

/// No position.
const NONE: u32 = u32::MAX;

/// Finds the item of a registration while a batch is filled, in a time that
/// does not grow with the batch.
///
/// It is a hash table with a chain for each bucket. Slots are small numbers
/// that the table gives out one after the other, so that a multiplication
/// spreads them well.
pub(super) struct Positions<const BATCH: usize> {
    /// The last item of each bucket.
    last: [u32; BATCH],
    /// For each item, the one before it in its bucket.
    before: [u32; BATCH],
}

impl<const BATCH: usize> Positions<BATCH> {
    pub(super) const fn new() -> Self {
        Self { last: [NONE; BATCH], before: [NONE; BATCH] }
    }

    /// Adds an event. Both filters of one registration make one item. Returns
    /// false if there is no room.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a bucket's number is below BATCH, and so is a position"
    )]
    pub(super) fn add(&mut self, batch: &mut heapless::Vec<Ready, BATCH>, item: Ready) -> bool {
        // The upper half of a product with BATCH is a number below BATCH.
        let spread = u64::from(item.token.to_u64() as u32).wrapping_mul(0x9E37_79B9) & 0xFFFF_FFFF;
        let bucket = ((spread * BATCH as u64) >> 32) as usize;
        let Some(last) = self.last.get_mut(bucket) else { return false };
        let mut position = *last as usize;
        while let Some(ready) = batch.get_mut(position) {
            if ready.token == item.token {
                ready.events |= item.events;
                return true;
            }
            position = self.before.get(position).map_or(NONE, |before| *before) as usize;
        }
        let position = batch.len();
        let Some(before) = self.before.get_mut(position).filter(|_| batch.push(item).is_ok())
        else {
            return false;
        };
        *before = core::mem::replace(last, position as u32);
        true
    }
}
