//! What an epoll instance watches, as epoll(7) has it: files by (file, number),
//! not by number alone.

use std::os::fd::RawFd;

use rustix::io::Errno;
use selectors_core::{Events, Interest, Kind, Mode};

use super::batch::{Report, Token, reported};
use super::kernel::{Armed, Kernel, Known, Watch};
use super::needs;
use super::world::{FileId, Readiness, World};

#[derive(Debug)]
struct Entry {
    number: RawFd,
    watch: Watch,
    /// What the kernel carries for it, as soon as that has been seen.
    data: Option<u64>,
}

#[derive(Debug)]
pub struct Epoll {
    entries: Vec<Entry>,
    /// The instance, where its number is known.
    own: Option<RawFd>,
}

impl Epoll {
    pub fn new(own: Option<RawFd>) -> Self {
        Self { entries: Vec::new(), own }
    }

    fn of(&mut self, world: &World, number: RawFd) -> Result<(FileId, Option<&mut Entry>), Errno> {
        let file = world.file_of(number).ok_or(Errno::BADF)?;
        if world.is_regular(file) {
            return Err(Errno::PERM);
        }
        let holds = |entry: &&mut Entry| entry.watch.file == file && entry.number == number;
        Ok((file, self.entries.iter_mut().find(holds)))
    }
}

impl Kernel for Epoll {
    fn own(&self) -> Option<RawFd> {
        self.own
    }

    /// Adds, and replaces what is left of a removed registration.
    fn add(
        &mut self,
        world: &World,
        number: RawFd,
        requested: Interest,
        token: Token,
    ) -> Result<(), Errno> {
        let (file, old) = self.of(world, number)?;
        let entry = Entry { number, watch: Watch::new(world, file, requested, token), data: None };
        match old {
            Some(old) => *old = entry,
            None => self.entries.push(entry),
        }
        Ok(())
    }

    fn modify(
        &mut self,
        world: &World,
        number: RawFd,
        requested: Interest,
        token: Token,
    ) -> Result<(), Errno> {
        let entry = self.of(world, number)?.1.ok_or(Errno::NOENT)?;
        // The user data comes with every call.
        let data = entry.data.filter(|_| entry.watch.token == token);
        *entry =
            Entry { number, watch: Watch::new(world, entry.watch.file, requested, token), data };
        Ok(())
    }

    fn remove(&mut self, world: &World, number: RawFd) {
        let Some(file) = world.file_of(number) else { return };
        self.entries.retain(|entry| (entry.watch.file, entry.number) != (file, number));
    }

    fn watches(&mut self) -> Box<dyn Iterator<Item = &mut Watch> + '_> {
        Box::new(self.entries.iter_mut().map(|entry| &mut entry.watch))
    }

    /// A file that is not open anywhere has left every instance.
    fn forget_closed(&mut self, world: &World) {
        self.entries.retain(|entry| world.lives(entry.watch.file));
    }

    /// Every key is named by its number.
    fn rebuild(&mut self, world: &World, keys: &[Known]) {
        let old = std::mem::take(&mut self.entries);
        for &Known { number, requested, token, armed } in keys {
            if self.add(world, number, requested, token).is_err() {
                continue;
            }
            let Some(entry) = self.entries.last_mut() else { continue };
            entry.data = old.iter().find(|old| old.watch.token == token).and_then(|old| old.data);
            if !armed {
                entry.watch.armed = Armed::Perhaps;
            }
        }
    }

    fn reports(
        &self,
        world: &World,
        look: &dyn Fn(FileId) -> Readiness,
        lives: &dyn Fn(Token) -> bool,
    ) -> Vec<Report> {
        let mut reports = Vec::new();
        for watch in
            self.entries.iter().map(|entry| &entry.watch).filter(|watch| watch.armed != Armed::No)
        {
            let &Watch { token, requested, .. } = watch;
            let Readiness { least, most } = look(watch.file);
            let (least, most) =
                (reported(Kind::Epoll, least, requested), reported(Kind::Epoll, most, requested));
            let (may, must) = watch.due(world, least);
            if may && most != 0 {
                let zombie = !lives(token);
                // What is reported only once may have been reported for a
                // removed registration.
                let again = !zombie
                    || requested.mode == Mode::Level
                    || watch.perhaps_reported_at < watch.touched;
                reports.push(Report {
                    token,
                    least,
                    most,
                    sure: must && again && least != 0,
                    zombie,
                });
            }
        }
        reports
    }

    /// Compares with `/proc/self/fdinfo` of the instance.
    fn assert_agrees(&mut self, world: &World, wakers: usize) {
        let Some(own) = self.own.filter(|_| needs::fdinfo()) else { return };
        self.forget_closed(world);
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{own}")).unwrap();
        let mut lines: Vec<(RawFd, u32, u64)> = text.lines().filter_map(parse).collect();
        // Those that are known by their data come first: a number may be there
        // twice.
        self.entries.sort_by_key(|entry| entry.data.is_none());
        for entry in &mut self.entries {
            let same = |line: &(RawFd, u32, u64)| {
                line.0 == entry.number
                    && entry.data.is_none_or(|data| data == line.2)
                    && fits(entry, line.1)
            };
            let Some(place) = lines.iter().position(same) else {
                panic!("{entry:?} is not in the kernel:\n{text}");
            };
            entry.data = Some(lines.swap_remove(place).2);
        }
        assert_eq!(lines.len(), wakers, "in the kernel only: {lines:x?}");
    }
}

fn parse(line: &str) -> Option<(RawFd, u32, u64)> {
    let mut words = line.strip_prefix("tfd:")?.split_whitespace();
    let number = words.next()?.parse().ok()?;
    let mut hexadecimal = || words.find_map(|word| u64::from_str_radix(word, 16).ok());
    Some((number, u32::try_from(hexadecimal()?).ok()?, hexadecimal()?))
}

fn fits(entry: &Entry, bits: u32) -> bool {
    let requested = entry.watch.requested.events;
    let half = if requested.contains(Events::READ) { Events::READ_HANGUP } else { Events::empty() };
    let all = u32::from((requested | half).bits());
    let reported_at = bits & 0x2007;
    let mode = match (bits >> 31 == 1, bits >> 30 & 1 == 1) {
        (false, false) => Mode::Level,
        (true, false) => Mode::Edge,
        (false, true) => Mode::OneShot,
        _ => return false,
    };
    // A one-shot that fired keeps its mode and no events; whether a wait has
    // returned it is known for sure only when the batch had room for all.
    mode == entry.watch.requested.mode
        && (reported_at == all || mode == Mode::OneShot && reported_at == 0)
}
