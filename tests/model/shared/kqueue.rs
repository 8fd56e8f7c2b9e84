//! What a kqueue watches, as the manuals have it: a filter for each direction, by number, until that is closed.

use std::os::fd::RawFd;

use rustix::io::Errno;
use selectors_core::{Events, Interest, Mode};

use super::batch::{Answer, Token};
use super::emulated_kqueue::queue;
use super::kernel::{Armed, Kernel, Watch};
use super::world::{FileId, Readiness, World};

const READ: u16 = Events::READ.bits();
const WRITE: u16 = Events::WRITE.bits();
const HANGUP: u16 = Events::HANGUP.bits();
const HALF: u16 = Events::READ_HANGUP.bits();
const ERROR: u16 = Events::ERROR.bits();

#[derive(Debug)]
struct Entry {
    number: RawFd,
    /// What its filters were added to; they leave when that is closed.
    opening: Option<u64>,
    watch: Watch,
    /// A pipe that nobody reads gets no filter for writing, and is told by the selector itself.
    broken: bool,
}

impl Entry {
    fn new(world: &World, number: RawFd, file: FileId, asked: Interest, token: Token) -> Self {
        let broken = world.is_broken(file) && asked.events.contains(Events::WRITE);
        Self { number, opening: world.opening(number), watch: Watch::new(world, file, asked, token), broken }
    }

    fn is_there(&self, world: &World) -> bool {
        self.opening.is_some() && world.opening(self.number) == self.opening
    }

    fn asks(&self, event: u16) -> bool {
        self.watch.asked.events.bits() & event != 0
    }

    /// What its filters tell, when poll(2) says `raw`.
    fn reported(&self, world: &World, raw: u16) -> u16 {
        let eof = if world.is_pipe(self.watch.file) { HANGUP | ERROR } else { HANGUP };
        let mut bits = 0;
        if self.asks(READ) && raw & (READ | HALF | HANGUP | ERROR) != 0 {
            bits |= READ | if raw & (eof | HALF) != 0 { HALF } else { 0 };
        }
        if self.asks(WRITE) && !self.broken && raw & (WRITE | HANGUP | ERROR) != 0 {
            bits |= WRITE | if raw & eof != 0 { HANGUP } else { 0 };
        }
        bits
    }
}

#[derive(Debug)]
pub struct Kqueue {
    entries: Vec<Entry>,
    own: RawFd,
}

impl Kqueue {
    pub fn new(own: RawFd) -> Self {
        Self { entries: Vec::new(), own }
    }
}

impl Kernel for Kqueue {
    fn call(&self) -> &'static str {
        "kevent"
    }

    fn add(&mut self, world: &World, number: RawFd, asked: Interest, token: Token) -> Result<(), Errno> {
        let file = world.file_of(number).ok_or(Errno::BADF)?;
        self.entries.push(Entry::new(world, number, file, asked, token));
        Ok(())
    }

    fn modify(&mut self, world: &World, number: RawFd, asked: Interest, token: Token) -> Result<(), Errno> {
        let entry = self.entries.iter_mut().find(|entry| entry.number == number).ok_or(Errno::NOENT)?;
        let Some(file) = world.file_of(number) else {
            entry.broken = false;
            return Err(Errno::BADF);
        };
        // A filter that stays is not refused.
        let stays = entry.is_there(world)
            && entry.asks(WRITE)
            && !entry.broken
            && entry.watch.asked.mode == asked.mode;
        *entry = Entry::new(world, number, file, asked, token);
        entry.broken &= !stays;
        Ok(())
    }

    fn remove(&mut self, _: &World, number: RawFd) {
        self.entries.retain(|entry| entry.number != number);
    }

    fn watches(&mut self) -> Box<dyn Iterator<Item = &mut Watch> + '_> {
        Box::new(self.entries.iter_mut().map(|entry| &mut entry.watch))
    }

    fn answers(
        &self,
        world: &World,
        look: &dyn Fn(FileId) -> Readiness,
        _: &dyn Fn(Token) -> bool,
    ) -> Vec<Answer> {
        let mut answers = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.watch.armed != Armed::No) {
            let watch = &entry.watch;
            let is_there = entry.is_there(world);
            let looked = if is_there { look(watch.file) } else { Readiness::default() };
            let broken = if entry.broken { WRITE | HANGUP } else { 0 };
            // The backend looks whether a broken pipe is still one, but takes another one for it.
            let mut least = if is_there { broken } else { 0 } | entry.reported(world, looked.least);
            let most = broken | entry.reported(world, looked.most);
            let (mut may, must) = watch.due(world, least);
            if watch.asked.mode == Mode::Edge {
                may |= world.is_regular(watch.file);
                if watch.touched <= watch.told {
                    // An edge of one direction is told without the other: when data has arrived, of reading.
                    least &= if must { READ | HALF } else { 0 };
                }
            }
            if may && most != 0 {
                let sure = must && least != 0;
                answers.push(Answer { token: watch.token, least, most, sure, zombie: false });
            }
        }
        answers
    }

    fn assert_agrees(&mut self, world: &World, wakers: usize) {
        let mut watched = queue::watched(self.own);
        for entry in self.entries.iter().filter(|entry| entry.is_there(world)) {
            let filters = [(READ, 0x2001), (if entry.broken { 0 } else { WRITE }, 0x4)];
            let all: u32 = filters.iter().filter(|(event, _)| entry.asks(*event)).map(|(_, bits)| bits).sum();
            let found = watched.remove(&entry.number).map(|entries| entries[0].0);
            let agrees = match (found, entry.watch.asked.mode) {
                (found, _) if all == 0 => found.is_none(),
                (Some(bits), Mode::Level) => bits == all,
                (Some(bits), Mode::Edge) => bits == all | 1 << 31,
                // Its filters fire one by one.
                (Some(bits), Mode::OneShot) => bits >> 30 == 1 && bits & !all == 1 << 30,
                _ => false,
            };
            assert!(agrees, "{entry:?} is watched as {found:x?}");
        }
        assert_eq!(watched.len(), wakers, "watched for nobody: {watched:x?}");
    }
}
