//! What a kqueue watches: a filter for each direction, by number, until that is
//! closed.
//!
//! The kernels differ in what becomes of a pipe that has lost its other end.
//! macOS has a filter for it. The others refuse to add one, and FreeBSD also
//! deletes the filter for writing when it reports the end. The selector then
//! reports the pipe.

use std::os::fd::RawFd;

use rustix::io::Errno;
use selectors_core::{Events, Interest, Mode};

use super::batch::{Report, Token};
use super::emulated_kqueue::queue;
use super::emulated_kqueue::systems::System;
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
    write: Writing,
}

/// What there is for writing, if that is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    /// A filter.
    Filter,
    /// A broken pipe has no filter, and the selector reports it.
    Broken,
    /// The kernel has deleted the filter of a broken pipe, and there is nothing
    /// more to report.
    Deleted,
}

impl Entry {
    fn new(
        world: &World,
        system: System,
        number: RawFd,
        file: FileId,
        requested: Interest,
        token: Token,
    ) -> Self {
        let refused = world.is_broken(file) && system.broken_pipe().is_err();
        let broken = refused && requested.events.contains(Events::WRITE);
        let write = if broken { Writing::Broken } else { Writing::Filter };
        Self {
            number,
            opening: world.opening(number),
            watch: Watch::new(world, file, requested, token),
            write,
        }
    }

    fn is_there(&self, world: &World) -> bool {
        self.opening.is_some() && world.opening(self.number) == self.opening
    }

    fn requests(&self, event: u16) -> bool {
        self.watch.requested.events.bits() & event != 0
    }

    /// What its filters report, when poll(2) says `raw`.
    fn reported(&self, world: &World, raw: u16) -> u16 {
        let eof = if world.is_pipe(self.watch.file) { HANGUP | ERROR } else { HANGUP };
        let mut bits = 0;
        if self.requests(READ) && raw & (READ | HALF | HANGUP | ERROR) != 0 {
            bits |= READ | if raw & (eof | HALF) != 0 { HALF } else { 0 };
        }
        if self.requests(WRITE)
            && self.write == Writing::Filter
            && raw & (WRITE | HANGUP | ERROR) != 0
        {
            bits |= WRITE | if raw & eof != 0 { HANGUP } else { 0 };
        }
        bits
    }
}

#[derive(Debug)]
pub struct Kqueue {
    entries: Vec<Entry>,
    own: RawFd,
    system: System,
}

impl Kqueue {
    pub fn new(own: RawFd) -> Self {
        Self { entries: Vec::new(), own, system: queue::system(own) }
    }
}

impl Kernel for Kqueue {
    fn call(&self) -> &'static str {
        "kevent"
    }

    fn add(
        &mut self,
        world: &World,
        number: RawFd,
        requested: Interest,
        token: Token,
    ) -> Result<(), Errno> {
        let file = world.file_of(number).ok_or(Errno::BADF)?;
        self.entries.push(Entry::new(world, self.system, number, file, requested, token));
        Ok(())
    }

    fn modify(
        &mut self,
        world: &World,
        number: RawFd,
        requested: Interest,
        token: Token,
    ) -> Result<(), Errno> {
        let entry =
            self.entries.iter_mut().find(|entry| entry.number == number).ok_or(Errno::NOENT)?;
        let Some(file) = world.file_of(number) else {
            entry.write = Writing::Filter;
            return Err(Errno::BADF);
        };
        // A filter that stays is not refused.
        let stays = entry.is_there(world)
            && entry.requests(WRITE)
            && entry.write == Writing::Filter
            && entry.watch.requested.mode == requested.mode;
        *entry = Entry::new(world, self.system, number, file, requested, token);
        if stays {
            entry.write = Writing::Filter;
        }
        Ok(())
    }

    fn remove(&mut self, _: &World, number: RawFd) {
        self.entries.retain(|entry| entry.number != number);
    }

    fn watches(&mut self) -> Box<dyn Iterator<Item = &mut Watch> + '_> {
        Box::new(self.entries.iter_mut().map(|entry| &mut entry.watch))
    }

    fn reports(
        &self,
        world: &World,
        look: &dyn Fn(FileId) -> Readiness,
        _: &dyn Fn(Token) -> bool,
    ) -> Vec<Report> {
        let mut reports = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.watch.armed != Armed::No) {
            let watch = &entry.watch;
            let is_there = entry.is_there(world);
            let looked = if is_there { look(watch.file) } else { Readiness::default() };
            let broken = if entry.write == Writing::Broken { WRITE | HANGUP } else { 0 };
            // The backend looks whether a broken pipe is still one, and can't
            // distinguish it from another one.
            let mut least = if is_there { broken } else { 0 } | entry.reported(world, looked.least);
            let most = broken | entry.reported(world, looked.most);
            let (mut may, must) = watch.due(world, least);
            if watch.requested.mode == Mode::Edge {
                may |= world.is_regular(watch.file);
                if watch.touched <= watch.reported_at {
                    // An edge of one direction is reported without the other:
                    // that of reading, when data has arrived.
                    least &= if must { READ | HALF } else { 0 };
                }
            }
            if may && most != 0 {
                let sure = must && least != 0;
                reports.push(Report { token: watch.token, least, most, sure, zombie: false });
            }
        }
        reports
    }

    fn assert_agrees(&mut self, world: &World, wakers: usize) {
        let mut watched = queue::watched(self.own);
        for entry in self.entries.iter_mut().filter(|entry| entry.is_there(world)) {
            let Entry { number, watch, .. } = *entry;
            if self.system == System::FreeBsd
                && entry.requests(WRITE)
                && entry.write == Writing::Filter
                && world.has_no_reader(watch.file)
            {
                // The check follows each step, and no step waits before the
                // reader leaves.
                let deleted = !queue::can_report_writing(self.own, number);
                let reported = [watch.reported_at, watch.perhaps_reported_at].contains(&world.now);
                assert!(reported || !deleted, "{entry:?}: it was deleted without a report");
                assert!(
                    deleted || watch.reported_at != world.now,
                    "{entry:?}: it was reported and is still there"
                );
                if deleted {
                    let level = watch.requested.mode == Mode::Level;
                    entry.write = if level { Writing::Broken } else { Writing::Deleted };
                }
            }
            let writing = if entry.write == Writing::Filter { WRITE } else { 0 };
            let filters = [(READ, 0x2001), (writing, 0x4)];
            let all: u32 = filters
                .iter()
                .filter(|(event, _)| entry.requests(*event))
                .map(|(_, bits)| bits)
                .sum();
            let found = watched.remove(&number).map(|entries| entries[0].0);
            let agrees = match (found, watch.requested.mode) {
                (found, _) if all == 0 => found.is_none(),
                (Some(bits), Mode::Level) => bits == all,
                (Some(bits), Mode::Edge) => bits == all | 1 << 31,
                // Its filters fire one by one.
                (Some(bits), Mode::OneShot) => bits >> 30 == 1 && bits & !all == 1 << 30,
                _ => false,
            };
            assert!(agrees, "{entry:?} is watched as {found:x?}");
        }
        assert_eq!(watched.len(), wakers, "watched without a key: {watched:x?}");
    }
}
