//! What poll and select watch: numbers, whatever file is there.

use std::os::fd::RawFd;

use rustix::io::Errno;
use selectors_core::{Interest, Kind};

use super::batch::{Answer, Token, reported};
use super::world::{FileId, Readiness, World};

#[derive(Debug)]
struct Entry {
    number: RawFd,
    asked: Interest,
    token: Token,
    /// Fired, or found closed.
    silent: bool,
}

#[derive(Debug, Default)]
pub struct Scan {
    entries: Vec<Entry>,
}

impl Scan {
    pub fn add(&mut self, world: &World, number: RawFd, asked: Interest, token: Token) -> Result<(), Errno> {
        world.file_of(number).ok_or(Errno::BADF)?;
        self.entries.push(Entry { number, asked, token, silent: false });
        Ok(())
    }

    pub fn modify(&mut self, world: &World, number: RawFd, asked: Interest) -> Result<(), Errno> {
        world.file_of(number).ok_or(Errno::BADF)?;
        for entry in self.entries.iter_mut().filter(|entry| entry.number == number) {
            (entry.asked, entry.silent) = (asked, false);
        }
        Ok(())
    }

    pub fn remove(&mut self, number: RawFd) {
        self.entries.retain(|entry| entry.number != number);
    }

    pub fn fired(&mut self, token: Token) {
        for entry in self.entries.iter_mut().filter(|entry| entry.token == token) {
            entry.silent = true;
        }
    }

    /// A wait finds out which numbers are closed; they are silent from then on. Answers how many.
    pub fn silence_closed(&mut self, world: &World) -> usize {
        let closed = |entry: &&mut Entry| !entry.silent && world.file_of(entry.number).is_none();
        self.entries.iter_mut().filter(closed).map(|entry| entry.silent = true).count()
    }

    /// Whether the number is watched as if nothing had happened to it.
    pub fn is_silent(&self, token: Token) -> bool {
        self.entries.iter().any(|entry| entry.token == token && entry.silent)
    }

    pub fn answers(&self, kind: Kind, world: &World, look: impl Fn(FileId) -> Readiness) -> Vec<Answer> {
        let mut answers = Vec::new();
        for entry in self.entries.iter().filter(|entry| !entry.silent) {
            let Some(file) = world.file_of(entry.number) else { continue };
            let Readiness { least, most } = look(file);
            let (least, most) = (reported(kind, least, entry.asked), reported(kind, most, entry.asked));
            if most != 0 {
                answers.push(Answer { token: entry.token, least, most, sure: least != 0, zombie: false });
            }
        }
        answers
    }
}
