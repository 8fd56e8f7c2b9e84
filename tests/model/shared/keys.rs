//! The model of the registrations: what is watched, paused or disarmed, and
//! under which number.

use std::collections::BTreeMap;
use std::os::fd::RawFd;
use std::rc::Rc;

use selectors_core::{Error, Events, Interest, KeyId, Kind, Lookup, Mode, SelectorKey};

use super::batch::Token;
use super::source::{Panicked, Said, Source};

/// Names a key in the model. It is the key's data.
pub type Name = u64;

/// What a call returns, if it does.
pub type Outcome = Result<Result<(), Error>, Panicked>;

/// The model of the backend: each call that the selector makes is made to it,
/// too.
pub trait Calls {
    fn add(&mut self, fd: RawFd, requested: Interest, token: Token) -> Result<(), Error>;
    fn modify(&mut self, fd: RawFd, requested: Interest, token: Token) -> Result<(), Error>;
    fn remove(&mut self, fd: RawFd, token: Token);

    /// Whether the backend has stopped to watch a registration by itself.
    fn is_dropped(&self, _token: Token) -> bool {
        false
    }
}

#[derive(Debug)]
pub struct Key {
    pub requested: Interest,
    /// False after a one-shot was delivered.
    pub armed: bool,
    /// It is in the backend's set.
    pub watched: bool,
    pub paused: bool,
    /// What events are known by: another one after each pause.
    pub token: Token,
    /// -1 after the number was lost.
    pub fd: RawFd,
    /// It has none until it is registered.
    pub id: Option<KeyId>,
    pub said: Rc<Said>,
    /// How often the source has named its number.
    pub times: usize,
}

#[derive(Debug)]
pub struct Keys {
    pub all: BTreeMap<Name, Key>,
    /// The ids of those that were registered once.
    pub former: Vec<KeyId>,
    kind: Kind,
    room: Option<usize>,
    names: Name,
    tokens: Token,
}

impl Keys {
    pub fn new(kind: Kind, room: Option<usize>) -> Self {
        let (all, former) = Default::default();
        Self { all, former, kind, room, names: 0, tokens: 0 }
    }

    pub fn by_fd(&self, fd: RawFd) -> Option<Name> {
        let found = self.all.iter().find(|(_, key)| fd >= 0 && key.fd == fd);
        found.map(|(name, _)| *name)
    }

    pub fn look_up(&self, lookup: Lookup) -> Result<Name, Error> {
        let found = match lookup {
            Lookup::Fd(fd) => self.by_fd(fd),
            Lookup::Id(id) => {
                self.all.iter().find(|(_, key)| key.id == Some(id)).map(|(name, _)| *name)
            }
            _ => None,
        };
        found.ok_or(Error::NotRegistered { key: lookup })
    }

    fn key(&mut self, name: Name) -> &mut Key {
        self.all.get_mut(&name).unwrap()
    }

    /// What must be refused without a call.
    pub fn refusal(&self, requested: Interest) -> Result<(), Error> {
        let Interest { events, mode, .. } = requested;
        let possible = Events::READ | Events::WRITE | Events::PRIORITY | Events::READ_HANGUP;
        if events.is_empty() || !possible.contains(events) {
            return Err(Error::InvalidEvents { events });
        }
        let (half, read) = (events.contains(Events::READ_HANGUP), events.contains(Events::READ));
        let unsupported = mode == Mode::Edge && !self.kind.supports_edge()
            || events.contains(Events::PRIORITY) && !self.kind.supports_priority()
            || half && !read && !self.kind.supports_read_hangup();
        if unsupported {
            return Err(Error::Unsupported { backend: self.kind.name(), events, mode });
        }
        Ok(())
    }

    /// The model of `register`, where `taken` slots have no key.
    pub fn register(
        &mut self,
        calls: &mut impl Calls,
        source: &Source,
        requested: Interest,
        taken: usize,
    ) -> Result<Name, Error> {
        self.refusal(requested)?;
        let fd = source.said.next().unwrap();
        if fd < 0 {
            return Err(Error::InvalidFd { fd });
        }
        if self.by_fd(fd).is_some() {
            return Err(Error::AlreadyRegistered { fd });
        }
        if self.room == Some(self.all.len() + taken) {
            return Err(Error::Full { capacity: self.room.unwrap_or(0) });
        }
        let token = self.next_token();
        calls.add(fd, requested, token)?;
        self.names += 1;
        let (said, id, times) = (source.said.clone(), None, 1);
        let (armed, watched, paused) = (true, true, false);
        self.all.insert(
            self.names,
            Key { requested, armed, watched, paused, token, fd, id, said, times },
        );
        Ok(self.names)
    }

    fn next_token(&mut self) -> Token {
        self.tokens += 1;
        self.tokens
    }

    /// The name of the key that is going to be registered.
    pub fn next_name(&self) -> Name {
        self.names + 1
    }

    /// The model of `modify`, after the look-up.
    pub fn modify(&mut self, calls: &mut impl Calls, name: Name, requested: Interest) -> Outcome {
        let key = self.key(name);
        if !key.watched {
            return self.watch(calls, name, requested);
        }
        // An edge is armed again, and a key that the backend has found closed
        // is watched again.
        let unchanged = key.armed && key.requested == requested && requested.mode != Mode::Edge;
        if unchanged && !calls.is_dropped(key.token) {
            return Ok(Ok(()));
        }
        if let Err(error) = calls.modify(key.fd, requested, key.token) {
            return Ok(Err(error));
        }
        (key.requested, key.armed) = (requested, true);
        Ok(Ok(()))
    }

    fn watch(&mut self, calls: &mut impl Calls, name: Name, requested: Interest) -> Outcome {
        if let Err(error) = self.find_lost(name)? {
            return Ok(Err(error));
        }
        let token = self.next_token();
        let key = self.key(name);
        if let Err(error) = calls.add(key.fd, requested, token) {
            return Ok(Err(error));
        }
        (key.requested, key.armed, key.watched, key.paused, key.token) =
            (requested, true, true, false, token);
        Ok(Ok(()))
    }

    /// A key that has lost its number gets it from the source.
    fn find_lost(&mut self, name: Name) -> Outcome {
        let key = self.key(name);
        if key.fd >= 0 {
            return Ok(Ok(()));
        }
        key.times += 1;
        let fd = key.said.next()?;
        if fd < 0 {
            return Ok(Err(Error::InvalidFd { fd }));
        }
        if self.by_fd(fd).is_some() {
            return Ok(Err(Error::AlreadyRegistered { fd }));
        }
        self.key(name).fd = fd;
        Ok(Ok(()))
    }

    pub fn pause(&mut self, calls: &mut impl Calls, name: Name) {
        let key = self.key(name);
        if key.watched {
            calls.remove(key.fd, key.token);
        }
        (key.watched, key.paused) = (false, true);
    }

    pub fn resume(&mut self, calls: &mut impl Calls, name: Name) -> Outcome {
        let key = self.key(name);
        if !key.paused {
            return Ok(Ok(()));
        }
        if key.armed {
            let requested = key.requested;
            return self.watch(calls, name, requested);
        }
        let found = self.find_lost(name)?;
        if found.is_ok() {
            self.key(name).paused = false;
        }
        Ok(found)
    }

    pub fn unregister(&mut self, calls: &mut impl Calls, name: Name) -> Key {
        let key = self.all.remove(&name).unwrap();
        if key.watched {
            calls.remove(key.fd, key.token);
        }
        self.former.extend(key.id);
        key
    }

    /// A function has had exclusive access to the source, which says this now.
    pub fn exchanged(
        &mut self,
        calls: &mut impl Calls,
        name: Name,
        said: Result<RawFd, Panicked>,
        requested: bool,
    ) {
        let key = self.key(name);
        key.times = usize::from(requested);
        let Ok(fd) = said else { return self.lose(calls, name) };
        if fd == key.fd {
            return;
        }
        let paused = key.paused;
        self.lose(calls, name);
        if fd < 0 || self.by_fd(fd).is_some() {
            return;
        }
        self.key(name).fd = fd;
        if !paused {
            // If it is refused, the key stays paused.
            let _ = self.resume(calls, name);
        }
    }

    fn lose(&mut self, calls: &mut impl Calls, name: Name) {
        self.pause(calls, name);
        self.key(name).fd = -1;
    }

    /// The interest of each registration that can report something.
    pub fn requested(&self) -> impl Fn(Token) -> Option<Interest> + use<> {
        let armed = self.all.values().filter(|key| key.watched && key.armed);
        let all: Vec<_> = armed.map(|key| (key.token, key.requested)).collect();
        move |token| all.iter().find(|(one, _)| *one == token).map(|(_, requested)| *requested)
    }

    pub fn lives(&self) -> impl Fn(Token) -> bool + use<> {
        let all: Vec<_> =
            self.all.values().filter(|key| key.watched).map(|key| key.token).collect();
        move |token| all.contains(&token)
    }

    /// Compares a key with its model.
    pub fn assert_same(&self, key: &SelectorKey<Source, Name>) {
        let Some(known) = self.all.get(&key.data) else { panic!("{key:?} is not registered") };
        assert_eq!(
            (key.fd, key.interest(), key.is_paused()),
            (known.fd, known.requested, known.paused),
            "{known:?}"
        );
        assert!(known.id == Some(key.id()) && Rc::ptr_eq(&key.fileobj.said, &known.said));
        assert_eq!(
            known.said.times(),
            known.times,
            "the number was read too often, or not often enough: {known:?}"
        );
    }
}
