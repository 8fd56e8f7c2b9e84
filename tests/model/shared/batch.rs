//! What the last wait may have brought, and what of it is left.

use selectors_core::{Events, Interest, Kind};

const READ: u16 = Events::READ.bits();
const WRITE: u16 = Events::WRITE.bits();
const GONE: u16 = Events::HANGUP.bits() | Events::ERROR.bits();
const HALF: u16 = Events::READ_HANGUP.bits();

/// Names a registration in the model, as the kernel's user data does in the selector.
pub type Token = u64;

/// The waker's, and nobody's key.
pub const WAKE: Token = 0;

/// What the kernel tells of a descriptor, when `asked` is asked and poll(2) says `raw`.
pub fn reported(kind: Kind, raw: u16, asked: Interest) -> u16 {
    let asked = asked.events.bits();
    if kind == Kind::Select {
        let error = Events::ERROR.bits();
        let mut bits = raw & (READ | WRITE | Events::PRIORITY.bits());
        bits |= if raw & GONE != 0 { READ } else { 0 };
        bits |= if raw & error != 0 { WRITE } else { 0 };
        return bits & asked;
    }
    let half = if asked & READ != 0 { HALF } else { 0 };
    raw & (asked | GONE | half)
}

/// What the owner is told of that, who asks for `asked` when the event is taken.
pub fn told(reported: u16, asked: Interest) -> u16 {
    let asked = asked.events.bits();
    let mut bits = reported;
    bits |= if bits & GONE != 0 { READ | WRITE } else { 0 };
    bits |= if bits & HALF != 0 { READ } else { 0 };
    bits & (asked | GONE | if asked & READ != 0 { HALF } else { 0 })
}

/// An event that a wait may have brought.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    pub token: Token,
    /// The bits it has at least and at most.
    pub least: u16,
    pub most: u16,
    /// A wait with room for all brings it.
    pub sure: bool,
    /// The registration was gone already when the wait brought it.
    pub zombie: bool,
}

impl Answer {
    /// Whether it is told, if it is in the batch. Nothing is known of one that may have been dropped.
    fn is_for(&self, asked: Option<Interest>) -> bool {
        asked.is_some_and(|asked| told(self.least, asked) != 0)
    }
}

#[derive(Debug, Default)]
pub struct Batch {
    answers: Vec<Answer>,
    /// How many of them the wait brought and nobody took.
    pub left: usize,
    /// All of `answers` are in it.
    exact: bool,
}

impl Batch {
    /// Takes over what a wait brought, and says of whom there may be an answer in it, and whether surely.
    pub fn fill(&mut self, mut answers: Vec<Answer>, count: usize, room: usize) -> Vec<(Token, bool)> {
        let sure = answers.iter().filter(|answer| answer.sure).count();
        assert!(
            sure.min(room) <= count && count <= answers.len().min(room),
            "the wait brought {count} with room for {room}, of {answers:?}"
        );
        if count == sure && sure < room {
            answers.retain(|answer| answer.sure);
        }
        self.exact = count == answers.len();
        self.left = count;
        self.answers = answers;
        let surely = |answer: &Answer| self.exact || answer.sure && count < room;
        self.answers.iter().map(|answer| (answer.token, surely(answer))).collect()
    }

    /// How many may have been dropped, or never were in it.
    fn doubtful(&self, asked: &impl Fn(Token) -> Option<Interest>) -> usize {
        self.answers.iter().filter(|answer| !answer.is_for(asked(answer.token))).count()
    }

    /// Whether there is surely an event left that somebody is told.
    pub fn must_tell(&self, asked: impl Fn(Token) -> Option<Interest>) -> bool {
        self.left > self.doubtful(&asked)
    }

    /// Whether there may be one.
    pub fn may_tell(&self, asked: impl Fn(Token) -> Option<Interest>) -> bool {
        let may = |answer: &Answer| asked(answer.token).is_some_and(|asked| told(answer.most, asked) != 0);
        self.left > 0 && self.answers.iter().any(may)
    }

    /// The selector has looked: what nobody is told now may be dropped.
    pub fn looked_at(&mut self, asked: impl Fn(Token) -> Option<Interest>) {
        for answer in &mut self.answers {
            if !answer.is_for(asked(answer.token)) {
                answer.least = 0;
            }
        }
    }

    /// An event was told.
    pub fn take(&mut self, token: Token, events: Events, asked: Interest) -> Answer {
        let events = events.bits();
        let fits = |answer: &Answer| {
            let (least, most) = (told(answer.least, asked), told(answer.most, asked));
            answer.token == token && least & !events == 0 && events & !most == 0
        };
        let found = self.answers.iter().position(fits);
        let Some(place) = found.filter(|_| self.left > 0 && events != 0) else {
            panic!("told {events:#x} for {token}, who asks for {asked:?}: {self:?}");
        };
        self.left -= 1;
        self.answers.swap_remove(place)
    }

    /// The registration is gone, and its events are withdrawn with it.
    pub fn withdraw(&mut self, token: Token) {
        for answer in self.answers.iter_mut().filter(|answer| answer.token == token) {
            answer.least = 0;
            answer.token = Token::MAX;
        }
    }

    /// Whether an event of a registration that was gone is in it: surely, or perhaps.
    pub fn zombies(&self) -> (bool, bool) {
        let surely = self.answers.iter().any(|answer| answer.zombie && self.exact);
        (surely, self.answers.iter().any(|answer| answer.zombie))
    }
}
