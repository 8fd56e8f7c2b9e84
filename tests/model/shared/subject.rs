//! A selector next to its model: each step is done to both, and what they
//! return is compared.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;
use selectors_core::backend::Backend;
use selectors_core::storage::{Fixed, Storage};
use selectors_core::{Error, Events, FileKind, Interest, Kind, Mode, Selector, WakeCell, Waker};
use selectors_std::Growable;

use super::acts;
use super::batch::{Batch, Token};
use super::epoll::Epoll;
use super::kernel::Kernel;
use super::keys::{Calls, Keys, Name};
use super::kqueue::Kqueue;
use super::language::{Act, LONGEST, Named, Step};
use super::program::KINDS;
use super::scan::Scan;
use super::source::Source;
use super::world::{FileId, World, next_number, number};

/// A key table under test.
pub trait Table: Storage {
    const ROOM: Option<usize>;
    fn cell(number: usize) -> Self::Wake;
}

/// Of selectors without an allocator: each is used by one selector after the
/// other.
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

/// Everything a program does to a selector, whatever its type.
pub trait Subject {
    fn kind(&self) -> Kind;
    fn step(&mut self, world: &World, step: &Step);
    /// What was delivered to all keys that nothing strange happened to, by
    /// number and interest.
    fn settle(&mut self, world: &World) -> BTreeMap<(RawFd, u16), Events>;
    fn check(&mut self, world: &World);
}

type HandOut<B, M> = fn(&Selector<B, Source, Name, M>);

pub struct Modeled<B: Backend, M: Table> {
    pub(super) selector: Selector<B, Source, Name, M>,
    /// How many events a wait returns at most.
    pub(super) room: usize,
    number: usize,
    counted: Rc<()>,
    pub(super) kernel: Box<dyn Kernel>,
    pub(super) keys: Keys,
    pub(super) batch: Batch,
    /// The files that were at the numbers, by registration.
    files: BTreeMap<Token, FileId>,
    pub(super) fetched: u64,
    pub(super) waker: Option<Waker<M::Wake>>,
    /// A wake that no wait has returned: surely, or perhaps.
    pub(super) woken: (bool, bool),
    handed_out: Option<HandOut<B, M>>,
    pub(super) is_handed_out: bool,
}

/// The calls that the selector makes, made to the model of the kernel.
struct Made<'a> {
    world: &'a World,
    kind: Kind,
    kernel: &'a mut dyn Kernel,
    batch: &'a mut Batch,
    files: &'a mut BTreeMap<Token, FileId>,
}

impl Made<'_> {
    fn os(&self, fd: RawFd, errno: Errno) -> Error {
        // Of what is open, only a regular file is refused.
        let file = (errno == Errno::PERM).then_some(FileKind::Regular);
        Error::Os { call: self.kernel.call(), fd: Some(fd), errno, file }
    }
}

impl Calls for Made<'_> {
    fn add(&mut self, fd: RawFd, requested: Interest, token: Token) -> Result<(), Error> {
        if self.kind == Kind::Select && fd >= 1024 {
            return Err(Error::FdOutOfRange { fd, limit: 1024 });
        }
        self.kernel.add(self.world, fd, requested, token).map_err(|errno| self.os(fd, errno))?;
        self.files.extend(self.world.file_of(fd).map(|file| (token, file)));
        Ok(())
    }

    fn modify(&mut self, fd: RawFd, requested: Interest, token: Token) -> Result<(), Error> {
        self.kernel.modify(self.world, fd, requested, token).map_err(|errno| self.os(fd, errno))
    }

    fn remove(&mut self, fd: RawFd, token: Token) {
        self.batch.withdraw(token);
        self.kernel.remove(self.world, fd);
        self.files.remove(&token);
    }

    fn is_dropped(&self, token: Token) -> bool {
        self.kernel.is_dropped(token)
    }
}

/// What is needed to do an operation: the selector, the model, and the calls
/// between them.
macro_rules! parts {
    ($subject:ident, $world:ident, $selector:ident, $keys:ident, $calls:ident) => {
        let kind = $subject.selector.kind();
        let Self { selector: $selector, keys: $keys, kernel, batch, files, .. } = $subject;
        let $calls = &mut Made { world: $world, kind, kernel: &mut **kernel, batch, files };
    };
}

impl<B: Backend + 'static, M: Table + 'static> Modeled<B, M> {
    /// `number` distinguishes it from the others of a program.
    pub fn new(number: usize, room: usize) -> Self {
        let next = next_number();
        let selector = Selector::<B, _, _, M>::new().unwrap();
        let kernel: Box<dyn Kernel> = match selector.kind() {
            Kind::Epoll => {
                let link = std::fs::read_link(format!("/proc/self/fd/{next}")).unwrap();
                // Without a call of `as_fd`, which would count as handing it
                // out. In a program with threads another one may have been
                // quicker.
                let own = link.to_string_lossy().contains("eventpoll").then_some(next);
                Box::new(Epoll::new(own))
            }
            Kind::Kqueue => Box::new(Kqueue::new(next)),
            kind => Box::new(Scan::new(kind)),
        };
        let keys = Keys::new(selector.kind(), M::ROOM);
        let (batch, files, counted) = Default::default();
        Self {
            selector,
            room,
            number,
            counted,
            kernel,
            keys,
            batch,
            files,
            fetched: 0,
            waker: None,
            woken: (false, false),
            handed_out: None,
            is_handed_out: false,
        }
    }

    fn register(&mut self, world: &World, fd: RawFd, requested: Interest) {
        let (source, taken) = (Source::new(fd, &self.counted), usize::from(self.waker.is_some()));
        parts!(self, world, selector, keys, calls);
        let name = keys.next_name();
        let expected = keys.register(calls, &source, requested, taken);
        // SAFETY: the promise is broken on purpose, by the world, which owns
        // these numbers alone.
        let done = unsafe { selector.register_raw(source, requested, name) };
        assert_eq!(done.as_ref().map(|key| key.data).map_err(|error| *error), expected);
        if let Ok(key) = done {
            let id = key.id();
            assert!(!keys.former.contains(&id), "an id for two registrations");
            keys.all.get_mut(&name).unwrap().id = Some(id);
        }
    }

    fn call(&mut self, world: &World, named: Named, act: Act) {
        let Some(lookup) = acts::lookup(&self.keys, named, number) else { return };
        parts!(self, world, selector, keys, calls);
        acts::call(selector, lookup, keys, calls, act, number);
    }

    fn make_waker(&mut self) {
        let cell = match &self.waker {
            Some(waker) => return assert!(waker.wake().is_ok() && self.note_wake()),
            None => M::cell(self.number),
        };
        let full = M::ROOM == Some(self.keys.all.len());
        match self.selector.waker_in(cell) {
            Ok(waker) => {
                assert!(!full);
                self.waker = Some(waker);
            }
            Err(error) => {
                assert_eq!((error, full), (Error::Full { capacity: self.keys.all.len() }, true));
            }
        }
    }

    fn note_wake(&mut self) -> bool {
        self.woken = (true, true);
        true
    }
}

impl<B: Backend + 'static, M: Table + 'static> Subject for Modeled<B, M> {
    fn kind(&self) -> Kind {
        self.selector.kind()
    }

    fn step(&mut self, world: &World, step: &Step) {
        self.kernel.forget_closed(world);
        for key in self.keys.all.values() {
            if self.files.get(&key.token).is_some_and(|file| world.file_of(key.fd) != Some(*file)) {
                self.files.remove(&key.token);
            }
        }
        match *step {
            Step::Register(place, requested) => {
                self.register(world, number(place), requested.interest());
            }
            Step::RegisterNowhere(negative, requested) => {
                self.register(world, if negative { -1 } else { 1_000_000 }, requested.interest());
            }
            Step::Modify(place, requested) => {
                self.call(world, Named::At(place), Act::Modify(requested));
            }
            Step::Unregister(place) => self.call(world, Named::At(place), Act::Unregister),
            Step::Call(named, act) => self.call(world, named, act),
            Step::Through(named, act) => {
                let Some(lookup) = acts::lookup(&self.keys, named, number) else { return };
                parts!(self, world, selector, keys, calls);
                acts::through(selector, lookup, keys, calls, act, number);
            }
            Step::Walk(all) => {
                parts!(self, world, selector, keys, calls);
                acts::walk(selector, keys, calls, all, number);
            }
            Step::Retain(bits) => {
                parts!(self, world, selector, keys, calls);
                acts::retain(selector, keys, calls, bits);
            }
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
            Step::HandOut => {
                if let Some(hand_out) = self.handed_out {
                    hand_out(&self.selector);
                    self.is_handed_out = true;
                }
            }
            _ => {}
        }
    }

    fn settle(&mut self, world: &World) -> BTreeMap<(RawFd, u16), Events> {
        // What is left from an earlier wait says how it was then.
        self.take(usize::MAX);
        let mut all = BTreeMap::new();
        // Every key has had a turn after that many.
        for _ in 0..LONGEST {
            let before = all.len();
            if self.select(world, Duration::ZERO) == 0 && self.batch.left == 0 {
                break;
            }
            for (name, events) in self.take(usize::MAX) {
                *all.entry(name).or_insert(Events::empty()) |= events;
            }
            if all.len() == before && all.len() == self.keys.all.len() {
                break;
            }
        }
        let plain = |name: &Name| {
            let key = self.keys.all.get(name)?;
            let same = self.files.contains_key(&key.token) && !self.kernel.is_dropped(key.token);
            (same && key.requested.mode == Mode::Level)
                .then_some((key.fd, key.requested.events.bits()))
        };
        all.into_iter().filter_map(|(name, events)| Some((plain(&name)?, events))).collect()
    }

    fn check(&mut self, world: &World) {
        let map = self.selector.get_map();
        let count = self.keys.all.len();
        assert_eq!((map.len(), map.iter().count()), (count, count));
        assert_eq!(Rc::strong_count(&self.counted) - 1, count, "a source is lost, or kept");
        for key in map {
            self.keys.assert_same(key);
            assert!(std::ptr::eq(key, map.get(key.id()).unwrap()));
            assert!(key.fd == -1 || std::ptr::eq(key, map.get(key.fd).unwrap()));
        }
        assert!(self.selector.pending() <= self.batch.left);
        self.kernel.assert_agrees(world, usize::from(self.waker.is_some()));
    }
}

impl<B: Backend + AsFd, M: Table> Modeled<B, M> {
    /// The same, and its descriptor may be handed out.
    pub fn with_own_descriptor(mut self) -> Self {
        self.handed_out = Some(|selector| {
            let _ = selector.as_fd();
        });
        self
    }
}
