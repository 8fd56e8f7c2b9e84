//! What the last wait may have returned, and what of it is pending.

use selectors_core::{Events, Interest, Kind};

const READ: u16 = Events::READ.bits();
const WRITE: u16 = Events::WRITE.bits();
const ENDS: u16 = Events::HANGUP.bits() | Events::ERROR.bits();
const HALF: u16 = Events::READ_HANGUP.bits();

/// Names a registration in the model, as the kernel's user data does in the
/// selector.
pub type Token = u64;

/// The waker's, and no key's.
pub const WAKE: Token = 0;

/// What the kernel reports of a descriptor for this interest, when poll(2) says
/// `raw`.
pub fn reported(kind: Kind, raw: u16, requested: Interest) -> u16 {
    let requested = requested.events.bits();
    if kind == Kind::Select {
        let error = Events::ERROR.bits();
        let mut bits = raw & (READ | WRITE | Events::PRIORITY.bits());
        bits |= if raw & ENDS != 0 { READ } else { 0 };
        bits |= if raw & error != 0 { WRITE } else { 0 };
        return bits & requested;
    }
    let half = if requested & READ != 0 { HALF } else { 0 };
    raw & (requested | ENDS | half)
}

/// What of that is delivered to a key that has this interest when the event is
/// returned.
pub fn delivered(reported: u16, requested: Interest) -> u16 {
    let requested = requested.events.bits();
    let mut bits = reported;
    bits |= if bits & ENDS != 0 { READ | WRITE } else { 0 };
    bits |= if bits & HALF != 0 { READ } else { 0 };
    bits & (requested | ENDS | if requested & READ != 0 { HALF } else { 0 })
}

/// An event that a wait may have returned.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    pub token: Token,
    /// The bits it has at least and at most.
    pub least: u16,
    pub most: u16,
    /// A wait with room for all returns it.
    pub sure: bool,
    /// The registration did not exist any more when the wait returned it.
    pub zombie: bool,
}

impl Report {
    /// Whether it is delivered, if it is in the batch. Nothing is known of one
    /// that may have been dropped.
    fn is_for(&self, requested: Option<Interest>) -> bool {
        requested.is_some_and(|requested| delivered(self.least, requested) != 0)
    }
}

#[derive(Debug, Default)]
pub struct Batch {
    reports: Vec<Report>,
    /// How many of them the wait returned and are still pending.
    pub left: usize,
    /// All of `reports` are in it.
    exact: bool,
}

impl Batch {
    /// Keeps what a wait returned. Returns which registrations may be in it,
    /// and for each whether it surely is.
    pub fn fill(
        &mut self,
        mut reports: Vec<Report>,
        count: usize,
        room: usize,
    ) -> Vec<(Token, bool)> {
        let sure = reports.iter().filter(|report| report.sure).count();
        assert!(
            sure.min(room) <= count && count <= reports.len().min(room),
            "the wait returned {count} with room for {room}, of {reports:?}"
        );
        if count == sure && sure < room {
            reports.retain(|report| report.sure);
        }
        self.exact = count == reports.len();
        self.left = count;
        self.reports = reports;
        let surely = |report: &Report| self.exact || report.sure && count < room;
        self.reports.iter().map(|report| (report.token, surely(report))).collect()
    }

    /// How many may have been dropped, or never were in it.
    fn doubtful(&self, requested: &impl Fn(Token) -> Option<Interest>) -> usize {
        self.reports.iter().filter(|report| !report.is_for(requested(report.token))).count()
    }

    /// Whether there is surely a pending event that will be delivered.
    pub fn must_report(&self, requested: impl Fn(Token) -> Option<Interest>) -> bool {
        self.left > self.doubtful(&requested)
    }

    /// Whether there may be one.
    pub fn may_report(&self, requested: impl Fn(Token) -> Option<Interest>) -> bool {
        let may = |report: &Report| {
            requested(report.token).is_some_and(|requested| delivered(report.most, requested) != 0)
        };
        self.left > 0 && self.reports.iter().any(may)
    }

    /// The selector has looked at all: an event that is not delivered now may
    /// be dropped.
    pub fn looked_at(&mut self, requested: impl Fn(Token) -> Option<Interest>) {
        for report in &mut self.reports {
            if !report.is_for(requested(report.token)) {
                report.least = 0;
            }
        }
    }

    /// An event was delivered.
    pub fn take(&mut self, token: Token, events: Events, requested: Interest) -> Report {
        let events = events.bits();
        let fits = |report: &Report| {
            let (least, most) =
                (delivered(report.least, requested), delivered(report.most, requested));
            report.token == token && least & !events == 0 && events & !most == 0
        };
        let found = self.reports.iter().position(fits);
        let Some(place) = found.filter(|_| self.left > 0 && events != 0) else {
            panic!("delivered {events:#x} for {token}, with the interest {requested:?}: {self:?}");
        };
        self.left -= 1;
        self.reports.swap_remove(place)
    }

    /// The registration was removed, and its events are withdrawn with it.
    pub fn withdraw(&mut self, token: Token) {
        for report in self.reports.iter_mut().filter(|report| report.token == token) {
            report.least = 0;
            report.token = Token::MAX;
        }
    }

    /// Whether an event of a removed registration is in it: surely, or perhaps.
    pub fn zombies(&self) -> (bool, bool) {
        let surely = self.reports.iter().any(|report| report.zombie && self.exact);
        (surely, self.reports.iter().any(|report| report.zombie))
    }
}
