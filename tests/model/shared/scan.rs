//! What poll and select watch: numbers, whatever file is there.

use std::os::fd::RawFd;

use rustix::io::Errno;
use selectors_core::{Interest, Kind};

use super::batch::{Answer, Token, reported};
use super::kernel::Kernel;
use super::world::{FileId, Readiness, World};

#[derive(Debug)]
struct Entry {
    number: RawFd,
    asked: Interest,
    token: Token,
    /// Fired, or found closed.
    silent: bool,
}

#[derive(Debug)]
pub struct Scan {
    kind: Kind,
    entries: Vec<Entry>,
}

impl Scan {
    pub fn new(kind: Kind) -> Self {
        Self { kind, entries: Vec::new() }
    }
}

impl Kernel for Scan {
    fn call(&self) -> &'static str {
        "poll"
    }

    fn add(&mut self, world: &World, number: RawFd, asked: Interest, token: Token) -> Result<(), Errno> {
        world.file_of(number).ok_or(Errno::BADF)?;
        self.entries.push(Entry { number, asked, token, silent: false });
        Ok(())
    }

    fn modify(&mut self, world: &World, number: RawFd, asked: Interest, _: Token) -> Result<(), Errno> {
        world.file_of(number).ok_or(Errno::BADF)?;
        for entry in self.entries.iter_mut().filter(|entry| entry.number == number) {
            (entry.asked, entry.silent) = (asked, false);
        }
        Ok(())
    }

    fn remove(&mut self, _: &World, number: RawFd) {
        self.entries.retain(|entry| entry.number != number);
    }

    fn fired(&mut self, token: Token, _: u64) {
        for entry in self.entries.iter_mut().filter(|entry| entry.token == token) {
            entry.silent = true;
        }
    }

    /// They are silent from then on.
    fn silence_closed(&mut self, world: &World) -> usize {
        let closed = |entry: &&mut Entry| !entry.silent && world.file_of(entry.number).is_none();
        self.entries.iter_mut().filter(closed).map(|entry| entry.silent = true).count()
    }

    fn is_silent(&self, token: Token) -> bool {
        self.entries.iter().any(|entry| entry.token == token && entry.silent)
    }

    fn answers(
        &self,
        world: &World,
        look: &dyn Fn(FileId) -> Readiness,
        _: &dyn Fn(Token) -> bool,
    ) -> Vec<Answer> {
        let mut answers = Vec::new();
        for entry in self.entries.iter().filter(|entry| !entry.silent) {
            let Some(file) = world.file_of(entry.number) else { continue };
            let Readiness { least, most } = look(file);
            let (least, most) =
                (reported(self.kind, least, entry.asked), reported(self.kind, most, entry.asked));
            if most != 0 {
                answers.push(Answer { token: entry.token, least, most, sure: least != 0, zombie: false });
            }
        }
        answers
    }
}
