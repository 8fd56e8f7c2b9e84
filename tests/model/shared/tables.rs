//! The key tables, fixed and growing, against the model of the registrations.
//! No system calls: the backend is a fake.

use std::collections::BTreeMap;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use rustix::io::Errno;
use selectors_core::backend::Token;
use selectors_core::storage::{Index, Storage};
use selectors_core::{Error, Events, Interest, Kind, Mode, Selector, WakeCell};
use selectors_std::GrowableList;

use super::acts;
use super::batch::Token as Registration;
use super::fake::{Entry, Fake, kernel};
use super::keys::{Calls, Key, Keys, Name};
use super::language::{Act, Named, Requested, steps};
use super::source::Source;
use super::subject::Table;

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Step {
    Register(u8, Requested),
    /// The selector's own methods, with the key named in any way.
    Call(Named, Act),
    /// The methods of the key that `get_key_mut` returns.
    Through(Named, Act),
    Walk([Act; 3]),
    Retain(u8),
    /// The kernel has an event for one of the registrations, or for a removed
    /// one.
    Raise(u8, u8),
    RaiseOld(u8, u8),
    Select,
    Take(u8),
    /// The next call is refused.
    Refuse(u8),
}

pub const LONGEST: usize = 4000;

/// The waits between two attempts to recreate the kernel's set, as in the
/// engine.
const PATIENCE: u32 = 100;

#[derive(Debug)]
pub struct Program(pub Vec<Step>);

impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(input: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        steps(input, LONGEST).map(Self)
    }
}

const ERRNOS: [Errno; 5] = [Errno::NOMEM, Errno::BADF, Errno::NOSPC, Errno::INTR, Errno::EXIST];

/// A number: small or large, and once in a while -1.
fn number(fd: u8) -> RawFd {
    if fd < 64 { RawFd::from(fd) - 1 } else { RawFd::from(fd) << 22 }
}

/// A storage whose index forgets everything that `insert` permits it to forget.
enum Forgetful {}

// SAFETY: see `GrowableList`, `Forgets` and `Growable`.
unsafe impl Storage for Forgetful {
    type List<T> = GrowableList<T>;
    type Index = Forgets;
    type Wake = Arc<WakeCell>;
}

impl Table for Forgetful {
    const ROOM: Option<usize> = None;
    fn cell(_number: usize) -> Self::Wake {
        Self::Wake::default()
    }
}

#[derive(Default)]
struct Forgets(BTreeMap<RawFd, u32>);

// SAFETY: a map that keeps what is live and what was inserted last.
unsafe impl Index for Forgets {
    fn find(&self, fd: RawFd, _scan: impl FnOnce() -> Option<u32>) -> Option<u32> {
        self.0.get(&fd).copied()
    }

    fn reserve(&mut self, _keys: usize) -> bool {
        true
    }

    fn insert(
        &mut self,
        fd: RawFd,
        slot: u32,
        _scan: impl FnOnce() -> Option<u32>,
        live: impl Iterator<Item = (RawFd, u32)>,
    ) -> Option<u32> {
        let known = self.0.get(&fd).copied();
        self.0 = live.collect();
        self.0.insert(fd, slot);
        known
    }
}

/// The calls that are expected to reach the backend, and what becomes of them.
struct Expected {
    calls: u64,
    refusal: Option<Errno>,
}

impl Expected {
    fn next() -> Self {
        kernel(|kernel| Self { calls: kernel.calls, refusal: kernel.refusal })
    }

    fn call(&mut self, call: &'static str, fd: RawFd) -> Result<(), Error> {
        self.calls += 1;
        let refused = |errno| Err(Error::Os { call, fd: Some(fd), errno, file: None });
        self.refusal.take().map_or(Ok(()), refused)
    }

    fn assert_met(&self) {
        let seen = kernel(|kernel| (kernel.calls, kernel.refusal));
        assert_eq!(seen, (self.calls, self.refusal), "a call for nothing, or none");
    }
}

impl Calls for Expected {
    fn add(&mut self, fd: RawFd, _: Interest, _: Registration) -> Result<(), Error> {
        self.call("add", fd)
    }

    fn modify(&mut self, fd: RawFd, _: Interest, _: Registration) -> Result<(), Error> {
        self.call("modify", fd)
    }

    fn remove(&mut self, _: RawFd, _: Registration) {
        self.calls += 1;
    }
}

struct Run<M: Table> {
    selector: Selector<Fake, Source, Name, M>,
    keys: Keys,
    /// The backend's tokens of registrations, by the model's.
    tokens: BTreeMap<Registration, Token>,
    /// Removed registrations, and events that the selector has not looked at.
    old: Vec<Token>,
    raised: Vec<(Token, Events)>,
    batch: Vec<(Token, Events)>,
    counted: Rc<()>,
    /// Not zero once a registration that does not exist was reported: then the
    /// waits until the rebuild.
    zombie: u32,
}

fn delivered(events: Events, requested: Interest) -> Events {
    let all = super::batch::delivered(events.bits(), requested);
    Events::from_bits_truncate(all)
}

impl<M: Table> Run<M> {
    fn new() -> Self {
        let (selector, keys) = (Selector::new().unwrap(), Keys::new(Kind::Epoll, M::ROOM));
        let (tokens, old, raised, batch, counted) = Default::default();
        Self { selector, keys, tokens, old, raised, batch, counted, zombie: 0 }
    }

    fn register(&mut self, fd: RawFd, requested: Interest) {
        let (source, name) = (Source::new(fd, &self.counted), self.keys.next_name());
        let mut calls = Expected::next();
        let expected = self.keys.register(&mut calls, &source, requested, 0);
        // SAFETY: no call is ever made on the number.
        let done = unsafe { self.selector.register_raw(source, requested, name) };
        assert_eq!(done.as_ref().map(|key| key.data).map_err(|error| *error), expected);
        if let Ok(key) = done {
            let id = key.id();
            assert!(!self.keys.former.contains(&id), "an id for two registrations");
            self.keys.all.get_mut(&name).unwrap().id = Some(id);
        }
        calls.assert_met();
    }

    /// Does something by these calls, which the model expects.
    fn act(
        &mut self,
        work: impl FnOnce(&mut Selector<Fake, Source, Name, M>, &mut Keys, &mut Expected),
    ) {
        let mut calls = Expected::next();
        work(&mut self.selector, &mut self.keys, &mut calls);
        calls.assert_met();
    }

    /// Notes what the backend got for new registrations, and which ones were
    /// removed.
    fn note_tokens(&mut self) {
        let (lives, old) = (self.keys.lives(), &mut self.old);
        self.tokens.retain(|registration, token| {
            let alive = lives(*registration);
            old.extend((!alive).then_some(*token));
            alive
        });
        for key in self.keys.all.values().filter(|key| key.watched) {
            if self.tokens.contains_key(&key.token) {
                continue;
            }
            let entry =
                kernel(|kernel| kernel.set.iter().find(|entry| entry.fd == key.fd).copied());
            let token = entry.expect("it is not in the backend's set").token;
            assert!(!self.old.contains(&token), "one token for two registrations");
            self.tokens.insert(key.token, token);
        }
    }

    fn raise(&mut self, token: Token, bits: u8) {
        let bits = u16::from(bits & 0x1f) | u16::from(bits & 0x20) << 8;
        self.raised.push((token, Events::from_bits_truncate(bits)));
    }

    /// The first event of the batch that is delivered, and how many come before
    /// it.
    fn next(&self) -> Option<(usize, Name, Events)> {
        let find = |token: &Token| {
            let is = |key: &Key| key.watched && self.tokens.get(&key.token) == Some(token);
            self.keys.all.iter().find(|(_, key)| key.armed && is(key))
        };
        self.batch.iter().enumerate().find_map(|(place, (token, events))| {
            let (name, key) = find(token)?;
            let delivered = delivered(*events, key.requested);
            (!delivered.is_empty()).then_some((place, *name, delivered))
        })
    }

    fn drop_stale(&mut self) {
        let stale = self.next().map_or(self.batch.len(), |(place, ..)| place);
        for (token, _) in self.batch.drain(..stale) {
            let exists = self.tokens.values().any(|known| *known == token);
            self.zombie = self.zombie.max(u32::from(!exists));
        }
    }

    fn select(&mut self) {
        let before = kernel(|kernel| (kernel.calls, kernel.rebuilds));
        self.drop_stale();
        let left = self.batch.len();
        let refused = kernel(|kernel| kernel.refusal.map_or(Ok(()), Err));
        kernel(|kernel| kernel.raised = self.raised.iter().copied().collect());
        let result = self.selector.select(Some(Duration::ZERO));
        let (calls, rebuilds) =
            kernel(|kernel| (kernel.calls - before.0, kernel.rebuilds - before.1));
        let events = result.map(|result| result.events());
        if left > 0 {
            assert_eq!((events, calls), (Ok(left), 0), "what was left comes first");
            return;
        }
        // The kernel refuses one call: the first one, which may be the rebuild.
        let rebuild_is_due = self.zombie == 1;
        self.zombie = match (rebuild_is_due, refused) {
            (true, Err(_)) => PATIENCE,
            _ => self.zombie.saturating_sub(1),
        };
        assert_eq!(calls, 1 + u64::from(rebuild_is_due));
        assert_eq!(rebuilds == 1, rebuild_is_due && refused.is_ok());
        match refused {
            Err(Errno::INTR) if !rebuild_is_due => assert!(result.unwrap().interrupted()),
            Err(errno) if !rebuild_is_due => {
                let refused = Error::Os { call: "epoll_wait", fd: None, errno, file: None };
                assert_eq!(result, Err(refused));
            }
            _ => {
                self.batch = std::mem::take(&mut self.raised);
                if self.zombie > 0 {
                    // The selector looks for something to report.
                    self.drop_stale();
                }
                let result = result.unwrap();
                assert_eq!(result.events(), self.batch.len());
                assert_eq!(result.timed_out(), self.batch.is_empty());
            }
        }
    }

    fn take(&mut self) {
        self.drop_stale();
        let expected = self.next().map(|(_, name, events)| (name, events));
        let reported = self.selector.next_ready();
        let reported = reported.map(|(key, events)| {
            self.keys.assert_same(&key);
            (key.data, events)
        });
        assert_eq!(reported, expected);
        let Some((name, _)) = reported else { return };
        self.batch.remove(0);
        if let Some(key) =
            self.keys.all.get_mut(&name).filter(|key| key.requested.mode == Mode::OneShot)
        {
            key.armed = false;
        }
    }

    fn step(&mut self, step: Step) {
        let lookup = match step {
            Step::Call(named, _) | Step::Through(named, _) => {
                acts::lookup(&self.keys, named, number)
            }
            _ => None,
        };
        match (step, lookup) {
            (Step::Register(fd, requested), _) => self.register(number(fd), requested.interest()),
            (Step::Call(_, act), Some(lookup)) => self.act(|selector, keys, calls| {
                acts::call(selector, lookup, keys, calls, act, number);
            }),
            (Step::Through(_, act), Some(lookup)) => self.act(|selector, keys, calls| {
                acts::through(selector, lookup, keys, calls, act, number);
            }),
            (Step::Call(..) | Step::Through(..), None) => {}
            (Step::Walk(all), _) => self.act(|selector, keys, calls| {
                acts::walk(selector, keys, calls, all, number);
            }),
            (Step::Retain(bits), _) => self.act(|selector, keys, calls| {
                acts::retain(selector, keys, calls, bits);
            }),
            (Step::Raise(which, bits), _) => {
                let which = usize::from(which) % self.tokens.len().max(1);
                if let Some(token) = self.tokens.values().nth(which).copied() {
                    self.raise(token, bits);
                }
            }
            (Step::RaiseOld(which, bits), _) => {
                let which = usize::from(which) % self.old.len().max(1);
                if let Some(token) = self.old.iter().rev().nth(which).copied() {
                    self.raise(token, bits);
                }
            }
            (Step::Select, _) => self.select(),
            (Step::Take(number), _) => (0..number % 8).for_each(|_| self.take()),
            (Step::Refuse(which), _) => {
                let errno = ERRNOS[usize::from(which) % ERRNOS.len()];
                kernel(|kernel| kernel.refusal = Some(errno));
            }
        }
        self.note_tokens();
    }

    fn check(&self) {
        let (map, count) = (self.selector.get_map(), self.keys.all.len());
        assert_eq!((map.len(), map.iter().len()), (count, count));
        assert_eq!(Rc::strong_count(&self.counted) - 1, count);
        kernel(|kernel| {
            let mut watched = self.keys.all.values().filter(|key| key.watched);
            assert_eq!(kernel.set.len(), watched.clone().count());
            let entry = |key: &Key| {
                let token = self.tokens[&key.token];
                Entry { fd: key.fd, token, interest: key.requested, armed: key.armed }
            };
            assert!(watched.all(|key| kernel.set.contains(&entry(key))), "{:?}", kernel.set);
        });
        for key in map {
            self.keys.assert_same(key);
            assert!(std::ptr::eq(key, map.get(key.id()).unwrap()));
            assert!(key.fd == -1 || std::ptr::eq(key, map.get(key.fd).unwrap()));
        }
    }
}

pub fn run<M: Table>(steps: &[Step]) {
    let mut run = Run::<M>::new();
    for (count, step) in steps.iter().enumerate() {
        run.step(*step);
        // Looking at everything is dearer than doing anything.
        if count % 16 == 0 || count + 1 == steps.len() {
            run.check();
        }
    }
}

pub fn run_all(steps: &[Step]) {
    run::<selectors_core::storage::Fixed<1>>(steps);
    run::<selectors_core::storage::Fixed<7>>(steps);
    run::<selectors_core::storage::Fixed<32>>(steps);
    run::<selectors_std::Growable>(steps);
    run::<Forgetful>(steps);
}
