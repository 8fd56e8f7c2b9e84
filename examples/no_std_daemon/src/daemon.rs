//! The service itself, which is the same with std and without.
//!
//! `main.rs` and `examples/daemon.rs` differ in arguments, errors and memory.

use core::ffi::CStr;
use core::mem::take;
use core::net::SocketAddr;
use core::time::Duration;

use rustix::fd::OwnedFd;
use rustix::io::{Errno, read};
use rustix::net::{self, RecvFlags, SendFlags, SocketFlags};

use crate::text::Text;
use crate::{Error, Events, KeyId, Selector, sockets};

/// The number of peers that are served at a time. More wait in the listener's
/// queue.
const PEERS: usize = 64;

/// The keys of a daemon without peers: the listener, the control channel, and
/// the timer.
const OWN: usize = 3;

pub(crate) const KEYS: usize = PEERS + OWN;

/// What a descriptor is for.
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all are peers, and there is nothing to box them with"
)]
pub(crate) enum Role {
    Listener,
    Control,
    Timer,
    Peer(Peer),
}

pub(crate) struct Peer {
    /// The tick of the last byte that was received or sent.
    active: u32,
    /// The peer will send no more.
    ended: bool,
    /// The bytes that were received and not sent yet are `buffer[start..end]`.
    start: usize,
    end: usize,
    buffer: [u8; 192],
}

impl Peer {
    fn new(now: u32) -> Self {
        Self { active: now, ended: false, start: 0, end: 0, buffer: [0; 192] }
    }

    /// Echoes what it can. Returns the next interest, which is empty at the
    /// end.
    fn echo(&mut self, socket: &OwnedFd, now: u32) -> Result<Events, Errno> {
        if let Some(room) =
            self.buffer.get_mut(self.end..).filter(|room| !room.is_empty() && !self.ended)
        {
            match unless_blocked(read(socket, room))? {
                Some(0) => self.ended = true,
                Some(count) => (self.end, self.active) = (self.end + count, now),
                None => {}
            }
        }
        if let Some(unsent) =
            self.buffer.get(self.start..self.end).filter(|unsent| !unsent.is_empty())
        {
            let sent = unless_blocked(net::send(socket, unsent, SendFlags::NOSIGNAL))?;
            if let Some(count) = sent {
                (self.start, self.active) = (self.start + count, now);
            }
        }
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        // A peer that does not read its echo is not read from while the buffer
        // is full.
        let mut next = Events::empty();
        next.set(Events::READ, !self.ended && self.end < self.buffer.len());
        next.set(Events::WRITE, self.start < self.end);
        Ok(next)
    }
}

fn unless_blocked(moved: Result<usize, Errno>) -> Result<Option<usize>, Errno> {
    match moved {
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        moved => moved.map(Some),
    }
}

pub(crate) struct Daemon<'a> {
    selector: &'a mut Selector,
    listener: KeyId,
    /// It exists only while there are peers. Without peers nothing wakes the
    /// daemon.
    timer: Option<KeyId>,
    /// A peer is idle after more than four of these.
    tick: Duration,
    now: u32,
    /// The system had no descriptor or memory for another peer.
    starved: bool,
    ended: bool,
    accepted: u32,
    expired: u64,
}

impl<'a> Daemon<'a> {
    pub(crate) fn new(
        selector: &'a mut Selector,
        address: SocketAddr,
        control: &CStr,
        idle: Duration,
    ) -> Result<Self, Error> {
        let (listener, control) =
            (sockets::tcp_listener(address)?, sockets::unix_datagram(control)?);
        let listener = selector.register(listener, Events::READ, Role::Listener)?.id();
        selector.register(control, Events::READ, Role::Control)?;
        let (starved, ended, now, accepted, expired) = (false, false, 0, 0, 0);
        Ok(Self {
            selector,
            listener,
            timer: None,
            tick: idle / 4,
            now,
            starved,
            ended,
            accepted,
            expired,
        })
    }

    /// Serves until the control channel says `quit`.
    pub(crate) fn serve(&mut self) -> Result<(), Error> {
        while !self.ended {
            // Nothing is reported when the system has resources again, so look
            // in a second.
            self.selector.select(self.starved.then_some(Duration::from_secs(1)))?;
            if take(&mut self.starved) {
                self.resume();
            }
            while let Some((mut key, _ready)) = self.selector.next_ready() {
                let id = key.id();
                match key.parts() {
                    (_, Role::Listener) => {
                        key.pause();
                        self.starved = self.accept().is_none();
                        self.resume();
                    }
                    (_, Role::Control) => self.command(id),
                    (timer, Role::Timer) => {
                        let _ = read(timer, &mut [0; 8]);
                        self.tick();
                    }
                    (stream, Role::Peer(peer)) => match peer.echo(stream, self.now) {
                        Ok(events) if !events.is_empty() => key.modify(events)?,
                        _ => {
                            drop(key.unregister());
                            self.closed();
                        }
                    },
                }
            }
        }
        Ok(())
    }

    /// Resumes the listener, if there is a free slot. Each of its events pauses
    /// it.
    fn resume(&mut self) {
        if !self.starved && self.selector.get_map().len() < KEYS {
            self.starved = self.selector.resume(self.listener).is_err();
        }
    }

    /// Accepts as many peers as there are free slots. Returns `None` if the
    /// system has no descriptor or memory left.
    fn accept(&mut self) -> Option<()> {
        if self.timer.is_none() {
            let timer = sockets::timer(self.tick).ok()?;
            self.timer = Some(self.selector.register(timer, Events::READ, Role::Timer).ok()?.id());
        }
        while self.selector.get_map().len() < KEYS {
            let listener = self.selector.get_key(self.listener)?;
            match net::accept_with(&listener.fileobj, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
            {
                Ok(peer) => {
                    let role = Role::Peer(Peer::new(self.now));
                    self.selector.register(peer, Events::READ, role).ok()?;
                }
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => return None,
                Err(_) => break, // there is no connection, or it was aborted
            }
            self.accepted += 1;
        }
        Some(())
    }

    /// Closes the peers that have been idle for too long.
    fn tick(&mut self) {
        self.now = self.now.wrapping_add(1);
        let now = self.now;
        let is_idle =
            |role: &Role| matches!(role, Role::Peer(peer) if now.wrapping_sub(peer.active) > 4);
        let before = self.selector.get_map().len();
        self.selector.retain(|key| !is_idle(&key.data));
        self.expired += (before - self.selector.get_map().len()) as u64;
        self.closed();
    }

    /// Ends the timer with the last peer, and accepts further peers.
    fn closed(&mut self) {
        if let Some(timer) = self.timer.take_if(|_| self.selector.get_map().len() == OWN) {
            let _ = self.selector.unregister(timer);
        }
        self.resume();
    }

    /// Reads one command from the control channel, and responds to its sender.
    fn command(&mut self, control: KeyId) {
        let map = self.selector.get_map();
        let Some(control) = map.get(control) else { return };
        let mut line = [0; 8];
        let Ok((_, count, from)) = net::recvfrom(&control.fileobj, &mut line, RecvFlags::empty())
        else {
            return;
        };
        let mut text = Text::new();
        match line.get(..count).unwrap_or_default().trim_ascii_end() {
            b"stat" => {
                let stats = self.selector.stats();
                text.line("accepted", self.accepted.into()).line("expired", self.expired);
                text.line("waits", stats.waits).line("events", stats.events);
                for key in map {
                    match &key.data {
                        Role::Listener => text.line("port", sockets::port(&key.fileobj).into()),
                        Role::Control => text.line("control", 0),
                        Role::Timer => text.line("timer", self.now.into()),
                        Role::Peer(peer) => text.line("peer", (peer.end - peer.start) as u64),
                    };
                }
            }
            b"quit" => {
                self.ended = true;
                text.push(b"bye\n");
            }
            _ => drop(text.push(b"stat or quit?\n")),
        }
        if let Some(from) = from {
            let _ = net::sendto(&control.fileobj, text.as_bytes(), SendFlags::NOSIGNAL, &from);
        }
    }
}
