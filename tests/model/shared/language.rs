//! The operations that programs over selectors are made of.

use arbitrary::{Arbitrary, Unstructured};
use selectors_core::{Events, Interest, Mode};

/// What is opened.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    PipeRead,
    PipeWrite,
    Unix,
    Tcp,
    Event,
    Regular,
    /// An epoll instance in which an eventfd is watched.
    Nested,
}

/// An interest of any bits, so that impossible ones are among them.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Requested {
    bits: u8,
    mode: u8,
}

impl Requested {
    pub const fn new(events: Events, mode: Mode) -> Self {
        Self { bits: events.bits() as u8, mode: mode as u8 }
    }

    /// Most often an interest that can be requested.
    pub fn interest(self) -> Interest {
        let half = if self.bits & 0x18 == 0x18 { Events::READ_HANGUP.bits() } else { 0 };
        let bits =
            if self.bits < 0xe0 { u16::from(self.bits & 0b111) | half } else { self.bits.into() };
        let mode = [Mode::Level, Mode::Edge, Mode::OneShot][usize::from(self.mode) % 3];
        Events::from_bits_retain(bits).with_mode(mode)
    }
}

/// A number that a descriptor can have here. See `world::number`.
pub type Place = u8;

/// What becomes of a source that a function has exclusive access to. Afterwards
/// it has another number.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Plain,
    /// The function panics at its end.
    Panic,
    /// From the second time on, the source names the old number every other
    /// time.
    Lie,
    /// The source panics instead of naming a number: the first, second or third
    /// time.
    Fail(u8),
}

/// What is done to a key.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Act {
    Nothing,
    Modify(Requested),
    Pause,
    Resume,
    Unregister,
    /// The source gets this number.
    Exchange(Place, Manner),
}

/// Which key, and how it is named.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Named {
    /// By number.
    At(Place),
    /// By id, one of those that are registered.
    Id(u8),
    /// By an id that was kept too long.
    Former(u8),
}

/// How many events are consumed: few, so that some stay pending.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Most(pub u8);

impl Most {
    pub fn events(self) -> usize {
        usize::from(self.0 % 4)
    }
}

/// One operation. It does nothing if nothing is open at the place it names.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Step {
    /// Opens something at this place; what is open there is closed by it, as
    /// `dup2` does.
    Open(Place, Sort),
    /// Closes the number, whether it is watched or not.
    Close(Place),
    /// `dup2`, over whatever is open there.
    Dup(Place, Place),
    /// The peer writes; the read end of a pipe's peer reads nothing.
    Write(Place),
    /// The peer sends urgent data.
    Urgent(Place),
    /// Writes until nothing more fits.
    Fill(Place),
    /// Reads until nothing is left.
    Drain(Place),
    /// The peer reads until nothing is left.
    Empty(Place),
    /// The peer, or this end, ends one direction.
    Shut(Place, bool),
    /// The peer closes, on TCP with a reset if the flag is set.
    Hang(Place, bool),
    /// Reads the socket's error, which clears it.
    TakeError(Place),

    Register(Place, Requested),
    Modify(Place, Requested),
    Unregister(Place),
    /// The selector's own methods, with the key named in any way.
    Call(Named, Act),
    /// The methods of the key that `get_key_mut` returns.
    Through(Named, Act),
    /// A walk that does these in turn, from key to key.
    Walk([Act; 3]),
    /// Keeps the keys whose bits are set.
    Retain(u8),
    /// A place far beyond all others, or a negative number.
    RegisterNowhere(bool, Requested),
    /// Waits with a timeout of zero, and consumes at most so many.
    Select(Most),
    /// Waits a few microseconds, and consumes at most so many.
    SelectBriefly(Most),
    /// Consumes pending events without a wait.
    Take(Most),
    /// Waits and consumes until every ready key had its turn; then selectors
    /// are compared.
    Settle,
    /// Makes a waker.
    Waker,
    Wake,
    /// Borrows the selector's own descriptor, as a program that nests it does.
    HandOut,
}

impl Named {
    fn within(&mut self, places: Place) {
        if let Self::At(place) = self {
            *place %= places;
        }
    }
}

impl Act {
    fn within(&mut self, places: Place) {
        if let Self::Exchange(place, _) = self {
            *place %= places;
        }
    }
}

impl Step {
    /// The same step, with one of so many places. With few of them, more
    /// happens to each.
    pub fn within(mut self, places: Place) -> Self {
        match &mut self {
            Self::Dup(from, to) => (*from, *to) = (*from % places, *to % places),
            Self::Open(place, _)
            | Self::Close(place)
            | Self::Write(place)
            | Self::Urgent(place)
            | Self::Fill(place)
            | Self::Drain(place)
            | Self::Empty(place)
            | Self::Shut(place, _)
            | Self::Hang(place, _)
            | Self::TakeError(place)
            | Self::Register(place, _)
            | Self::Modify(place, _)
            | Self::Unregister(place) => *place %= places,
            Self::Call(named, act) | Self::Through(named, act) => {
                named.within(places);
                act.within(places);
            }
            Self::Walk(acts) => acts.iter_mut().for_each(|act| act.within(places)),
            Self::RegisterNowhere(..)
            | Self::Retain(_)
            | Self::Select(_)
            | Self::SelectBriefly(_)
            | Self::Take(_)
            | Self::Settle
            | Self::Waker
            | Self::Wake
            | Self::HandOut => {}
        }
        self
    }
}

/// As many steps as a program may have: what is longer finds nothing more, and
/// needs time.
pub const LONGEST: usize = 200;

/// Steps until the input ends.
#[derive(Debug)]
pub struct Program(pub Vec<Step>);

impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(input: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        steps(input, LONGEST).map(Self)
    }
}

/// Steps until the input ends, at most so many.
pub fn steps<'a, S: Arbitrary<'a>>(
    input: &mut Unstructured<'a>,
    most: usize,
) -> arbitrary::Result<Vec<S>> {
    let mut steps = Vec::new();
    while !input.is_empty() && steps.len() < most {
        steps.push(input.arbitrary()?);
    }
    Ok(steps)
}
