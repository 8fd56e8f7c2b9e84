//! What poll and select watch: numbers, whatever file is there.

use std::os::fd::RawFd;

use rustix::io::Errno;
use selectors_core::{Interest, Kind};

use super::batch::{Report, Token, reported};
use super::kernel::Kernel;
use super::world::{FileId, Readiness, World};

#[derive(Debug)]
struct Entry {
    number: RawFd,
    requested: Interest,
    token: Token,
    /// Fired, or found closed.
    dropped: bool,
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

    fn add(
        &mut self,
        world: &World,
        number: RawFd,
        requested: Interest,
        token: Token,
    ) -> Result<(), Errno> {
        world.file_of(number).ok_or(Errno::BADF)?;
        self.entries.push(Entry { number, requested, token, dropped: false });
        Ok(())
    }

    fn modify(
        &mut self,
        world: &World,
        number: RawFd,
        requested: Interest,
        _: Token,
    ) -> Result<(), Errno> {
        world.file_of(number).ok_or(Errno::BADF)?;
        for entry in self.entries.iter_mut().filter(|entry| entry.number == number) {
            (entry.requested, entry.dropped) = (requested, false);
        }
        Ok(())
    }

    fn remove(&mut self, _: &World, number: RawFd) {
        self.entries.retain(|entry| entry.number != number);
    }

    fn fired(&mut self, token: Token, _: u64) {
        for entry in self.entries.iter_mut().filter(|entry| entry.token == token) {
            entry.dropped = true;
        }
    }

    /// They are not watched from then on.
    fn drop_closed(&mut self, world: &World) -> usize {
        let closed = |entry: &&mut Entry| !entry.dropped && world.file_of(entry.number).is_none();
        self.entries.iter_mut().filter(closed).map(|entry| entry.dropped = true).count()
    }

    fn is_dropped(&self, token: Token) -> bool {
        self.entries.iter().any(|entry| entry.token == token && entry.dropped)
    }

    fn reports(
        &self,
        world: &World,
        look: &dyn Fn(FileId) -> Readiness,
        _: &dyn Fn(Token) -> bool,
    ) -> Vec<Report> {
        let mut reports = Vec::new();
        for entry in self.entries.iter().filter(|entry| !entry.dropped) {
            let Some(file) = world.file_of(entry.number) else { continue };
            let Readiness { least, most } = look(file);
            let (least, most) = (
                reported(self.kind, least, entry.requested),
                reported(self.kind, most, entry.requested),
            );
            if most != 0 {
                reports.push(Report {
                    token: entry.token,
                    least,
                    most,
                    sure: least != 0,
                    zombie: false,
                });
            }
        }
        reports
    }
}
