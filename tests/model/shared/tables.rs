//! The key tables, fixed and growing, against a `BTreeMap`. No system calls: the backend is a fake.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use rustix::io::Errno;
use selectors_core::backend::Token;
use selectors_core::{Error, Events, Interest, Mode, Selector};

use super::fake::{Fake, kernel};
use super::language::{Asked, steps};
use super::subject::Table;

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Step {
    Register(u8, Asked),
    Modify(u8, Asked),
    Unregister(u8),
    /// The kernel has an event for the registration of this number: of now, or of one long gone.
    Raise(u8, u8),
    RaiseOld(u8, u8),
    Select,
    Take(u8),
    ChangeData(u8),
    /// The next call is refused.
    Refuse(u8),
}

pub const LONGEST: usize = 4000;

/// The waits between two attempts to recreate the kernel's set, as in the engine.
const PATIENCE: u32 = 100;

#[derive(Debug)]
pub struct Program(pub Vec<Step>);

impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(input: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        steps(input, LONGEST).map(Self)
    }
}

struct Source(RawFd, Rc<()>);

impl AsRawFd for Source {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

struct Key {
    asked: Interest,
    armed: bool,
    data: u64,
    token: Token,
}

const ERRNOS: [Errno; 5] = [Errno::NOMEM, Errno::BADF, Errno::NOSPC, Errno::INTR, Errno::EXIST];

struct Run<M: Table> {
    selector: Selector<Fake, Source, u64, M>,
    keys: BTreeMap<RawFd, Key>,
    /// Registrations that are gone, and events that the selector has not been asked about.
    old: Vec<Token>,
    raised: Vec<(Token, Events)>,
    batch: Vec<(Token, Events)>,
    counted: Rc<()>,
    data: u64,
    /// Not zero once a registration that does not exist was reported: then the waits until the rebuild.
    zombie: u32,
}

/// What must be refused without asking the backend.
fn refusal(asked: Interest) -> Result<(), Error> {
    let events = asked.events;
    let possible = Events::READ | Events::WRITE | Events::PRIORITY;
    if events.is_empty() || !possible.contains(events) {
        Err(Error::InvalidEvents { events })
    } else {
        Ok(())
    }
}

fn told(events: Events, asked: Interest) -> Events {
    let all = super::batch::told(events.bits(), asked);
    Events::from_bits_truncate(all)
}

impl<M: Table> Run<M> {
    fn new() -> Self {
        let selector = Selector::new().unwrap();
        let (keys, old, raised, batch, counted) = Default::default();
        Self { selector, keys, old, raised, batch, counted, data: 0, zombie: 0 }
    }

    fn refused(&self) -> Result<(), Errno> {
        kernel(|kernel| kernel.refusal.map_or(Ok(()), Err))
    }

    fn register(&mut self, fd: RawFd, asked: Interest) {
        self.data += 1;
        let full = Error::Full { capacity: self.keys.len() };
        let (calls, set) = kernel(|kernel| (kernel.calls, kernel.set.clone()));
        let early = refusal(asked)
            .and(if fd < 0 { Err(Error::InvalidFd { fd }) } else { Ok(()) })
            .and(if self.keys.contains_key(&fd) { Err(Error::AlreadyRegistered { fd }) } else { Ok(()) })
            .and(if M::ROOM == Some(self.keys.len()) { Err(full) } else { Ok(()) });
        let refused =
            self.refused().map_err(|errno| Error::Os { call: "add", fd: Some(fd), errno, file: None });
        let source = Source(fd, self.counted.clone());
        // SAFETY: no call is ever made on the number.
        match unsafe { self.selector.register_raw(source, asked, self.data) } {
            Ok(key) => {
                assert_eq!((key.fd, key.fileobj.0, key.interest(), key.data), (fd, fd, asked, self.data));
                assert_eq!((early, refused), (Ok(()), Ok(())));
                let token = kernel(|kernel| kernel.set.last().unwrap().token);
                assert!(!self.old.contains(&token), "one token for two registrations");
                self.keys.insert(fd, Key { asked, armed: true, data: self.data, token });
            }
            Err(error) => {
                assert_eq!((error.fileobj.0, error.data), (fd, self.data));
                assert_eq!(Err(error.error), early.and(refused));
                assert_eq!(kernel(|kernel| kernel.set.clone()), set);
            }
        }
        let reached = kernel(|kernel| kernel.calls) - calls;
        assert_eq!(reached, u64::from(early.is_ok()), "a call for nothing, or none");
    }

    fn modify(&mut self, fd: RawFd, asked: Interest) {
        let calls = kernel(|kernel| kernel.calls);
        let refused =
            self.refused().map_err(|errno| Error::Os { call: "modify", fd: Some(fd), errno, file: None });
        let mut expected = refusal(asked);
        let mut reaches = false;
        if expected.is_ok() {
            match self.keys.get_mut(&fd) {
                None => expected = Err(Error::NotRegistered { fd }),
                Some(key) if key.armed && key.asked == asked && asked.mode != Mode::Edge => {}
                Some(key) => {
                    (reaches, expected) = (true, refused);
                    if refused.is_ok() {
                        (key.asked, key.armed) = (asked, true);
                    }
                }
            }
        }
        assert_eq!(self.selector.modify(fd, asked), expected);
        assert_eq!(kernel(|kernel| kernel.calls) - calls, u64::from(reaches));
    }

    fn unregister(&mut self, fd: RawFd) {
        match (self.selector.unregister(fd), self.keys.remove(&fd)) {
            (Ok(gone), Some(key)) => {
                assert_eq!((gone.fd, gone.fileobj.0, gone.data), (fd, fd, key.data));
                assert_eq!(gone.interest(), key.asked);
                self.old.push(key.token);
            }
            (Err(error), None) => assert_eq!(error, Error::NotRegistered { fd }),
            (answer, _) => panic!("{:?}", answer.map(|key| key.data)),
        }
    }

    fn raise(&mut self, token: Token, bits: u8) {
        let bits = u16::from(bits & 0x1f) | u16::from(bits & 0x20) << 8;
        self.raised.push((token, Events::from_bits_truncate(bits)));
    }

    /// The first event of the batch that somebody is told, and how many come before it.
    fn next(&self) -> Option<(usize, RawFd, Events)> {
        self.batch.iter().enumerate().find_map(|(place, (token, events))| {
            let (fd, key) = self.keys.iter().find(|(_, key)| key.token == *token && key.armed)?;
            let told = told(*events, key.asked);
            (!told.is_empty()).then_some((place, *fd, told))
        })
    }

    fn drop_stale(&mut self) {
        let stale = self.next().map_or(self.batch.len(), |(place, ..)| place);
        for (token, _) in self.batch.drain(..stale) {
            let exists = self.keys.values().any(|key| key.token == token);
            self.zombie = self.zombie.max(u32::from(!exists));
        }
    }

    fn select(&mut self) {
        let before = kernel(|kernel| (kernel.calls, kernel.rebuilds));
        self.drop_stale();
        let left = self.batch.len();
        let refused = self.refused();
        kernel(|kernel| kernel.raised = self.raised.iter().copied().collect());
        let answer = self.selector.select(Some(Duration::ZERO));
        let (calls, rebuilds) = kernel(|kernel| (kernel.calls - before.0, kernel.rebuilds - before.1));
        if left > 0 {
            assert_eq!((answer, calls), (Ok(left), 0), "what was left comes first");
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
            Err(Errno::INTR) if !rebuild_is_due => assert_eq!(answer, Ok(0)),
            Err(errno) if !rebuild_is_due => {
                assert_eq!(answer, Err(Error::Os { call: "epoll_wait", fd: None, errno, file: None }));
            }
            _ => {
                self.batch = std::mem::take(&mut self.raised);
                if self.zombie > 0 {
                    // The selector looks for something to report.
                    self.drop_stale();
                }
                assert_eq!(answer, Ok(self.batch.len()));
            }
        }
    }

    fn take(&mut self) {
        self.drop_stale();
        let expected = self.next().map(|(_, fd, events)| (fd, events));
        let told = self.selector.next_ready();
        let told = told.map(|(key, events)| {
            let known = &self.keys[&key.fd];
            assert_eq!((key.fileobj.0, *key.data), (key.fd, known.data));
            (key.fd, events)
        });
        assert_eq!(told, expected);
        let Some((fd, _)) = told else { return };
        self.batch.remove(0);
        if let Some(key) = self.keys.get_mut(&fd).filter(|key| key.asked.mode == Mode::OneShot) {
            key.armed = false;
        }
    }

    fn step(&mut self, step: Step) {
        // Small numbers and large ones; -1 once in a while.
        let number = |fd: u8| if fd < 64 { RawFd::from(fd) - 1 } else { RawFd::from(fd) << 22 };
        match step {
            Step::Register(fd, asked) => self.register(number(fd), asked.interest()),
            Step::Modify(fd, asked) => self.modify(number(fd), asked.interest()),
            Step::Unregister(fd) => self.unregister(number(fd)),
            Step::Raise(fd, bits) => {
                if let Some(token) = self.keys.get(&number(fd)).map(|key| key.token) {
                    self.raise(token, bits);
                }
            }
            Step::RaiseOld(which, bits) => {
                let which = usize::from(which) % self.old.len().max(1);
                if let Some(token) = self.old.iter().rev().nth(which).copied() {
                    self.raise(token, bits);
                }
            }
            Step::Select => self.select(),
            Step::Take(number) => (0..number % 8).for_each(|_| self.take()),
            Step::ChangeData(fd) => {
                let found = self.selector.get_key_mut(number(fd));
                match (found, self.keys.get_mut(&number(fd))) {
                    (Some(key), Some(known)) => {
                        self.data += 1;
                        (*key.data, known.data) = (self.data, self.data);
                    }
                    (found, known) => assert!(found.is_none() && known.is_none()),
                }
            }
            Step::Refuse(which) => {
                let errno = ERRNOS[usize::from(which) % ERRNOS.len()];
                kernel(|kernel| kernel.refusal = Some(errno));
            }
        }
    }

    fn check(&self) {
        let map = self.selector.get_map();
        assert_eq!((map.len(), map.iter().len()), (self.keys.len(), self.keys.len()));
        assert_eq!(Rc::strong_count(&self.counted) - 1, self.keys.len());
        kernel(|kernel| {
            assert_eq!(kernel.set.len(), self.keys.len());
            for entry in &kernel.set {
                let key = &self.keys[&entry.fd];
                assert_eq!((entry.token, entry.interest, entry.armed), (key.token, key.asked, key.armed));
            }
        });
        for key in map {
            let known = &self.keys[&key.fd];
            assert_eq!((key.data, key.interest()), (known.data, known.asked));
            assert!(std::ptr::eq(key, map.get(key.fd).unwrap()));
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
}
