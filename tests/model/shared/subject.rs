//! A selector beside its model: each step is done to both, and the answers are compared.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;
use selectors_core::backend::Backend;
use selectors_core::storage::{Fixed, Storage};
use selectors_core::{Error, Events, FileKind, Interest, Kind, Mode, Selector, WakeCell, Waker};
use selectors_std::Growable;

use super::batch::{Answer, Batch, Token, WAKE};
use super::epoll::Epoll;
use super::kernel::{Kernel, Known};
use super::kqueue::Kqueue;
use super::language::{LONGEST, Step};
use super::program::KINDS;
use super::scan::Scan;
use super::world::{FileId, Readiness, World, next_number, number};

/// A key table under test.
pub trait Table: Storage {
    const ROOM: Option<usize>;
    fn cell(number: usize) -> Self::Wake;
}

/// Of selectors without an allocator: each is used by one selector after the other.
static CELLS: [WakeCell; KINDS] = [const { WakeCell::new() }; KINDS];

impl<const N: usize> Table for Fixed<N> {
    const ROOM: Option<usize> = Some(N);
    fn cell(number: usize) -> Self::Wake {
        &CELLS[number]
    }
}

impl Table for Growable {
    const ROOM: Option<usize> = None;
    fn cell(_number: usize) -> Self::Wake {
        Self::Wake::default()
    }
}

/// What is registered: a number, and something that says when it is dropped.
#[derive(Debug)]
struct Source {
    fd: RawFd,
    _counted: Rc<()>,
}

impl AsRawFd for Source {
    fn as_raw_fd(&self) -> RawFd {
        self.fd
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        unreachable!("registered by number only")
    }
}

struct Key {
    asked: Interest,
    /// False after a one-shot was told.
    armed: bool,
    token: Token,
    /// The file that was at the number; `None` when that has changed since.
    file: Option<FileId>,
}

/// Everything a program does to a selector, whatever its type.
pub trait Subject {
    fn kind(&self) -> Kind;
    fn step(&mut self, world: &World, step: &Step);
    /// What all keys that nothing strange happened to were told, by number and interest.
    fn settle(&mut self, world: &World) -> BTreeMap<(RawFd, u16), Events>;
    fn check(&mut self, world: &World);
}

type Lend<B, M> = fn(&Selector<B, Source, Token, M>);

pub struct Beside<B: Backend, M: Table> {
    selector: Selector<B, Source, Token, M>,
    /// How many events a wait brings at most.
    room: usize,
    number: usize,
    counted: Rc<()>,
    kernel: Box<dyn Kernel>,
    keys: BTreeMap<RawFd, Key>,
    batch: Batch,
    fetched: u64,
    tokens: Token,
    waker: Option<Waker<M::Wake>>,
    /// A wake that no wait has brought: surely, or perhaps.
    woken: (bool, bool),
    lent: Option<Lend<B, M>>,
    is_lent: bool,
}

impl<B: Backend + 'static, M: Table + 'static> Beside<B, M> {
    /// `number` tells it from the others of a program.
    pub fn new(number: usize, room: usize) -> Self {
        let next = next_number();
        let selector = Selector::<B, _, _, M>::new().unwrap();
        let kernel: Box<dyn Kernel> = match selector.kind() {
            Kind::Epoll => {
                let link = std::fs::read_link(format!("/proc/self/fd/{next}")).unwrap();
                // Without asking the selector for it, which would count as lending it. In a program with threads
                // another one may have been quicker.
                let own = link.to_string_lossy().contains("eventpoll").then_some(next);
                Box::new(Epoll::new(own))
            }
            Kind::Kqueue => Box::new(Kqueue::new(next)),
            kind => Box::new(Scan::new(kind)),
        };
        let (batch, keys) = Default::default();
        let counted = Rc::new(());
        Self {
            selector,
            room,
            number,
            counted,
            kernel,
            keys,
            batch,
            fetched: 0,
            tokens: WAKE,
            waker: None,
            woken: (false, false),
            lent: None,
            is_lent: false,
        }
    }

    fn refusal(&self, asked: Interest) -> Result<(), Error> {
        let Interest { events, mode } = asked;
        let kind = self.selector.kind();
        if events.is_empty() || !(Events::READ | Events::WRITE | Events::PRIORITY).contains(events) {
            return Err(Error::InvalidEvents { events });
        }
        if mode == Mode::Edge && !kind.supports_edge()
            || events.contains(Events::PRIORITY) && !kind.supports_priority()
        {
            return Err(Error::Unsupported { backend: kind.name(), events, mode });
        }
        Ok(())
    }

    fn os(&self, fd: RawFd, errno: Errno) -> Error {
        // Nothing else in the world is refused while it is open.
        let file = (errno == Errno::PERM).then_some(FileKind::Regular);
        Error::Os { call: self.kernel.call(), fd: Some(fd), errno, file }
    }

    /// The model of `register`.
    fn enter(&mut self, world: &World, fd: RawFd, asked: Interest, token: Token) -> Result<(), Error> {
        self.refusal(asked)?;
        if fd < 0 {
            return Err(Error::InvalidFd { fd });
        }
        if self.keys.contains_key(&fd) {
            return Err(Error::AlreadyRegistered { fd });
        }
        if M::ROOM == Some(self.keys.len() + usize::from(self.waker.is_some())) {
            return Err(Error::Full { capacity: M::ROOM.unwrap_or(0) });
        }
        if self.selector.kind() == Kind::Select && fd >= 1024 {
            return Err(Error::FdOutOfRange { fd, limit: 1024 });
        }
        self.kernel.add(world, fd, asked, token).map_err(|errno| self.os(fd, errno))?;
        self.keys.insert(fd, Key { asked, armed: true, token, file: world.file_of(fd) });
        Ok(())
    }

    fn register(&mut self, world: &World, fd: RawFd, asked: Interest) {
        self.tokens += 1;
        let token = self.tokens;
        let expected = self.enter(world, fd, asked, token);
        let source = Source { fd, _counted: self.counted.clone() };
        // SAFETY: the promise is broken on purpose, by the world, which owns these numbers alone.
        match unsafe { self.selector.register_raw(source, asked, token) } {
            Ok(key) => {
                assert_eq!(expected, Ok(()));
                assert_eq!((key.fileobj.fd, key.fd, key.interest(), key.data), (fd, fd, asked, token));
            }
            Err(refused) => {
                assert_eq!((refused.fileobj.fd, refused.data), (fd, token));
                assert_eq!(Err(refused.error), expected);
            }
        }
    }

    /// The model of `modify`.
    fn change(&mut self, world: &World, fd: RawFd, asked: Interest) -> Result<(), Error> {
        self.refusal(asked)?;
        let key = self.keys.get(&fd).ok_or(Error::NotRegistered { fd })?;
        // An edge is armed again, and a key that the backend has found closed is watched again.
        let unchanged = key.armed && key.asked == asked && asked.mode != Mode::Edge;
        if unchanged && !self.kernel.is_silent(key.token) {
            return Ok(());
        }
        self.kernel.modify(world, fd, asked, key.token).map_err(|errno| self.os(fd, errno))?;
        if let Some(key) = self.keys.get_mut(&fd) {
            (key.asked, key.armed) = (asked, true);
        }
        Ok(())
    }

    fn unregister(&mut self, world: &World, fd: RawFd) {
        let expected = self.keys.remove(&fd);
        match (self.selector.unregister(fd), expected) {
            (Ok(key), Some(expected)) => {
                assert_eq!((key.fileobj.fd, key.fd, key.data), (fd, fd, expected.token));
                assert_eq!(key.interest(), expected.asked);
                self.batch.withdraw(key.data);
                self.kernel.remove(world, fd);
            }
            (Err(error), None) => assert_eq!(error, Error::NotRegistered { fd }),
            (answer, _) => panic!("unregistered {fd}: {answer:?}"),
        }
    }

    /// What a wait may bring now.
    fn answers(&self, world: &World, before: &[(FileId, u16)], after: &[(FileId, u16)]) -> Vec<Answer> {
        let bits =
            |look: &[(FileId, u16)], file| look.iter().find(|(one, _)| *one == file).map_or(0, |one| one.1);
        let look = |file| {
            let (before, after) = (bits(before, file), bits(after, file));
            Readiness { least: before & after, most: before | after }
        };
        let lives = |token| self.keys.values().any(|key| key.token == token);
        let mut answers = self.kernel.answers(world, &look, &lives);
        if self.woken.1 {
            let sure = self.woken.0;
            answers.push(Answer { token: WAKE, least: u16::from(sure), most: 1, sure, zombie: false });
        }
        answers
    }

    /// Waits, and answers how many are ready.
    fn select(&mut self, world: &World, timeout: Duration) -> usize {
        let (stats, before) = (self.selector.stats(), world.look());
        let answer = self.selector.select(Some(timeout));
        let (after, done) = (world.look(), self.selector.stats());
        let asked = asked(&self.keys);
        let (rebuilds, zombies) = (done.rebuilds - stats.rebuilds, self.batch.zombies());
        let (must_tell, may_tell) = (self.batch.must_tell(&asked), self.batch.may_tell(&asked));
        self.batch.looked_at(&asked);
        if rebuilds == 1 {
            assert!(zombies.1, "made anew for no reason");
            self.rebuild(world);
        } else {
            assert!(rebuilds == 0 && !(zombies.0 && done.waits > stats.waits), "{zombies:?}: it will spin");
        }
        if let Err(error) = answer {
            let fd = self.kernel.own().expect("only epoll is replaced");
            assert_eq!((error, self.is_lent, rebuilds), (Error::Replaced { fd }, true, 1));
            self.is_lent = false;
            self.batch = Batch::default();
            return 0;
        }
        let count = answer.unwrap_or(0);
        if done.waits == stats.waits {
            assert!(may_tell && count > 0 && count <= self.batch.left, "{count} of {:?}", self.batch);
            return count;
        }
        assert!(!must_tell, "it waited, but there was this: {:?}", self.batch);
        assert_eq!((done.waits, done.events), (stats.waits + 1, stats.events + count as u64));
        let closed = self.kernel.silence_closed(world);
        self.fetched = world.now;
        let mut answers = self.answers(world, &before, &after);
        if self.selector.kind() == Kind::Poll {
            // It may count them, and leaves them out when it comes to them.
            let nobody = Answer { token: Token::MAX, least: 0, most: 1, sure: false, zombie: false };
            answers.extend(std::iter::repeat_n(nobody, closed));
        }
        for (token, surely) in self.batch.fill(answers, count, self.room) {
            if !surely {
                self.kernel.perhaps_fetched(token, world.now);
                continue;
            }
            self.kernel.fetched(token, world.now);
            if token == WAKE {
                self.woken = (false, false);
            }
        }
        self.woken.0 = false;
        count
    }

    fn rebuild(&mut self, world: &World) {
        let known = |(fd, key): (&RawFd, &Key)| Known {
            number: *fd,
            asked: key.asked,
            token: key.token,
            armed: key.armed,
        };
        self.kernel.rebuild(world, &self.keys.iter().map(known).collect::<Vec<_>>());
        // The counter of earlier wakes is told to the new instance again.
        self.woken.1 = self.waker.is_some();
    }

    /// Takes at most so many, and answers with what was told.
    fn take(&mut self, at_most: usize) -> Vec<(RawFd, Events)> {
        let mut told = Vec::new();
        while told.len() < at_most {
            let asked = asked(&self.keys);
            let must_tell = self.batch.must_tell(&asked);
            self.batch.looked_at(&asked);
            let Some((key, events)) = self.selector.next_ready() else {
                assert!(!must_tell, "told nothing of {:?}", self.batch);
                break;
            };
            let (fd, token, interest) = (key.fd, *key.data, key.events.with_mode(key.mode));
            let Some(known) = self.keys.get_mut(&fd) else { panic!("{fd} was told, who is not there") };
            assert_eq!((token, interest, known.armed), (known.token, known.asked, true));
            let answer = self.batch.take(token, events, interest);
            self.kernel.fetched(answer.token, self.fetched);
            if interest.mode == Mode::OneShot {
                known.armed = false;
                self.kernel.fired(token, self.fetched);
            }
            told.push((fd, events));
        }
        told
    }

    fn make_waker(&mut self) {
        let cell = match &self.waker {
            Some(waker) => return assert!(waker.wake().is_ok() && self.note_wake()),
            None => M::cell(self.number),
        };
        let full = M::ROOM == Some(self.keys.len());
        match self.selector.waker_in(cell) {
            Ok(waker) => {
                assert!(!full);
                self.waker = Some(waker);
            }
            Err(error) => {
                assert_eq!((error, full), (Error::Full { capacity: self.keys.len() }, true));
            }
        }
    }

    fn note_wake(&mut self) -> bool {
        self.woken = (true, true);
        true
    }
}

/// What each living registration may be told.
fn asked(keys: &BTreeMap<RawFd, Key>) -> impl Fn(Token) -> Option<Interest> + use<> {
    let armed = keys.values().filter(|key| key.armed);
    let all: Vec<_> = armed.map(|key| (key.token, key.asked)).collect();
    move |token| all.iter().find(|(one, _)| *one == token).map(|(_, asked)| *asked)
}

impl<B: Backend + 'static, M: Table + 'static> Subject for Beside<B, M> {
    fn kind(&self) -> Kind {
        self.selector.kind()
    }

    fn step(&mut self, world: &World, step: &Step) {
        self.kernel.forget_closed(world);
        for (fd, key) in &mut self.keys {
            key.file = key.file.filter(|file| world.file_of(*fd) == Some(*file));
        }
        match *step {
            Step::Register(place, asked) => self.register(world, number(place), asked.interest()),
            Step::RegisterNowhere(negative, asked) => {
                self.register(world, if negative { -1 } else { 1_000_000 }, asked.interest());
            }
            Step::Modify(place, asked) => {
                let (fd, asked) = (number(place), asked.interest());
                let expected = self.change(world, fd, asked);
                assert_eq!(self.selector.modify(fd, asked), expected);
            }
            Step::Unregister(place) => self.unregister(world, number(place)),
            Step::Select(most) => {
                self.select(world, Duration::ZERO);
                self.take(most.events());
            }
            Step::SelectBriefly(most) => {
                self.select(world, Duration::from_micros(20));
                self.take(most.events());
            }
            Step::Take(most) => drop(self.take(most.events())),
            Step::Waker => self.make_waker(),
            Step::Wake => {
                if let Some(waker) = &self.waker {
                    assert_eq!(waker.wake(), Ok(()));
                    self.note_wake();
                }
            }
            Step::Lend => {
                if let Some(lend) = self.lent {
                    lend(&self.selector);
                    self.is_lent = true;
                }
            }
            _ => {}
        }
    }

    fn settle(&mut self, world: &World) -> BTreeMap<(RawFd, u16), Events> {
        // What is left from an earlier wait says how it was then.
        self.take(usize::MAX);
        let mut all = BTreeMap::new();
        // Everybody has had a turn after that many.
        for _ in 0..LONGEST {
            let before = all.len();
            if self.select(world, Duration::ZERO) == 0 && self.batch.left == 0 {
                break;
            }
            for (fd, events) in self.take(usize::MAX) {
                *all.entry(fd).or_insert(Events::empty()) |= events;
            }
            if all.len() == before && all.len() == self.keys.len() {
                break;
            }
        }
        let plain = |fd: &RawFd| {
            let key = self.keys.get(fd)?;
            let strange =
                key.file.is_none() || self.kernel.is_silent(key.token) || key.asked.mode != Mode::Level;
            (!strange).then_some((*fd, key.asked.events.bits()))
        };
        all.into_iter().filter_map(|(fd, events)| Some((plain(&fd)?, events))).collect()
    }

    fn check(&mut self, world: &World) {
        let map = self.selector.get_map();
        assert_eq!((map.len(), map.iter().count()), (self.keys.len(), self.keys.len()));
        assert_eq!(Rc::strong_count(&self.counted) - 1, self.keys.len(), "a source is lost, or kept");
        for (fd, key) in &self.keys {
            let found = map.get(*fd).map(|found| (found.fd, found.interest(), found.data));
            assert_eq!(found, Some((*fd, key.asked, key.token)));
        }
        self.kernel.assert_agrees(world, usize::from(self.waker.is_some()));
    }
}

impl<B: Backend + AsFd, M: Table> Beside<B, M> {
    /// The same, and its descriptor may be asked for.
    pub fn lendable(mut self) -> Self {
        self.lent = Some(|selector| {
            let _ = selector.as_fd();
        });
        self
    }
}
